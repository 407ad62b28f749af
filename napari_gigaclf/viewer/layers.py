"""Slides, results and annotations as napari layers: pure functions, no viewer, no file written, nothing computed twice.

Every layer over one slide carries the same units and axis labels and lies on level 0 by the one transform of
``PixelGrid.napari_transform`` (scale s * um/px, translate (s - 1) / 2 * um/px for a raster of step s): an overlay
without the translate would be shifted by half a cell. Probabilities are shown on the absolute scale 0 to 1, never by
rank or percentile, scores of a regression on the range that they were learnt from, and NaN (nothing was computed here)
is transparent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import PixelGrid, corner_to_napari_data, swap_xy
from napari_gigaclf.models.map_scale import PROBABILITY, MapScale, map_scale
from napari_gigaclf.viewer.progressive.shown_level import ShownLevel, shown_levels

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_gigaclf.annotations import Annotation
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.slides.tissue import TissueMask

LayerData = tuple[Any, dict[str, Any], str]
"""What napari's readers return: data, keyword arguments, layer type."""

AXIS_LABELS = ("y", "x")
PROBABILITY_OPACITY = 0.6
SALIENCY_OPACITY = 0.7
SALIENCY_FROM = 0.5
"""Only the upper half of the capped map is shown."""
MASK_OPACITY = 0.25
MASK_COLOUR = (0.1, 0.75, 0.45, 1.0)
DEFAULT_THRESHOLD = -math.inf
"""Shows all of a map."""
TISSUE_COLOUR = (0.10, 0.20, 0.55, 1.0)
TRUTH_COLOUR = (0.10, 0.95, 0.20, 1.0)
FIELD_COLOUR = (1.0, 0.85, 0.0, 1.0)
PLAIN_COLOUR = (0.95, 0.55, 0.05, 1.0)
POINT_PX = 5.0
"""Diameter of a point, in widths of an outline."""
ALPHA_FULL_AT = 0.35
"""Probability from which the overlay is drawn at its full opacity; below it fades, and normal tissue stays visible."""
CHANNEL_COLOURS = ("gray", "green", "magenta", "cyan", "yellow", "red", "blue")
FIELD_EDGE_SHARE = 0.05
"""The outline of a field is at most so wide, as a share of its side: it must not hide what it surrounds."""
EDGE_SHARE = 500
"""An outline is 1 / 500 of the slide's longer side wide: visible on the whole slide, thin at the nucleus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """How layers lie in the world of one slide."""

    um_per_px: tuple[float, float] | None
    """Micrometres per level-0 pixel, (y, x); None: the world is in level-0 pixels."""
    shape: tuple[int, int]
    """Rows and columns of level 0."""

    @classmethod
    def of_slide(cls, slide: "Slide") -> "Frame":
        """Return the frame of an open slide."""
        finest = slide.levels[0]
        return cls(um_per_px=slide.um_per_px, shape=(finest.height, finest.width))

    @property
    def units(self) -> tuple[str, str]:
        """Units of the world axes, the same on every layer."""
        return ("um", "um") if self.um_per_px else ("pixel", "pixel")

    @property
    def edge_width(self) -> float:
        """Width of an outline in level-0 pixels."""
        return max(1.0, max(self.shape) / EDGE_SHARE)

    @property
    def level0(self) -> PixelGrid:
        """The raster of level 0 itself."""
        return PixelGrid(origin=(0.0, 0.0), step=(1.0, 1.0), shape=self.shape)

    def place(self, grid: PixelGrid | None = None) -> dict[str, Any]:
        """Return scale, translate, units and axis labels of a layer; ``grid`` None means level 0."""
        scale, translate = (grid or self.level0).napari_transform(self.um_per_px)
        return {"scale": scale, "translate": translate, "units": self.units, "axis_labels": AXIS_LABELS}


class ChannelPlane:
    """One channel of a level as a lazy 2-D array: fluorescence is shown channel by channel, and nothing is copied."""

    def __init__(self, level: Any, channel: int) -> None:  # noqa: ANN401 - a slide's level, array-like
        self._level = level
        self._channel = channel
        self.shape: tuple[int, int] = (level.shape[0], level.shape[1])
        self.dtype = level.dtype
        self.ndim = 2
        self.size = self.shape[0] * self.shape[1]
        self.chunks: tuple[int, ...] = tuple(level.chunks[:2])

    def __getitem__(self, key: Any) -> NDArray[Any]:  # noqa: ANN401 - what numpy allows
        """Read pixels of this channel."""
        rows_columns = key if isinstance(key, tuple) else (key,)
        return np.asarray(self._level[(*rows_columns, *[slice(None)] * (2 - len(rows_columns)), self._channel)])

    def __deepcopy__(self, memo: dict[int, object]) -> "ChannelPlane":
        """Return the plane itself: it is read-only, and napari deep-copies the data of a layer it duplicates."""
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ANN401
        """Read the whole plane; napari does this with the coarsest level only."""
        del copy
        return np.asarray(self[:, :], dtype=dtype)


def plane_of(level: Any, channel: int) -> Any:  # noqa: ANN401 - array-likes
    """Return one channel of a level as a lazy 2-D array."""
    return level.plane(channel) if isinstance(level, ShownLevel) else ChannelPlane(level, channel)


def slide_layers(
    slide: "Slide",
    levels: Sequence[Any] | None = None,
    limits: Sequence[tuple[float, float]] | None = None,
    names: Sequence[str] = (),
) -> list[LayerData]:
    """Return the image layers which show a slide: one for colour images, one per channel for the others.

    Parameters
    ----------
    slide
        An open slide.
    levels
        Array-likes to show instead of the slide's own levels, fine to coarse.
    limits
        Contrast limits per channel (see ``contrast_limits``); None leaves them to the data type's range.
    names
        Names of the channels; without any they are counted.
    """
    from napari_gigaclf.slides.choice import full_name

    title = full_name(slide)
    pyramid = shown_levels(list(levels if levels is not None else slide.levels), slide.background)
    frame = Frame.of_slide(slide)
    common = {**frame.place(), "metadata": {"slide": slide}, "multiscale": True}
    if is_colour(slide):
        return [(pyramid, {**common, "name": title, "rgb": True}, "image")]
    if pyramid[0].ndim == len(AXIS_LABELS):
        planes = [pyramid]
    else:
        planes = [[plane_of(level, channel) for level in pyramid] for channel in range(slide.num_channels)]
    layers: list[LayerData] = []
    for channel, plane in enumerate(planes):
        kwargs: dict[str, Any] = {**common, "rgb": False, "blending": "additive"}
        called = names[channel] if names else f"channel {channel + 1}"
        kwargs["name"] = title if len(planes) == 1 else f"{title} {called}"
        kwargs["colormap"] = CHANNEL_COLOURS[0 if len(planes) == 1 else 1 + channel % (len(CHANNEL_COLOURS) - 1)]
        kwargs["contrast_limits"] = limits[channel] if limits else _type_range(slide.dtype)
        layers.append((plane, kwargs, "image"))
    return layers


def is_colour(slide: "Slide") -> bool:
    """Return True if the slide's channels are red, green and blue."""
    return slide.num_channels == 3 and np.dtype(slide.dtype) == np.uint8


