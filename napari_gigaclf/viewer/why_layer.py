"""The gradient of a place as an image layer: blue and orange around 0, or magnitude, raw values in either.

Blue and vermilion of Okabe and Ito's palette can be told apart with every kind of colour vision. Colours fade towards
0, so that the tissue stays visible, and end at the first round number from the 99th percentile of the magnitudes on;
the values are not changed.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gigaclf.viewer.layers import Frame, LayerData

if TYPE_CHECKING:
    from napari_gigaclf.inference import PlaceGradient

KIND = "why"
OPACITY = 0.9
LESS = (0.0, 0.447, 0.698)
"""Blue: a brighter pixel lowers the logit."""
MORE = (0.835, 0.369, 0.0)
"""Vermilion: a brighter pixel raises it."""
STEPS = 257
"""Odd, so that 0 has a colour of its own: none."""
FULL_AT = 0.5
"""Share of the cap from which colours are at full strength."""

ROUND = (1, 2, 4, 5, 10)
"""First digits of numbers at which napari's colour bar writes both of its ends: it writes round numbers alone."""


def diverging() -> Any:  # noqa: ANN401 - a napari Colormap
    """Return blue below, vermilion above, nothing at 0."""
    from napari.utils.colormaps import Colormap

    positions = np.linspace(-1, 1, STEPS)
    colours = np.where(positions[:, None] < 0, np.array((*LESS, 1.0)), np.array((*MORE, 1.0)))
    colours[:, 3] = np.clip(np.abs(positions) / FULL_AT, 0, 1)
    return Colormap(colours, name="blue below 0, vermilion above")


def rising() -> Any:  # noqa: ANN401 - a napari Colormap
    """Return vermilion that grows denser with the magnitude."""
    from napari.utils.colormaps import Colormap

    positions = np.linspace(0, 1, STEPS)
    colours = np.tile(np.array((*MORE, 1.0)), (STEPS, 1))
    colours[:, 3] = np.clip(positions / FULL_AT, 0, 1)
    return Colormap(colours, name="vermilion, by magnitude")


def why_layer(found: "PlaceGradient", frame: Frame, *, signed: bool) -> LayerData:
    """Return the overlay of a gradient.

    Parameters
    ----------
    found
        The gradient.
    signed
        True for the sum over colours, which has a sign; False for the largest magnitude over colours.
    """
    from napari_gigaclf.inference.gradient import cap_of

    values = found.signed() if signed else found.unsigned()
    cap = round_from(cap_of(values))
    kwargs = {
        **frame.place(found.grid),
        "name": f"why {found.class_name} ({'signed' if signed else 'unsigned'}, colours end at {cap:g})",
        "contrast_limits": (-cap, cap) if signed else (0.0, cap),
        "colormap": diverging() if signed else rising(),
        "opacity": OPACITY,
        "blending": "translucent_no_depth",
        "interpolation2d": "nearest",
        "rgb": False,
        "multiscale": False,
        "metadata": {
            "kind": KIND,
            "grid": found.grid,
            "class_name": found.class_name,
            "logit": found.logit,
            "words": found.words,
            "signed": signed,
            "cap": cap,
        },
    }
    return values, kwargs, "image"


def round_from(magnitude: float) -> float:
    """Return the first round number that is not below a magnitude above 0.

    Examples
    --------
    >>> round_from(0.00873), round_from(0.02), round_from(301.0)
    (0.01, 0.02, 400.0)
    """
    power = math.floor(math.log10(magnitude))
    ends = (float(f"{digit}e{power}") for digit in ROUND)
    return next((end for end in ends if end >= magnitude * (1 - 1e-6)), float(f"1e{power + 1}"))
