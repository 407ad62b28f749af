"""What the JSON of an OME-Zarr says, checked at the door: axes, levels, pixel size, and how the chunks are compressed.

Paths must stay inside the store, lengths are plausible, and only codecs that decompress numbers are let through: zarr's
registry also knows one that unpickles, which would run code out of the file.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides.level import level_step, same_picture
from napari_gigaclf.slides.resolution import plausible_overview, um_per_unit

AXES = "tczyx"
MAX_LEVELS = 64
_SAFE_CODECS = frozenset(
    (
        *(
            "bytes",
            "transpose",
            "blosc",
            "gzip",
            "zstd",
            "zlib",
            "bz2",
            "lz4",
            "lzma",
            "crc32c",
            "crc32",
            "adler32",
            "fletcher32",
            "sharding_indexed",
        ),
        *("shuffle", "delta", "bitround", "fixedscaleoffset", "packbits", "quantize", "astype"),
        *(
            f"imagecodecs_{name}"
            for name in ("jpeg", "jpeg2k", "jpegxl", "jpegxr", "webp", "png", "zstd", "deflate", "lz4", "lzw", "delta")
        ),
    )
)
_CODEC_KEYS = ("compressor", "filters", "codecs", "index_codecs")

Sized = TypeVar("Sized", bound=Any)


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiscale:
    """One image of an OME-Zarr."""

    version: str
    axes: tuple[str, ...]
    """One letter per array axis, of t, c, z, y, x."""
    paths: tuple[str, ...]
    """Paths of the levels' arrays inside the group, fine to coarse."""
    scales: tuple[tuple[float, float], ...]
    """Size of a pixel of each level, (y, x), in the file's unit."""
    um_per_px: tuple[float, float] | None
    """Micrometres per pixel of level 0, (y, x); None where the file gives no unit of length."""

    def length(self, shape: Sequence[int], axis: str) -> int:
        """Return the length of a shape along an axis; 1 if there is no such axis."""
        return int(shape[self.axes.index(axis)]) if axis in self.axes else 1

    def accepted(self, levels: list[Sized]) -> tuple[list[Sized], list[tuple[float, float]]]:
        """Return the levels (with a ``size``) that are smaller pictures of the first, and their steps (y, x).

        A step is the ratio of the scales where that agrees with the shapes to a pixel, else it follows from the shapes.
        """
        kept, steps = levels[:1], [(1.0, 1.0)]
        full = levels[0].size
        for level, scale in zip(levels[1:], self.scales[1:], strict=False):
            if not (same_picture(full, level.size) and same_picture(kept[-1].size, level.size)):
                continue
            said = (scale[0] / self.scales[0][0], scale[1] / self.scales[0][1])
            agrees = all(abs(full[a] / said[a] - level.size[a]) < 1 for a in range(2))
            kept.append(level)
            steps.append(said if agrees else level_step(full, level.size))
        return kept, steps


def parse_multiscales(path: str, ome: Any) -> list[Multiscale]:  # noqa: ANN401 - parsed here
    """Return the images in OME attributes (0.5: inside ``ome``; 0.4: at the top).

    Raises
    ------
    SlideError
        If they are damaged.
    """
    if not isinstance(ome, Mapping) or not isinstance(ome.get("multiscales"), list) or not ome["multiscales"]:
        raise SlideError(path, "its OME multiscales are damaged")
    return [_parse(path, entry, str(ome.get("version", ""))) for entry in ome["multiscales"]]


def _parse(path: str, entry: Any, version: str) -> Multiscale:  # noqa: ANN401 - parsed here
    """Return one image."""
    if not isinstance(entry, Mapping):
        raise SlideError(path, "its OME multiscales are damaged")
    axes, units = _axes(path, entry.get("axes"))
    datasets = entry.get("datasets")
    if not isinstance(datasets, list) or not 1 <= len(datasets) <= MAX_LEVELS:
        raise SlideError(path, "its OME multiscales list no datasets")
    common = _scale(entry.get("coordinateTransformations"), len(axes))
    paths, scales = [], []
    for dataset in datasets:
        name = dataset.get("path") if isinstance(dataset, Mapping) else None
        if not isinstance(name, str) or not name or name.startswith(("/", "\\")) or ".." in name.replace("\\", "/"):
            raise SlideError(path, f"its OME multiscales point to {name!r}, which is no path inside it")
        own = _scale(dataset.get("coordinateTransformations"), len(axes))
        paths.append(name)
        scales.append([mine * shared for mine, shared in zip(own, common, strict=True)])
    y, x = axes.index("y"), axes.index("x")
    found: tuple[float, float] | None = None
    um_y, um_x = um_per_unit(units[y]), um_per_unit(units[x])
    if um_y is not None and um_x is not None:
        found = (scales[0][y] * um_y, scales[0][x] * um_x)
    return Multiscale(
        version=(version or str(entry.get("version", "0.4")))[:8],
        axes=axes,
        paths=tuple(paths),
        scales=tuple((scale[y], scale[x]) for scale in scales),
        um_per_px=found if found is not None and plausible_overview(found) else None,
    )


def _axes(path: str, axes: Any) -> tuple[tuple[str, ...], list[str | None]]:  # noqa: ANN401 - parsed here
    """Return the axes' letters and units."""
    listed = axes if isinstance(axes, list) else []
    names = [axis.get("name") if isinstance(axis, Mapping) else axis for axis in listed]
    units = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in listed]
    known = all(isinstance(name, str) and len(name) == 1 and name in AXES for name in names)
    if not known or len(set(names)) != len(names) or not {"y", "x"} <= set(names):
        raise SlideError(path, f"its axes {names!r} are not among {', '.join(AXES)} with y and x")
    return tuple(str(name) for name in names), [unit if isinstance(unit, str) else None for unit in units]


def _scale(transforms: Any, num_axes: int) -> list[float]:  # noqa: ANN401 - parsed here
    """Return the scale of each axis; 1 where none is given or it makes no sense."""
    for transform in transforms if isinstance(transforms, list) else []:
        if isinstance(transform, Mapping) and transform.get("type") == "scale":
            values = transform.get("scale")
            numbers = values if isinstance(values, list) and len(values) == num_axes else []
            if numbers and all(isinstance(v, (int, float)) and math.isfinite(v) and v > 0 for v in numbers):
                return [float(value) for value in numbers]
    return [1.0] * num_axes


def check_codecs(path: str, metadata: Any) -> None:  # noqa: ANN401 - parsed here
    """Refuse an array whose chunks need a codec that is not known to only decompress numbers."""
    if isinstance(metadata, Mapping):
        for key in _CODEC_KEYS:
            listed = metadata.get(key)
            for codec in listed if isinstance(listed, (list, tuple)) else [listed]:
                if isinstance(codec, Mapping):
                    _check_codec(path, codec)


def _check_codec(path: str, codec: Mapping[str, Any]) -> None:
    """Refuse one codec, or one inside its configuration."""
    name = str(codec.get("name", codec.get("id", ""))).removeprefix("numcodecs.")
    if name not in _SAFE_CODECS:
        raise SlideError(path, f"its pixels are stored with the codec {name!r}, which is not supported")
    check_codecs(path, codec.get("configuration"))
