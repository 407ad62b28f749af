"""Memory that the C library's heap holds for nobody goes back to the system, and plans are lean without being asked."""

import ctypes
import subprocess
import sys

import pytest

from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.networks import ResNet18Trunk, UNet, paper_table2_trunk

HEAP = """
from pathlib import Path
from napari_gigaclf.streaming.running.heap import Heap, LEAST_ALLOWANCE

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

heap = Heap(LEAST_ALLOWANCE, at_once=False)
begin = resident()
blocks = []
for _ in range(8 * LEAST_ALLOWANCE // 100_000):
    blocks.append((bytearray(100_000), bytearray(600)))
kept = [small for _, small in blocks]
del blocks
between = resident() - begin
heap.tidy()
print(between, resident() - begin, LEAST_ALLOWANCE)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library than glibc")
def test_what_lies_free_between_small_blocks_goes_back():
    done = subprocess.run([sys.executable, "-c", HEAP], capture_output=True, text=True, check=True)
    between, after, allowance = map(int, done.stdout.split())
    assert between > 2 * allowance  # else there was nothing to give back, and the test says nothing
    assert after < allowance


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
