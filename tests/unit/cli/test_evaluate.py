"""From a table of slides and a model to a report, in one command; a bad slide is listed and stops nothing."""

import csv
import json
import subprocess
import sys
import time

import pytest

from napari_gigaclf.cli import main
from napari_gigaclf.cli.arguments import parse
from napari_gigaclf.cli.configs import EvaluateConfig
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.training.evaluation import figures_of, read_predictions


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """A folder of small phantom slides of 1 um/px: n0 and n1 without tumour, t0 and t1 with."""
    folder = tmp_path_factory.mktemp("phantoms")
    for seed in range(2):
        for name, tumour in (("n", False), ("t", True)):
            PhantomSlide(31 + seed, (512, 512), 1.0, tumour=tumour).save(folder / f"{name}{seed}.tif")
    return folder


@pytest.fixture
def evaluate(tmp_path, capsys):
    """Write a table, evaluate on it, and return exit code, JSON and what a person saw."""

    def run(lines, *options, model="phantom-tumour", output=tmp_path / "out"):
        path = tmp_path / "cohort.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        capsys.readouterr()
        argv = ["evaluate", path, "--model", model, "--output", output, "--device", "cpu", "--draws", "50", "--json"]
        code = main([*map(str, argv), *map(str, options)])
        shown = capsys.readouterr()
        return code, json.loads(shown.out) if shown.out else None, shown.err

    return run


def rows_of(phantoms, split="test"):
    labels = {"n": "normal", "t": "tumour"}
    return [f"{phantoms}/{k}{n}.tif,{labels[k]},{split},p{k}{n}" for n in range(2) for k in "nt"]


HEADER = "slide,label,split,group"


def errors_of(text):
    return [line for line in text.splitlines() if line.startswith("napari-gigaclf: error: ")]


def test_a_model_is_evaluated(phantoms, evaluate, tmp_path):
    from napari_gigaclf.inference import classify

    code, found, _ = evaluate([HEADER, *rows_of(phantoms)])
    assert code == 0
    assert (found["num_slides"], found["num_groups"], found["failures"]) == (4, 4, [])
    assert found["figures"]["auc:tumour"]["value"] == 1.0
    out = tmp_path / "out"
    assert json.loads((out / "evaluation.json").read_text()) == found
    names = {path.name for path in out.iterdir()}
    assert names == {"evaluation.json", "report.html", "predictions.csv", "roc.png", "reliability.png", "confusion.png"}
    predictions = read_predictions(out / "predictions.csv")
    assert figures_of(predictions)["brier"] == pytest.approx(found["figures"]["brier"]["value"])
    expected = classify(phantoms / "t0.tif", "phantom-tumour", saliency=None, device="cpu")
    assert predictions.values[1].tolist() == pytest.approx(list(expected.probabilities.values()), abs=1e-6)
    assert "Research use only" in (out / "report.html").read_text()


def test_a_person_reads_figures_and_nothing_is_replaced_unasked(make_slide, model_folder, tmp_path, capsys):
    for n in range(2):
        make_slide(tmp_path / f"{n}.tif", seed=n)
    (tmp_path / "c.csv").write_text("slide,label\n0.tif,normal\n1.tif,tumour\n")
    out = tmp_path / "out"
    out.mkdir()
    (out / "evaluation.json").write_text("{}")
    argv = ["evaluate", tmp_path / "c.csv", "--model", model_folder, "--output", out, "--split", "all", "--draws", "9"]
    assert main([*map(str, argv)]) == 1
    assert "--overwrite" in errors_of(capsys.readouterr().err)[0]
    assert (out / "evaluation.json").read_text() == "{}"
    assert main([*map(str, argv), "--overwrite"]) == 0
    shown = capsys.readouterr()
    assert "auc tumour" in shown.out
    assert "report.html" in shown.out
    assert "Research use only" in shown.err


def test_a_bad_slide_is_listed_and_the_others_are_evaluated(phantoms, evaluate, tmp_path):
    (tmp_path / "bad.tif").write_text("no slide")
    lines = [HEADER, *rows_of(phantoms), "gone.tif,normal,test,p8", "bad.tif,tumour,test,p9"]
    code, found, shown = evaluate(lines)
    assert code == 1
    assert found["num_slides"] == 4
    assert [(f["slide"], f["row"]) for f in found["failures"]] == [("gone.tif", 6), ("bad.tif", 7)]
    assert len(errors_of(shown)) == 2
    assert "gone.tif" in (tmp_path / "out" / "report.html").read_text()


