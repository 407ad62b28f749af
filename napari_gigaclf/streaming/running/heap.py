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
little cost. It is done within a tile that goes back, too: gradients differ in size from what the graph has just freed,
and a step of ResNet-18 in bfloat16 came to hold 400 MB where 200 were in use.
"""

import ctypes
import mmap
import sys
from collections.abc import Callable
from pathlib import Path

from napari_gigaclf.streaming.planning.plan import StreamPlan

ALLOWANCE = 128 << 20
"""Bytes that may gather in any case, unless borders go to disk.

Half of it holds 20 MB less and takes a sixth more time (a step of VGG-5)."""
STEP = 32 << 20
"""Bytes that operations take on top between two looks at what the process holds, in a training step."""
_PAGES = Path("/proc/self/statm")


class Heap:
    """Watches the memory of the process through the passes of a run.

    A training step may hold what its plan says, beyond what the process held before and what it delivers; so gaps
    between blocks cost nothing as long as there is room for them. A run that is only forward holds so little that a
    fixed amount may gather.

    Parameters
    ----------
    plan
        Of the whole run; None: nothing is given back.
    elsewhere
        Whether the tiles lie in another memory than the process's, a graphics card's: then what is planned says
        nothing of the heap.
    """

    def __init__(self, plan: StreamPlan | None = None, *, elsewhere: bool = False) -> None:
        self._trim = None if plan is None else _trim_function()
        self._tiled = plan is not None and any(stage.num_tiles > 1 for stage in plan.stages or (plan,))
        self._room, self._step = 0, ALLOWANCE
        if plan is not None and plan.backward and not elsewhere:
            room = plan.peak_bytes - max(STEP, plan.peak_bytes // 16)
            self._room, self._step = max(room, 0 if plan.spilled_tiles else ALLOWANCE), STEP
        self._base: int | None = None
        self._left = 0
        self._limit = 0

    def begin(self) -> None:
        """Begin a pass.

        Free blocks which the last one left between what it keeps fit this one badly, so they go back; a small image in
        one tile is not worth that.
        """
        if self._trim is None:
            return
        if self._tiled:
            self._trim(0)
        now = _resident_bytes()
        self._base = now if self._base is None else self._base + max(0, now - self._left)  # others took some meanwhile
        self._limit = max(self._base + self._room, now + self._step)

    def end(self, delivered: int) -> None:
        """End a pass, of which so many bytes are delivered and not the run's own any more."""
        if self._trim is None or self._base is None:
            return
        if self._tiled and self._room:
            self._trim(0)
        self._base += delivered
        self._left = _resident_bytes()

    def tidy(self) -> None:
        """Give free memory back if too much has gathered; call it when blocks have been freed."""
        if self._trim is not None and self._base is not None and _resident_bytes() > self._limit:
            self._trim(0)
            self._limit = max(self._base + self._room, _resident_bytes() + self._step)


def _trim_function() -> Callable[[int], object] | None:
    """Return glibc's ``malloc_trim``; None where there is another C library, or no /proc."""
    if not sys.platform.startswith("linux") or not _PAGES.exists():
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def _resident_bytes() -> int:
    """Return the bytes of memory that the process holds."""
    return int(_PAGES.read_bytes().split()[1]) * mmap.PAGESIZE
