"""Which kind of tissue is where: for any point, how deep in tissue or tumour it lies and what grows there.

Everything is a function of the place in um; nuclei and pixels ask the same functions, so that what a nucleus belongs to
and what is painted around it agree.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from napari_gigaclf.slides.phantom.layout import Draws, Layout, tissue_depth
from napari_gigaclf.slides.phantom.noise import Floats, Noise, smoothstep

_FIBRES: Final = 105
_FAR_UM: Final = -80.0
"""Depth in tumour of all points farther out than this."""


@dataclass(frozen=True, slots=True)
class Zones:
    """What grows at each of some points; weights in [0, 1], all arrays of one shape, float32."""

    depth: Floats
    """Distance to the edge of the tissue in um, positive inside."""
    tumour: Floats
    """Distance to the nearest tumour's outline in um, positive inside."""
    fat: Floats
    glands: Floats
    lymphoid: Floats
    cells: Floats
    """How crowded with cells, 0 to 1; drawn without regard to tumour, so that darkness does not give it away."""
    loose: Floats
    """How loose the fibres lie: white slits between them."""


class Fields:
    """The zones of one slide and the course of its fibres."""

    def __init__(self, seed: int, layout: Layout, noise: Noise) -> None:
        self.noise = noise
        self.layout = layout
        draws = Draws(seed, _FIBRES)
        angle = draws.uniform(0.0, np.pi)
        self._cos, self._sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        self._gland_share = draws.uniform(-0.18, 0.22)
        self._fat_share = draws.uniform(0.22, 0.5)
        self._lymphoid_share = draws.uniform(0.0, 0.3)

    def _noise(self, channel: int, wavelength_um: float, y: Floats, x: Floats) -> Floats:
        scale = np.float32(1.0 / wavelength_um)
        return self.noise.at(channel, y * scale, x * scale)

    def tumour_depth(self, y: Floats, x: Floats) -> Floats:
        """Return how far inside a tumour points lie, in um; not below -80."""
        depth = np.full(y.shape, _FAR_UM, dtype=np.float32)
        if not y.size:
            return depth
        y_low, y_high, x_low, x_high = float(y.min()), float(y.max()), float(x.min()), float(x.max())
        for tumour in self.layout.tumours:
            y0, y1, x0, x1 = tumour.outline.bounds_um
            far = -2 * _FAR_UM
            if y0 - far > y_high or y1 + far < y_low or x0 - far > x_high or x1 + far < x_low:
                continue
            near = (y > y0 - far) & (y < y1 + far) & (x > x0 - far) & (x < x1 + far)
            depth[near] = np.maximum(depth[near], tumour.outline.depth_um(y[near], x[near]))
        return depth

    def at(self, y: Floats, x: Floats) -> Zones:
        """Return the zones at points (y, x) in um, float32 arrays of one shape."""
        tumour = self.tumour_depth(y, x)
        benign = np.float32(1) - smoothstep(-14.0, -6.0, tumour)
        fat = smoothstep(self._fat_share, self._fat_share + 0.1, self._noise(20, 620.0, y, x)) * benign
        glands = smoothstep(self._gland_share, self._gland_share + 0.12, self._noise(21, 540.0, y, x))
        glands *= benign * (np.float32(1) - fat)
        crowd = np.float32(0.65) * self._noise(22, 380.0, y, x) + np.float32(0.45) * self._noise(23, 110.0, y, x)
        lymphoid = smoothstep(self._lymphoid_share, self._lymphoid_share + 0.2, crowd) * benign
        cells = np.float32(0.5) + np.float32(0.35) * self._noise(24, 260.0, y, x)
        cells += np.float32(0.3) * self._noise(25, 70.0, y, x)
        loose = np.float32(0.5) + np.float32(0.6) * self._noise(26, 300.0, y, x)
        return Zones(
            depth=tissue_depth(self.noise, self.layout.islands, y, x),
            tumour=tumour,
            fat=fat,
            glands=glands,
            lymphoid=lymphoid,
            cells=np.clip(cells, np.float32(0), np.float32(1)),
            loose=loose,
        )

    def along_across(self, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return coordinates along and across the fibres, in um, which bend as the fibres do."""
        bend = np.float32(75.0) * self._noise(30, 340.0, y, x) + np.float32(20.0) * self._noise(31, 90.0, y, x)
        slide = np.float32(35.0) * self._noise(32, 250.0, y, x)
        return x * self._cos + y * self._sin + slide, y * self._cos - x * self._sin + bend

    def fibre_direction(self, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return the fibres' unit direction at points, as (y, x) components."""
        step = np.float32(2.0)
        _, here = self.along_across(y, x)
        _, below = self.along_across(y + step, x)
        _, right = self.along_across(y, x + step)
        gradient_y, gradient_x = below - here, right - here
        length = np.sqrt(gradient_y * gradient_y + gradient_x * gradient_x) + np.float32(1e-6)
        return -gradient_x / length, gradient_y / length
