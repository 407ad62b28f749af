"""Everything that is wrong is found at once, with its row, before anything runs."""

import json
import shutil
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_gigaclf.errors import Cancelled, CohortError
from napari_gigaclf.training.cohort import check, check_cohort, read_cohort


def found(report):
    return {(problem.kind, problem.row) for problem in report.errors}


def warned(report):
    return {problem.kind: problem.message for problem in report.warnings}


def table_only(path, **options):
    """Check a table whose slides need not be there; return its errors but for the missing files."""
    return {(kind, row) for kind, row in found(check_cohort(path, open_slides=False, **options))} - {
        ("missing-file", row) for row in range(100)
    }


def test_a_good_cohort(write_text, make_slide):
    lines = [f"{make_slide(f'{n}.tif', n)},{'ab'[n % 2]},{('train', 'tune', 'test')[n // 2]}" for n in range(6)]
    report = check_cohort(write_text("slide,label,split", *lines))
    assert report.problems == ()
    assert report.counts == {split: {"a": 1, "b": 1} for split in ("train", "tune", "test")}
    report.raise_if_bad()
    assert report.as_json()["ok"] is True


def test_all_problems_in_one_report(write_text, make_slide, tmp_path):
    make_slide("a.tif", 1)
    make_slide("c.tif", 2, um_per_px=None)
    shutil.copy(tmp_path / "a.tif", tmp_path / "twin.tif")
    (tmp_path / "bad.tif").write_text("no slide")
    path = write_text(
        "slide,label,split,group,um_per_px",
        "a.tif,tumour,train,p1,",
        "./a.tif,tumour,train,p1,",
        "twin.tif,tumour,train,p1,",
        "c.tif,tumour,test,p1,",
        "bad.tif,tumor,vall,p2,0",
        "bad.tif,normal,test,p3,",
        "gone.tif,normal,test,p3,0.5",
        ",normal,test,p4,",
        "d.tif,,test,p5,",
    )
    report = check_cohort(path, classes=("normal", "tumour"))
    assert found(report) == {
        ("slide-twice", 3),
        ("slide-twice", 4),
        ("group-divided", 5),
        ("no-scale", 5),
        ("unknown-label", 6),
        ("unknown-split", 6),
        ("bad-um-per-px", 6),
        ("unreadable-slide", 7),
        ("missing-file", 8),
        ("no-slide", 9),
        ("no-label", 10),
    }
    text = report.text
    assert "row 6: unknown label 'tumor': did you mean 'tumour'?" in text
    assert "row 4: twin.tif: the same content as a.tif in row 2" in text
    assert "row 5: group 'p1' is in test here and in train in row 2" in text
    assert len(text.splitlines()) == 1 + len(report.counts) + len(report.problems)
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["ok"] is False
    with pytest.raises(CohortError) as caught:
        report.raise_if_bad()
    assert "\n" not in str(caught.value)
    assert "the first of 11 errors" in str(caught.value)


def test_a_scale_in_the_table_is_enough(write_text, make_slide):
    make_slide("c.tif", um_per_px=None)
    assert ("no-scale", 2) not in found(check_cohort(write_text("slide,label,um_per_px", "c.tif,x,0.25")))


@pytest.mark.parametrize(
    ("header", "kinds"),
    [
        ("slide,lable", {("unknown-column", None), ("missing-column", None)}),
        ("path,label", {("missing-column", None)}),
        ("slide,notes", {("missing-column", None)}),
        ("slide;label,x", {("missing-column", None)}),
    ],
)
def test_columns(write_text, header, kinds):
    assert table_only(write_text(header, "a,b")) == kinds


def test_a_column_of_no_use_is_a_warning_a_slip_an_error(write_text):
    path = write_text("slide,label,splt,age", "a,x,train,50")
    report = check_cohort(path, open_slides=False)
    assert ("unknown-column", None) in found(report)
    assert "did you mean 'split'?" in report.text
    assert "'age' is not used" in warned(report)["unknown-column"]


def test_label_and_score_need_a_decision(write_text):
    path = write_text("slide,label,score", "a,x,1")
    assert table_only(path) == {("two-targets", None)}
    assert table_only(path, task="regression") == table_only(path, task="classification") == set()


