"""The line of the ruler as a layer over its slide, with its length beside it."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_gigaclf.geometry import UM_PER_MM
from napari_gigaclf.viewer.layers.frame import Frame, LayerData

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gigaclf.slides import Slide

RULER = "ruler"
"""Kind of the layer."""
ON_BRIGHT, ON_DARK = (0.0, 0.0, 0.5, 1.0), (1.0, 1.0, 0.4, 1.0)
"""Line and length are dark on brightfield, of which stain is the darkest, and light on fluorescence."""
TEXT_SIZE = 16


def length_text(begin: tuple[float, float], end: tuple[float, float], *, in_um: bool) -> str:
    """Return the distance of two world positions, (y, x) in micrometres or else in level-0 pixels, for a person.

    Examples
    --------
    >>> length_text((0.0, 0.0), (600.0, 800.0), in_um=True), length_text((0.0, 0.0), (3.0, 4.0), in_um=False)
    ('1.000 mm', '5.0 px')
    """
    length = math.dist(begin, end)
    if not in_um:
        return f"{length:.1f} px"
    return f"{length / UM_PER_MM:.3f} mm" if length >= UM_PER_MM / 10 else f"{length:.1f} µm"


def length_features(slide: "Slide", lines: "Sequence[NDArray[np.float64]]") -> dict[str, list[str]]:
    """Return the lengths of lines, (2, 2) as (y, x) in napari's data coordinates of level 0, as a layer's features."""
    unit = np.asarray(slide.um_per_px or (1.0, 1.0))
    ends = [(np.asarray(line, dtype=np.float64) * unit).tolist() for line in lines]
    return {"length": [length_text(begin, end, in_um=slide.um_per_px is not None) for begin, end in ends]}


def ruler_layer(slide: "Slide", line: "NDArray[np.float64]", width: float) -> LayerData:
    """Return the layer of a line.

    Parameters
    ----------
    slide
        The slide that was measured.
    line
        Both ends, (2, 2) as (y, x), napari's data coordinates of level 0.
    width
        Width of the line in level-0 pixels.
    """
    frame = Frame.of_slide(slide)
    colour = ON_DARK if slide.kind == "fluorescence" else ON_BRIGHT
    kwargs = {
        "shape_type": "line",
        "edge_color": np.array([colour]),
        "edge_width": width,
        "opacity": 1.0,
        "features": length_features(slide, [line]),
        "text": {"string": "{length}", "color": colour, "size": TEXT_SIZE, "anchor": "upper_left"},
        "name": RULER,
        "metadata": {"kind": RULER, "slide_id": slide.id},
        **frame.place(),
    }
    return [line], kwargs, "shapes"
