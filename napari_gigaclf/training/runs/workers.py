"""Several processes that train one network, as ``torchrun`` starts them: slides are dealt out, gradients added up.

Each process takes every n-th slide of a mini-batch; before the optimiser's step the gradients are added up over all of
them. ``DistributedDataParallel`` does the same for batches of equal length: it reduces within each backward pass, and
waits for ever where one process has a slide less than another, which the last mini-batch and slides left out bring
about.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

_Item = TypeVar("_Item")


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


def join_workers(device: torch.device) -> Workers:
    """Join the processes that ``torchrun`` has started; alone otherwise."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Workers()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Workers(dist.get_rank(), dist.get_world_size())
