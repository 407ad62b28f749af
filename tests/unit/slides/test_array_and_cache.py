"""The base of every slide: steps, pictures that are the same, the chunk cache, limits, arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gigaclf.errors import RegionError, SlideError
from napari_gigaclf.geometry import Box
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.array import ArraySlide, SlideFacts
from napari_gigaclf.slides.cache import ChunkCache
from napari_gigaclf.slides.level import LevelSource, level_step, same_picture
from napari_gigaclf.testing.slide_files import picture

PIXELS = np.random.default_rng(0).integers(0, 255, (130, 170, 3)).astype(np.uint8)


@settings(max_examples=150, deadline=None)
@given(
    chunks=st.tuples(st.integers(1, 70), st.integers(1, 200)),
    max_bytes=st.sampled_from([1, 2000, 40_000, 10**7]),
    reads=st.lists(st.tuples(*[st.integers(0, 129)] * 2, *[st.integers(0, 169)] * 2), min_size=1, max_size=8),
)
def test_the_cache_changes_no_pixel_and_keeps_its_limit(chunks, max_bytes, reads):
    cache = ChunkCache(max_bytes)
    for a, b, c, d in reads:
        box = Box(min(a, b), max(a, b) + 1, min(c, d), max(c, d) + 1)
        found = cache.read(
            0, box, shape=(130, 170), chunks=chunks, pixel_bytes=3, fetch=lambda box: PIXELS[box.slices].copy()
        )
        assert np.array_equal(found, PIXELS[box.slices])
        # A single chunk may be larger than the limit; it is then kept alone.
        assert cache.num_bytes <= max(max_bytes, min(chunks[0], 130) * min(chunks[1], 170) * 3)


def test_neighbouring_reads_decode_each_chunk_once():
    fetched = []

    def fetch(box):
        fetched.append(box)
        return PIXELS[box.slices].copy()

    cache = ChunkCache(10**7)
    for x in range(0, 160, 10):
        cache.read(0, Box(0, 40, x, x + 20), shape=(130, 170), chunks=(32, 32), pixel_bytes=3, fetch=fetch)
    area = sum(box.shape[0] * box.shape[1] for box in fetched)
    assert area == 64 * 170


def test_what_is_returned_can_be_written_to():
    """Changing a block that was read changes no later read."""
    slide = open_slide([PIXELS])
    block = slide.read(0, 0, 20, 0, 20)
    block[...] = 0
    assert np.array_equal(slide.read(0, 0, 20, 0, 20), PIXELS[:20, :20])
    cache = ChunkCache(10**7)
    options = {
        "shape": (130, 170),
        "chunks": (32, 32),
        "pixel_bytes": 3,
        "fetch": lambda box: PIXELS[box.slices].copy(),
    }
    for _ in range(2):
        first = cache.read(0, Box(0, 32, 0, 32), **options)
        assert np.array_equal(first, PIXELS[:32, :32])
        first[...] = 0


@pytest.mark.parametrize(
    ("full", "part", "step"),
    [
        ((11685, 13198), (5843, 6599), (2, 2)),
        ((11685, 13198), (366, 413), (32, 32)),
        ((2967, 2220), (1483, 1110), (2, 2)),
        ((2967, 2220), (5, 4), (512, 512)),
        ((33014, 46920), (8253, 11730), (4, 4)),
        ((300, 600), (100, 200), (3, 3)),
        ((500, 300), (200, 120), (2.5, 2.5)),
        ((1000, 1000), (1000, 1000), (1, 1)),
    ],
)
def test_steps(full, part, step):
    assert level_step(full, part) == step


def test_same_picture():
    assert same_picture((2967, 2220), (1483, 1110))
    assert same_picture((2967, 2220), (2, 2))
    assert not same_picture((2967, 2220), (768, 600))
    assert not same_picture((2967, 2220), (2967, 2220))
    assert not same_picture((2967, 2220), (5934, 4440))
    assert not same_picture((2967, 2220), (0, 0))


def huge_slide():
    """Return a slide of 10^10 pixels which are made when asked for."""
    source = LevelSource(
        shape=(100_000, 100_000), chunks=(512, 512), fetch=lambda box: np.full((*box.shape, 3), 7, np.uint8)
    )
    facts = SlideFacts(name="huge", path=None, format="made", dtype=np.dtype(np.uint8), num_channels=3)
    return ArraySlide(facts, [source], kind="brightfield", fingerprint=lambda: "ab" * 16)


def test_more_than_can_be_held_is_refused_before_memory_is_taken():
    slide = huge_slide()
    for ask in (
        lambda: slide.levels[0][...],
        lambda: np.asarray(slide.levels[0]),
        lambda: slide.read(0, 0, 100_000, 0, 100_000),
        lambda: slide.read(0, -50_000, 10, -50_000, 10),
    ):
        with pytest.raises(RegionError, match="GiB"):
            ask()
    assert slide.read(0, 99_999, 100_001, 0, 1).tolist() == [[[7, 7, 7]], [[255, 255, 255]]]
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(slide.levels[0], copy=False)


def test_arrays_that_are_no_images():
    for array in (
        np.zeros(5),
        np.zeros((2, 3, 4, 5)),
        np.zeros((0, 5)),
        np.zeros((4, 4), object),
        np.zeros((4, 4), "c8"),
    ):
        with pytest.raises(SlideError):
            open_slide(array)
    with pytest.raises(SlideError):
        open_slide([])
    with pytest.raises(SlideError, match="same type"):
        open_slide([PIXELS, PIXELS[::2, ::2, 0]])


def test_array_with_alpha_and_masks():
    rgba = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)])
    assert np.array_equal(open_slide(rgba).levels[0][...], PIXELS)
    rgba[..., 3] = 0
    assert (open_slide(rgba).levels[0][...] == 255).all()
    mask = PIXELS[..., 0] > 100
    assert np.array_equal(open_slide(mask).levels[0][...], np.where(mask, 255, 0))


def test_kind_of_arrays():
    assert open_slide(picture(200, 200)).kind == "brightfield"
    assert open_slide(np.full((50, 50, 3), 255, np.uint8)).kind == "brightfield"
    assert open_slide(np.zeros((50, 50, 3), np.uint8)).kind == "brightfield"
    glow = np.zeros((200, 200, 3), np.uint8)
    glow[..., 2] = 12
    glow[50:80, 50:80, 2] = 220
    assert open_slide(glow).kind == "fluorescence"
    # Dark tissue, a pen mark and a black frame are still brightfield.
    dark = picture(200, 200).astype(int) - 120
    framed = np.clip(dark, 0, 255).astype(np.uint8)
    framed[:, :120] = 0
    framed[150:160] = (10, 10, 120)
    assert open_slide(framed).kind == "brightfield"
    assert open_slide(np.zeros((50, 50), np.uint16)).kind == "other"


def test_array_id_follows_content():
    assert open_slide(PIXELS).id == open_slide(PIXELS.copy()).id
    changed = PIXELS.copy()
    changed[5, 5, 0] ^= 1
    assert open_slide(changed).id != open_slide(PIXELS).id
