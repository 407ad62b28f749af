"""The colours of a layer of labels that a person has shuffled: as a short text for a file, and as napari's again.

napari keeps no number from which the shuffled colours could be made anew, so that they are kept themselves.
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 256
"""Colours that are kept of a layer; napari shuffles 50 into 53 to 251."""
PATTERN = re.compile(rf"([0-9a-f]{{8}}){{2,{MOST}}}")
"""Two hexadecimal digits for each of red, green, blue and opacity; the first colour is that of the background."""


def colours_of(layer: Any) -> str | None:  # noqa: ANN401 - a napari Labels layer
    """Return the colours of a layer; None where they are the usual ones, given label by label, or too many."""
    from napari.utils.colormaps import CyclicLabelColormap

    colormap = layer.colormap
    if not isinstance(colormap, CyclicLabelColormap) or not 2 <= len(colormap.colors) <= MOST:
        return None
    text = _text(colormap.colors)
    return None if text == _usual() else text


def colormap_of(colours: str) -> Any:  # noqa: ANN401 - a napari colormap
    """Return napari's colours of what ``colours_of`` returned."""
    from napari.utils.colormaps import CyclicLabelColormap

    values = np.frombuffer(bytes.fromhex(colours), dtype=np.uint8).reshape(-1, 4) / 255
    controls = np.linspace(0, 1, len(values) + 1)
    return CyclicLabelColormap(
        name="label_colormap", colors=values, controls=controls, interpolation="zero", background_value=0
    )


@cache
def _usual() -> str:
    from napari.layers import Labels

    return _text(Labels(np.zeros((1, 1), dtype=np.uint8)).colormap.colors)


def _text(colours: "NDArray[np.floating[Any]]") -> str:
    return np.round(np.asarray(colours, dtype=float) * 255).astype(np.uint8).tobytes().hex()
