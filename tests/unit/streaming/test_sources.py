"""Images that are not tensors: arrays decoded chunk by chunk, and sources that are read ahead."""

import threading
import time

import numpy as np
import pytest
import torch
import zarr
from torch import nn

from napari_gigaclf.errors import Cancelled
from napari_gigaclf.streaming import stream

SIZE = (3, 70, 90)


class Counted:
    """A chunked array that counts how often each of its positions is decoded."""

    def __init__(self, array, chunks):
        self.array, self.chunks = array, chunks
        self.shape, self.dtype = array.shape, array.dtype
        self.decoded = np.zeros(array.shape, dtype=int)

    def __getitem__(self, slices):
        self.decoded[slices] += 1
        return self.array[slices]


class Slow:
    """A source that notes who reads, and when."""

    dtype = np.dtype(np.float64)

    def __init__(self, array, fails_at=None):
        self.array, self.shape = array, array.shape
        self.begun = []
        self.threads = set()
        self.lock = threading.Lock()
        self.fails_at = fails_at

    def read(self, *slices):
        assert self.lock.acquire(blocking=False), "a source is asked once at a time"
        try:
            self.begun.append(slices)
            self.threads.add(threading.get_ident())
            if len(self.begun) == self.fails_at:
                raise OSError("the disk is gone")
            return self.array[(slice(None), *slices)]
        finally:
            self.lock.release()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).random(SIZE)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 3)).double()


def gradients(module):
    return [p.grad.clone() for p in module.parameters()]


def untiled_step(net, pixels):
    expected = net(torch.from_numpy(pixels)[None])
    expected.square().sum().backward()
    found = gradients(net)
    net.zero_grad()
    return expected.detach(), found


def test_arrays_of_several_kinds_stream_like_tensors(net, pixels, tmp_path):
    expected, grads = untiled_step(net, pixels)
    on_disk = zarr.create_array(tmp_path / "image.zarr", shape=SIZE, chunks=(2, 16, 32), dtype="float64")
    on_disk[:] = pixels
    for array in (pixels, on_disk, np.asfortranarray(pixels)):
        net.zero_grad()
        found = stream(net, tile=24)(array)
        torch.testing.assert_close(found.detach(), expected, rtol=0, atol=1e-12)
        found.square().sum().backward()
        for one, two in zip(gradients(net), grads, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("tile", [16, 20, 24, 34, 60, 200])
@pytest.mark.parametrize("chunks", [(3, 16, 32), (1, 50, 7), (3, 128, 128)])
def test_each_chunk_is_decoded_once_per_pass(net, pixels, tile, chunks):
    array = Counted(pixels, chunks)
    streamed = stream(net, tile=tile)
    with torch.no_grad():
        streamed(array)
    assert (array.decoded == 1).all()
    array.decoded[:] = 0
    streamed(array).square().sum().backward()
    assert (array.decoded == 2).all()


def test_the_next_block_is_read_while_a_tile_is_computed(net, pixels):
    source = Slow(pixels)
    waited = []

    def after_first(progress):
        if progress.phase == "forward" and progress.done == 1:
            end = time.monotonic() + 20
            while len(source.begun) < 3 and time.monotonic() < end:
                time.sleep(0.001)
            waited.append(len(source.begun))

    with torch.no_grad():
        stream(net, tile=16).stream(source, progress=after_first)
    assert waited[0] >= 2  # that of the first tile and at least one more
    assert threading.get_ident() not in source.threads
    assert len(source.threads) == 1


def test_nothing_is_read_that_is_not_used(net, pixels):
    source = Slow(pixels)
    streamed = stream(net, tile=16)
    out = streamed(source)
    assert len(source.begun) == streamed.last_report.reads == 5 * 6
    gradient = torch.zeros_like(out)
    gradient[..., 20, 20] = 1  # of most tiles, nothing is wanted
    out.backward(gradient)
    assert len(source.begun) == streamed.last_report.reads < 2 * 5 * 6
    assert len(set(map(str, source.begun))) == 5 * 6


def test_a_source_that_fails_fails_the_run_and_its_thread_ends(net, pixels):
    before = threading.active_count()
    with pytest.raises(OSError, match="the disk is gone"):
        stream(net, tile=16)(Slow(pixels, fails_at=7))
    assert threading.active_count() == before


def test_a_cancelled_run_leaves_no_thread(net, pixels):
    token, before = threading.Event(), threading.active_count()
    source = Slow(pixels)
    with pytest.raises(Cancelled):
        stream(net, tile=16).stream(source, cancel=token, progress=lambda _: token.set())
    assert threading.active_count() == before
    assert len(source.begun) < 5 * 6


def test_what_is_no_image_is_refused(net):
    with pytest.raises(TypeError, match="a dict cannot be streamed; give a tensor"):
        stream(net)({"image": 1})
