"""Weights and normalisation from the training slides themselves, computed by streaming.

Layer-sequential unit variance (Mishkin and Matas 2016), as the paper has it for whole slides: layer by layer, from the
image on, each kernel channel k is divided by the deviation of its output over mini-batches,

    Var_k = E[y_k^2] - E[y_k]^2,        w_k <- w_k / sqrt(Var_k)

with E over all places of all slides. The network up to that layer is streamed with two means as its output, so that no
map is ever held.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.inference.resample import Image
from napari_gigaclf.progress import CancelToken
from napari_gigaclf.streaming import Source, stream
from napari_gigaclf.training.slides.view import SlideView

LEAST_VARIANCE = 1e-10
"""A channel that is constant stays as it is."""
SAMPLE_PX = 256
SAMPLES_PER_SLIDE = 8
LEAST_SPREAD = 0.02


class Moments(nn.Module):
    """A network up to one of its layers, with the mean and the mean square of that layer's output as its own."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2 channels, 1, 1)."""
        y = self.part(x)
        both = torch.cat([y, y * y], dim=1)
        return nn.functional.adaptive_avg_pool2d(both, 1)


@torch.no_grad()
def unit_variance(
    features: nn.Module, slides: Callable[[], Iterable[Source]], memory: str = "", cancel: CancelToken | None = None
) -> dict[str, float]:
    """Scale every convolution so that its output has unit variance per channel over the slides.

    Parameters
    ----------
    features
        Images -> feature map; changed in place, in the mode it is in.
    slides
        Gives the slides, the same ones every time.
    memory
        As of ``stream``.
    cancel
        Asked before each tile; the layers so far are then scaled.

    Returns
    -------
    dict
        The mean deviation that each convolution's channels had before, by its name.

    Raises
    ------
    UnsupportedOperation
        If the network's code cannot be followed.
    """
    try:
        traced = fx.symbolic_trace(features)
    except Exception as error:
        raise UnsupportedOperation(
            f"LSUV: the network's code cannot be followed ({error}); use initialisation 'he'"
        ) from error
    before: dict[str, float] = {}
    for node in _convolutions(traced):
        deviations = _deviations(_up_to(traced, node), slides(), memory, cancel)
        module = traced.get_submodule(str(node.target))
        assert isinstance(module, nn.Conv2d)
        scale = 1 / deviations.to(module.weight)
        module.weight.mul_(scale.reshape(-1, *[1] * (module.weight.ndim - 1)))
        if module.bias is not None:
            module.bias.mul_(scale)
        before[str(node.target)] = float(deviations.mean())
    return before


def _convolutions(traced: fx.GraphModule) -> Sequence[fx.Node]:
    """Return the convolutions in the order in which they run; each once."""
    found: dict[str, fx.Node] = {}
    for node in traced.graph.nodes:
        if node.op == "call_module" and isinstance(traced.get_submodule(str(node.target)), nn.Conv2d):
            found.setdefault(str(node.target), node)
    return list(found.values())


def _up_to(traced: fx.GraphModule, last: fx.Node) -> nn.Module:
    """Return the network up to a node, its weights shared."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in traced.graph.nodes:
        copies[node] = graph.node_copy(node, lambda n: copies[n])
        if node is last:
            break
    graph.output(copies[last])
    part = fx.GraphModule(traced, graph)
    part.graph.eliminate_dead_code()
    part.recompile()
    return part


def _deviations(part: nn.Module, slides: Iterable[Source], memory: str, cancel: CancelToken | None) -> Tensor:
    """Return the deviation of each channel over all places of all slides, (channels,), float64."""
    streamed = stream(Moments(part), memory=memory or None)
    total, pixels = None, 0
    for slide in slides:
        size = int(np.prod(slide.shape[1:]))
        # A slide counts by its pixels: its mean is over places, of which there are that many, but for the stride.
        moments = streamed.stream(slide, cancel=cancel).double().flatten() * size
        total = moments if total is None else total + moments
        pixels += size
    assert total is not None, "there are slides"
    mean, square = (total / pixels).chunk(2)
    variance = square - mean * mean
    return torch.where(variance > LEAST_VARIANCE, variance, torch.ones_like(variance)).sqrt()


def colour_spread(views: Iterable[SlideView], seed: int) -> tuple[float, float, float]:
    """Return the standard deviation of tissue pixels per channel, in units of [0, 1], from places drawn at random.

    Pixels of all slides count together; where no tissue was hit, all pixels do.
    """
    generator = np.random.default_rng(seed)
    tissue: list[Any] = []
    for view in views:
        for _ in range(SAMPLES_PER_SLIDE):
            tissue.append(_sample(view, generator))
    pixels = np.concatenate(tissue, axis=1).astype(np.float64)
    spread = np.maximum(pixels.std(axis=1), LEAST_SPREAD)
    return (float(spread[0]), float(spread[1]), float(spread[2]))


def _sample(view: SlideView, generator: np.random.Generator) -> Image:
    """Return the tissue pixels of a place of a slide, (3, N)."""
    box = view.tissue_box
    y = int(generator.integers(box.y0, max(box.y1 - SAMPLE_PX, box.y0) + 1))
    x = int(generator.integers(box.x0, max(box.x1 - SAMPLE_PX, box.x0) + 1))
    slices = slice(y, min(y + SAMPLE_PX, box.y1)), slice(x, min(x + SAMPLE_PX, box.x1))
    pixels = view.whole.read(*slices)
    shown = view.whole.shown(*slices)
    found: Image = pixels[:, shown] if shown.any() else pixels.reshape(3, -1)
    return found
