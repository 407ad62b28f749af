"""Opens TIFF slides: Aperio, Hamamatsu, Leica, PerkinElmer, Philips, OME-TIFF, and plain or pyramidal TIFF."""

import logging
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_gigaclf.errors import SlideError
from napari_gigaclf.geometry import Box
from napari_gigaclf.slides.array import ArraySlide, SlideFacts
from napari_gigaclf.slides.choice import choose_scene, choose_z
from napari_gigaclf.slides.colour import UINT8, Colours
from napari_gigaclf.slides.fingerprint import file_fingerprint, image_fingerprint
from napari_gigaclf.slides.kinds import kind_from_samples
from napari_gigaclf.slides.level import Fetch, LevelSource
from napari_gigaclf.slides.limits import MAX_ASSOCIATED_BYTES
from napari_gigaclf.slides.openslide_formats import open_with_openslide
from napari_gigaclf.slides.slide import Kind
from napari_gigaclf.slides.tiff_colour import tiff_colours
from napari_gigaclf.slides.tiff_levels import CHANNEL_AXES, PLANE_AXES, TiffLevel, image_size, pyramid
from napari_gigaclf.slides.tiff_vendor import Vendor, vendor_of

_PROBE_CHUNKS = 12
WHITE = 255
NO_IMAGE = (
    "it holds no image: where a slide consists of several files, open the one that the scanner's program opens; else "
    "copy it or export it again"
)


def open_tiff(path: Path, *, scene: int | str | None = None, z: int | None = None) -> ArraySlide:
    """Open a TIFF slide; reads its directories, no pixels.

    Raises
    ------
    SlideError
        If it holds no image that can be read, or has no such scene or plane. Errors of tifffile pass through: the
        caller (``open_slide``) translates them.
    """
    import tifffile

    # Without a handler Python prints the library's complaints about damaged files on the user's terminal.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    file = tifffile.TiffFile(path)
    let_go = weakref.finalize(file, file.filehandle.close)  # whoever held the slide or a level of it never closed it
    let_go.atexit = False  # threads may still read
    try:
        return _open(path, file, scene, z)
    except BaseException:
        file.close()
        raise


def _open(path: Path, file: Any, scene: int | str | None, z: int | None) -> ArraySlide:  # noqa: ANN401 - tifffile
    """Build the slide over an open file."""
    if file.is_bif:
        # tifffile does not stitch Ventana's overlapping tiles.
        file.close()
        return open_with_openslide(path)
    vendor = vendor_of(file)
    everything = list(file.series)
    images = [series for series in everything if min(image_size(series)) > 0 and series.dtype is not None]
    if not images:
        raise SlideError(path, NO_IMAGE)
    scenes = vendor.scenes(images)
    chosen = choose_scene(path, [vendor.scene_name(series, i) for i, series in enumerate(scenes)], scene)
    main = scenes[chosen]
    others = [series for series in images if series is not main and all(series is not s for s in scenes)]
    level_series = pyramid(main, others if main.kind in ("generic", "uniform") else [])
    others = [series for series in others if all(series is not level for level in level_series)]
    colours = _colours(path, main)
    num_z = _num_planes(main)
    # Pages of a stack without a named axis are a document: its first page, as everywhere; focal planes: the middle one.
    plane = choose_z(path, num_z, z, default=None if "Z" in main.axes else 0)
    levels = _levels(path, level_series, colours, plane)
    um_per_px, source = vendor.um_per_px(main, chosen)
    associated = vendor.associated(others)
    slide: ArraySlide
    fill: Callable[[], int] = lambda: slide.background[0]  # noqa: E731 - known once the slide's kind is
    slide = ArraySlide(
        SlideFacts(
            name=path.name,
            path=path,
            format=vendor.format,
            dtype=colours.dtype,
            num_channels=colours.num_channels,
            um_per_px=um_per_px,
            um_per_px_source=source,
            properties=vendor.properties(main),
            associated=tuple(associated),
            scenes=tuple(vendor.scene_name(series, i) for i, series in enumerate(scenes)),
            scene=chosen,
            num_z=num_z,
            z=plane,
        ),
        [LevelSource(shape=level.size, chunks=level.chunks, fetch=_fetch(level, fill)) for level in levels],
        kind=_kind(vendor, main, chosen, colours, levels[-1]),
        fingerprint=lambda: image_fingerprint(file_fingerprint(path), chosen, plane),
        read_associated=lambda name: _read_whole(path, associated[name]),
        on_close=file.close,
    )
    return slide


def _colours(path: Path, series: Any) -> Colours:  # noqa: ANN401 - tifffile
    """Return how the samples of a series become pixels."""
    stored = 1
    for axis, length in zip(series.axes, series.shape, strict=True):
        stored *= int(length) if axis in CHANNEL_AXES else 1
    return tiff_colours(str(path), series.keyframe, stored)


def _num_planes(series: Any) -> int:  # noqa: ANN401 - tifffile
    """Return the number of focal planes: the first axis that is one."""
    lengths = [int(n) for axis, n in zip(series.axes, series.shape, strict=True) if axis in PLANE_AXES and n > 1]
    return lengths[0] if lengths else 1


def _levels(path: Path, level_series: list[Any], colours: Colours, plane: int) -> list[TiffLevel]:
    """Return readers of the levels; a level with other samples than level 0 is left out."""
    levels = []
    for index, series in enumerate(level_series):
        if index and (series.dtype != level_series[0].dtype or _samples(series) != _samples(level_series[0])):
            continue
        own = colours if index == 0 else _colours(path, series)
        levels.append(TiffLevel(str(path), series, own, plane))
    return levels


def _samples(series: Any) -> tuple[tuple[str, int], ...]:  # noqa: ANN401 - tifffile
    """Return the channel axes with their lengths."""
    return tuple((a, int(n)) for a, n in zip(series.axes, series.shape, strict=True) if a in CHANNEL_AXES)


def _fetch(level: TiffLevel, fill: Callable[[], int]) -> Fetch:
    """Return the function that reads a level, with missing tiles as background."""

    def fetch(box: Box) -> NDArray[Any]:
        return level.fetch(box, fill())

    return fetch


def _kind(
    vendor: Vendor,
    series: Any,  # noqa: ANN401 - tifffile
    scene: int,
    colours: Colours,
    coarsest: TiffLevel,
) -> Kind | Callable[[], Kind]:
    """Return how the image was made, or what finds out from a few tiles of the coarsest level."""
    said = vendor.kind(series, scene)
    rgb = colours.dtype == UINT8 and colours.num_channels == 3
    if not rgb:
        return "fluorescence" if said == "fluorescence" else "other"
    if said is not None:
        return said
    return lambda: kind_from_samples(lambda box: coarsest.fetch(box, WHITE), coarsest.present_chunks(_PROBE_CHUNKS))


def _read_whole(path: Path, series: Any) -> NDArray[Any]:  # noqa: ANN401 - tifffile
    """Read an associated image."""
    height, width = image_size(series)
    colours = _colours(path, series)
    if height * width * colours.num_channels * colours.dtype.itemsize > MAX_ASSOCIATED_BYTES:
        raise SlideError(path, f"an associated image of {height} x {width} pixels is too large")
    level = TiffLevel(str(path), series, colours, 0)
    block = level.fetch(Box(0, height, 0, width), WHITE)
    return block if colours.num_channels > 1 else block[..., 0]
