"""The report is whole, finite, self-contained and harmless, and never replaces what is not its own."""

import base64
import dataclasses
import html.parser
import io
import json

import numpy as np
import pytest
from PIL import Image

from napari_gigaclf.errors import CohortError, OutputError
from napari_gigaclf.training.evaluation import Failure, evaluate, read_predictions, write_predictions, write_report
from napari_gigaclf.training.evaluation.page import report_page

NASTY = '<script>alert("x")</script>&$\\frac$ é\x07.tif'


class Page(html.parser.HTMLParser):
    """Collects the elements and the text of a page, and checks that they are nested."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def write(folder, predictions, **options):
    extra = {name: options.pop(name) for name in ("failures", "about", "overwrite") if name in options}
    evaluation = evaluate(predictions, draws=20, seed=0, **options)
    given = {name: options[name] for name in ("tune", "other") if name in options}
    return write_report(folder, evaluation, predictions, **given, **extra)


@pytest.mark.parametrize(
    ("task", "plots"),
    [
        ("classification", {"roc", "reliability", "confusion"}),
        ("multilabel", {"roc", "reliability"}),
        ("regression", {"scatter"}),
    ],
)
def test_a_folder_of_everything(tmp_path, made_up, task, plots):
    p = made_up(task=task)
    tune, other = (None if task == "regression" else made_up(task=task, seed=5)), made_up(task=task, strength=0.2)
    other = dataclasses.replace(other, truth=p.truth)
    failures = (Failure(slide="gone.tif", row=7, reason="no such file"),)
    folder = write(tmp_path / "out", p, tune=tune, other=other, failures=failures, about={"model": "m"})
    assert {path.stem for path in folder.glob("*.png")} == plots
    for path in folder.glob("*.png"):
        Image.open(path).verify()
    content = json.loads((folder / "evaluation.json").read_text(), parse_constant=pytest.fail)
    assert content["num_slides"] == 60
    assert content["num_groups"] == 30
    assert content["failures"] == [{"slide": "gone.tif", "row": 7, "reason": "no such file"}]
    assert set(content["comparison"]) <= set(content["figures"])
    if task != "regression":
        assert content["temperature"] > 0
        assert set(content["calibrated"]) == {"brier", "log_loss", "calibration_error"}
        assert set(content["operating_points"]) == set(p.questions)
    again = read_predictions(folder / "predictions.csv", task)
    assert (again.slides, again.groups, again.classes) == (p.slides, p.groups, p.classes)
    np.testing.assert_array_equal(again.truth, p.truth)
    np.testing.assert_array_equal(again.values, p.values)


def test_the_page_needs_nothing_else_and_runs_nothing(tmp_path, made_up):
    p = made_up(num=12, classes=("normal", NASTY, "macro"))
    p = dataclasses.replace(p, slides=(NASTY, *p.slides[1:]))
    folder = write(tmp_path / "out", p, failures=(Failure(slide=NASTY, row=2, reason=NASTY),), about={NASTY: NASTY})
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "a", "form", "base"}
    for tag, attributes in page.elements:
        assert not set(attributes) & {"href", "srcset", "onload", "onerror"}
        if "src" in attributes:
            kind, _, content = attributes["src"].partition(",")
            assert (tag, kind) == ("img", "data:image/png;base64")
            Image.open(io.BytesIO(base64.b64decode(content, validate=True))).verify()
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert any('<script>alert("x")</script>' in piece for piece in page.texts), "shown as text"
    assert "\x07" not in text
    policy = {a.get("http-equiv"): a.get("content") for tag, a in page.elements if tag == "meta"}
    assert policy["Content-Security-Policy"].startswith("default-src 'none'")


def test_one_class_only_is_reported_without_what_cannot_be_told(tmp_path, made_up):
    p = made_up(num=6, classes=("normal", "tumour"))
    p.truth[:] = 0
    folder = write(tmp_path / "out", p, tune=p)
    content = json.loads((folder / "evaluation.json").read_text(), parse_constant=pytest.fail)
    assert content["figures"]["auc:tumour"] == {"value": None, "low": None, "high": None}
    assert content["operating_points"] == {}
    assert "class is missing" in content["notes"][0]
    assert not (folder / "roc.png").exists()
    assert "not defined" in (folder / "report.html").read_text()


def test_thresholds_come_from_the_tune_slides(made_up):
    p, tune = made_up(), made_up(seed=9)
    found = evaluate(p, tune=tune, sensitivity=0.9, draws=5, seed=0).operating_points["_any"]
    scores, labels = tune.questions["_any"]
    assert (scores[labels] >= found.threshold).mean() >= 0.9
    assert found.true_positives + found.false_negatives == int((p.truth != 0).sum())


def test_nothing_of_others_is_replaced(tmp_path, made_up):
    p = made_up(num=12)
    folder = write(tmp_path / "out", p)
    with pytest.raises(OutputError, match="--overwrite"):
        write(folder, p)
    write(folder, p, overwrite=True)
    (folder / "thesis.docx").write_text("precious")
    with pytest.raises(OutputError, match=r"thesis\.docx"):
        write(folder, p, overwrite=True)
    assert (folder / "thesis.docx").read_text() == "precious"
    assert (folder / "report.html").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="not a folder"):
        write(tmp_path / "file", p)


def test_a_very_long_list_is_cut(made_up, monkeypatch):
    monkeypatch.setattr("napari_gigaclf.training.evaluation.page.MAX_LISTED", 3)
    p = made_up(num=12)
    text = report_page(evaluate(p, draws=2, seed=0), p, about={}, failures=[], plots={})
    assert "9 more in predictions.csv" in text
    assert "s003.tif" not in text


def test_no_slides_and_tune_slides_that_do_not_fit(made_up):
    empty = made_up(num=0)
    with pytest.raises(CohortError, match="no slide"):
        evaluate(empty)
    with pytest.raises(CohortError, match="other classes"):
        evaluate(made_up(), tune=made_up(classes=("a", "b")))


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, made_up, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(OutputError, match=r"matplotlib.*napari-gigaclf\[train\]"):
        write(tmp_path / "out", made_up(num=12))


def test_predictions_that_are_none(tmp_path, made_up):
    p = made_up(num=6)
    with pytest.raises(CohortError, match="add to 1"):
        dataclasses.replace(p, values=p.values * 0.5)
    with pytest.raises(CohortError, match=r"in \[0, 1\]"):
        dataclasses.replace(p, values=p.values - 0.9)
    with pytest.raises(CohortError, match="finite"):
        dataclasses.replace(p, values=p.values * np.nan)
    with pytest.raises(CohortError, match="6 slides"):
        dataclasses.replace(p, values=p.values[:, :2])
    path = tmp_path / "p.csv"
    write_predictions(p, path)
    text = path.read_text()
    for old, new, said in (
        ("truth", "label", "column truth"),
        (",itc,", ",itd,", "'itd' is not one of"),
        ("0.", "x", "float"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(CohortError, match=said):
            read_predictions(path)
    path.write_text("slide,truth,prob_a\n")
    with pytest.raises(CohortError, match="no row"):
        read_predictions(path)
