"""Opens a map that was exported as OME-TIFF or OME-Zarr where it lies on its slide, one overlay per class.

Both formats call such a map an image of its own. What OME can say of its place (stage position, translation) means
something else in other programs' files, so only files that carry our own notes are placed; of any other file the names
of the channels are taken.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.models.map_scale import PROBABILITY, MapScale
from napari_gigaclf.viewer.layers import (
    PROBABILITY_OPACITY,
    ChannelPlane,
    Frame,
    LayerData,
    fading_inferno,
    score_colours,
)

MAX_NOTES_BYTES = 16 * 2**20
"""Attributes of an OME-Zarr folder larger than this are not read."""
PLACE = "level0_corner_xy_px"
"""What only our maps say of themselves (``inference.map_image``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelNotes:
    """What a file says of its channels, and of its place if it is a map of ours."""

    names: tuple[str, ...]
    """Names of the channels; empty where it gives none."""
    corner: tuple[float, float] | None = None
    """(y, x) of the corner of the first cell, level-0 pixels of the slide; None if it is no map of ours."""
    cell: tuple[float, float] = (1.0, 1.0)
    """Side of a cell, (y, x) level-0 pixels."""
    scale: MapScale = PROBABILITY
    """What its numbers are, and from where to where they are drawn."""


def channel_notes(slide: Any) -> ChannelNotes:  # noqa: ANN401 - a Slide
    """Read the notes of an open OME-TIFF or OME-Zarr; nothing where there are none or they are damaged.

    They are those of the file's first scene; another one has none.
    """
    path: Path | None = slide.path
    nothing = ChannelNotes(names=())
    if path is None or slide.scene > 0 or not slide.format.startswith("OME"):
        return nothing
    try:
        notes = _of_zarr(path) if path.is_dir() else _of_tiff(path)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return nothing  # a strange file is still a picture
    return notes if len(notes.names) == slide.num_channels else nothing


def map_layers(slide: Any, notes: ChannelNotes) -> list[LayerData]:  # noqa: ANN401 - a Slide
    """Return a map of ours as overlays that lie as they were computed; the class that was looked for is visible."""
    assert notes.corner is not None
    finest = slide.levels[0]
    um = slide.um_per_px
    level0_um = None if um is None else (um[0] / notes.cell[0], um[1] / notes.cell[1])
    grid = PixelGrid(origin=notes.corner, step=notes.cell, shape=(finest.height, finest.width))
    layers: list[LayerData] = []
    for channel, name in enumerate(notes.names):
        kwargs = {
            **Frame(um_per_px=level0_um, shape=grid.shape).place(grid),
            "name": f"{slide.name}: {name}",
            "contrast_limits": (notes.scale.low, notes.scale.high),
            "colormap": score_colours() if notes.scale.is_score else fading_inferno(),
            "opacity": PROBABILITY_OPACITY,
            "blending": "translucent_no_depth",
            "interpolation2d": "nearest",
            "rgb": False,
            "multiscale": True,
            "visible": channel == len(notes.names) - 1,
            "metadata": {"exported_map": slide, "class_name": name},
        }
        planes = [level if level.ndim == 2 else ChannelPlane(level, channel) for level in slide.levels]
        layers.append((planes, kwargs, "image"))
    return layers


def _of_tiff(path: Path) -> ChannelNotes:
    """Read OME-XML: channels' names, and our notes in the image's description."""
    import tifffile

    from napari_gigaclf.slides.tiff_xml import children, descendants, parse_xml

    with tifffile.TiffFile(path) as file:
        image = children(parse_xml(str(path), file.pages[0].description), "Image")[0]
    names = tuple(str(each.get("Name")) for each in descendants(image, "Channel") if each.get("Name"))
    said = [element.text or "" for element in children(image, "Description")]
    ours = bool(said) and said[0].startswith("{") and PLACE in said[0]
    return _placed(names, json.loads(said[0]) if ours else {})


def _of_zarr(path: Path) -> ChannelNotes:
    """Read ``omero`` labels, and our notes beside them."""
    new, old = path / "zarr.json", path / ".zattrs"
    file = new if new.is_file() else old
    if file.stat().st_size > MAX_NOTES_BYTES:
        raise ValueError("too long")
    attributes = json.loads(file.read_text(encoding="utf-8"))
    attributes = attributes["attributes"] if file == new else attributes
    ome = attributes.get("ome", attributes)
    names = tuple(str(channel["label"]) for channel in ome["omero"]["channels"])
    return _placed(names, attributes.get("gigaclf", {}))


def _placed(names: tuple[str, ...], said: Mapping[str, Any]) -> ChannelNotes:
    """Return names with the place that ``inference.map_image`` wrote; names alone where it did not."""
    if PLACE not in said:
        return ChannelNotes(names=names)
    (x, y), (width, height) = said[PLACE], said["level0_cell_xy_px"]
    corner, cell = (float(y), float(x)), (float(height), float(width))
    if not (all(map(math.isfinite, corner)) and all(0 < side < math.inf for side in cell)):
        raise ValueError("a place that is none")
    return ChannelNotes(names=names, corner=corner, cell=cell, scale=_scale(said))


def _scale(said: Mapping[str, Any]) -> MapScale:
    """Return what the numbers are; of files from before there were scores: probabilities."""
    if said.get("numbers_are") != "score":
        return PROBABILITY
    low, high = (float(value) for value in said["shown_from_to"])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError("limits that are none")
    return MapScale(is_score=True, low=low, high=high)
