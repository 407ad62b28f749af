"""The feed with levels whose reading a test can hold up, count and break."""

import threading
import time

import numpy as np
import pytest

from napari_gigaclf.errors import SlideError
from napari_gigaclf.geometry import Box
from napari_gigaclf.slides.array import ArraySlide, SlideFacts
from napari_gigaclf.slides.level import LevelSource
from napari_gigaclf.viewer.progressive import feed as feed_module
from napari_gigaclf.viewer.progressive.feed import Feed

SIDE = 8192
VIEW = Box(2048, 3072, 2048, 3584)


class Gate:
    """Levels of a large image, each pixel a function of its place; reading waits while the gate is shut."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.reads: list[tuple[int, Box]] = []
        self.broken = False

    def pixels(self, level, box):
        rows = (np.arange(box.y0, box.y1)[:, None, None] << level) // 8
        columns = (np.arange(box.x0, box.x1)[None, :, None] << level) // 8
        return (rows * 7 + columns * 3 + np.arange(3)).astype(np.uint8)

    def source(self, level):
        def fetch(box):
            if level < 3:
                assert self.open.wait(20)
            if self.broken:
                raise SlideError("file", "damaged")
            self.reads.append((level, box))
            return self.pixels(level, box)

        side = SIDE >> level
        return LevelSource(shape=(side, side), chunks=(256, 256), fetch=fetch)


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def slide(gate):
    facts = SlideFacts(name="s", path=None, format="t", dtype=np.dtype(np.uint8), num_channels=3)
    sources = [gate.source(level) for level in range(5)]
    return ArraySlide(facts, sources, kind="brightfield", fingerprint=lambda: "0")


@pytest.fixture
def news():
    return []


@pytest.fixture
def make_feed(slide, news, gate):
    feeds = []

    def make(**settings):
        feeds.append(Feed(slide.levels, sharpened=lambda: news.append("sharper"), failed=news.append, **settings))
        return feeds[-1]

    yield make
    gate.open.set()
    for feed in feeds:
        feed.stop()
        assert feed.join(10), "a thread did not end"


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_answers_at_once_with_the_coarser_level_enlarged_and_then_with_the_file(make_feed, gate, slide, news):
    feed = make_feed()
    gate.open.clear()
    first = feed.show(0, VIEW)
    assert not feed.sharp
    exact = gate.pixels(0, VIEW)
    coarse = gate.pixels(4, Box(128, 192, 128, 224)).repeat(16, axis=0).repeat(16, axis=1)
    assert np.array_equal(first, coarse)
    gate.open.set()
    until(lambda: all((0, y, x) in feed.store for y in range(8, 12) for x in range(8, 14)))
    until(lambda: "sharper" in news)
    assert np.array_equal(feed.show(0, VIEW), exact)
    assert np.array_equal(exact, slide.read(0, *VIEW))
    assert feed.sharp


def test_a_tile_that_is_there_is_shown_beside_others_that_are_not(make_feed, gate):
    feed = make_feed()
    feed.show(0, Box(2048, 2304, 2048, 2304))
    until(lambda: (0, 8, 8) in feed.store)
    gate.open.clear()
    shown = feed.show(0, VIEW)
    assert np.array_equal(shown[:256, :256], gate.pixels(0, Box(2048, 2304, 2048, 2304)))
    assert not feed.sharp


def test_the_finest_coarser_level_that_is_there_is_enlarged(make_feed, gate):
    feed = make_feed()
    feed.show(1, Box(1024, 1536, 1024, 1792))
    until(lambda: all((1, y, x) in feed.store for y in (4, 5) for x in (4, 5, 6)))
    gate.open.clear()
    half = gate.pixels(1, Box(1024, 1536, 1024, 1792)).repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(feed.show(0, VIEW), half)


def test_each_tile_is_read_once_however_often_one_looks(make_feed, gate):
    feed = make_feed()
    for _ in range(5):
        feed.show(0, VIEW)
    until(lambda: all((0, y, x) in feed.store for y in range(8, 12) for x in range(8, 14)))
    feed.show(0, VIEW)
    at_level_0 = [box for level, box in gate.reads if level == 0]
    assert len(at_level_0) == len(set(at_level_0)) == 24


def test_a_view_that_has_moved_on_is_not_fetched_any_more(make_feed, gate):
    feed = make_feed()
    gate.open.clear()
    feed.show(0, VIEW)
    elsewhere = Box(6144, 6656, 6144, 6656)
    until(lambda: len(feed._busy) == feed_module.NUM_THREADS)
    feed.show(0, elsewhere)
    gate.open.set()
    until(lambda: all((0, y, x) in feed.store for y in (24, 25) for x in (24, 25)))
    near_view = [box for level, box in gate.reads if level == 0 and box.y0 < 4096]
    assert len(near_view) <= feed_module.NUM_THREADS


def test_reads_ahead_where_the_view_goes(make_feed, gate):
    feed = make_feed()
    feed.show(0, VIEW)
    feed.show(0, VIEW.shifted(0, 256))
    until(lambda: all((0, y, x) in feed.store for y in range(8, 12) for x in (15, 16)))
    assert (0, 8, 7) not in feed.store
    gate.open.clear()
    feed.show(0, VIEW.shifted(0, 512))
    assert feed.sharp, "the next step is there already"


def test_small_levels_are_fetched_ahead_and_kept(make_feed):
    feed = make_feed(max_bytes=2 * 2**20)
    feed.show(0, VIEW.shifted(0, 0).intersection(Box(2048, 2560, 2048, 2560)))
    until(lambda: all((3, y, x) in feed.store for y in range(4) for x in range(4)))
    for step in range(8):
        feed.show(0, Box(0, 512, 512 * step, 512 * step + 512))
        until(lambda: feed.show(0, Box(0, 512, 512 * step, 512 * step + 512)) is not None and feed.sharp)  # noqa: B023
    assert feed.store.num_bytes <= 2 * 2**20
    assert (0, 8, 8) not in feed.store
    assert (3, 0, 0) in feed.store
    assert (4, 0, 0) in feed.store


def test_a_view_too_large_for_the_store_is_left_to_the_reader(make_feed):
    assert not make_feed(max_bytes=2**20).fits(0, VIEW)
    assert make_feed().fits(0, VIEW)


def test_damaged_tiles_are_told_once_and_stay_coarse(make_feed, gate, news):
    feed = make_feed()
    feed.keep_coarsest()
    gate.broken = True
    feed.show(0, VIEW)
    until(lambda: len(feed._broken) >= 24)
    again = feed.show(0, VIEW)
    assert again.any()
    assert feed.sharp, "nothing more will come"
    told = [message for message in news if message != "sharper"]
    assert len(told) == 1
    assert "damaged" in told[0]


def test_a_tile_that_comes_while_it_is_looked_for_is_told_of(make_feed, gate, news, monkeypatch):
    feed = make_feed()
    feed.keep_coarsest()
    box = Box(2048, 2304, 2048, 2304)
    coarser = feed._coarser

    def comes_now(index, part):
        shown = coarser(index, part)
        feed.store.put((0, 8, 8), feed._read((0, 8, 8)))
        return shown

    monkeypatch.setattr(feed, "_coarser", comes_now)
    feed.show(0, box)
    assert news == ["sharper"]
    assert np.array_equal(feed.show(0, box), gate.pixels(0, box))
    assert feed.sharp


def test_without_an_overview_the_background_is_shown_meanwhile(slide, gate):
    gate.open.clear()
    feed = Feed(slide.levels[:1], sharpened=lambda: None, failed=lambda _: None, background=(250, 240, 245))
    assert (feed.show(0, VIEW) == (250, 240, 245)).all()
    gate.open.set()
    until(lambda: (0, 8, 8) in feed.store)
    feed.stop()
    assert feed.join(10)


def test_threads_end_at_once_when_it_is_stopped(make_feed, monkeypatch):
    monkeypatch.setattr(feed_module, "IDLE_SECONDS", 100.0)
    feed = make_feed()
    feed.show(0, VIEW)
    until(lambda: not any(feed._queues()))
    feed.stop()
    assert feed.join(10)


def test_threads_end_when_there_is_nothing_to_do_and_begin_again(make_feed, monkeypatch):
    monkeypatch.setattr(feed_module, "IDLE_SECONDS", 0.05)
    feed = make_feed()
    feed.show(0, VIEW)
    until(lambda: not feed._threads)
    feed.show(0, VIEW.shifted(1024, 1024))
    until(lambda: (0, 15, 15) in feed.store)


def test_closing_the_slide_under_a_view_is_no_crash(make_feed, gate, slide, news):
    feed = make_feed()
    gate.open.clear()
    feed.show(0, VIEW)
    slide.close()
    gate.open.set()
    until(lambda: any("closed" in message for message in news))
    assert feed.show(0, VIEW).shape == (1024, 1536, 3)


def test_two_canvases_share_every_tile_and_each_gets_what_it_looks_at(make_feed, gate, news):
    feed = make_feed()
    feed.keep_coarsest()
    gate.open.clear()
    elsewhere = VIEW.shifted(2048, 2048)
    feed.show(0, VIEW)
    feed.show(0, VIEW.shifted(0, 256), "second")
    assert not feed.sharp
    gate.open.set()
    until(lambda: all((0, y, x) in feed.store for y in range(8, 12) for x in range(8, 15)))
    assert np.array_equal(feed.show(0, VIEW), gate.pixels(0, VIEW)), "the other view did not take its place"
    shifted = VIEW.shifted(0, 256)
    assert np.array_equal(feed.show(0, shifted, "second"), gate.pixels(0, shifted))
    assert feed.sharp
    at_level_0 = [box for level, box in gate.reads if level == 0]
    assert len(at_level_0) == len(set(at_level_0)) == 28, "7 columns of 4 tiles, each read once"
    gate.open.clear()
    feed.show(0, elsewhere, "second")
    assert not feed.sharp
    feed.forget("second")
    assert feed.sharp
    gate.open.set()
