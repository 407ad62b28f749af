"""Opens OME-Zarr 0.4 and 0.5, a folder or a zip: chunks of pixels, and a little JSON that says what they are.

The level arrays are zarr's. What the JSON says is checked in ``ome_zarr_metadata``.
"""

import dataclasses
import hashlib
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import SlideError
from napari_gigaclf.geometry import Box
from napari_gigaclf.slides.array import ArraySlide, SlideFacts
from napari_gigaclf.slides.choice import choose_scene, choose_z
from napari_gigaclf.slides.colour import UINT8, check_dtype
from napari_gigaclf.slides.fingerprint import image_fingerprint
from napari_gigaclf.slides.kinds import kind_from_samples, middle
from napari_gigaclf.slides.level import LevelSource
from napari_gigaclf.slides.limits import MAX_CHANNELS, MAX_CHUNK_BYTES, MAX_CHUNKS, MAX_SIDE
from napari_gigaclf.slides.ome_zarr_metadata import Multiscale, check_codecs, parse_multiscales
from napari_gigaclf.slides.slide import UNKNOWN_SCALE
from napari_gigaclf.slides.zarr_guard import guarded, local_store

METADATA_FILES = ("zarr.json", ".zattrs", ".zgroup")
_MAX_SCENES = 1000
_FINGERPRINT_CHUNKS = 8


def is_zarr_folder(path: Path) -> bool:
    """Return whether a folder is the root of a zarr group."""
    return any((path / name).is_file() for name in METADATA_FILES)


def open_ome_zarr(path: Path, *, scene: int | str | None = None, z: int | None = None) -> ArraySlide:
    """Open an OME-Zarr folder or zip; reads its JSON, no pixels.

    Raises
    ------
    SlideError
        If its JSON is damaged or asks for more than the limits. Errors of zarr pass through to ``open_slide``.
    """
    root, close = _open_root(path)
    try:
        return _open(path, root, close, scene, z)
    except BaseException:
        close()
        raise


def _open_root(path: Path) -> tuple[Any, Callable[[], None]]:
    """Return the root group and what closes it."""
    import zarr

    if path.is_dir():
        store = local_store(path)
        return zarr.open_group(store, mode="r"), store.close
    prefix = _check_zip(path)
    zipped = zarr.storage.ZipStore(path, mode="r", read_only=True)
    return zarr.open_group(zipped, mode="r", path=prefix), zipped.close


