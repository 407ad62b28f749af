"""Training on whole slides: what is learnt, how a run goes on, and what happens when something breaks."""

import dataclasses
import json
import threading

import numpy as np
import pytest
import torch

from napari_gigaclf import classify, open_slide
from napari_gigaclf.errors import Cancelled, CohortError, OutputError, SlideError, TrainingError
from napari_gigaclf.models import load_model
from napari_gigaclf.testing.runs import assert_same_weights, losses_of, weights_of
from napari_gigaclf.training.cohort import read_cohort
from napari_gigaclf.training.runs import run as run_module
from napari_gigaclf.training.slides import preset, train, with_settings


@pytest.fixture(scope="module")
def trained(slides_folder, tmp_path_factory):
    """A run that learns a new last layer and pooling on a built-in trunk."""
    settings = ["start_from=phantom-tumour", 'frozen=["trunk"]', "pooling=mean", "um_per_px=4", "memory=100MB"]
    recipe = with_settings(preset("default"), [*settings, "batch_size=6", "epochs=12", "learning_rate=0.02"])
    folder = tmp_path_factory.mktemp("runs") / "run"
    epochs = []
    result = train(read_cohort(slides_folder / "cohort.csv"), recipe, folder, on_epoch=epochs.append)
    return folder, result, epochs


def test_a_network_learns_from_slide_labels(trained):
    _, result, epochs = trained
    assert epochs[-1].train_loss < 0.7 * epochs[0].train_loss
    assert result.figures["auc"] == 1.0
    assert [epoch.number for epoch in epochs] == list(range(1, 13))
    assert epochs[result.best_epoch - 1].is_best


@pytest.mark.slow
def test_a_whole_network_learns_from_slide_labels(cohort, tmp_path):
    settings = ["network=cell-net", "um_per_px=4", "input_px=128", "batch_size=6", "epochs=8", "learning_rate=0.003"]
    epochs = []
    train(cohort, with_settings(preset("default"), settings), tmp_path / "run", on_epoch=epochs.append)
    assert epochs[-1].train_loss < 0.5 * epochs[0].train_loss
    assert max(epoch.tuning["auc"] for epoch in epochs) == 1.0


def test_the_model_gives_in_classify_what_the_tuning_slides_gave(trained, slides_folder):
    folder, result, _ = trained
    cohort = read_cohort(slides_folder / "cohort.csv").of_split("tune")
    losses = []
    for row in cohort.rows:
        with open_slide(row.slide, um_per_px=4.0) as slide:
            found = classify(slide, folder / "model", saliency=None).probabilities
        losses.append(-np.log(found[cohort.classes[row.labels[0]]]))
    # The figures of the result are those before the temperature.
    temperature = result.figures["temperature"]
    assert temperature > 0
    assert np.mean(losses) <= result.figures["loss"] + 1e-6


def test_the_run_folder_records_what_was_done(trained):
    folder, result, _ = trained
    expected = {"recipe.json", "cohort.csv", "record.json", "log.jsonl", "state", "model"}
    assert expected <= {path.name for path in folder.iterdir()}
    record = json.loads((folder / "record.json").read_text())
    assert record["cohort"]["slides"] == 10
    assert record["packages"]["torch"] == torch.__version__.split("+")[0] or record["packages"]["torch"]
    card = load_model(folder / "model").card
    assert "6 slides" in card.training_data
    assert f"epoch {result.best_epoch}" in card.measured_with
    assert card.measured["tuning auc"] == 1.0
    again = read_cohort(folder / "cohort.csv")
    assert again.rows[0].slide.is_file()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(cohort, quick, tmp_path, monkeypatch):
    quick = dataclasses.replace(quick, epochs=3)
    train(cohort, quick, tmp_path / "whole")
    stop, seen = threading.Event(), []

    def after_nine(progress):
        seen.append(progress)
        if len(seen) in (4, 8):  # in the first half of the second step, and within the second epoch
            stop.set()

    for resume in (False, True, True):
        stop.clear()
        try:
            train(cohort, quick, tmp_path / "parts", resume=resume, progress=after_nine, cancel=stop)
        except Cancelled:
            continue
    assert len(seen) > 18, "slides of interrupted steps are learnt from again"
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")
    assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "parts")


