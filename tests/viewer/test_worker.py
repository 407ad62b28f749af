"""The background thread: order, cancelling, closing, and that nothing of ours makes a window wait for ever."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from napari_gigaclf.errors import SlideError
from napari_gigaclf.viewer.controllers.gesture import ClickGesture
from napari_gigaclf.viewer.worker import NICENESS, Job, Worker


def test_answers_come_in_order_and_on_the_pumping_thread(pump, make_worker: Callable[[str], Worker]) -> None:
    worker = make_worker("w")
    answers: list[tuple[int, str]] = []
    for number in range(5):
        worker.submit(
            lambda _job, number=number: number,
            done=lambda n: answers.append((n, threading.current_thread().name)),
            failed=pytest.fail,
        )
    pump.until(lambda: len(answers) == 5)
    assert answers == [(n, threading.main_thread().name) for n in range(5)]


def test_an_error_of_ours_becomes_one_line(pump, make_worker: Callable[[str], Worker]) -> None:
    failures: list[str] = []

    def work(_job: Job[None]) -> None:
        raise SlideError("a.svs", "not a slide")

    make_worker("w").submit(work, done=pytest.fail, failed=failures.append)
    pump.until(lambda: bool(failures))
    assert failures == ["a.svs: not a slide"]


def test_a_fault_inside_reaches_the_window_and_the_next_job_still_runs(
    pump, make_worker: Callable[[str], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))
    worker = make_worker("w")
    failures: list[str] = []
    answers: list[int] = []
    worker.submit(lambda _job: [][0], done=pytest.fail, failed=failures.append)
    pump.until(lambda: bool(failures) and not worker.busy)
    pump.until(lambda: bool(seen))
    worker.submit(lambda _job: 7, done=answers.append, failed=pytest.fail)
    pump.until(lambda: bool(answers))
    assert seen == [IndexError]
    assert answers == [7]


def test_a_waiting_job_that_was_cancelled_never_runs(pump, make_worker: Callable[[str], Worker]) -> None:
    worker = make_worker("w")
    gate = threading.Event()
    outcomes: list[str] = []
    worker.submit(lambda _job: gate.wait(10), done=lambda _: outcomes.append("first"), failed=pytest.fail)
    second = worker.submit(lambda _job: outcomes.append("ran"), done=pytest.fail, failed=outcomes.append)
    second.cancel()
    gate.set()
    pump.until(lambda: len(outcomes) == 2)
    assert outcomes == ["first", ""]


def test_closing_cancels_and_joins_and_a_closed_worker_takes_nothing(pump, make_worker) -> None:
    worker = make_worker("w")
    started = threading.Event()

    def work(job: Job[int]) -> int:
        started.set()
        while not job.is_set():
            time.sleep(0.005)
        return 1

    worker.submit(work, done=lambda _: None, failed=lambda _: None)
    assert started.wait(5)
    assert worker.close()
    assert worker.submit(work, done=pytest.fail, failed=pytest.fail).is_set()


def test_flushing_waits_for_what_was_handed_in_and_cancels_nothing(make_worker) -> None:
    worker = make_worker("w")
    gate, written = threading.Event(), []

    def work(job: Job[None]) -> None:
        gate.wait(10)
        written.append(job.is_set())

    worker.submit(work, done=lambda _: None, failed=lambda _: None)
    worker.submit(work, done=lambda _: None, failed=lambda _: None)
    assert not worker.flush(0.05)
    gate.set()
    assert worker.flush(10)
    assert written == [False, False]
    assert worker.close()
    began = time.monotonic()
    assert not worker.flush(10), "a closed worker takes nothing"
    assert time.monotonic() - began < 5


@pytest.mark.skipif(sys.platform != "linux", reason="priorities per thread exist on Linux only")
def test_the_thread_is_nice_and_the_window_s_is_not(pump, make_worker: Callable[[str], Worker]) -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    found: list[int] = []

    def work(_job: Job[int]) -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    make_worker("w").submit(work, done=found.append, failed=pytest.fail)
    pump.until(lambda: bool(found))
    assert found == [max(NICENESS, before)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_a_finished_job_is_let_go_while_the_thread_waits(pump, make_worker: Callable[[str], Worker]) -> None:
    import gc
    import weakref

    class Held:
        pass

    held = Held()
    alive = weakref.ref(held)
    answers: list[bool] = []
    worker = make_worker("w")
    worker.submit(lambda _job, held=held: held is not None, done=answers.append, failed=pytest.fail)
    pump.until(lambda: bool(answers) and not worker.busy)
    del held
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    ("button", "moves", "clicked"),
    [
        (1, [], True),
        (1, [(11.0, 12.0)], True),
        (1, [(30.0, 10.0), (10.0, 10.0)], False),
        (2, [], False),
    ],
    ids=["click", "trembling hand", "drag that returns", "right button"],
)
def test_a_click_is_a_press_that_hardly_moves(button: int, moves: list[tuple[float, float]], clicked: bool) -> None:
    gesture = ClickGesture()
    gesture.press((10.0, 10.0), button)
    for position in moves:
        gesture.move(position)
    assert gesture.release() is clicked
    assert gesture.release() is False


def test_the_program_does_not_end_before_what_was_handed_in_is_written(tmp_path):
    """In a program of its own: a write that takes longer than anybody waits for, and one that waits behind it."""
    script = f"""
import pathlib, time
from napari_gigaclf.viewer.worker import Worker
worker, folder = Worker("saver", lambda call: None), pathlib.Path({str(tmp_path)!r})
def write(name):
    time.sleep(0.5)
    (folder / name).write_text("whole")
for name in ("first", "second"):
    worker.submit(lambda _job, name=name: write(name), print, print)
assert not worker.finish(0.01)
worker.close(0)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]
