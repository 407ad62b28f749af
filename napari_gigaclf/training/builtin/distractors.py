"""Tiles of what is on slides but is no tissue in this stain, made up, to be learnt as class 0.

A network that has seen tissue only may say anything about the rest. Three kinds: empty glass, lit and tinted in some
way; a stroke of a pen across glass; and tissue as fluorescence shows it, bright in one hue on black.
"""

import torch
from torch import Tensor

_PENS = ((0.05, 0.05, 0.10), (0.10, 0.15, 0.55), (0.05, 0.45, 0.20), (0.70, 0.10, 0.15))
"""Black, blue, green and red ink on glass."""
NUM_KINDS = 3


def distractors(tissue_BCHW: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` tiles (count, 3, H, H) in [0, 1], each of a kind drawn at random.

    Parameters
    ----------
    tissue_BCHW
        Tiles in [0, 1], H == W, at least ``count``, for the kind that imitates fluorescence.
    count
        How many to make.
    generator
        Source of all randomness.
    """
    kinds = torch.randint(0, NUM_KINDS, (count,), generator=generator).tolist()
    chosen = tissue_BCHW[torch.randperm(len(tissue_BCHW), generator=generator)[:count]]
    return torch.stack([_made(kind, tissue, generator) for kind, tissue in zip(kinds, chosen, strict=True)])


def _made(kind: int, tissue: Tensor, generator: torch.Generator) -> Tensor:
    side_px = tissue.shape[-1]
    if kind == 0:
        return empty_glass(side_px, generator)
    return pen_mark(side_px, generator) if kind == 1 else fluorescence(tissue, generator)


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def empty_glass(side_px: int, generator: torch.Generator) -> Tensor:
    """Return a tile (3, side, side): a little grey, a little tinted, noisy, with a gradient of light."""
    level = _uniform((), 0.75, 1.0, generator) + _uniform((3, 1, 1), -0.04, 0.04, generator)
    slope = _uniform((2,), -0.05, 0.05, generator)
    steps = torch.linspace(-1, 1, side_px)
    light = slope[0] * steps[:, None] + slope[1] * steps
    noise = _uniform((), 0.0, 0.03, generator) * torch.randn((3, side_px, side_px), generator=generator)
    return (level + light + noise).clamp_(0.0, 1.0)


def pen_mark(side_px: int, generator: torch.Generator) -> Tensor:
    """Return a tile (3, side, side): a straight band of ink on glass, uneven along it; it may cover the whole tile."""
    glass = empty_glass(side_px, generator)
    angle = _uniform((), 0.0, 2 * torch.pi, generator)
    y, x = torch.linspace(-1, 1, side_px)[:, None], torch.linspace(-1, 1, side_px)
    across = x * angle.cos() + y * angle.sin() - _uniform((), -0.8, 0.8, generator)
    along = y * angle.cos() - x * angle.sin()
    half_width, softness = _uniform((), 0.2, 2.0, generator), _uniform((), 0.02, 0.2, generator)
    cover = torch.sigmoid((half_width - across.abs()) / softness) * _uniform((), 0.5, 1.0, generator)
    uneven = 1.0 + 0.15 * torch.sin(_uniform((), 1.0, 8.0, generator) * along)
    pen = _PENS[int(torch.randint(0, len(_PENS), (), generator=generator))]
    ink = torch.tensor(pen)[:, None, None] + _uniform((3, 1, 1), -0.05, 0.1, generator)
    return torch.lerp(glass, ink.expand_as(glass), (cover * uneven).clamp_(0.0, 1.0)).clamp_(0.0, 1.0)


def fluorescence(tissue: Tensor, generator: torch.Generator) -> Tensor:
    """Return a tile (3, H, W): what is dark shines, as brightly as it took light away, in a hue of its own."""
    absorbed = 1.0 - tissue.mean(0, keepdim=True)
    hue = _uniform((3, 1, 1), 0.0, 1.0, generator)
    return (absorbed * hue / hue.max() * _uniform((), 0.3, 1.2, generator)).clamp_(0.0, 1.0)
