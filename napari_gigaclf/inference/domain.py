"""Whether the slide looks like what the model was trained on: its colours and its scale.

Optical density is -log10((I + 1) / 256). The mean density m (red, green, blue) of the slide's tissue is compared with
that of the training tiles, m_0, in strength and in hue:

    distance_c = |m_c - m_0c| / between_c          between_c: spread of the training tiles' own means
    angle      = angle between m and m_0

Beyond 1.5 or 10 degrees the answer comes with a warning before it comes with colours. Measured against 1 500 tiles of
PatchCamelyon: means of 24 other tiles of it stay within 4 degrees, two H&E slides of other laboratories lie at 2 and 4,
a pale one at 12, an immunostain (DAB) at 23. Known weakness: a slide of another organ with the same stain passes.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import Box
from napari_gigaclf.inference.resample import BYTE, Image
from napari_gigaclf.inference.scale import InputScale
from napari_gigaclf.models.card import ColourStatistics, ModelCard
from napari_gigaclf.models.slide_answer import SlideAnswer

FAR_STRENGTH = 1.5
"""Distance in training spreads from which a stain's strength is called unusual."""
FAR_HUE_DEGREES = 10.0
"""Angle from which a stain's hue is called unusual."""
FAR_SCALE = 1.25
"""Ratio of scales from which the scale is called unusual."""
NUM_SAMPLES = 24
"""Places of tissue that are looked at."""
SAMPLE_PX = 96
"""Side of a place, pixels of the input."""


def size_warnings(answer: SlideAnswer | None, num_cells: int) -> tuple[str, ...]:
    """Return a warning where a slide's answer was fitted on slides with far more or less tissue."""
    warning = None if answer is None else answer.warning(num_cells)
    return () if warning is None else (warning,)


def scale_warnings(scale: InputScale, model_um_per_px: float | None) -> tuple[str, ...]:
    """Return a warning where the network sees the slide at another scale than it was trained at."""
    if model_um_per_px is None:
        return ()
    found = scale.mean_um_per_px
    if found is None:
        return (f"scale: unknown for this slide; the model was trained at {model_um_per_px:g} um/px",)
    ratio = max(found / model_um_per_px, model_um_per_px / found)
    if ratio < FAR_SCALE:
        return ()
    return (f"scale: {found:.3g} um/px, but the model was trained at {model_um_per_px:g}; its numbers may be wrong",)


def stain_warnings(
    read: Callable[[Box], Image], cells: NDArray[np.bool_], cell_px: tuple[int, int], card: ModelCard
) -> tuple[str, ...]:
    """Return a warning where the slide's tissue has other colours than the training tissue.

    Parameters
    ----------
    read
        Reads a box of the input, (3, y, x) in [0, 1].
    cells
        Cells of the map that are tissue, (rows, columns).
    cell_px
        Height and width of a cell, pixels of the input.
    card
        The model's card; without colour statistics nothing can be said.
    """
    reference = card.colour_statistics
    numbers = np.flatnonzero(cells)
    if reference is None or not len(numbers):
        return ()
    chosen = numbers[np.linspace(0, len(numbers) - 1, min(NUM_SAMPLES, len(numbers))).round().astype(np.intp)]
    densities = [tissue_density(read(_place(int(n), cells.shape[1], cell_px)), reference) for n in chosen]
    found = np.concatenate([d for d in densities if d.size] or [np.zeros((0, 3))])
    if not len(found):
        return ("stain: the tissue is paler than any the model was trained on; its numbers may be wrong",)
    return _far(found.mean(axis=0), reference)


def _far(mean: NDArray[np.float64], reference: ColourStatistics) -> tuple[str, ...]:
    """Say where a mean optical density (3,) is far from that of the training."""
    usual = np.array(reference.mean)
    distance = np.abs(mean - usual) / np.maximum(reference.between, 1e-6)
    cosine = float(mean @ usual / (np.linalg.norm(mean) * np.linalg.norm(usual)))
    angle = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
    if angle < FAR_HUE_DEGREES and distance.max() < FAR_STRENGTH:
        return ()
    what = f"hue {angle:.0f} degrees away" if angle >= FAR_HUE_DEGREES else "much paler or darker"
    found, expected = (" / ".join(f"{value:.2f}" for value in values) for values in (mean, usual))
    return (
        f"stain: colours are far from those the model was trained on ({what}; mean optical density in red / green / "
        f"blue {found}, training {expected}); its numbers may be wrong",
    )


def tissue_density(image: Image, reference: ColourStatistics) -> NDArray[np.float64]:
    """Return the optical densities (n, 3) of the tissue pixels of an image (3, y, x) in [0, 1]."""
    pixels = image.reshape(3, -1).T.astype(np.float64) * float(BYTE)
    density: NDArray[np.float64] = -np.log10((pixels + 1) / 256)
    dark: NDArray[np.bool_] = density.mean(axis=1) > reference.tissue_density
    tissue: NDArray[np.float64] = density[dark]
    return tissue


def _place(number: int, columns: int, cell_px: tuple[int, int]) -> Box:
    """Return the box of the input around a cell's centre; it may reach beyond the input."""
    row, column = divmod(number, columns)
    y = int((row + 0.5) * cell_px[0]) - SAMPLE_PX // 2
    x = int((column + 0.5) * cell_px[1]) - SAMPLE_PX // 2
    return Box(y, y + SAMPLE_PX, x, x + SAMPLE_PX)
