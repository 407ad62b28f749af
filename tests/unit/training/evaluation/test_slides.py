"""A model answers what a cohort asks, or is refused before any slide is opened."""

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_gigaclf.errors import CohortError, GigaclfError
from napari_gigaclf.models import load_model
from napari_gigaclf.training.cohort import read_cohort
from napari_gigaclf.training.evaluation import figures_of, predictions_of
from napari_gigaclf.training.evaluation.slides import check_fit, predict_slide


def model_of(*classes, activation="softmax"):
    return SimpleNamespace(name="m", classes=classes, activation=activation)


@pytest.fixture
def cohort(tmp_path):
    """Read a table from its lines."""

    def read(*lines, **options):
        (tmp_path / "c.csv").write_text("\n".join(lines) + "\n")
        return read_cohort(tmp_path / "c.csv", **options)

    return read


def test_models_that_fit(cohort):
    check_fit(cohort("slide,label", "a,x", "b,y"), model_of("y", "x"))
    check_fit(cohort("slide,label", "a,x;y", "b,"), model_of("x", "y", activation="sigmoid"))
    check_fit(cohort("slide,score", "a,1"), model_of("score", activation="sigmoid"))


@pytest.mark.parametrize(
    ("lines", "options", "model", "said"),
    [
        (["slide,label", "a,x", "b,z"], {}, model_of("x", "y"), "the classes are x, z and x, y"),
        (["slide,label", "a,x"], {"classes": ("x", "y")}, model_of("x", "y"), "model's class y"),
        (["slide,label", "a,x;y"], {}, model_of("x", "y"), "sigmoid"),
        (["slide,score", "a,1"], {}, model_of("x", "y"), "one output"),
    ],
)
def test_models_that_do_not(cohort, lines, options, model, said):
    with pytest.raises(CohortError, match=said):
        check_fit(cohort(*lines, **options), model)


def test_rows_without_an_answer_are_left_out(cohort):
    several = cohort("slide,label", "a,x;y", "b,", "c,x")
    answers = {2: np.array([0.9, 0.8]), 4: np.array([0.7, 0.1])}
    found = predictions_of(several, answers)
    assert (found.slides, found.truth.tolist()) == (("a", "c"), [[True, True], [True, False]])
    assert figures_of(found)["accuracy"] == 1.0
    scores = predictions_of(cohort("slide,score", "a,1", "b,2"), {2: np.array([0.4]), 3: np.array([0.5])})
    assert figures_of(scores)["spearman"] == pytest.approx(1.0)
    assert len(predictions_of(several, {})) == 0


def test_a_slide_of_bare_glass_has_no_answer(cohort, tmp_path):
    image = np.full((256, 256, 3), 244, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "glass.tif", image, photometric="rgb", tile=(128, 128))
    (row,) = cohort("slide,label,um_per_px", "glass.tif,normal,1").rows
    with pytest.raises(GigaclfError, match=r"glass\.tif: no tissue found"):
        predict_slide(row, load_model("phantom-tumour"), device="cpu")
