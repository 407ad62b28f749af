"""The sentences of the Train widget."""

import dataclasses
from pathlib import Path

from napari_gigaclf.progress import Progress
from napari_gigaclf.training.slides import PRESETS, Epoch, TrainResult
from napari_gigaclf.viewer.controllers.train_jobs import RunLook
from napari_gigaclf.viewer.train_texts import (
    best_number,
    epoch_lines,
    figures_text,
    learns_no_more,
    look_text,
    result_text,
    stopped_text,
    training_problem_text,
)


def epoch(number: int, *, is_best: bool = False) -> Epoch:
    return Epoch(number=number, train_loss=0.5, tuning={"loss": 0.4, "auc": 0.9}, is_best=is_best, seconds=1.0)


def test_the_best_epoch_is_the_last_that_was_better() -> None:
    epochs = [epoch(1, is_best=True), epoch(2, is_best=True), epoch(3)]
    assert best_number(epochs) == 2
    assert best_number([]) == 0
    assert ["(best)" in line for line in epoch_lines(epochs)] == [False, True, False]
    assert epoch_lines(epochs)[2] == "epoch 3: loss 0.5000; tuning: loss 0.4000, AUC 0.9000"


def test_after_the_last_slide_a_run_is_not_said_to_be_over() -> None:
    last = Progress(done=6, total=6, unit="slide", phase="epochs 1 to 2", seconds=3.0)
    assert learns_no_more(last)
    assert not learns_no_more(dataclasses.replace(last, done=5))
    assert not learns_no_more(dataclasses.replace(last, phase="checking slides"))


def test_figures_are_called_by_their_names() -> None:
    assert figures_text({"loss": 0.5, "spearman": -0.25}) == "loss 0.5000, Spearman -0.2500"


def test_a_run_in_the_folder_says_how_it_goes_on() -> None:
    folder = Path("run")
    assert look_text(RunLook(folder=folder), 5) == ""
    begun = RunLook(folder=folder, recipe=PRESETS["default"], epochs=(epoch(1),))
    assert "1 finished epoch is" in look_text(begun, 5)
    assert "is done (1 epoch)" in look_text(begun, 1)


def test_what_a_stop_keeps_is_not_more_than_there_is() -> None:
    assert "model" not in stopped_text([])
    assert "the model of epoch 1" in stopped_text([epoch(1, is_best=True)])


def test_a_result_names_its_model_and_what_was_left_out() -> None:
    result = TrainResult(model=Path("run/model"), epochs=3, best_epoch=2, figures={}, left_out=("a.tif: damaged",))
    text = result_text(result)
    assert "epoch 2 of 3" in text
    assert "left out: a.tif: damaged" in text
    assert text.endswith("not for diagnosis.")


def test_errors_advise_what_the_widget_has() -> None:
    found = training_problem_text(
        "the finest level has 4 um/px, 4.0 times coarser than the model's 1 um/px; to enlarge it all the same give "
        "um_per_px=1 (command line: --um-per-px), or choose a level (level=N, --level N)"
    )
    assert found.endswith("leave such slides out")
    assert "level=N" not in found
    assert "--output" not in training_problem_text("go on with the same ones, or give another --output")
