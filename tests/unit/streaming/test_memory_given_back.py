"""Memory that the C library's heap holds for nobody goes back to the system, and plans are lean without being asked."""

import ctypes
import subprocess
import sys

import pytest

from napari_gigaclf.streaming import stream
from napari_gigaclf.streaming.running import heap
from napari_gigaclf.testing.networks import ResNet18Trunk, UNet, paper_table2_trunk

HEAP = """
from pathlib import Path
from napari_gigaclf.streaming import stream
from napari_gigaclf.streaming.running.heap import ALLOWANCE, Heap
from napari_gigaclf.testing.networks import paper_table2_trunk

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

heap = Heap(stream(paper_table2_trunk(2)).plan((3, 2048, 2048), backward=False))
heap.begin()
begin = resident()
blocks = []
for _ in range(8 * ALLOWANCE // 100_000):
    blocks.append((bytearray(100_000), bytearray(600)))
kept = [small for _, small in blocks]
del blocks
between = resident() - begin
heap.tidy()
print(between, resident() - begin, ALLOWANCE)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library than glibc")
def test_what_lies_free_between_small_blocks_goes_back():
    done = subprocess.run([sys.executable, "-c", HEAP], capture_output=True, text=True, check=True)
    between, after, allowance = map(int, done.stdout.split())
    assert between > 2 * allowance  # else there was nothing to give back, and the test says nothing
    assert after < allowance


ROUNDED = """
import ctypes
import torch
from napari_gigaclf.streaming import stream

class Mallinfo(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

library = ctypes.CDLL(None)
library.mallinfo2.restype = Mallinfo

def in_use():
    found = library.mallinfo2()
    return found.uordblks + found.hblkhd

module = torch.nn.Sequential(*(torch.nn.Conv2d(512, 512, 3, padding=1) for _ in range(3)))
stream(torch.nn.Conv2d(3, 3, 3)).plan((3, 64, 64))
with torch.autocast("cpu", dtype=torch.bfloat16):
    before = in_use()
    stream(module).plan((512, 64, 64), backward=True)
    print(in_use() - before, sum(p.numel() * 2 for p in module.parameters()))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="another C library than glibc")
def test_planning_under_autocast_leaves_no_rounded_weights_behind():
    done = subprocess.run([sys.executable, "-c", ROUNDED], capture_output=True, text=True, check=True)
    held, rounded = map(int, done.stdout.split())
    assert held < 0.2 * rounded


@pytest.fixture
def process(monkeypatch):
    """A process that holds what a test says, and gives back what is said to be free."""
    held = {"resident": 1 << 30, "free": 0, "times": 0}

    def trim(_pad):
        held["resident"], held["free"], held["times"] = held["resident"] - held["free"], 0, held["times"] + 1

    monkeypatch.setattr(heap, "_trim_function", lambda: trim)
    monkeypatch.setattr(heap, "_resident_bytes", lambda: held["resident"])
    return held


def test_a_step_may_hold_what_is_planned_whatever_others_hold_meanwhile(process):
    plan = stream(ResNet18Trunk()).plan((3, 2048, 2048), backward=True)
    room = plan.peak_bytes - max(heap.STEP, plan.peak_bytes // 16)
    watch = heap.Heap(plan)

    def gathers(num_bytes, *, free):
        """Whether memory is given back at once when the process has come to hold so much more."""
        process["resident"] += num_bytes
        process["free"], before = free, process["times"]
        watch.tidy()
        return process["times"] > before

    watch.begin()
    assert not gathers(room, free=room)
    assert gathers(1, free=room)
    assert not gathers(heap.STEP, free=0)
    delivered = 50 << 20
    process["resident"] += delivered
    watch.end(delivered)
    process["resident"] += 1 << 30  # somebody else's
    watch.begin()
    assert not gathers(room - heap.STEP - 1, free=0)
    assert gathers(2, free=0)
    assert not gathers(heap.STEP, free=0), "what is in use cannot go back, and is not asked for at every look"


NETWORKS = {
    "U-Net": UNet(3, 2, 16, depth=4, way="bilinear", joining="size"),
    "ResNet-18": ResNet18Trunk(),
    "VGG-5": paper_table2_trunk(5),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", [512, 2048])
def test_a_default_plan_holds_little_more_than_the_leanest_tile(name, side):
    module = NETWORKS[name]
    chosen = stream(module).plan((3, side, side))
    leanest = min(stream(module, tile=tile).plan((3, side, side)).peak_bytes for tile in (128, 256, 512))
    assert chosen.peak_bytes <= max(2.0 * leanest, 100_000_000)
