"""A run waits between tiles while the view moves, never for long, and not at all once it is cancelled."""

import threading

import pytest

from napari_gigaclf.viewer.controllers.giving_way import (
    LONGEST_WAIT_SECONDS,
    MOVING_SECONDS,
    STEP_SECONDS,
    WAIT_SHARE,
    GivingWay,
)


class Time:
    """A clock that only sleeping moves on."""

    def __init__(self):
        self.now = 100.0
        self.slept = 0
        self.during_sleep = lambda: None

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.slept += 1
        self.during_sleep()


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def giving_way(time):
    return GivingWay(time.clock, time.sleep)


@pytest.fixture
def wait(giving_way, time):
    wait = giving_way.waiter()
    time.now += 1  # of work
    return wait


def test_a_view_that_stands_still_costs_nothing(giving_way, wait, time):
    wait(threading.Event())
    giving_way.moved()
    time.now += MOVING_SECONDS
    wait(threading.Event())
    assert time.slept == 0


def test_the_run_waits_until_the_view_stands_still(giving_way, wait, time):
    begin = time.now
    giving_way.moved()
    wait(threading.Event())
    assert MOVING_SECONDS <= time.now - begin < MOVING_SECONDS + 2 * STEP_SECONDS


def test_the_run_goes_on_although_the_view_never_stands_still(giving_way, wait, time):
    time.during_sleep = giving_way.moved
    giving_way.moved()
    begin = time.now
    wait(threading.Event())
    assert time.now - begin == pytest.approx(LONGEST_WAIT_SECONDS)


def test_what_took_no_time_is_not_waited_for(giving_way, wait, time):
    time.during_sleep = giving_way.moved
    giving_way.moved()
    wait(threading.Event())
    before = time.now
    for _ in range(100):
        time.now += 0.001
        wait(threading.Event())
    assert time.now - before == pytest.approx(100 * 0.001 * (1 + WAIT_SHARE))


def test_a_cancel_ends_the_waiting_at_once(giving_way, wait, time):
    cancel = threading.Event()
    time.during_sleep = cancel.set
    giving_way.moved()
    wait(cancel)
    assert time.slept == 1


def test_each_run_is_weighed_by_its_own_work(giving_way, wait, time):
    other = giving_way.waiter()
    time.during_sleep = giving_way.moved
    giving_way.moved()
    other(threading.Event())  # has done nothing yet
    begin = time.now
    wait(threading.Event())
    assert time.now - begin == pytest.approx(LONGEST_WAIT_SECONDS)
