"""The colours of maps; where tissue matters more than the map they are transparent."""

from typing import Any

import numpy as np

SALIENCY_FROM = 0.5
"""Only the upper half of the capped map is shown."""
ALPHA_FULL_AT = 0.35
"""Probability from which the overlay is drawn at its full opacity; below it fades, and normal tissue stays visible."""


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
