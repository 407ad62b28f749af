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
    tint: Floats
    """How mauve the ground is; as ``cells``, drawn without regard to tumour."""
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
        self._weave_share = draws.uniform(0.0, 0.5)
        self._gland_share = draws.uniform(-0.18, 0.22)
        self._fat_share = draws.uniform(0.3, 0.6)
        self._lymphoid_share = draws.uniform(0.0, 0.3)

    def _noise(self, channel: int, wavelength_um: float, y: Floats, x: Floats) -> Floats:
        # Each field has its own axes: the lattice of value noise shows as squares where several are aligned.
        turn = 0.7 * channel + 0.3
        cos, sin = np.float32(np.cos(turn) / wavelength_um), np.float32(np.sin(turn) / wavelength_um)
        return self.noise.at(channel, y * cos - x * sin, y * sin + x * cos)

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
        region, district = self._noise(16, 2600.0, y, x), self._noise(17, 1700.0, y, x)
        fatty = self._noise(20, 430.0, y, x) + np.float32(0.25) * self._noise(15, 130.0, y, x)
        fatty -= np.float32(0.35) * region
        fat = smoothstep(self._fat_share, self._fat_share + 0.1, fatty) * benign
        glandular = self._noise(21, 540.0, y, x) + np.float32(0.3) * self._noise(14, 160.0, y, x)
        glands = smoothstep(self._gland_share, self._gland_share + 0.12, glandular + np.float32(0.4) * region)
        glands *= benign * (np.float32(1) - smoothstep(self._fat_share - 0.25, self._fat_share - 0.15, fatty))
        crowd = np.float32(0.65) * self._noise(22, 380.0, y, x) + np.float32(0.45) * self._noise(23, 110.0, y, x)
        crowd += np.float32(0.3) * district
        tint = smoothstep(self._lymphoid_share, self._lymphoid_share + 0.2, crowd)
        cells = np.float32(0.5) + np.float32(0.35) * self._noise(24, 260.0, y, x)
        cells += np.float32(0.3) * self._noise(25, 70.0, y, x)
        loose = np.float32(0.5) + np.float32(0.6) * self._noise(26, 300.0, y, x)
        return Zones(
            depth=tissue_depth(self.noise, self.layout.islands, y, x),
            tumour=tumour,
            fat=fat,
            glands=glands,
            lymphoid=tint * benign,
            tint=tint,
            cells=np.clip(cells, np.float32(0), np.float32(1)),
            loose=loose,
        )

    def gaps(self, y: Floats, x: Floats) -> Floats:
        """Return a field which is positive where a tumour has a small empty space, as glands and fat have theirs."""
        gap = self._noise(27, 34.0, y, x) + np.float32(0.3) * self._noise(19, 13.0, y, x)
        return gap + np.float32(0.45) * self._noise(18, 170.0, y, x) - np.float32(0.72)

    def along_across(self, system: int, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return coordinates along and across the fibres, in um, which bend as the fibres do.

        There are two systems of fibres, 0 and 1, about at right angles; ``weave`` says which one shows.
        """
        channel = 30 + 5 * system
        bend = np.float32(110.0) * self._noise(channel, 370.0, y, x)
        bend += np.float32(26.0) * self._noise(channel + 1, 90.0, y, x)
        bend += np.float32(4.0) * self._noise(channel + 2, 26.0, y, x)
        slide = np.float32(45.0) * self._noise(channel + 3, 230.0, y, x)
        if system:
            return y * self._cos - x * self._sin + slide, x * self._cos + y * self._sin + bend
        return x * self._cos + y * self._sin + slide, y * self._cos - x * self._sin + bend

    def weave(self, y: Floats, x: Floats) -> Floats:
        """Return a field which is positive where the second system of fibres shows."""
        field = self._noise(28, 270.0, y, x) + np.float32(0.35) * self._noise(29, 60.0, y, x)
        return field - np.float32(self._weave_share)

    def fibre_direction(self, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return the fibres' unit direction at points, as (y, x) components."""
        step = np.float32(2.0)
        second = self.weave(y, x) > 0

        def across(y: Floats, x: Floats) -> Floats:
            return np.where(second, self.along_across(1, y, x)[1], self.along_across(0, y, x)[1])

        here = across(y, x)
        gradient_y, gradient_x = across(y + step, x) - here, across(y, x + step) - here
        length = np.sqrt(gradient_y * gradient_y + gradient_x * gradient_x) + np.float32(1e-6)
        return -gradient_x / length, gradient_y / length