def test_a_run_that_was_killed_goes_on_from_its_last_state(cohort, quick, tmp_path, monkeypatch):
    """A kill writes nothing any more: the last state between steps is what there is."""

    class Killed(BaseException):
        pass

    def dies(progress):
        if progress.done == 10:
            raise Killed

    train(cohort, quick, tmp_path / "whole")
    monkeypatch.setattr(run_module, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(run_module.Run, "keep", lambda _run: None)  # a kill writes nothing any more
    with pytest.raises(Killed):
        train(cohort, quick, tmp_path / "parts", progress=dies)
    train(cohort, quick, tmp_path / "parts", resume=True)
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")
    assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "parts")


def test_whatever_breaks_a_run_all_that_was_learnt_is_kept(cohort, quick, tmp_path):
    def breaks(progress):
        if progress.done == 5:  # within the second step
            raise KeyboardInterrupt

    train(cohort, quick, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(cohort, quick, tmp_path / "parts", progress=breaks)
    assert len(losses_of(tmp_path / "parts")) == 1
    train(cohort, quick, tmp_path / "parts", resume=True)
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")
    assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "parts"), "no step is made twice"


def test_two_budgets_of_memory_give_the_same_losses(cohort, quick, tmp_path):
    for memory in ("30MB", "400MB"):
        train(cohort, dataclasses.replace(quick, memory=memory), tmp_path / memory)
    np.testing.assert_allclose(losses_of(tmp_path / "30MB"), losses_of(tmp_path / "400MB"), rtol=1e-3)


def test_another_run_is_not_overwritten_nor_gone_on_with(cohort, quick, tmp_path):
    short = dataclasses.replace(quick, epochs=1)
    train(cohort, short, tmp_path / "run")
    with pytest.raises(CohortError, match="a run is there already"):
        train(cohort, short, tmp_path / "run")
    with pytest.raises(CohortError, match="another recipe or other data"):
        train(cohort, dataclasses.replace(short, learning_rate=0.1), tmp_path / "run", resume=True)
    (tmp_path / "run" / "state" / "counters.json").write_text("{}")
    with pytest.raises(CohortError, match="cannot be read"):
        train(cohort, short, tmp_path / "run", resume=True)


def test_more_epochs_go_on_from_a_finished_run(cohort, quick, tmp_path):
    train(cohort, dataclasses.replace(quick, epochs=2), tmp_path / "whole")
    train(cohort, dataclasses.replace(quick, epochs=1), tmp_path / "parts")
    result = train(cohort, dataclasses.replace(quick, epochs=2), tmp_path / "parts", resume=True)
    assert result.epochs == 2
    assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "parts")


def test_a_loss_that_is_not_finite_stops_and_names_the_slide(cohort, quick, tmp_path):
    wild = dataclasses.replace(quick, learning_rate=1e30, epochs=5)
    with pytest.raises(TrainingError, match=r"epoch \d: the (loss|gradient).*\.tif"):
        train(cohort, wild, tmp_path / "run")


