"""Slides seen a little differently each time: turned, bent, stained and lit otherwise, with pieces cut out.

Everything is a function of the place or of the pixel alone, so that a region read by itself equals that region of the
whole, to the last bit: borders of tiles never show, and both passes of a step see the same slide.

Colour, per pixel with intensities I in (0, 1] (stain: Ruifrok and Johnston 2001, Tellez et al. 2019):

    D = -ln I,    D' = D M^-1 diag(s) M,    I' = exp(-D')                    stain
    I'' = b (p + c (H S I' - p)), clipped to [0, 1]                           hue, saturation, contrast, brightness

with S mixing with grey, H turning around the axis of greys, and p a fixed grey, where photographs would take the mean
of the picture, which no tile knows. Glass is changed with the rest and stays one colour.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_gigaclf.geometry import Box
from napari_gigaclf.training.stain import LUMA, stain_change

Points = NDArray[np.float64]
"""Places, (2, ...): y and x, pixels; the centre of the first pixel is 0."""
PIVOT = np.float32(0.75)
"""Grey around which contrast turns: about the mean of stained tissue."""
DARKEST = np.float32(1 / 255)
BEND_KNOTS = 3
"""Knots that the field of a bend has beyond the window on each side, so that its edge is like its middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSettings:
    """How far slides are changed; factors are drawn evenly from 1 - x to 1 + x.

    Raises
    ------
    ValueError
        If a number makes no sense.
    """

    turns: bool = True
    """Whether slides are turned by quarters and mirrored."""
    stain: float = 0.0
    """Of the concentration of each stain."""
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    """Largest turn around the axis of greys, as a share of a full turn."""
    bend_px: float = 0.0
    """Standard deviation of the displacement of an elastic deformation, pixels of the input."""
    bend_period_px: float = 256.0
    """Distance of the knots between which it is interpolated."""
    cutouts: int = 0
    """Squares that are made white."""
    cutout_px: int = 128
    """Their side."""

    def __post_init__(self) -> None:
        shares = (self.stain, self.brightness, self.contrast, self.saturation)
        if not all(0 <= share < 1 for share in shares) or not 0 <= self.hue <= 0.5:
            raise ValueError("stain, brightness, contrast and saturation must be 0 to below 1, hue 0 to 0.5")
        if not (0 <= self.bend_px <= self.bend_period_px / 4 and math.isfinite(self.bend_period_px)):
            raise ValueError("bend_px must be 0 to a quarter of bend_period_px, or the slide would be folded")
        if self.bend_period_px < 8 or not 0 <= self.cutouts <= 10_000 or self.cutout_px < 1:
            raise ValueError("bend_period_px must be at least 8, cutouts 0 to 10000, cutout_px at least 1")

    @classmethod
    def mild(cls) -> "ChangeSettings":
        """Return turns and a little colour."""
        return cls(stain=0.15, brightness=0.05, contrast=0.1, saturation=0.1, hue=0.01)

    @classmethod
    def strong(cls) -> "ChangeSettings":
        """Return all of it, as large as in work on several laboratories."""
        return cls(
            stain=0.25, brightness=0.1, contrast=0.2, saturation=0.25, hue=0.03, bend_px=8.0, cutouts=8, cutout_px=128
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """One slide's change of colour."""

    stain: NDArray[np.float32]
    """Matrix from the right on densities, (3, 3)."""
    mix: NDArray[np.float32]
    """Matrix from the left on intensities, (3, 3)."""
    offset: NDArray[np.float32]
    """Added to them, (3, 1)."""

    def apply(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return changed intensities, (3, ...) in [0, 1]."""
        flat = np.maximum(pixels.reshape(3, -1), DARKEST)
        # Sums in a fixed order, written out: a matrix product may round differently for other numbers of pixels.
        density = _mixed(self.stain.T, -np.log(flat))
        out = _mixed(self.mix, np.exp(-density)) + self.offset
        return np.clip(out, 0.0, 1.0, out=out).reshape(pixels.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bend:
    """A smooth displacement: spline coefficients on knots, (2, rows, columns)."""

    knots: NDArray[np.float64]
    period: float
    reach: int
    """No pixel comes from farther away, pixels."""

    def source(self, points: Points) -> Points:
        """Return where the pixels at these places come from."""
        places = points / self.period + BEND_KNOTS
        moved = [ndimage.map_coordinates(k, places, order=3, mode="nearest", prefilter=False) for k in self.knots]
        source: Points = points + np.clip(np.stack(moved), -self.reach, self.reach)
        return source


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """One slide's changes, drawn."""

    flips: tuple[bool, bool] = (False, False)
    transposed: bool = False
    """Rows and columns change places, before the flips."""
    colours: Colours | None = None
    bend: Bend | None = None
    cutouts: tuple[Box, ...] = ()
    """Pixels of the window, before it is turned."""


def draw_changes(settings: ChangeSettings, shape: tuple[int, int], generator: np.random.Generator) -> Changes:
    """Draw the changes of a window.

    Parameters
    ----------
    settings
        How far to go.
    shape
        Height and width of the window before it is turned, pixels.
    generator
        Source of all randomness.
    """
    flips = tuple(bool(generator.integers(2)) and settings.turns for _ in range(2))
    transposed = bool(generator.integers(2)) and settings.turns
    return Changes(
        flips=(flips[0], flips[1]),
        transposed=transposed,
        colours=_draw_colours(settings, generator),
        bend=_draw_bend(settings, shape, generator),
        cutouts=tuple(_draw_cutout(settings.cutout_px, shape, generator) for _ in range(settings.cutouts)),
    )


def _draw_colours(settings: ChangeSettings, generator: np.random.Generator) -> Colours | None:
    factors = _around_one(generator, settings.stain, 3)
    saturation, contrast, brightness = (
        _around_one(generator, width, 1)[0] for width in (settings.saturation, settings.contrast, settings.brightness)
    )
    angle = 2 * math.pi * settings.hue * (2 * generator.random() - 1)
    if not any((settings.stain, settings.saturation, settings.contrast, settings.brightness, settings.hue)):
        return None
    greyed = saturation * np.eye(3) + (1 - saturation) * np.tile(LUMA, (3, 1))
    mix = brightness * contrast * _turned_hue(angle) @ greyed
    return Colours(
        stain=stain_change(factors),
        mix=mix.astype(np.float32),
        offset=np.full((3, 1), brightness * (1 - contrast) * PIVOT, dtype=np.float32),
    )


def _draw_bend(settings: ChangeSettings, shape: tuple[int, int], generator: np.random.Generator) -> Bend | None:
    knots = tuple(math.ceil(n / settings.bend_period_px) + 2 * BEND_KNOTS + 1 for n in shape)
    drawn = generator.standard_normal((2, *knots))
    if settings.bend_px == 0:
        return None
    return Bend(
        # A cubic spline evens its coefficients out: about 0.48 of their deviation is left along each axis, squared.
        knots=drawn * settings.bend_px / 0.48, period=settings.bend_period_px, reach=math.ceil(4 * settings.bend_px)
    )  # fmt: skip


def _draw_cutout(side: int, shape: tuple[int, int], generator: np.random.Generator) -> Box:
    y, x = (int(generator.integers(-side // 2, max(n - side // 2, 1 - side // 2))) for n in shape)
    return Box(y, y + side, x, x + side)


def _around_one(generator: np.random.Generator, width: float, count: int) -> NDArray[np.float64]:
    drawn: NDArray[np.float64] = 1 + width * (2 * generator.random(count) - 1)
    return drawn


def _turned_hue(angle: float) -> NDArray[np.float64]:
    """Return the turn around the axis of greys, (3, 3) (Rodrigues)."""
    axis = np.ones(3) / math.sqrt(3)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn: NDArray[np.float64] = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return turn


def _mixed(matrix: NDArray[np.float32], pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return matrix @ pixels, (3, N), added up channel by channel."""
    rows = [row[0] * pixels[0] + row[1] * pixels[1] + row[2] * pixels[2] for row in matrix]
    mixed: NDArray[np.float32] = np.stack(rows)
    return mixed
