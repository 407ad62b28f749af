"""Where memory runs out, the engine goes on with smaller tiles and finds the same numbers."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from napari_gigaclf.streaming import stream
from napari_gigaclf.streaming.running.out_of_memory import is_out_of_memory

SIZE = (3, 150, 130)


class Tight:
    """A source which runs out of memory where a block is large, perhaps only after so many blocks."""

    dtype = np.dtype(np.float64)

    def __init__(self, array, most, after=0):
        self.array, self.shape = array, array.shape
        self.most, self.after, self.blocks = most, after, 0

    def read(self, *slices):
        block = self.array[(slice(None), *slices)]
        self.blocks += 1
        if block[0].size > self.most and self.blocks > self.after:
            raise MemoryError(f"no room for {block.shape}")
        return block


@pytest.fixture
def pixels():
    return np.random.default_rng(0).random(SIZE)


def network(kind):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3)]
    if kind == "classifier":
        layers += [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(5, 2)]
    if kind == "norms":
        layers = [layers[0], nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), layers[3], nn.GroupNorm(5, 5)]
    if kind == "dropout":
        layers.insert(2, nn.Dropout(0.3))
    return nn.Sequential(*layers).double()


def step(module, image):
    torch.manual_seed(1)
    out = module(image)
    out.square().sum().backward()
    return out.detach(), [p.grad for p in module.parameters()], [b.clone() for b in module.buffers()]


@pytest.mark.parametrize("kind", ["trunk", "classifier", "norms", "dropout"])
@pytest.mark.parametrize("after", [0, 2, 5])
def test_the_numbers_are_those_with_enough_memory(pixels, kind, after):
    enough = stream(network(kind), tile=64)
    expected = step(enough, Tight(pixels, 10**9))
    tight, source = stream(network(kind), tile=80), Tight(pixels, 40 * 40, after)
    with pytest.warns(RuntimeWarning, match=r"memory ran out with tiles of 80 x 80 px; going on with 40 x 40 px"):
        found = step(tight, source)
    for one, two in zip(expected, found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


def test_the_smaller_tile_stays_and_the_report_counts(pixels):
    streamed = stream(network("trunk"), tile=100)
    with pytest.warns(RuntimeWarning, match="memory ran out") as caught:
        streamed(Tight(pixels, 26 * 26, after=5)).sum().backward()  # forward has 4 blocks
    assert len(caught) == 2
    assert streamed.last_report.smaller_tiles == 2
    assert streamed.plan(SIZE).tile == (25, 25)
    streamed(Tight(pixels, 26 * 26)).sum().backward()
    assert streamed.last_report.smaller_tiles == 0


def test_memory_that_suffices_for_no_tile_is_the_caller_s_error(pixels):
    with pytest.warns(RuntimeWarning), pytest.raises(MemoryError, match="no room"):
        stream(network("trunk"))(Tight(pixels, 4))


def test_a_thin_image_is_cut_along_its_long_axis():
    array = np.random.default_rng(0).random((3, 12, 300))
    with pytest.warns(RuntimeWarning, match="tiles of 12 x 300 px; going on with 12 x 150 px"):
        found = stream(network("trunk"), tile=300)(Tight(array, 12 * 200))
    torch.testing.assert_close(found, network("trunk")(torch.from_numpy(array)[None]), rtol=1e-10, atol=1e-10)


def test_running_statistics_are_updated_once_and_at_the_end(pixels):
    def run(on_output):
        module = network("norms").eval()
        module[1].train()
        stream(module, tile=80).stream(torch.from_numpy(pixels)[None], on_output=on_output)
        return [buffer.clone() for buffer in module.buffers()]

    def full_once(*_):
        if not calls:
            calls.append(1)
            raise MemoryError("no room for the answer")  # the last pass has begun, and statistics are known

    calls = []
    expected = run(None)
    with pytest.warns(RuntimeWarning, match="memory ran out"):
        found = run(full_once)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_other_errors_are_not_tried_again(pixels):
    class Broken(Tight):
        def read(self, *slices):
            self.blocks += 1
            raise OSError("the disk is gone")

    source = Broken(pixels, 0)
    with pytest.raises(OSError, match="the disk is gone"):
        stream(network("trunk"), tile=200)(source)
    assert source.blocks == 1


@pytest.mark.parametrize(
    "words",
    ["[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes", "could not create a primitive"],
)
def test_what_libraries_say_when_memory_ran_out(words):
    assert is_out_of_memory(RuntimeError(words))
    assert not is_out_of_memory(RuntimeError("sizes do not match"))
    assert not is_out_of_memory(ValueError(words))


LIMITED = """
import resource, sys, warnings
import torch
from torch import nn
from napari_gigaclf.streaming import stream
torch.set_num_threads(1)
net = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 4, 3, padding=1, stride=4))
image = torch.rand(1, 3, 2048, 2048)
expected = stream(net, tile=128)(image).detach()
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 400_000_000,) * 2)
streamed = stream(net, tile=2048)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    out = streamed(image)
    out.sum().backward()
assert torch.allclose(out, expected, atol=1e-5)
print(len(caught), streamed.plan(image.shape).tile)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of the address space are set on Linux")
def test_a_process_that_may_not_have_more_memory():
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count, tile = done.stdout.split(" ", 1)
    assert int(count) >= 1
    assert int(tile.strip("()\n").split(",")[0]) < 2048
