"""``train`` as a person types it."""

import json

import pytest
from tifffile import imwrite

from napari_gigaclf.cli import main
from napari_gigaclf.models import load_model
from napari_gigaclf.testing.slide_files import picture

QUICK = [
    "--set", "start_from=phantom-tumour", "--set", 'frozen=["trunk"]', "--set", "um_per_px=2", "--set", "epochs=1",
    "--set", "batch_size=2", "--set", "tissue=false", "--memory", "100MB",
]  # fmt: skip


@pytest.fixture
def table(tmp_path):
    lines = ["slide,label,group,um_per_px"]
    for number in range(8):
        imwrite(tmp_path / f"{number}.tif", picture(100, 130, seed=number), photometric="rgb")
        lines.append(f"{number}.tif,{'ab'[number % 2]},patient{number},2")
    path = tmp_path / "cohort.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_check_names_every_problem_and_writes_nothing(table, capsys):
    table.write_text(table.read_text() + "missing.tif,a,p9,2\n0.tif,b,p10,2\n")
    before = sorted(table.parent.iterdir())
    assert main(["train", str(table), "--check"]) == 1
    out = capsys.readouterr().out
    assert "missing.tif" in out
    assert "0.tif" in out
    assert main(["train", str(table), "--check", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert {problem["kind"] for problem in report["problems"]} >= {"missing-file", "slide-twice"}
    assert sorted(table.parent.iterdir()) == before


def test_train_divides_trains_and_says_what_came_of_it(table, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", str(table), "--output", str(run), *QUICK]) == 0
    captured = capsys.readouterr()
    assert "divides nothing" in captured.err
    assert "epoch 1: loss" in captured.out
    assert str(run / "model") in captured.out
    assert load_model(run / "model").classes == ("a", "b")
    splits = [line.split(",")[2] for line in (run / "cohort.csv").read_text().splitlines()[1:]]
    assert set(splits) <= {"train", "tune", "test"}
    assert splits.count("train") >= 4
    assert main(["train", str(table), "--output", str(run), *QUICK]) == 1
    assert "--resume" in capsys.readouterr().err
    again = ["train", str(run / "cohort.csv"), "--output", str(run), "--resume", "--set", "epochs=2", "--json"]
    assert main(again) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["epoch"] for line in lines[:-1]] == [2]
    assert lines[-1]["epochs"] == 2


def test_folds_test_on_every_slide_once(table, tmp_path, capsys):
    tested = []
    for fold in (1, 2):
        run = tmp_path / f"fold{fold}"
        assert main(["train", str(table), "--output", str(run), "--fold", f"{fold}/2", *QUICK]) == 0
        rows = [line.split(",") for line in (run / "cohort.csv").read_text().splitlines()[1:]]
        tested += [row[0].rsplit("/", 1)[-1] for row in rows if "test" in row]
    assert sorted(tested) == [f"{number}.tif" for number in range(8)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "epoch=3"], "did you mean 'epochs'"),
        (["--preset", "smal"], "did you mean 'small'"),
        ([], "--output RUN is missing"),
    ],
)
def test_what_is_wrong_is_one_line(table, capsys, arguments, words):
    assert main(["train", str(table), *arguments]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert words in error


@pytest.mark.parametrize("arguments", [["--fold", "3/2"], ["--fractions", "1,1,1"], ["--classes", "a,a"]])
def test_options_that_make_no_sense_are_refused(table, arguments):
    with pytest.raises(SystemExit) as error:
        main(["train", str(table), "--output", "x", *arguments])
    assert error.value.code == 2
