"""Memory for carried borders, apart from the heap that the tiles' own blocks come and go on.

A C library's heap cannot give back what lies between small blocks that stay, and carried borders are such blocks: with
them on the heap, a training step on a gigapixel held ninety times the bytes of its tensors. Here they lie one behind
another in chunks taken straight from the system. A chunk goes back as soon as the last border in it is gone; borders
of one axis are forgotten about in the order they were made (in reverse, by a backward pass), so chunks empty soon.
"""

import math
import mmap
import sys

import torch
from torch import Tensor

CHUNK_BYTES = 8 << 20
"""Bytes of a chunk. Pages never written take no memory; a system allows some 65 000 chunks."""
ALIGNMENT = 64


class Arena:
    """Takes in copies of borders, those of each axis in chunks of their own."""

    def __init__(self) -> None:
        self._chunks: dict[int, tuple[mmap.mmap, int]] = {}

    def keep(self, axis: int, piece: Tensor, layout: torch.memory_format) -> Tensor:
        """Return a copy of a piece that does not lie on the heap; of one on an accelerator, an ordinary copy.

        Parameters
        ----------
        axis
            The axis along which it is handed on.
        piece
            The piece, (B, C, *extent), maybe a view.
        layout
            Memory format of the copy.
        """
        if piece.device.type != "cpu" or not piece.numel():
            return piece.clone(memory_format=layout)
        memory, start = self._room(axis, piece.numel() * piece.element_size())
        flat = torch.frombuffer(memory, dtype=piece.dtype, count=piece.numel(), offset=start)
        strides = torch.empty(piece.shape, device="meta", memory_format=layout).stride()
        return flat.as_strided(piece.shape, strides).copy_(piece)

    def _room(self, axis: int, num_bytes: int) -> tuple[mmap.mmap, int]:
        """Return a chunk and where in it there is room."""
        memory, start = self._chunks.get(axis, (None, 0))
        if memory is None or start + num_bytes > len(memory):
            memory, start = _new_chunk(max(CHUNK_BYTES, num_bytes)), 0
        self._chunks[axis] = memory, math.ceil((start + num_bytes) / ALIGNMENT) * ALIGNMENT
        return memory, start


def _new_chunk(num_bytes: int) -> mmap.mmap:
    """Return memory of its own, which goes back to the system with the last tensor in it."""
    if sys.platform == "win32":
        return mmap.mmap(-1, num_bytes)
    return mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