def contrast_limits(slide: "Slide") -> list[tuple[float, float]] | None:
    """Return the 1st and 99.8th percentile of each channel in the coarsest level; None for colour images.

    Reads the coarsest level, so it is not for the GUI thread.
    """
    if is_colour(slide):
        return None
    pixels = np.asarray(slide.levels[-1][:, :])
    planes = pixels[..., None] if pixels.ndim == len(AXIS_LABELS) else pixels
    limits = []
    for channel in range(planes.shape[-1]):
        values = planes[..., channel]
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, (1.0, 99.8)) if values.size else (0.0, 1.0)
        limits.append((float(low), float(high if high > low else low + 1)))
    return limits


def _type_range(dtype: np.dtype[Any]) -> tuple[float, float]:
    if np.issubdtype(dtype, np.integer):
        return 0.0, float(np.iinfo(dtype).max)
    return 0.0, 1.0


def thresholded(values: NDArray[np.floating], threshold: float) -> NDArray[np.float32]:
    """Return a map for the eye: what lies below the threshold is NaN, that is, transparent."""
    shown = np.array(values, dtype=np.float32)
    shown[shown < threshold] = np.nan
    return shown


def fading_inferno() -> Any:  # noqa: ANN401 - a napari Colormap
    """Return inferno as napari has it, but fading out towards 0, so that normal tissue stays visible beneath."""
    from napari.utils.colormaps import Colormap, ensure_colormap

    positions = np.linspace(0, 1, 256)
    colours = np.array(ensure_colormap("inferno").map(positions))
    colours[:, 3] = np.clip(positions / ALPHA_FULL_AT, 0, 1)
    return Colormap(colors=colours, name="inferno, fading towards 0")


def rising_blue() -> Any:  # noqa: ANN401 - a napari Colormap
    """Return blue that grows denser with saliency: inferno has no such blue, and tissue stays visible beneath both."""
    from napari.utils.colormaps import Colormap

    positions = np.linspace(0, 1, 256)
    colours = np.tile(np.array((0.0, 0.35, 1.0, 1.0)), (256, 1))
    colours[:, 3] = np.clip((positions - SALIENCY_FROM) / (1 - SALIENCY_FROM), 0, 1) ** 2
    return Colormap(colors=colours, name="blue, from half of the cap")


