"""``train-tiles`` as a person types it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
import torch

from napari_gigaclf.cli import main
from napari_gigaclf.models import load_model
from napari_gigaclf.testing.cohorts import write_small_cohort
from napari_gigaclf.testing.runs import losses_of
from napari_gigaclf.testing.tiles import write_annotated_slides, write_small_tiles

QUICK = ["--set", "um_per_px=4", "--set", "epochs=2", "--set", "batch_size=4"]


@pytest.fixture
def tiles(tmp_path):
    return write_small_tiles(tmp_path / "tiles")


def test_check_names_every_problem_and_writes_nothing(tiles, capsys):
    (tiles / "plain" / "patient0" / "broken.png").write_bytes(b"")
    before = sorted(tiles.parent.rglob("*"))
    assert main(["train-tiles", str(tiles), "--check"]) == 1
    out = capsys.readouterr().out
    assert "broken.png" in out
    assert "um_per_px is missing" in out
    assert main(["train-tiles", str(tiles), "--check", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert {problem["kind"] for problem in report["problems"]} == {"unreadable-tile", "no-scale"}
    assert (report["ok"], report["num_tiles"]) == (False, 24)
    assert sorted(tiles.parent.rglob("*")) == before


def test_tiles_become_a_model_that_classifies_and_that_slides_go_on_from(tiles, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train-tiles", str(tiles), "--output", str(run), *QUICK]) == 0
    captured = capsys.readouterr()
    assert "epoch 2: loss" in captured.out
    assert f"start_from={run / 'model'}" in captured.out
    write_small_cohort(tmp_path)
    assert main(["classify", str(tmp_path / "1.tif"), "--model", str(run / "model"), "--slide-um-per-px", "4",
                 "--output", str(tmp_path / "results"), "--saliency", "none"]) == 0  # fmt: skip
    start = ["--set", f"start_from={run / 'model'}", "--set", 'frozen=["trunk"]', "--set", "epochs=1"]
    table = str(tmp_path / "cohort.csv")
    assert main(["train", table, "--output", str(tmp_path / "slides"), *start, "--set", "um_per_px=4"]) == 0
    assert load_model(tmp_path / "slides" / "model").config.network == "cell-net"


def test_check_counts_what_would_be_learnt_from_and_tuned_on_and_fails_where_the_run_would(tmp_path, capsys):
    tiles, scale = write_small_tiles(tmp_path / "tiles"), ["--set", "um_per_px=4"]
    assert main(["train-tiles", str(tiles), "--check", *scale]) == 0
    assert "train: 10 plain, 10 spots\ntune: 2 plain, 2 spots" in capsys.readouterr().out
    for patient in (1, 2, 3, 4, 5):
        shutil.rmtree(tiles / "plain" / f"patient{patient}")
        shutil.rmtree(tiles / "spots" / f"patient{patient}")
    assert main(["train-tiles", str(tiles), "--check", *scale]) == 1
    assert "1 groups cannot be divided between 2 splits" in capsys.readouterr().out
    (tiles / "spots" / "patient0").rename(tiles / "spots" / "patient1")
    assert main(["train-tiles", str(tiles), "--check", *scale]) == 1
    assert "split 'train' has no tile of" in capsys.readouterr().out


def test_a_run_is_not_overwritten_and_its_recipe_is_gone_on_with(tiles, tmp_path, capsys):
    command = ["train-tiles", str(tiles), "--output", str(tmp_path / "run")]
    assert main([*command, *QUICK]) == 0
    assert main([*command, *QUICK]) == 1
    assert "--resume" in capsys.readouterr().err
    assert main([*command, "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["epochs"] == 2


def test_annotated_slides_become_a_model(tmp_path, capsys):
    table = str(write_annotated_slides(tmp_path / "slides"))
    options = ["--set", "um_per_px=1", "--set", "epochs=1", "--set", "max_tiles=4", "--set", "label_px=32"]
    assert main(["train-tiles", table, "--check", *options]) == 0
    assert "train: 12 plain, 12 spots" in capsys.readouterr().out
    classes = ["--classes", "spots,plain"]
    assert main(["train-tiles", table, *options, *classes, "--output", str(tmp_path / "run")]) == 0
    assert load_model(tmp_path / "run" / "model").classes == ("spots", "plain")


@contextmanager
def ctrl_c_when(condition):
    """Press Ctrl-C as soon as something is the case."""
    ended = threading.Event()

    def watch():
        while not ended.wait(0.001):
            if condition():
                signal.raise_signal(signal.SIGINT)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def test_ctrl_c_while_tiles_are_drawn_says_that_nothing_is_learnt_yet(tmp_path, capsys):
    run = tmp_path / "run"
    command = ["train-tiles", str(write_annotated_slides(tmp_path / "slides")), "--output", str(run)]
    command += ["--set", "um_per_px=1", "--set", "epochs=1", "--set", "label_px=16"]
    with ctrl_c_when(lambda: any(run.glob(".tiles.*.partial/*/*/*/*.png"))):
        assert main(command) == 130
    said = capsys.readouterr().err
    assert "nothing is learnt yet: begin with the same command" in said
    assert "state" not in said
    assert not any(run.rglob("*.png"))
    assert main([*command, "--set", "max_tiles=2"]) == 0


def test_ctrl_c_while_tiles_are_learnt_from_says_that_the_state_is_kept(tiles, tmp_path, capsys):
    run = tmp_path / "run"
    command = ["train-tiles", str(tiles), "--output", str(run), *QUICK, "--set", "epochs=20"]
    with ctrl_c_when((run / "log.jsonl").is_file):
        assert main(command) == 130
    assert f"the state is kept in {run}: go on with --resume" in capsys.readouterr().err
    step = json.loads((run / "state" / "counters.json").read_text())["counters"]["step"]
    assert 0 < step == len(losses_of(run)) < 100


@pytest.mark.slow
def test_a_process_that_was_killed_goes_on_to_the_same_weights(tiles, tmp_path):
    """SIGKILL within the run, then --resume; against a run that nothing happened to."""
    command = ["train-tiles", str(tiles), *QUICK, "--set", "epochs=4", "--output"]
    torch.set_num_threads(1)
    assert main([*command, str(tmp_path / "whole")]) == 0
    program = [sys.executable, "-m", "napari_gigaclf", *command, str(tmp_path / "parts")]
    killed = subprocess.Popen(program, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and not (tmp_path / "parts" / "state").exists():
        time.sleep(0.01)
    killed.kill()
    assert killed.wait(60) != 0, "it was killed within its run"
    assert main([*command, str(tmp_path / "parts"), "--resume"]) == 0
    one, other = (load_model(tmp_path / run / "model").state_dict() for run in ("whole", "parts"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "epoch=3"], "did you mean 'epochs'"),
        (["--preset", "smal"], "did you mean 'small'"),
        (["--set", "um_per_px=1"], "--output RUN is missing"),
        ([], "1 errors, listed above; nothing was run"),
        (["--set", "um_per_px=1", "--classes", "plain,spot"], "2 errors, listed above"),
    ],
)
def test_what_is_wrong_is_one_line(tiles, capsys, arguments, words):
    assert main(["train-tiles", str(tiles), *arguments]) == 1
    assert words in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--group", "("], ["--classes", "a,a"], ["--preset", "a", "--recipe", "b"]])
def test_options_that_make_no_sense_are_refused(tiles, arguments):
    with pytest.raises(SystemExit) as error:
        main(["train-tiles", str(tiles), "--output", "x", *arguments])
    assert error.value.code == 2


def test_what_is_not_there_is_said(tmp_path, capsys):
    assert main(["train-tiles", str(tmp_path / "none"), "--check"]) == 1
    assert "there is no such folder, archive or table" in capsys.readouterr().err
