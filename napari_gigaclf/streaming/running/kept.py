"""What is kept of an output: the whole map, or only the cells that somebody wants.

Over a gigapixel slide that is mostly glass the whole map would be gigabytes of cells which nobody looks at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gigaclf.errors import RegionError
from napari_gigaclf.streaming.network.cutting import memory_format
from napari_gigaclf.streaming.network.operations import Extent
from napari_gigaclf.streaming.running.source import slices_of


class Kept(Protocol):
    """Takes finished blocks of the output, and gives back blocks of its gradient."""

    def put(self, extent: Extent, block: Tensor, shape: tuple[int, ...]) -> None:
        """Take a block (B, C, *block) of an output map of this full shape; every position comes once."""
        ...

    def result(self) -> Tensor:
        """Return what was kept, once all blocks have come."""
        ...

    def gradient(self, extent: Extent, gradient: Tensor) -> Tensor | None:
        """Return the block (B, C, *block) of the gradient, given that of the result; None where it is zero."""
        ...


@dataclass(slots=True)
class WholeMap:
    """The whole output map, (B, C, *space)."""

    tensor: Tensor | None = None

    def put(self, extent: Extent, block: Tensor, shape: tuple[int, ...]) -> None:
        """Copy a block to its place."""
        if self.tensor is None:
            layout = memory_format(block)  # channels last where the untiled network's map would be
            self.tensor = torch.empty(shape, dtype=block.dtype, device=block.device, memory_format=layout)
        self.tensor[(slice(None), slice(None), *slices_of(extent))].copy_(block)

    def result(self) -> Tensor:
        """Return the map."""
        assert self.tensor is not None, "every plan makes an output"
        found, self.tensor = self.tensor, None
        return found

    def gradient(self, extent: Extent, gradient: Tensor) -> Tensor | None:
        """Return a part of the gradient."""
        block = gradient[(slice(None), slice(None), *slices_of(extent))]
        return block if bool(block.any()) else None


@dataclass(slots=True)
class SomeCells:
    """The cells where a mask says yes, (B, C, N), in raster order."""

    mask: NDArray[np.bool_]
    tensor: Tensor | None = None
    numbers: NDArray[np.int64] = field(init=False)
    """Number of each position among the cells that are kept."""

    def __post_init__(self) -> None:
        self.numbers = np.cumsum(self.mask, dtype=np.int64).reshape(self.mask.shape) - 1

    def places(self, extent: Extent, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return where a block's cells lie in the flattened block, and their numbers."""
        here = slices_of(extent)
        inside = np.flatnonzero(self.mask[here])
        numbers = self.numbers[here].reshape(-1)[inside]
        return torch.from_numpy(inside).to(device), torch.from_numpy(numbers).to(device)

    def put(self, extent: Extent, block: Tensor, shape: tuple[int, ...]) -> None:
        """Copy a block's cells to their places."""
        if self.tensor is None:
            count = int(self.mask.sum())
            self.tensor = torch.empty((*shape[:2], count), dtype=block.dtype, device=block.device)
        inside, numbers = self.places(extent, block.device)
        if len(inside):
            self.tensor.index_copy_(2, numbers, block.flatten(2).index_select(2, inside))

    def result(self) -> Tensor:
        """Return the cells."""
        assert self.tensor is not None, "every plan makes an output"
        found, self.tensor = self.tensor, None
        return found

    def gradient(self, extent: Extent, gradient: Tensor) -> Tensor | None:
        """Return a block that is zero but where its cells have a gradient."""
        inside, numbers = self.places(extent, gradient.device)
        if not len(inside):
            return None
        cells = gradient.index_select(2, numbers)
        if not bool(cells.any()):
            return None
        sides = [stop - start for start, stop in extent]
        block = gradient.new_zeros((*gradient.shape[:2], int(np.prod(sides))))
        return block.index_copy_(2, inside, cells).reshape(*gradient.shape[:2], *sides)

    def chosen(self, whole: Tensor) -> Tensor:
        """Return the cells of a map (B, C, *space) that is whole."""
        return whole.flatten(2).index_select(2, torch.from_numpy(np.flatnonzero(self.mask)).to(whole.device))


def kept_cells(cells: Any, outputs: Sequence[int], shapes: Sequence[tuple[int, ...]]) -> dict[int, SomeCells]:  # noqa: ANN401
    """Return what keeps the wanted cells, for the maps of which not all are wanted.

    Parameters
    ----------
    cells
        A mask, array or tensor, for one map; a list or tuple with one for each map, or None for all of its cells.
    outputs
        The maps that are returned, by index.
    shapes
        (B, C, *space) of each.

    Raises
    ------
    RegionError
        If a mask is not one boolean per output cell, or there is not one for each map.
    """
    if cells is None:
        return {}
    masks = list(cells) if isinstance(cells, list | tuple) else [cells]
    if len(masks) != len(outputs):
        raise RegionError(
            f"cells has {len(masks)} mask{'s' * (len(masks) != 1)}, and the module returns {len(outputs)} maps; give a "
            "list with one for each, in the order of the plan's output_shapes, or None to keep a map whole"
        )
    found = {}
    for number, (index, mask, shape) in enumerate(zip(outputs, masks, shapes, strict=False)):
        if mask is not None:
            found[index] = SomeCells(_mask(mask, shape[2:], "cells" if len(masks) == 1 else f"cells[{number}]"))
    return found


def _mask(cells: Any, sizes: tuple[int, ...], name: str) -> NDArray[np.bool_]:  # noqa: ANN401 - an array or a tensor
    """Return a copy of a mask, if it fits a map of these sizes."""
    mask = np.asarray(cells.cpu() if isinstance(cells, Tensor) else cells)
    if mask.dtype != np.bool_ or mask.shape != sizes:
        raise RegionError(
            f"{name} has shape {mask.shape} and type {mask.dtype}; give one boolean per output cell, {sizes}"
        )
    return mask.copy()