def score_colours() -> Any:  # noqa: ANN401 - a napari Colormap
    """Return viridis: every score is seen, the lowest too, and nobody takes the map for one of probabilities."""
    from napari.utils.colormaps import ensure_colormap

    return ensure_colormap("viridis")


def probability_layer(
    shown: NDArray[np.float32],
    grid: PixelGrid,
    frame: Frame,
    *,
    class_name: str,
    partial: bool = False,
    scale: MapScale = PROBABILITY,
) -> LayerData:
    """Return the overlay of one class: an absolute scale, 0 to 1 for probabilities, colour bar, NaN transparent.

    Parameters
    ----------
    shown
        Probabilities or scores (y, x), NaN where nothing ran or below the threshold (see ``thresholded``).
    grid
        Where the map lies over level 0.
    partial
        True for a run that was stopped; the name then says so.
    scale
        What the numbers are, and from where to where they are drawn.
    """
    kwargs = {
        **frame.place(grid),
        "name": probability_name(class_name, partial=partial, scale=scale),
        "contrast_limits": (scale.low, scale.high),
        "colormap": score_colours() if scale.is_score else fading_inferno(),
        "opacity": PROBABILITY_OPACITY,
        "blending": "translucent_no_depth",
        "interpolation2d": "nearest",
        "rgb": False,
        "multiscale": False,
        "metadata": {"kind": "probability", "grid": grid, "class_name": class_name, "partial": partial, "scale": scale},
    }
    return shown, kwargs, "image"


def probability_name(class_name: str, *, partial: bool, scale: MapScale = PROBABILITY) -> str:
    """Return the name of the layer of a map."""
    return scale.name_of(class_name) + (" (partial)" if partial else "")


def saliency_layer(prediction: "Prediction", frame: Frame) -> LayerData | None:
    """Return the saliency overlay with its class and normalisation in name and metadata; None without saliency.

    Pixels at 0 (the lower half of the capped map) are transparent.
    """
    saliency = prediction.saliency
    if saliency is None:
        return None
    kwargs = {
        **frame.place(saliency.grid),
        "name": f"saliency of {saliency.class_name} (cap 99 %)",
        "contrast_limits": (0.0, 1.0),
        "colormap": rising_blue(),
        "opacity": SALIENCY_OPACITY,
        "blending": "translucent_no_depth",
        "rgb": False,
        "multiscale": False,
        "metadata": {
            "kind": "saliency",
            "grid": saliency.grid,
            "class_name": saliency.class_name,
            "normalisation": saliency.normalisation,
        },
    }
    values = np.array(saliency.values, dtype=np.float32)
    values[values <= 0] = np.nan
    return values, kwargs, "image"


def outline_layer(
    geometries: Sequence["BaseGeometry"],
    frame: Frame,
    *,
    name: str,
    colour: tuple[float, float, float, float],
    kind: str,
) -> LayerData:
    """Return outlines without filling, every ring as its own closed path, holes included."""
    from napari_gigaclf.viewer.shapes import outline_rings

    rings = [ring for geometry in geometries for ring in outline_rings(geometry)]
    kwargs: dict[str, Any] = {
        **frame.place(),
        "name": name,
        "face_color": "transparent",
        "edge_width": frame.edge_width,
        "opacity": 1.0,
        "metadata": {"kind": kind},
    }
    if not rings:
        return None, {**kwargs, "ndim": 2}, "shapes"
    kwargs |= {"shape_type": "path", "edge_color": np.tile(np.array(colour), (len(rings), 1))}
    return rings, kwargs, "shapes"


def tissue_layer(tissue: "TissueMask", frame: Frame) -> LayerData:
    """Return the outline of what is looked at; what lies outside it is left out."""
    data, kwargs, kind = outline_layer(tissue.outlines(), frame, name="tissue", colour=TISSUE_COLOUR, kind="tissue")
    kwargs["metadata"]["source"] = tissue
    return data, kwargs, kind


def truth_layer(truth: Sequence["Annotation"], frame: Frame, name: str = "known truth") -> LayerData:
    """Return the outlines of a known truth."""
    return outline_layer([each.geometry for each in truth], frame, name=name, colour=TRUTH_COLOUR, kind="truth")


def mask_layer(tissue: "TissueMask", frame: Frame) -> LayerData:
    """Return the tissue mask as a coarse Labels layer, to be painted: 1 is looked at, 0 is left out."""
    kwargs = {
        **frame.place(tissue.grid),
        "name": "tissue mask (paint to change)",
        "opacity": MASK_OPACITY,
        "colormap": {0: (0.0, 0.0, 0.0, 0.0), 1: MASK_COLOUR, None: MASK_COLOUR},
        "multiscale": False,
        "metadata": {"kind": "mask", "grid": tissue.grid},
    }
    return tissue.mask.astype(np.uint8), kwargs, "labels"