@pytest.mark.parametrize("score", ["nan", "inf", "high", ""])
def test_scores_must_be_finite_numbers(write_text, score):
    assert table_only(write_text("slide,score,group", f"a,{score},p")) == {("bad-score", 2)}


def test_the_task_that_was_asked_for(write_text):
    assert table_only(write_text("slide,label", "a,x"), task="regression") == {("missing-column", None)}
    assert table_only(write_text("slide,label", "a,x;y"), task="classification") == {("several-labels", 2)}


def test_no_rows(write_text):
    assert table_only(write_text("slide,label")) == {("no-rows", None)}


def test_gaps_are_warnings(write_text):
    path = write_text("slide,label,split", "a,x,train", "b,y,tune", "c,x,")
    report = check_cohort(path, classes=("x", "y", "z"), open_slides=False)
    assert table_only(path, classes=("x", "y", "z")) == set()
    text = report.text
    assert "no slide is in split 'test'" in text
    assert "split 'train' has no slide of y" in text
    assert "1 slides are in no split" in text
    assert "no slide is of class z" in text
    assert report.counts["no split"] == {"x": 1, "y": 0, "z": 0}


def test_a_cohort_that_was_read_can_be_checked_against_other_classes(write_text):
    cohort = read_cohort(write_text("slide,label", "a,x", "b,y"))
    kinds = {kind for kind, _ in found(check_cohort(cohort, classes=("x", "z"), open_slides=False))}
    assert kinds == {"unknown-label", "missing-file"}
    kinds = {kind for kind, _ in found(check_cohort(cohort, classes=("y", "x"), open_slides=False))}
    assert kinds == {"other-classes", "missing-file"}


def test_reading_refuses_what_the_check_finds_in_the_table(write_text):
    with pytest.raises(CohortError, match="group 'p' is in test"):
        read_cohort(write_text("slide,label,split,group", "a,x,train,p", "b,x,test,p"))


def test_cost_is_bounded_and_a_check_can_be_stopped(write_text, make_slide, monkeypatch):
    path = write_text("slide,label", *(f"{make_slide(f'{n}.tif', n)},x" for n in range(3)))
    reports = []
    monkeypatch.setattr(check, "MAX_OPENED", 2)
    report = check_cohort(path, progress=reports.append)
    assert "only the first 2 of 3" in warned(report)["not-opened"]
    assert [(r.done, r.total) for r in reports] == [(1, 2), (2, 2)]
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        check_cohort(path, cancel=stop)


def test_a_name_too_long_for_a_file_is_a_missing_file(write_text):
    report = check_cohort(write_text("slide,label", f"{'x' * 5000},x"))
    assert found(report) == {("missing-file", 2)}


def test_a_slide_behind_a_link_is_the_same_slide(write_text, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "a.tif").write_text("")
    (tmp_path / "b.tif").symlink_to(tmp_path / "real" / "a.tif")
    path = write_text("slide,label", "real/a.tif,x", "folder/a.tif,x", "b.tif,x", "real/../real/a.tif,x")
    assert table_only(path) == {("slide-twice", row) for row in (3, 4, 5)}


def test_a_name_with_line_breaks_stays_one_line(write_text):
    report = check_cohort(write_text("slide,label", '"a\nb.tif",x'))
    assert [len(str(problem).splitlines()) for problem in report.problems] == [1]
    with pytest.raises(CohortError) as caught:
        report.raise_if_bad()
    assert len(str(caught.value).splitlines()) == 1


TABLE = b'slide,label,split,group,um_per_px\na.tif,"x,y",train,p1,0.5\nb.tif,z;w,test,,\n'


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.integers(0, len(TABLE)), st.binary(max_size=3)), max_size=4))
def test_a_damaged_table_is_a_report_or_one_line(places, tmp_path):
    content = TABLE
    for place, insert in places:
        content = content[:place] + insert + content[place + 1 :]
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    try:
        report = check_cohort(path)
    except CohortError as error:
        text, num_lines = str(error), 1
    else:
        text, num_lines = report.text, 1 + len(report.counts) + len(report.problems)
        json.dumps(report.as_json(), allow_nan=False)
    assert len(text.splitlines()) == num_lines