def _check_zip(path: Path) -> str:
    """Return the folder of the root group inside a zip, after comparing what it holds with the limits."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    for member in members:
        if member.file_size > MAX_CHUNK_BYTES:
            raise SlideError(path, f"a file in the zip unpacks to {member.file_size / 2**20:.0f} MiB")
        parts = member.filename.split("/")
        if member.filename.startswith(("/", "\\")) or ".." in parts:
            raise SlideError(path, "a file in the zip points outside of it")
    roots = [m.filename.rpartition("/")[0] for m in members if m.filename.rpartition("/")[2] in METADATA_FILES]
    if not roots:
        raise SlideError(path, "a zip file that holds no OME-Zarr")
    return min(roots, key=lambda name: (name.count("/") + bool(name), name))


def _open(
    path: Path,
    root: Any,  # noqa: ANN401 - zarr
    close: Callable[[], None],
    scene: int | str | None,
    z: int | None,
) -> ArraySlide:
    """Build the slide over an open store."""
    images = _images(path, root)
    names = tuple(str(number) for number in range(len(images)))
    chosen = choose_scene(path, names, scene)
    group, image = images[chosen]
    arrays = [_array(path, group, image, name) for name in image.paths]
    arrays = arrays[:1] + [array for array in arrays[1:] if array.dtype == arrays[0].dtype]
    num_channels = image.length(arrays[0].shape, "c")
    if not 1 <= num_channels <= MAX_CHANNELS:
        raise SlideError(path, f"{num_channels} channels; at most {MAX_CHANNELS} are supported")
    num_z = image.length(arrays[0].shape, "z")
    plane = choose_z(path, num_z, z)
    dtype = check_dtype(str(path), arrays[0].dtype)
    levels = [ZarrLevel(array, image, plane, dtype) for array in arrays]
    levels, steps = image.accepted(levels)
    rgb = dtype == UINT8 and num_channels == 3
    coarsest = levels[-1]
    slide: ArraySlide

    def fill() -> int:
        return slide.background[0]

    slide = ArraySlide(
        SlideFacts(
            name=path.name,
            path=path,
            format=f"OME-Zarr {image.version}",
            dtype=dtype,
            num_channels=num_channels,
            um_per_px=image.um_per_px,
            um_per_px_source=UNKNOWN_SCALE if image.um_per_px is None else "OME-Zarr scale",
            properties={"zarr format": str(arrays[0].metadata.zarr_format)},
            scenes=names,
            scene=chosen,
            num_z=num_z,
            z=plane,
        ),
        [
            LevelSource(shape=level.size, chunks=level.chunks, fetch=level.fetch_with(fill if rgb else None), step=step)
            for level, step in zip(levels, steps, strict=True)
        ],
        # Missing chunks are read as 0, which does not count.
        kind=(lambda: kind_from_samples(lambda box: coarsest.fetch(box, 0), [middle(coarsest.size)]))
        if rgb
        else "other",
        fingerprint=lambda: image_fingerprint(_fingerprint(levels), chosen, plane),
        on_close=close,
    )
    return slide


def _images(path: Path, root: Any) -> list[tuple[Any, Multiscale]]:  # noqa: ANN401 - zarr
    """Return the images of a store with their groups: its multiscales, or the numbered groups of bioformats2raw."""
    attributes = root.attrs.asdict()
    ome = attributes.get("ome", attributes)
    if not isinstance(ome, dict):
        raise SlideError(path, "its OME attributes are damaged")
    if "multiscales" in ome:
        return [(root, image) for image in parse_multiscales(str(path), ome)]
    if "plate" in ome or "well" in ome:
        raise SlideError(path, "it is a plate of many images; open one of its images instead")
    found: list[tuple[Any, Multiscale]] = []
    if "bioformats2raw.layout" in ome:
        while len(found) < _MAX_SCENES and str(len(found)) in root:
            group = root[str(len(found))]
            inner = group.attrs.asdict()
            found.append((group, parse_multiscales(str(path), inner.get("ome", inner))[0]))
    if not found:
        raise SlideError(path, "a zarr group without OME multiscales")
    return found


def _array(path: Path, group: Any, image: Multiscale, name: str) -> Any:  # noqa: ANN401 - zarr
    """Return a level's array after comparing what it asks for with the limits."""
    import zarr

    array = group[name]
    if not isinstance(array, zarr.Array) or len(array.shape) != len(image.axes):
        raise SlideError(path, f"its level {name!r} is no array with the axes {''.join(image.axes)}")
    if min(array.shape) < 1 or max(array.shape) > MAX_SIDE or min(array.chunks) < 1:
        raise SlideError(path, f"its level {name!r} has the shape {tuple(array.shape)}")
    check_dtype(str(path), np.dtype(array.dtype))
    check_codecs(str(path), array.metadata.to_dict())
    chunk_bytes = int(np.prod([int(side) for side in array.chunks], dtype=object)) * np.dtype(array.dtype).itemsize
    if chunk_bytes > MAX_CHUNK_BYTES:
        raise SlideError(path, f"its chunks take {chunk_bytes / 2**20:.0f} MiB; at most {MAX_CHUNK_BYTES / 2**20:.0f}")
    y, x = image.axes.index("y"), image.axes.index("x")
    if -(-array.shape[y] // array.chunks[y]) * -(-array.shape[x] // array.chunks[x]) > MAX_CHUNKS:
        raise SlideError(path, f"its level {name!r} has more than {MAX_CHUNKS} chunks")
    return guarded(array)


class ZarrLevel:
    """Reads boxes of one level.

    Parameters
    ----------
    array
        The zarr array.
    image
        What the axes are.
    z
        Focal plane.
    dtype
        Type of a sample, native byte order.
    """

    def __init__(self, array: Any, image: Multiscale, z: int, dtype: np.dtype[Any]) -> None:  # noqa: ANN401 - zarr
        self._array = array
        self._filled: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._dtype = dtype
        self._y, self._x = image.axes.index("y"), image.axes.index("x")
        self._c = image.axes.index("c") if "c" in image.axes else None
        self._index: list[Any] = [z if axis == "z" else slice(None) if axis == "c" else 0 for axis in image.axes]
        self.size = (int(array.shape[self._y]), int(array.shape[self._x]))
        tall, wide = (min(int(array.chunks[axis]), int(array.shape[axis])) for axis in (self._y, self._x))
        self.chunks = (tall, wide)

    def fetch_with(self, fill: Callable[[], int] | None) -> Callable[[Box], NDArray[Any]]:
        """Return the function that reads a box; with a fill, missing chunks get it instead of the file's own."""

        def fetch(box: Box) -> NDArray[Any]:
            return self.fetch(box, None if fill is None else fill())

        return fetch

    def fetch(self, box: Box, fill: int | None) -> NDArray[Any]:
        """Return the pixels of a box inside the level, (h, w, c)."""
        index = list(self._index)
        index[self._y], index[self._x] = box.slices
        block = np.asarray(self._with_fill(fill)[tuple(index)])
        kept = [axis for axis, part in enumerate(index) if isinstance(part, slice)]
        order = [self._y, self._x] + ([] if self._c is None else [self._c])
        block = block.transpose([kept.index(axis) for axis in order]).reshape(*box.shape, -1)
        return block.astype(self._dtype, copy=False)

    def _with_fill(self, fill: int | None) -> Any:  # noqa: ANN401 - zarr
        """Return the array with another fill value: zarr leaves out chunks which equal it, and so do sparse writers."""
        import zarr

        if fill is None:
            return self._array
        with self._lock:
            if fill not in self._filled:
                metadata = dataclasses.replace(self._array.metadata, fill_value=self._dtype.type(fill))
                inner = zarr.AsyncArray(metadata=metadata, store_path=self._array.store_path, config=self._array.config)
                self._filled[fill] = zarr.Array(inner)
            return self._filled[fill]


def _fingerprint(levels: list[ZarrLevel]) -> str:
    """Return the digest of the shapes and of a few decoded chunks of each level: a folder and its zip have the same."""
    digest = hashlib.sha256(b"ome-zarr")
    for level in levels:
        digest.update(f"{level.size} {level.chunks}".encode())
        rows, columns = -(-level.size[0] // level.chunks[0]), -(-level.size[1] // level.chunks[1])
        bounds = Box(0, level.size[0], 0, level.size[1])
        for place in sorted({rows * columns * i // _FINGERPRINT_CHUNKS for i in range(_FINGERPRINT_CHUNKS)}):
            y, x = place // columns * level.chunks[0], place % columns * level.chunks[1]
            box = Box(y, y + level.chunks[0], x, x + level.chunks[1]).intersection(bounds)
            digest.update(np.ascontiguousarray(level.fetch(box, None)).tobytes())
    return digest.hexdigest()
