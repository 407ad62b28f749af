"""The bar shows what is reported: how much, how fast, how long still."""

import signal
import threading

import pytest

from napari_gigaclf.cli.bar import progress_bar
from napari_gigaclf.cli.interrupt import interruptible
from napari_gigaclf.cli.say import one_line, size, table
from napari_gigaclf.progress import Progress


def report(done, phase="classifying", total=8):
    return Progress(done=done, total=total, unit="tile", phase=phase, seconds=1.0)


def test_a_bar_per_phase_with_rate_and_remaining_time(capsys):
    with progress_bar("a.svs") as show:
        for done in (0, 3, 8):
            show(report(done))
        show(report(1, "saliency", 4))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "a.svs: classifying" in shown.err
    assert "8/8" in shown.err
    assert "tiles/s" in shown.err
    assert "a.svs: saliency" in shown.err
    assert "1/4" in shown.err


def test_ctrl_c_once_asks_twice_stops_and_afterwards_is_as_before(capsys):
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as stop:
        assert not stop.is_set()
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        assert "will be kept" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_is_changed():
    found = []

    def work():
        with interruptible() as stop:
            found.append(stop.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]


def test_what_is_said_is_one_line_whatever_a_file_is_called():
    assert one_line("bad\nname\x1b[31m.svs:\t no") == "bad name [31m.svs: no"
    assert table([("a", "1"), ("long", "2")], "  ") == "  a     1\n  long  2"
    assert table([]) == ""
    assert (size(0), size(1500), size(2.5e9), size(7e13)) == ("0 B", "1.5 kB", "2.5 GB", "70 TB")
