"""Randomness of the phantom: the same place always gets the same number, whichever region is being looked at.

Two kinds. *Hashes* turn a lattice cell (row, column) and a salt into random bits; nothing is stored and any cell can be
asked for alone. *Value noise* is a smooth random field: random numbers at the nodes of a lattice, blended between them
with the smoothstep polynomial 3t^2 - 2t^3 (K. Perlin, 1985, for the idea). Its node values come from one small table,
repeated every 512 nodes, which is farther than anyone sees at the wavelengths used here.

Only additions, multiplications, divisions, square roots and table look-ups are done per pixel: these round the same way
whatever the length of the array, so that a region read alone equals the same region of a larger read bit for bit.
The mixing function is "lowbias32" (C. Wellons, Hash Prospector, public domain).
"""

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
"""Arrays of float32. (Not so narrow a type, because numpy's stubs lose it in arithmetic with float32 scalars.)"""
Words = NDArray[np.uint32]

TABLE_SIDE: Final = 512
_MASK: Final = TABLE_SIDE - 1
_SHIFT: Final = 9
_GOLDEN: Final = 0x9E3779B1


def mix(words: Words) -> Words:
    """Scramble 32-bit words so that neighbouring inputs give unrelated outputs."""
    w = words.copy()
    w ^= w >> np.uint32(16)
    w *= np.uint32(0x7FEB352D)
    w ^= w >> np.uint32(15)
    w *= np.uint32(0x846CA68B)
    w ^= w >> np.uint32(16)
    return w


@lru_cache(maxsize=4096)
def salted(seed: int, salt: int) -> int:
    """Return a 32-bit seed for one purpose (``salt``) of a slide's seed; large and negative seeds are folded in."""
    low, high = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    words = np.array([low, high, salt & 0xFFFFFFFF], dtype=np.uint32)
    state = np.zeros(1, dtype=np.uint32)
    for word in words:
        state = mix((state ^ word) + np.uint32(_GOLDEN))
    return int(state[0])