def broken(cohort, folder):
    """Return the cohort with a slide that opens but does not read."""
    row = cohort.of_split("train").rows[2]
    data = bytearray(row.slide.read_bytes())
    bad = folder / "broken.tif"
    bad.write_bytes(data[: len(data) // 3])
    return cohort.with_rows(
        dataclasses.replace(r, slide=bad, name="broken.tif") if r is row else r for r in cohort.rows
    )


def test_a_slide_that_breaks_stops_the_run_or_is_left_out(cohort, quick, tmp_path):
    bad = broken(cohort, tmp_path)
    with pytest.raises((SlideError, OSError)):
        train(bad, quick, tmp_path / "stops")
    result = train(bad, dataclasses.replace(quick, bad_slides="leave-out"), tmp_path / "goes-on")
    assert len(result.left_out) == 1
    assert result.left_out[0].startswith("broken.tif: ")
    assert result.epochs == 2


def test_a_full_disk_leaves_the_last_good_state_and_model(cohort, quick, tmp_path, monkeypatch):
    from napari_gigaclf.training.runs import state

    train(cohort, dataclasses.replace(quick, epochs=1), tmp_path / "run")
    before = weights_of(tmp_path / "run")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "save_file", full)
    with pytest.raises(OutputError, match="No space left"):
        train(cohort, quick, tmp_path / "run", resume=True)
    monkeypatch.undo()
    result = train(cohort, quick, tmp_path / "run", resume=True)
    assert result.epochs == 2
    assert set(before) == set(weights_of(tmp_path / "run"))


def test_frozen_parts_stay_and_a_model_is_gone_on_with(cohort, quick, tmp_path):
    start = load_model("phantom-tumour")
    recipe = dataclasses.replace(quick, network=None, start_from="phantom-tumour", frozen=("trunk",), epochs=1)
    train(cohort, recipe, tmp_path / "run")
    found = load_model(tmp_path / "run" / "model")
    for name, value in start.state_dict().items():
        if name.startswith(("trunk.", "normalise.")):
            assert torch.equal(found.state_dict()[name], value), name
    assert found.classes == ("plain", "spots")
    with pytest.raises(CohortError, match="no parameter is called 'trnk'"):
        train(cohort, dataclasses.replace(recipe, frozen=("trnk",)), tmp_path / "other")


@pytest.mark.parametrize("pooling", ["max", "mean", "attention"])
def test_scores_are_learnt(slides_folder, quick, tmp_path, pooling):
    cohort = read_cohort(slides_folder / "scores.csv")
    assert cohort.task == "regression"
    recipe = dataclasses.replace(quick, pooling=pooling, epochs=1)
    result = train(cohort, recipe, tmp_path / "run")
    assert "spearman" in result.figures
    model = load_model(tmp_path / "run" / "model")
    assert (model.classes, model.activation, model.config.pooling) == (("score",), "identity", pooling)
    with open_slide(slides_folder / "7.tif", um_per_px=4.0) as slide:
        before = classify(slide, model, saliency=None).probabilities["score"]
        with torch.no_grad():
            model.head[-1].bias.add_(7.5)  # scores are no probabilities: they may be anything
        after = classify(slide, model, saliency=None).probabilities["score"]
    assert after == pytest.approx(before + 7.5, abs=1e-4)
    assert abs(before - np.mean(cohort.of_split("train").targets)) < 1, "it begins at the mean"


def test_several_labels_are_learnt(slides_folder, quick, tmp_path):
    table = tmp_path / "labels.csv"
    text = (slides_folder / "cohort.csv").read_text()
    lines = [f"{slides_folder}/{line}" if ".tif" in line else line for line in text.splitlines()]
    table.write_text("\n".join(line.replace("spots", "spots;dark") for line in lines) + "\n")
    cohort = read_cohort(table)
    assert cohort.task == "multilabel"
    train(cohort, dataclasses.replace(quick, epochs=1, class_weights=True), tmp_path / "run")
    assert load_model(tmp_path / "run" / "model").activation == "sigmoid"


def test_training_ends_early_when_nothing_gets_better(cohort, quick, tmp_path):
    recipe = dataclasses.replace(quick, epochs=6, patience=1, learning_rate=1e-12, dropout=None)
    result = train(cohort, recipe, tmp_path / "run")
    assert result.epochs <= 3


def test_layers_are_added_to_a_model_and_trained_alone(cohort, quick, tmp_path):
    recipe = dataclasses.replace(
        quick, network="cell-net-context", start_from="phantom-tumour", frozen=("trunk.conv*", "trunk.norm*"), epochs=1
    )
    train(cohort, recipe, tmp_path / "run")
    start, found = load_model("phantom-tumour").state_dict(), load_model(tmp_path / "run" / "model").state_dict()
    for name, value in found.items():
        if name.startswith(("trunk.conv", "trunk.norm")):
            assert torch.equal(start[name], value), name
    assert any(name.startswith("trunk.context") for name in found)
    with pytest.raises(CohortError, match="phantom-tumour is a cell-net"):
        train(cohort, dataclasses.replace(quick, start_from="phantom-tumour"), tmp_path / "other")