def test_thresholds_and_comparison(phantoms, evaluate, model_folder, tmp_path):
    rows = rows_of(phantoms)
    rows[:2] = [row.replace(",test,", ",tune,") for row in rows[:2]]
    code, found, _ = evaluate(
        [HEADER, *rows], "--tune-split", "tune", "--compare", model_folder, "--sensitivity", "0.9"
    )
    assert code == 0
    assert found["num_slides"] == 2
    tune = read_predictions(tmp_path / "out" / "predictions-tune.csv")
    assert found["operating_points"][":tumour"]["threshold"] == tune.values[1, 1], "of the only tumour to choose on"
    assert 0 < found["temperature"] < 20
    assert 0 < found["comparison"]["auc:tumour"]["p"] <= 1
    assert "tiny" in found["about"]["compared with"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "predictions-compared.csv" in names


def test_the_scale_of_the_table_is_used(make_slide, evaluate, model_folder, tmp_path):
    for n in range(2):
        make_slide(tmp_path / f"{n}.tif", seed=n, um_per_px=None)
    lines = ["slide,label", "0.tif,normal", "1.tif,tumour"]
    code, found, shown = evaluate(lines, "--split", "all", model=model_folder)
    assert (code, found) == (1, None)
    assert "give them in the cohort's column um_per_px" in shown
    assert "none of 2 slides could be classified" in errors_of(shown)[-1]
    lines = ["slide,label,um_per_px", "0.tif,normal,1", "1.tif,tumour,1"]
    code, found, _ = evaluate(lines, "--split", "all", model=model_folder)
    assert (code, found["num_slides"]) == (0, 2)


@pytest.mark.parametrize(
    ("lines", "options", "said"),
    [
        (["slide,label,split", "a,tumor,test", "b,nrmal,tst"], (), "row 3: unknown split 'tst'"),
        (["slide,label,split", "a,tumor,test", "b,nrmal,tst"], (), "3 errors in the table"),
        (["slide,label,split", "a,normal,test"], (), "no slide of the cohort is of the model's class tumour"),
        (["slide,score,split", "a,1,test"], (), "scores need a model with one output"),
        (["slide,label,split", "a,normal;tumour,test"], (), "sigmoid"),
        (["slide,label", "a,normal", "b,tumour"], (), "no slide is in split 'test' (--split all"),
        (["slide,label,split", "a,normal,test", "b,tumour,test"], ("--tune-split", "tune"), "in split 'tune'"),
        (["slide,label,split", "a,normal,test", "b,tumour,test"], ("--tune-split", "test"), "cannot be measured on"),
        (["slide,label,split", "a,normal,test", "b,tumour,test"], ("--device", "cuda:99"), "cuda:99"),
        (["slide,label,split", "a,normal,test", "b,tumour,test"], ("--compare", "no-such-model"), "no-such-model"),
        (["slide,label,split", "a,normal,test,"], (), "line 2: 4 cells"),
    ],
)
def test_what_is_wrong_is_found_before_any_work(evaluate, tmp_path, lines, options, said):
    code, found, shown = evaluate(lines, *options)
    assert (code, found) == (1, None)
    assert said in shown
    assert len(errors_of(shown)) == 1
    assert "Traceback" not in shown
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_the_answers_so_far(tmp_path, make_slide, model_folder):
    """Stopped in the second slide: the first one's answer is kept, no report is written."""
    import signal

    make_slide(tmp_path / "a.tif")
    make_slide(tmp_path / "b.tif", seed=1, side=4096)
    (tmp_path / "c.csv").write_text("slide,label\na.tif,normal\nb.tif,tumour\n")
    out = tmp_path / "out"
    argv = ["evaluate", tmp_path / "c.csv", "--model", model_folder, "--output", out, "--split", "all"]
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_gigaclf", *map(str, argv), "--device", "cpu"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    seen = ""
    while "b.tif: classifying" not in seen:
        piece = process.stderr.read(1)
        assert piece, seen
        seen += piece
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130, seen + err
    assert "Traceback" not in err
    assert [path.name for path in out.iterdir()] == ["predictions.partial.csv"]
    with (out / "predictions.partial.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["slide"], row["model"]) == ("a.tif", "tiny")
    assert float(row["prob_normal"]) + float(row["prob_tumour"]) == pytest.approx(1)


EVALUATE = ["evaluate", "c.csv", "--model", "m", "--output", "out"]


def test_options():
    from pathlib import Path

    assert parse(EVALUATE) == EvaluateConfig(cohort=Path("c.csv"), model="m", output=Path("out"))
    more = ["--split", "all", "--compare", "m2", "--tune-split", "tune", "--sensitivity", "0.95", "--seed", "3"]
    more += ["--draws", "20", "--device", "cpu", "--memory", "1GB", "--overwrite", "--json", "--debug"]
    assert parse([*EVALUATE, *more]) == EvaluateConfig(
        cohort=Path("c.csv"),
        model="m",
        output=Path("out"),
        split="all",
        compare="m2",
        tune_split="tune",
        sensitivity=0.95,
        seed=3,
        draws=20,
        device="cpu",
        memory="1GB",
        overwrite=True,
        json=True,
        debug=True,
    )


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--split", "valid"], "invalid choice"),
        (["--tune-split", "all"], "invalid choice"),
        (["--sensitivity", "1.1"], "(0, 1]"),
        (["--seed", "-1"], "whole number"),
        (["--draws", "10000000"], "6 digits"),
    ],
)
def test_wrong_options_are_named(capsys, more, named):
    with pytest.raises(SystemExit) as caught:
        parse([*EVALUATE, *more])
    assert caught.value.code == 2
    assert named in capsys.readouterr().err
