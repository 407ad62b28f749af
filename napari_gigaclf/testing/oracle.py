"""The obvious way to run a network, judge of every clever one: the whole image at once, in float64, on the CPU."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

TOLERANCE = 1e-10
"""Relative error up to which two float64 results count as equal: rounding, nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Value and gradients of one run, with a fixed gradient of the output."""

    value: Tensor
    """(B, C, *cells)."""
    image_gradient: Tensor
    """(B, C, *space)."""
    gradients: dict[str, Tensor]
    """Of every parameter that got one, by name."""

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield everything by name."""
        yield "value", self.value
        yield "image gradient", self.image_gradient
        yield from self.gradients.items()


def answer(module: nn.Module, image: Tensor, seed: int = 0) -> Answer:
    """Return value and gradients of a module, whole or streamed.

    Parameters
    ----------
    module
        In float64.
    image
        (B, C, *space), float64.
    seed
        Of the output's gradient, which is random and the same for the same shape of output.
    """
    leaf = image.detach().clone().requires_grad_()
    module.zero_grad()
    value = module(leaf.clone())  # a copy, because a module that begins in place may not touch a leaf
    direction = torch.randn(value.shape, generator=torch.Generator().manual_seed(seed), dtype=value.dtype)
    value.backward(direction)
    gradients = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    assert leaf.grad is not None, "the image lies behind the output"
    return Answer(value=value.detach(), image_gradient=leaf.grad, gradients=gradients)


def relative_error(expected: Tensor, found: Tensor) -> float:
    """Return the norm of the difference over the norm of what is expected; infinite if shapes or types differ."""
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return float("inf")
    difference, size = (expected - found).norm().item(), expected.norm().item()
    return float(difference / size if size else difference)


def disagreements(
    expected: Answer, found: Answer, tolerance: float = TOLERANCE, floor: float = 0.0
) -> dict[str, float]:
    """Return what differs by more than the tolerance, with its relative error; empty where all agree.

    Errors are relative to the larger of what is expected and ``floor`` times the largest gradient: a bias before a norm
    has a gradient of zero, which both sides only give up to rounding.
    """
    one, two = dict(expected.tensors()), dict(found.tensors())
    least = floor * max(tensor.norm().item() for name, tensor in one.items() if name != "value")
    errors = {}
    for name, tensor in one.items():
        errors[name] = relative_error(tensor, two[name]) if name in two else float("inf")
        if least and errors[name] < float("inf"):
            errors[name] *= min(1.0, tensor.norm().item() / least) or 1.0
    errors.update({name: float("inf") for name in two if name not in one})
    return {name: error for name, error in errors.items() if not error <= tolerance}