def hash_cells(seed: int, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> Words:
    """Return 32 random bits for each lattice cell (row, column); ``seed`` is one of ``salted``."""
    r = mix(rows.astype(np.int64).astype(np.uint32) * np.uint32(0x85EBCA77) ^ np.uint32(seed))
    return mix(r ^ (columns.astype(np.int64).astype(np.uint32) * np.uint32(_GOLDEN)))


def uniform(cells: Words, draw: int) -> Floats:
    """Return the ``draw``-th uniform number in [0, 1) of each hashed cell."""
    words = mix(cells + np.uint32((draw + 1) * _GOLDEN & 0xFFFFFFFF))
    return (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def direction(cells: Words, draw: int) -> tuple[Floats, Floats]:
    """Return a random unit vector (cos, sin) for each hashed cell, one of 1024 directions."""
    return unit_vector(uniform(cells, draw))


_ANGLES = np.arange(1024) * (2.0 * np.pi / 1024)
_COS = np.cos(_ANGLES).astype(np.float32)
_SIN = np.sin(_ANGLES).astype(np.float32)


def unit_vector(turns: Floats) -> tuple[Floats, Floats]:
    """Return (cos, sin) of an angle given in turns, looked up to 1/1024 of a turn."""
    index = np.floor(turns * np.float32(1024)).astype(np.int32) & 1023
    return _COS[index], _SIN[index]


def smoothstep(low: float, high: float, values: Floats) -> Floats:
    """Return 0 below ``low``, 1 above ``high`` and 3t^2 - 2t^3 between."""
    t: Floats = np.clip((values - np.float32(low)) * np.float32(1.0 / (high - low)), np.float32(0), np.float32(1))
    t *= t * (np.float32(3) - np.float32(2) * t)
    return t


class Noise:
    """Smooth random fields of one slide, with values in [-1, 1]."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        cells = np.arange(TABLE_SIDE * TABLE_SIDE, dtype=np.uint32)
        table = uniform(mix(cells ^ np.uint32(salted(seed, 0x7AB1E))), 0)
        self._table: Floats = table * np.float32(2) - np.float32(1)
        around = np.pad(self._table.reshape(TABLE_SIDE, TABLE_SIDE), ((0, 1), (0, 1)), mode="wrap")
        squares = np.lib.stride_tricks.sliding_window_view(around, (2, 2))
        self._corners: Floats = np.ascontiguousarray(squares).reshape(-1, 4)
        """The four nodes around each square of the lattice, side by side, since that is how a point needs them."""

    def _offsets(self, channel: int) -> tuple[int, int]:
        word = salted(self._seed, 0x0FF5E7 + channel)
        return word & _MASK, (word >> 9) & _MASK

    def at(self, channel: int, y: Floats, x: Floats) -> Floats:
        """Return the field ``channel`` at points given in wavelengths (any shape, float32)."""
        oy, ox = self._offsets(channel)
        fy, fx = np.floor(y), np.floor(x)
        ty, tx = y - fy, x - fx
        ty *= ty * (np.float32(3) - np.float32(2) * ty)
        tx *= tx * (np.float32(3) - np.float32(2) * tx)
        square = ((fy.astype(np.int32) + oy) & _MASK) << _SHIFT
        square += (fx.astype(np.int32) + ox) & _MASK
        corners = self._corners.take(square, axis=0, mode="clip")  # all are inside; to check that takes time
        first, third = corners[..., 0], corners[..., 2]
        top: Floats = first + tx * (corners[..., 1] - first)
        bottom: Floats = third + tx * (corners[..., 3] - third)
        bottom -= top
        bottom *= ty
        bottom += top
        return bottom

    def on_axes(self, channel: int, wavelength_um: float, y: NDArray[np.float64], x: NDArray[np.float64]) -> Floats:
        """Return the field ``channel`` on the raster of ``y`` (rows) by ``x`` (columns), both in um; shape (y, x).

        Four times quicker than ``at``, because the two directions are blended one after the other.
        """
        oy, ox = self._offsets(channel)
        iy, ty = _split(y / wavelength_um)
        ix, tx = _split(x / wavelength_um)
        first, last = int(ix[0]), int(ix[-1]) + 2
        columns = (np.arange(first, last) + ox) & _MASK
        table = self._table.reshape(TABLE_SIDE, TABLE_SIDE)
        row0 = table[(iy + oy) & _MASK][:, columns]
        row1 = table[(iy + oy + 1) & _MASK][:, columns]
        rows = row0 + ty[:, None] * (row1 - row0)
        local = ix - first
        left = rows[:, local]
        right: Floats = rows[:, local + 1]
        right -= left
        right *= tx[None, :]
        right += left
        return right


def _split(positions: NDArray[np.float64]) -> tuple[NDArray[np.int64], Floats]:
    """Return the lattice node below each position and its smoothed distance from it."""
    whole = np.floor(positions)
    t = (positions - whole).astype(np.float32)
    return whole.astype(np.int64), t * t * (np.float32(3) - np.float32(2) * t)


def enlarge(
    nodes: Floats, first: tuple[int, int], spacing_um: float, y: NDArray[np.float64], x: NDArray[np.float64]
) -> Floats:
    """Interpolate linearly from nodes at whole multiples of ``spacing_um`` to the raster of ``y`` by ``x`` (um).

    ``nodes[i, j]`` is the value at ``((first[0] + i) * spacing_um, (first[1] + j) * spacing_um)``; shape out (y, x).
    """
    iy, ty = _fraction(y / spacing_um, first[0])
    ix, tx = _fraction(x / spacing_um, first[1])
    rows = nodes[iy] + ty[:, None] * (nodes[iy + 1] - nodes[iy])
    left = rows[:, ix]
    right: Floats = rows[:, ix + 1]
    right -= left
    right *= tx[None, :]
    right += left
    return right


def _fraction(positions: NDArray[np.float64], first: int) -> tuple[NDArray[np.int64], Floats]:
    whole = np.floor(positions)
    return whole.astype(np.int64) - first, (positions - whole).astype(np.float32)
