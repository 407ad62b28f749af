"""What a caller may ask for in words: an amount of memory, the sides of a tile."""

from collections.abc import Sequence

from napari_gigaclf.streaming.planning.plan import Budget, Layout

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}

MAX_TILE = 1 << 40
"""Longest side of a tile; beyond any image."""


def parse_bytes(memory: int | str) -> int:
    """Return a number of bytes from a number or a text like ``"2GB"``.

    Raises
    ------
    ValueError
        If it is not a positive amount.

    Examples
    --------
    >>> parse_bytes("1.5 GB")
    1500000000
    """
    if type(memory) is int:
        amount = memory
    elif not isinstance(memory, str):
        raise ValueError(f"memory={memory!r} is not a whole number of bytes; write it like '2GB'")
    else:
        text = memory.strip().upper()
        number = text.rstrip("BKMGTI ")
        unit = text[len(number) :].strip()
        try:
            amount = int(float(number) * UNITS[unit])
        except (KeyError, ValueError, OverflowError):
            raise ValueError(f"memory={memory!r} is not an amount of bytes; write it like '2GB'") from None
    if amount <= 0:
        raise ValueError(f"memory={memory!r} is not a positive amount; write it like '2GB'")
    return amount


def parse_tile(tile: int | Sequence[int]) -> tuple[int, ...]:
    """Return the side of a tile per axis.

    Raises
    ------
    ValueError
        If a side is not a positive whole number.
    """
    sides = tuple(tile) if isinstance(tile, Sequence) else (tile,)
    if not sides or any(type(side) is not int or not 1 <= side <= MAX_TILE for side in sides):
        raise ValueError(f"tile={tile!r} is not a positive number of pixels, nor one per axis")
    return sides


def asked_for(tile: int | Sequence[int] | None, memory: int | str | None) -> Budget:
    """Return what a caller asks of a plan.

    Raises
    ------
    ValueError
        If ``tile`` or ``memory`` makes no sense.
    """
    return Budget(
        layout=None if tile is None else Layout(tiles=(parse_tile(tile),)),
        memory_bytes=None if memory is None else parse_bytes(memory),
    )
