"""Tiles seen as another laboratory might have made them: turned, moved, stained, lit and focused a little differently.

Stain jitter works in optical density, where haematoxylin and eosin add up (Ruifrok and Johnston 2001): with the rows of
M their absorption in red, green and blue,

    OD = -log10(I),   c = OD M^-1,   c' = s c,   I' = 10^-(c' M),       s drawn per tile and stain

(the HED augmentation of Tellez et al. 2019, without its additive term, so that white glass stays white). Another
laboratory's dyes differ in hue too: the last M may be changed by a draw per tile and entry, which leaves glass white as
well. All other changes act on intensities.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gigaclf.training.augmentation import Augmentation
from napari_gigaclf.training.part import Part
from napari_gigaclf.training.stain import LUMA, STAIN_RGB

__all__ = ["Augmentation", "augment"]


def augment(
    images: NDArray[np.uint8], settings: Augmentation, generator: torch.Generator, part: Part | None = None
) -> Tensor:  # fmt: skip
    """Return changed tiles as float32 (B, 3, H, W) in [0, 1].

    Parameters
    ----------
    images
        (B, H, W, 3) uint8, H == W.
    settings
        How far to go.
    generator
        Source of all randomness.
    part
        Which tiles of a mini-batch these are; None: all. A tile is changed alike whichever others are at hand.
    """
    draws = _Draws(generator, part or Part(len(images)))
    turned = _turned_and_moved(torch.from_numpy(np.ascontiguousarray(images)), settings.shift_px, draws)
    x_BCHW = turned.permute(0, 3, 1, 2).contiguous().float()
    if settings.turn_degrees or settings.zoom:
        x_BCHW = _resampled(x_BCHW, settings, draws)
    x_BCHW = _restained(x_BCHW, settings, draws)
    return _relit(_refocused(x_BCHW, settings.sharpness, draws), settings, draws)


@dataclass(frozen=True, slots=True)
class _Draws:
    """Random numbers of a mini-batch: drawn for all of its tiles, kept for those at hand."""

    generator: torch.Generator
    part: Part

    def around_one(self, shape: tuple[int, ...], half_width: float) -> Tensor:
        """Return a draw for each tile at hand, (B, *shape)."""
        return _around_one((self.part.whole, *shape), half_width, self.generator)[self.part.rows]

    def integers(self, low: int, high: int, count: int) -> Tensor:
        """Return ``count`` numbers, at least ``low`` and below ``high``, for each tile at hand."""
        return torch.randint(low, high, (self.part.whole, count), generator=self.generator)[self.part.rows]


def _turned_and_moved(batch: Tensor, shift_px: int, draws: _Draws) -> Tensor:
    """One of eight turns and a translation per tile, by index arithmetic: no pixel is interpolated."""
    count, side = batch.shape[0], batch.shape[1]
    steps = torch.arange(side)
    shift = draws.integers(-shift_px, shift_px + 1, 2)
    flip = draws.integers(0, 2, 3).bool()
    axes = []
    for axis in range(2):
        position = (steps[None] + shift[:, axis : axis + 1]).abs()
        position = torch.where(position >= side, 2 * (side - 1) - position, position)
        axes.append(torch.where(flip[:, axis : axis + 1], side - 1 - position, position))
    rows, columns = axes[0][:, :, None], axes[1][:, None, :]
    which = torch.arange(count)[:, None, None]
    moved = batch[which, rows, columns]
    turned = flip[:, 2]
    moved[turned] = moved[turned].transpose(1, 2)
    return moved


def _resampled(x_BCHW: Tensor, settings: Augmentation, draws: _Draws) -> Tensor:
    """Turn and zoom half of the tiles, bilinearly; the others keep the sharpness that tissue is seen with.

    Which half is drawn: tiles may come sorted by class, and softness must not tell a class.
    """
    generator, whole = draws.generator, draws.part.whole
    count = whole // 2
    chosen = torch.randperm(whole, generator=generator)[:count]
    angle = math.radians(settings.turn_degrees) * (_around_one((count,), 1.0, generator) - 1.0)
    zoom = _around_one((count,), settings.zoom, generator)
    at_hand = torch.full((whole,), -1)
    at_hand[draws.part.rows] = torch.arange(x_BCHW.shape[0])
    own = at_hand[chosen] >= 0
    chosen, angle, zoom = at_hand[chosen][own], angle[own], zoom[own]
    if not len(chosen):
        return x_BCHW
    count = len(chosen)
    cosine, sine, zero = angle.cos() / zoom, angle.sin() / zoom, torch.zeros(count)
    theta = torch.stack([torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)], 1)
    grid = torch.nn.functional.affine_grid(theta, [count, *x_BCHW.shape[1:]], align_corners=False)
    x_BCHW[chosen] = torch.nn.functional.grid_sample(
        x_BCHW[chosen], grid, padding_mode="reflection", align_corners=False
    )
    return x_BCHW


def _around_one(shape: tuple[int, ...], half_width: float, generator: torch.Generator) -> Tensor:
    return 1.0 + half_width * (2.0 * torch.rand(shape, generator=generator) - 1.0)


def _restained(x_BCHW: Tensor, settings: Augmentation, draws: _Draws) -> Tensor:
    """Scale each stain and shift its hue: intensities 0 to 255 -> intensities in (0, 1]."""
    count = x_BCHW.shape[0]
    matrix = torch.tensor(STAIN_RGB)
    matrix = matrix / matrix.norm(dim=1, keepdim=True)
    factors = draws.around_one((3, 1), settings.stain)
    target = matrix.expand(count, 3, 3)
    if settings.stain_hue:
        target = matrix + draws.around_one((3, 3), settings.stain_hue) - 1.0
    # Row vectors change by M^-1 diag(s) M'; pixels are columns here, hence the transpose. One 3 x 3 matrix per tile.
    change = (torch.linalg.inv(matrix) @ (factors * target)).transpose(1, 2)
    log_intensity = x_BCHW.clamp_(min=1.0).div_(255.0).log_()
    # A shifted hue may ask for less than no absorption.
    return torch.bmm(change, log_intensity.flatten(2)).clamp_(max=0.0).exp_().view_as(x_BCHW)


def _refocused(x_BCHW: Tensor, half_width: float, draws: _Draws) -> Tensor:
    """Add or take away detail: a little sharper or softer."""
    smooth = _mean_of_three(_mean_of_three(x_BCHW, 2), 3)
    amount = draws.around_one((1, 1, 1), half_width)
    return torch.lerp(smooth, x_BCHW, amount)


def _mean_of_three(x: Tensor, axis: int) -> Tensor:
    """Return the running mean along an axis, of two at its ends (five times as fast as torch's average pooling)."""
    size = x.shape[axis]
    total = x.clone()
    total.narrow(axis, 1, size - 1).add_(x.narrow(axis, 0, size - 1))
    total.narrow(axis, 0, size - 1).add_(x.narrow(axis, 1, size - 1))
    share = torch.full((size,), 1 / 3)
    share[[0, -1]] = 1 / 2
    return total.mul_(share.view([-1 if a == axis else 1 for a in range(x.ndim)]))


def _relit(x_BCHW: Tensor, settings: Augmentation, draws: _Draws) -> Tensor:
    """Saturation, contrast, brightness and tint: all linear in the pixel, so one matrix and one offset per tile."""
    grey = torch.tensor(LUMA).expand(3, 3)
    saturation = draws.around_one((1, 1), settings.saturation)
    contrast = draws.around_one((1, 1), settings.contrast)
    factor = draws.around_one((3, 1), settings.tint)
    factor = factor * draws.around_one((1, 1), settings.brightness)
    matrix = saturation * torch.eye(3) + (1.0 - saturation) * grey
    pixels = x_BCHW.flatten(2)
    mean = pixels.mean(2, keepdim=True)
    # y = f (m + c (S x - m)) with m the grey mean of the tile
    offset = factor * (1.0 - contrast) * mean.mean(1, keepdim=True)
    return torch.baddbmm(offset, factor * contrast * matrix, pixels).clamp_(0.0, 1.0).view_as(x_BCHW)
