"""The dyes: how much light each pixel lets through, given how much haematoxylin and eosin it holds (Beer-Lambert).

Intensity = white * exp(-(h * H + e * E)), one absorbance per colour channel. H and E differ a little from seed to seed,
as they do from laboratory to laboratory. Base vectors after A. C. Ruifrok and D. A. Johnston (2001), turned
towards what scanners show.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.slides.phantom.layout import Draws
from napari_gigaclf.slides.phantom.noise import Floats, mix, salted

_STAIN: Final = 103
_NOISE: Final = 104
_HAEMATOXYLIN: Final = (0.64, 0.78, 0.38)
_EOSIN: Final = (0.16, 0.95, 0.45)
_STEPS_PER_UNIT: Final = 1024
_MAX_ABSORBANCE: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stain:
    """The stain and scanner of one slide."""

    haematoxylin: tuple[float, float, float]
    eosin: tuple[float, float, float]
    white: tuple[float, float, float]
    blur_um: float
    """Sigma of the defocus."""
    noise: float
    """Half-width of the scanner's noise, in absorbance."""


def make_stain(seed: int) -> Stain:
    """Return the stain that belongs to a seed."""
    draws = Draws(seed, _STAIN)

    def varied(base: tuple[float, float, float], share: float) -> tuple[float, float, float]:
        strength = draws.uniform(0.85, 1.18)
        r, g, b = (strength * v + share * draws.uniform(-1.0, 1.0) for v in base)
        return r, g, b

    haematoxylin, eosin = varied(_HAEMATOXYLIN, 0.05), varied(_EOSIN, 0.05)
    bright = draws.uniform(238.0, 248.0)
    white = (bright + draws.uniform(-1, 1), bright + draws.uniform(-2, 1), bright + draws.uniform(-1, 1))
    return Stain(
        haematoxylin=haematoxylin,
        eosin=eosin,
        white=white,
        blur_um=draws.uniform(0.15, 0.6),
        noise=draws.uniform(0.010, 0.022),
    )


class Camera:
    """Turns amounts of dye into bytes, through one table per channel, and adds the scanner's noise."""

    def __init__(self, seed: int, stain: Stain) -> None:
        self.stain = stain
        self._seed = salted(seed, _NOISE)
        absorbance = np.arange(int(_MAX_ABSORBANCE * _STEPS_PER_UNIT) + 1) / _STEPS_PER_UNIT
        self._tables = [np.rint(white * np.exp(-absorbance)).astype(np.uint8) for white in stain.white]

    def expose(
        self, haematoxylin: Floats, eosin: Floats, *, level: int, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Return the picture, uint8 (y, x, 3); ``rows`` and ``columns``: pixel numbers, for the noise."""
        words = mix(
            mix(rows.astype(np.uint32) ^ np.uint32(salted(self._seed, level)))[:, None]
            + columns.astype(np.uint32)[None, :]
        )
        # Averaging 2 x 2 pixels halves white noise, so a coarser level has less of it.
        half_width = self.stain.noise * _STEPS_PER_UNIT * 0.5**level
        picture = np.empty((*haematoxylin.shape, 3), dtype=np.uint8)
        for channel in range(3):
            byte = ((words >> np.uint32(8 * channel + 4)) & np.uint32(255)).astype(np.float32)
            index = haematoxylin * np.float32(self.stain.haematoxylin[channel] * _STEPS_PER_UNIT)
            index += eosin * np.float32(self.stain.eosin[channel] * _STEPS_PER_UNIT)
            byte -= np.float32(127.5)
            byte *= np.float32(half_width / 127.5)
            index += byte
            np.clip(index, 0.0, _MAX_ABSORBANCE * _STEPS_PER_UNIT, out=index)
            picture[..., channel] = self._tables[channel][index.astype(np.int32)]
        return picture
