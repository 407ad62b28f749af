"""Gives memory back to the system which the C library's heap holds, but nobody uses.

PyTorch takes the blocks of a tile from that heap, and glibc's grows although nearly all of it is free: a run of 784
tiles of 370 MB held 4.4 GB in the end, of which 110 MB were in use. PyTorch asks for aligned blocks. glibc before 2.38
cuts each from a larger one (its bug 14581), and the slivers cut off, of 32 to 112 bytes, wait in the thread's own cache
(tcache), where they count as used: a block that is freed between two of them stays too small for the next one of its
size. Without that cache (``GLIBC_TUNABLES=glibc.malloc.tcache_count=0`` before the process starts), or with PyTorch's
huge pages (``THP_MEM_ALLOC_ENABLE=1``), whose slivers are too large for it, the heap stays as small as what is planned,
in less time. Both are the caller's to set. From inside a process only giving back helps; asking for large
blocks from the system every time (``MALLOC_MMAP_THRESHOLD_``) cures it, too, but every page is then made anew, at 70 %
more processor time, and so it is when memory is given back after every tile. Giving back seldom bounds the memory at
little cost.
"""

import ctypes
import mmap
import sys
from collections.abc import Callable
from pathlib import Path

from napari_gigaclf.streaming.planning.plan import StreamPlan

LEAST_ALLOWANCE = 128 << 20
"""Bytes that may gather in any case, unless borders go to disk.

Half of it holds 20 MB less and takes a sixth more time (a step of VGG-5)."""
_PAGES = Path("/proc/self/statm")


class Heap:
    """Watches the memory of the process from tile to tile.

    Parameters
    ----------
    allowance
        Bytes that may gather before memory is given back.
    at_once
        Whether to give back at once what gathered before: free blocks which the last pass left between what it keeps
        fit the next one badly.
    """

    def __init__(self, allowance: int, *, at_once: bool) -> None:
        self._trim = _trim_function()
        self._allowance = allowance
        if at_once and self._trim is not None:
            self._trim(0)
        self._limit = _resident_bytes() + self._allowance if self._trim is not None else 0

    @classmethod
    def of(cls, plan: StreamPlan, *, half: bool) -> "Heap":
        """Return the heap of a pass: as much may gather as the graph of a tile takes, which comes back at once.

        Where borders go to disk, memory counts for more than time. In half precision arithmetic takes less of the
        time, and giving back, which does not, would take more of it.
        """
        least = LEAST_ALLOWANCE // 4 if plan.spilled_tiles else LEAST_ALLOWANCE * (1 + half)
        return cls(max(least, plan.graph_bytes), at_once=plan.num_tiles > 1)

    def tidy(self) -> None:
        """Give free memory back if more than the allowance has gathered; call it when a tile is done."""
        if self._trim is not None and _resident_bytes() > self._limit:
            self._trim(0)
            self._limit = _resident_bytes() + self._allowance


def _trim_function() -> Callable[[int], object] | None:
    """Return glibc's ``malloc_trim``; None where there is another C library, or no /proc."""
    if not sys.platform.startswith("linux") or not _PAGES.exists():
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def _resident_bytes() -> int:
    """Return the bytes of memory that the process holds."""
    return int(_PAGES.read_bytes().split()[1]) * mmap.PAGESIZE
