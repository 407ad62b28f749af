"""The saved model: a folder like any other, whose streamed map is the map that was painted."""

import dataclasses

import numpy as np
import pytest
import torch

from napari_gigaclf.errors import ModelError, OutputError
from napari_gigaclf.inference import Prediction, classify
from napari_gigaclf.inference.teaching.applying import apply_taught
from napari_gigaclf.inference.teaching.checking import cross_validate
from napari_gigaclf.inference.teaching.learning import evidence_of, learn
from napari_gigaclf.inference.teaching.lesson import BaseModel, Example, TaughtSlide, new_lesson
from napari_gigaclf.inference.teaching.painting import Canvas
from napari_gigaclf.inference.teaching.taught_model import save_taught_model, taught_model
from napari_gigaclf.inference.teaching.vectors import to_text
from napari_gigaclf.models import load_model, save_model
from napari_gigaclf.models.card_text import card_markdown
from napari_gigaclf.models.golden import golden_difference
from napari_gigaclf.slides import open_slide


@pytest.fixture
def taught(make_model, pixels, tmp_path):
    """Return a function that teaches three classes on a base model: (lesson, head, check, base folder, canvas)."""

    def make(**changes):
        folder = tmp_path / "base"
        save_model(make_model(**changes), folder)
        base = load_model(folder)
        result = classify(open_slide(pixels, um_per_px=1.0), base, tissue=False, saliency=None, tile=160)
        canvas = Canvas.of(result.store, result.grid)
        about = BaseModel(
            name=base.name,
            version=base.version,
            sha256=base.sha256,
            source=str(folder),
            num_features=canvas.num_features,
        )
        mean, deviation = map(to_text, canvas.moments())
        lesson = new_lesson("l", about, ("a", "b", "c")).with_slide(
            TaughtSlide(slide_id="s", name="name of a patient.svs", num_cells=9, mean=mean, deviation=deviation)
        )
        rng = np.random.default_rng(0)
        for number, n in enumerate(rng.choice(len(canvas.features), min(12, len(canvas.features)), replace=False)):
            (cell,) = canvas.cells_of(np.array([n]))
            lesson = lesson.with_example(
                Example(
                    slide_id="s",
                    place=canvas.grid.centre_of(*map(int, cell)),
                    class_number=number % 3,
                    features=to_text(canvas.features[n]),
                )
            )
        evidence = evidence_of(lesson)
        return lesson, learn(evidence), cross_validate(evidence), folder, canvas

    return make


@pytest.mark.parametrize(
    "changes",
    [
        {"pooling": "max"},
        {"pooling": "attention", "activation": "sigmoid"},
        {"pooling": "mean", "network": "cell-net-context"},
        {"network": "resnet18", "pooling": "mean", "classes": ("score",), "activation": "identity",
         "card": None},
        {"network": "paper-table2-22", "pooling": "highest"},
    ],
    ids=["max", "attention", "context", "resnet18, a score", "paper, with a tail"],
)  # fmt: skip
def test_its_streamed_map_is_the_painted_one(taught, make_model, tmp_path, changes):
    from tests.unit.inference.conftest import CARD, texture

    if changes.get("card", CARD) is None:
        changes = {**changes, "card": dataclasses.replace(CARD, positive_class="")}
    lesson, head, check, base, _ = taught(**changes)
    folder = save_taught_model(lesson, head, check, load_model(base), tmp_path / "my teaching")
    model = load_model(folder)
    assert model.classes == ("a", "b", "c")
    assert golden_difference(model) < 1e-4
    other = open_slide(texture((331, 250), seed=8), um_per_px=1.0)
    features = classify(other, load_model(base), saliency=None, tissue=False)
    painted = Canvas.of(features.store, features.grid).painted(head)
    streamed = classify(other, model, saliency=None, tissue=False, tile=224)
    assert np.isfinite(painted).all()
    assert streamed.probability_map == pytest.approx(painted, abs=2e-5)
    best = streamed.probabilities
    assert max(best["b"], best["c"]) == pytest.approx(painted[1:].max(), abs=1e-4)


def test_the_card_says_how_it_was_made(taught, tmp_path):
    lesson, head, check, base, _ = taught()
    model = taught_model(lesson, head, check, load_model(base), "mine")
    text = card_markdown(model.config)
    assert "taught by clicks on 1 slide" in model.card.title
    assert "a 4, b 4, c 4" in model.card.summary
    assert model.card.measured["cross_validated_accuracy"] == pytest.approx(check.accuracy, abs=1e-4)
    assert model.card.measured["examples_asked"] == 12
    assert "highest place of any class but a" in text
    assert "patient" not in text
    assert model.card.research_use_only


def test_other_weights_are_refused(taught, make_model, tmp_path):
    lesson, head, check, base, _ = taught()
    other = make_model()
    with torch.no_grad():
        other.trunk[1].weight.mul_(1.01)
    save_model(other, base)
    with pytest.raises(ModelError, match="give back the weights that were there"):
        taught_model(lesson, head, check, load_model(base), "mine")


@pytest.mark.parametrize("name", ["", "../up", "a/b", "x" * 101])
def test_a_name_that_cannot_be_one_is_refused(taught, name):
    lesson, head, check, base, _ = taught()
    with pytest.raises(ModelError, match="may hold letters"):
        taught_model(lesson, head, check, load_model(base), name)


def test_nothing_is_overwritten(taught, tmp_path):
    lesson, head, check, base, _ = taught()
    there = tmp_path / "mine"
    there.mkdir()
    (there / "notes.txt").write_text("keep me")
    with pytest.raises(OutputError, match="exists already"):
        save_taught_model(lesson, head, check, load_model(base), there)
    assert (there / "notes.txt").read_text() == "keep me"


def test_applied_to_kept_features_it_says_what_its_own_run_says(taught, tmp_path):
    from tests.unit.inference.conftest import texture

    lesson, head, check, base, _ = taught(pooling="mean")
    model = taught_model(lesson, head, check, load_model(base), "my teaching")
    other = open_slide(texture((331, 250), seed=8), um_per_px=1.0)
    features = classify(other, load_model(base), saliency=None, tile=224)
    stored = Prediction.load(features.save(tmp_path / "features.gigaclf", whole_features=True))
    applied = Prediction.load(apply_taught(stored, model).save(tmp_path / "applied.gigaclf", whole_features=True))
    folder = save_taught_model(lesson, head, check, load_model(base), tmp_path / "my teaching")
    run = classify(other, load_model(folder), saliency=None, tile=224)
    assert applied.record.model == run.record.model, "also the digest of its weights"
    assert applied.record.parameters["features"].startswith(f"{features.record.model.name} 1.0, run ")
    assert np.asarray(applied.probability_map) == pytest.approx(run.probability_map, abs=1e-6, nan_ok=True)
    assert applied.probabilities == pytest.approx(run.probabilities, abs=1e-6)
    assert applied.store.scores == pytest.approx(run.store.scores, abs=1e-5)
    place = applied.grid.centre_of(*np.argwhere(applied.store.kept)[3])
    assert applied.query(place).probabilities == pytest.approx(run.query(place).probabilities, abs=1e-6)
    with pytest.raises(ModelError, match="half precision"):
        apply_taught(Prediction.load(features.save(tmp_path / "half.gigaclf")), model)
