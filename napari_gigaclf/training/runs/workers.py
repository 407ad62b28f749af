"""Several processes that train one network, as ``torchrun`` starts them: each has its share, gradients are added up.

Each process takes every n-th slide or tile of a mini-batch; before the optimiser's step the gradients are added up
over all of them. ``DistributedDataParallel`` does the same for batches of equal length: it reduces within each backward
pass, and waits for ever where one process has a slide less than another, which the last mini-batch and slides left out
bring about.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from napari_gigaclf.inference.devices import find_device
from napari_gigaclf.training.part import Part

_Item = TypeVar("_Item")
PATIENCE = timedelta(days=1)
"""How long a process waits for another that is still there, and reads a large slide or draws tiles meanwhile."""


@dataclass(frozen=True, slots=True)
class Workers:
    """The processes that train together, seen from one of them."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and says what happens."""
        return self.rank == 0

    def share(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """Return this process's part of a mini-batch."""
        return items[self.rank :: self.count]

    def part(self, count: int) -> Part:
        """Return which of so many things ``share`` gives to this process."""
        return Part(count, self.rank, self.count)

    def joined(self, own: list[_Item]) -> list[_Item]:
        """Return what all processes found of things that ``share`` dealt out, one for each, in the order of these."""
        parts = self.gathered(own)
        return [parts[i % self.count][i // self.count] for i in range(sum(map(len, parts)))]

    def raise_together(self, error: Exception | None) -> None:
        """Raise, in all processes, the error that one of them has: none is left waiting for it. All wait here."""
        for found in self.gathered(error):
            if found is not None:
                raise found

    def sum_of(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, differentiable."""
        if self.count == 1:
            return tensor
        found: Tensor = _Sum.apply(tensor)  # type: ignore[no-untyped-call]
        return found

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their sums over all processes."""
        if self.count > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def gathered(self, part: _Item) -> list[_Item]:
        """Return what all processes have, in the order of their ranks."""
        if self.count == 1:
            return [part]
        parts: list[_Item | None] = [None] * self.count
        dist.all_gather_object(parts, part)
        return [item for item in parts if item is not None]

    def wait(self) -> None:
        """Wait for all processes: what one of them has written is then there."""
        if self.count > 1:
            dist.barrier()

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace running statistics by their means over all processes; whole numbers stay as they are."""
        if self.count > 1:
            for tensor in tensors:
                if tensor.is_floating_point():
                    dist.all_reduce(tensor)
                    tensor.div_(self.count)


class _Sum(torch.autograd.Function):
    """The sum over all processes. Every process's loss depends on it: the gradient of all losses is a sum, too."""

    @staticmethod
    def forward(ctx: FunctionCtx, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradient)


def join_workers(device: torch.device) -> Workers:
    """Join the processes that ``torchrun`` has started; alone otherwise."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Workers()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    return Workers(dist.get_rank(), dist.get_world_size())


def own_device(device: str) -> torch.device:
    """Return the device of this process: of several processes, each takes the CUDA device of its own number."""
    if device in ("auto", "cuda") and "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        return torch.device(f"cuda:{os.environ['LOCAL_RANK']}")
    return torch.device(find_device(device).key)
