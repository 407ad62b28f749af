"""At which magnification the network looks: which level of the slide is read, and how far it is shrunk.

A network has learnt cells of one size. ``auto`` reads the coarsest level that is still at least as fine as the model's
micrometres per pixel and shrinks it the rest of the way:

    factor = um_per_px of the model / um_per_px of the level        per axis, need not be an integer

A level within 2 % of the model's scale is read as it is. Nothing is enlarged by more than 1.5 without being told.
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from napari_gigaclf.errors import ScaleError
from napari_gigaclf.geometry import PixelGrid

SAME_SCALE = 0.02
"""Relative difference of scale below which a level is read without resampling."""
MAX_ENLARGEMENT = 1.5
"""How much a level is enlarged without being told."""
SLIVER = 1e-6
"""Part of a pixel that counts as rounding when the size of the resampled image is found."""


class _Level(Protocol):
    """What this module needs of a slide's level."""

    @property
    def grid(self) -> PixelGrid:
        """Place of the level's pixels over level 0."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InputScale:
    """What the network sees: a level of the slide, resampled or not."""

    level: int
    """Level that is read."""
    factor: tuple[float, float]
    """Pixels of the level per pixel of the input, (y, x); (1.0, 1.0) where nothing is resampled."""
    grid: PixelGrid
    """Place of the input's pixels over level 0, whole slide."""
    um_per_px: tuple[float, float] | None
    """Micrometres per pixel of the input, (y, x); None where unknown."""
    note: str
    """How the scale came about, one line for the record and for a person."""

    @property
    def resampled(self) -> bool:
        """True if the level's pixels are not read as they are."""
        return self.factor != (1.0, 1.0)

    @property
    def mean_um_per_px(self) -> float | None:
        """Geometric mean of the two axes, micrometres per pixel; None where unknown."""
        return None if self.um_per_px is None else math.sqrt(self.um_per_px[0] * self.um_per_px[1])


def plan_scale(
    levels: tuple[_Level, ...],
    slide_um_per_px: tuple[float, float] | None,
    model_um_per_px: float | None,
    *,
    level: int | Literal["auto"] = "auto",
    um_per_px: float | None = None,
) -> InputScale:
    """Choose the level to read and the factor to shrink it by.

    Parameters
    ----------
    levels
        The slide's levels, fine to coarse.
    slide_um_per_px
        Micrometres per level-0 pixel, (y, x); None where unknown.
    model_um_per_px
        Micrometres per pixel the model was trained at; None for a model that has no scale.
    level
        ``"auto"``, or a level that is read as it is.
    um_per_px
        Scale asked for instead of the model's.

    Raises
    ------
    ScaleError
        The slide's scale is unknown, the level does not exist, both options are given, or the slide is too coarse.

    Notes
    -----
    A model without a scale looks at level 0 as it is.
    """
    if level != "auto":
        if um_per_px is not None:
            raise ScaleError(f"both level={level} and um_per_px={um_per_px:g} are given; give one of them")
        return _as_it_is(levels, slide_um_per_px, level, "level chosen by the user, not resampled")
    wanted = model_um_per_px if um_per_px is None else um_per_px
    if wanted is None:
        return _as_it_is(levels, slide_um_per_px, 0, "the model has no scale: level 0, not resampled")
    if not (math.isfinite(wanted) and wanted > 0):
        raise ScaleError(f"um_per_px={wanted:g} is not a positive number")
    if slide_um_per_px is None:
        raise ScaleError(
            f"the run needs {wanted:g} um/px, but the slide's micrometres per pixel are unknown; "
            "open it with um_per_px=... (command line: --slide-um-per-px), or choose a level (level=N, --level N)"
        )
    return _by_scale(levels, slide_um_per_px, wanted, told=um_per_px is not None)


def _as_it_is(levels: tuple[_Level, ...], um: tuple[float, float] | None, level: int, note: str) -> InputScale:
    """Read one level as it is."""
    if not 0 <= level < len(levels):
        raise ScaleError(f"level {level} does not exist; the slide has levels 0 to {len(levels) - 1}")
    grid = levels[level].grid
    return InputScale(level=level, factor=(1.0, 1.0), grid=grid, um_per_px=_times(um, grid.step), note=note)


def _by_scale(levels: tuple[_Level, ...], um: tuple[float, float], wanted: float, *, told: bool) -> InputScale:
    """Resample the nearest finer level to the wanted micrometres per pixel."""
    step = (wanted / um[0], wanted / um[1])
    factors = [(step[0] / level.grid.step[0], step[1] / level.grid.step[1]) for level in levels]
    finer = [index for index, factor in enumerate(factors) if min(factor) >= 1 - SAME_SCALE]
    index = finer[-1] if finer else 0
    factor, grid = factors[index], levels[index].grid
    if max(abs(factor[0] - 1), abs(factor[1] - 1)) <= SAME_SCALE:
        note = f"level {index} is within {SAME_SCALE:.0%} of {wanted:g} um/px: not resampled"
        return InputScale(level=index, factor=(1.0, 1.0), grid=grid, um_per_px=_times(um, grid.step), note=note)
    enlargement = 1 / min(factor)
    if enlargement > MAX_ENLARGEMENT and not told:
        raise ScaleError(
            f"the finest level has {um[0] * grid.step[0]:.3g} um/px, {enlargement:.1f} times coarser than the "
            f"model's {wanted:g} um/px; to enlarge it all the same give um_per_px={wanted:g} "
            "(command line: --um-per-px), or choose a level (level=N, --level N)"
        )
    shape = (_length(grid.shape[0], factor[0]), _length(grid.shape[1], factor[1]))
    verb = "enlarged" if enlargement > 1 + SAME_SCALE else "shrunk"
    ratio = enlargement if verb == "enlarged" else math.sqrt(factor[0] * factor[1])
    note = f"level {index} {verb} {ratio:.4g} times to {wanted:g} um/px (cubic, anti-aliased)"
    target = PixelGrid(origin=grid.origin, step=step, shape=shape)
    return InputScale(level=index, factor=factor, grid=target, um_per_px=(wanted, wanted), note=note)


def _length(num_pixels: int, factor: float) -> int:
    """Return the number of resampled pixels that cover an axis; the last one may reach beyond the slide."""
    return max(1, math.ceil(num_pixels / factor - SLIVER))


def _times(um: tuple[float, float] | None, step: tuple[float, float]) -> tuple[float, float] | None:
    """Return micrometres per pixel of a raster with this step."""
    return None if um is None else (um[0] * step[0], um[1] * step[1])