def annotation_layer(annotations: Sequence["Annotation"], frame: Frame, name: str = "annotations") -> LayerData:
    """Return annotations as shapes that can be edited: holes kept, lines as paths, colour and class shape by shape.

    Points have no shape (see ``point_layer``). Colours are given shape by shape: napari's colour cycles assign them in
    sorted order of the categories.
    """
    from napari_gigaclf.viewer.shapes import filled_shapes, line_shapes

    vertices: list[NDArray[np.float64]] = []
    types: list[str] = []
    colours: list[tuple[float, ...]] = []
    classes: list[str] = []
    for annotation in annotations:
        colour = _colour_of(annotation)
        filled, lines = filled_shapes(annotation.geometry), line_shapes(annotation.geometry)
        vertices += [*filled, *lines]
        types += ["polygon"] * len(filled) + ["path"] * len(lines)
        colours += [colour] * (len(filled) + len(lines))
        classes += [annotation.class_name or ""] * (len(filled) + len(lines))
    kwargs: dict[str, Any] = {
        **frame.place(),
        "name": name,
        "edge_width": frame.edge_width,
        "face_color": "transparent",
        "metadata": {"kind": "annotations"},
    }
    if not vertices:
        return None, {**kwargs, "ndim": 2}, "shapes"
    kwargs |= {"shape_type": types, "edge_color": np.array(colours), "features": {"class": classes}}
    return vertices, kwargs, "shapes"


def point_layer(annotations: Sequence["Annotation"], frame: Frame, name: str) -> LayerData | None:
    """Return the points among annotations, with class and colour of each; None without any."""
    import shapely

    points = [each for each in annotations if each.geometry.geom_type in ("Point", "MultiPoint")]
    xy = [shapely.get_coordinates(each.geometry) for each in points]
    if not xy:
        return None
    each_of = [each for each, where in zip(points, xy, strict=True) for _ in where]
    kwargs: dict[str, Any] = {
        **frame.place(),
        "name": f"{name} (points)",
        "size": POINT_PX * frame.edge_width,
        "face_color": np.array([_colour_of(each) for each in each_of]),
        "features": {"class": [each.class_name or "" for each in each_of]},
        "metadata": {"kind": "annotations"},
    }
    return corner_to_napari_data(swap_xy(np.concatenate(xy))), kwargs, "points"


def _colour_of(annotation: "Annotation") -> tuple[float, ...]:
    rgb = annotation.shown_colour
    return (*(value / 255 for value in rgb), 1.0) if rgb else PLAIN_COLOUR


def field_layer(fields: Sequence[tuple[int, "BaseGeometry"]], frame: Frame) -> LayerData:
    """Return the outlines of the fields that were clicked, each with its number in the table."""
    data, kwargs, kind = outline_layer(
        [geometry for _, geometry in fields], frame, name="clicked fields", colour=FIELD_COLOUR, kind="fields"
    )
    if data:
        smallest = min(min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in (geometry.bounds for _, geometry in fields))
        kwargs["edge_width"] = max(1.0, min(frame.edge_width, FIELD_EDGE_SHARE * smallest))
        kwargs["features"] = {"number": [number for number, _ in fields]}
        kwargs["text"] = {"string": "{number}", "anchor": "upper_left", "color": FIELD_COLOUR, "size": 10}
    return data, kwargs, kind


def prediction_layers(
    prediction: "Prediction", frame: Frame, class_name: str, threshold: float = DEFAULT_THRESHOLD
) -> list[LayerData]:
    """Return all layers of a result: tissue outline, probability of one class, saliency if there is one."""
    index = prediction.classes.index(class_name)
    values = np.asarray(prediction.probability_map[index])
    scale = map_scale(prediction.head.config).over(values)
    shown = thresholded(values, threshold)
    data, kwargs, kind = probability_layer(
        shown, prediction.grid, frame, class_name=class_name, partial=not prediction.complete, scale=scale
    )
    kwargs["metadata"] |= {"prediction": prediction}
    layers = [(data, kwargs, kind), *finding_layers(prediction, frame)]
    for _, each, _ in layers:
        each["metadata"]["slide_id"] = prediction.record.slide.id
    return layers


def finding_layers(prediction: "Prediction", frame: Frame) -> list[LayerData]:
    """Return what is shown beside the map when a run has ended: saliency if there is one, outline of the tissue."""
    layers = []
    saliency = saliency_layer(prediction, frame)
    if saliency is not None:
        layers.append(saliency)
    if prediction.tissue is not None:
        layers.append(tissue_layer(prediction.tissue, frame))
    return layers
