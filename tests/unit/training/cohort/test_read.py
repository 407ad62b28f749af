"""A table is read as it is meant, or refused with the line."""

import csv
import hashlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.cohort import Cohort, CohortRow, read_cohort, table, write_cohort


def test_a_classification_table(write_text, tmp_path):
    path = write_text(
        "slide,label,split,group,um_per_px",
        "a.tif,tumour,train,p1,0.5",
        " sub/b.tif , normal ,test,,",
        "",
        f"{tmp_path}/c.tif,normal,,p1,",
    )
    cohort = read_cohort(path)
    assert (cohort.task, cohort.classes, len(cohort)) == ("classification", ("normal", "tumour"), 3)
    assert cohort.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    first, second, third = cohort.rows
    assert first == CohortRow(
        number=2,
        name="a.tif",
        slide=tmp_path / "a.tif",
        labels=(1,),
        split="train",
        group="p1",
        um_per_px=0.5,
    )
    assert (second.slide, second.group, second.um_per_px) == (tmp_path / "sub" / "b.tif", "sub/b.tif", None)
    assert (third.number, third.slide, third.split) == (5, tmp_path / "c.tif", None)
    assert cohort.targets.tolist() == [1, 0, 0]
    assert [row.name for row in cohort.of_split("test").rows] == ["sub/b.tif"]


def test_classes_in_the_callers_order(write_text):
    cohort = read_cohort(write_text("slide,label", "a,x", "b,y"), classes=("y", "x", "z"))
    assert cohort.targets.tolist() == [1, 0]


def test_several_labels_mean_multilabel_and_none_is_none(write_text):
    cohort = read_cohort(write_text("slide,label", "a,er; pr", "b,", "c,her2"))
    assert (cohort.task, cohort.classes) == ("multilabel", ("er", "her2", "pr"))
    np.testing.assert_array_equal(cohort.targets, [[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    alone = write_text("slide,label", "a,er", "b,pr")
    assert read_cohort(alone).task == "classification"
    assert read_cohort(alone, task="multilabel").targets.shape == (2, 2)


def test_scores_mean_regression(write_text):
    cohort = read_cohort(write_text("slide,score", "a,-0.5", "b,1e3"))
    assert (cohort.task, cohort.classes, cohort.targets.tolist()) == ("regression", (), [-0.5, 1000.0])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"slide,label\na,x\nb,y,z\n", "line 3: 3 cells, but 2 columns"),
        (b"slide,label\na,x\nb\n", "line 3: 1 cells, but 2 columns"),
        (b"slide,label\na,x\nb,\0\n", "line 3: a NUL byte"),
        (b"slide,label\na,x\n\xff,x\n", "line 3: not UTF-8"),
        ("slide,label\na,x\n".encode("utf-16"), "line 1: UTF-16"),
        (b'slide,label\na,"x"y\n', "line 2: not CSV"),
        (b'slide,label\na,"x\n', "not CSV"),
        (b"slide,label\na," + b"x" * 40_000 + b"\n", "line 2: a cell of 40000 letters"),
        (b"slide,label\na," + b"x" * 140_000 + b"\n", "line 2: not CSV: field larger"),
        (b"slide,label,slide\na,x,a\n", "line 1: column 'slide' is there twice"),
        (b"", "is empty"),
    ],
)
def test_what_is_no_plain_table_is_refused_with_its_line(tmp_path, content, said):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(CohortError) as caught:
        read_cohort(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_size_is_limited(write_text, monkeypatch):
    path = write_text("slide,label", "a,x", "b,x", "c,x")
    monkeypatch.setattr(table, "MAX_ROWS", 2)
    with pytest.raises(CohortError, match="line 4: more than 2 rows"):
        read_cohort(path)
    monkeypatch.setattr(table, "MAX_BYTES", 10)
    with pytest.raises(CohortError, match="at most"):
        read_cohort(path)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(CohortError, match="no such table"):
        read_cohort(tmp_path / "no.csv")
    with pytest.raises(CohortError, match="no such table"):
        read_cohort(tmp_path)


def test_parquet_says_the_same_as_csv(write_text, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    columns = {
        "slide": ["a.tif", "b.tif"],
        "label": [1.0, 0.0],
        "split": ["train", None],
        "um_per_px": [0.5, None],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "c.parquet")
    expected = read_cohort(write_text("slide,label,split,um_per_px", "a.tif,1,train,0.5", "b.tif,0,,"))
    found = read_cohort(tmp_path / "c.parquet")
    assert (found.rows, found.classes) == (expected.rows, ("0", "1"))


def test_parquet_that_is_damaged_or_too_large(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    path = tmp_path / "c.parquet"
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(CohortError, match="not a Parquet file"):
        read_cohort(path)
    parquet.write_table(pyarrow.table({"slide": ["a"] * 5, "label": ["x"] * 5}), path)
    monkeypatch.setattr(table, "MAX_ROWS", 4)
    with pytest.raises(CohortError, match="at most 4 rows"):
        read_cohort(path)


def test_without_pyarrow_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "c.parquet").write_bytes(b"")
    with pytest.raises(CohortError, match=r"napari-gigaclf\[train\]"):
        read_cohort(tmp_path / "c.parquet")


NAMES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters=";"), min_size=1, max_size=8)
ROWS = st.tuples(
    NAMES.filter(lambda name: name not in {".", "..", "/"}),
    st.lists(NAMES, min_size=1, max_size=3),
    st.sampled_from(["train", "tune", "test"]),
    st.one_of(st.none(), st.floats(0.01, 100)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=6))
def test_what_is_written_reads_back_the_same(rows, tmp_path):
    path = tmp_path / "c.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["slide", "label", "split", "um_per_px"])
        for number, (name, labels, split, scale) in enumerate(rows):
            writer.writerow([f"{number}-{name}", ";".join(labels), split, scale])
    cohort = read_cohort(path, task="multilabel")
    again = read_cohort(write_cohort(cohort, tmp_path / "again.csv"), task="multilabel")
    assert (again.rows, again.classes) == (cohort.rows, cohort.classes)
    (tmp_path / "deeper").mkdir(exist_ok=True)
    moved = read_cohort(write_cohort(cohort, tmp_path / "deeper" / "c.csv"), task="multilabel")
    assert [row.slide.resolve() for row in moved.rows] == [row.slide.resolve() for row in cohort.rows]


def test_scores_read_back_the_same(write_text, tmp_path):
    cohort = read_cohort(write_text("slide,score", "a,0.1", "=b,-3"))
    assert read_cohort(write_cohort(cohort, tmp_path / "w.csv")).rows == cohort.rows
    assert isinstance(cohort, Cohort)


def test_a_byte_order_mark_of_a_spreadsheet_is_no_part_of_the_table(tmp_path):
    path = tmp_path / "cohort.csv"
    path.write_bytes(b"\xef\xbb\xbfslide,label\na.tif,x\n")
    assert [row.name for row in read_cohort(path).rows] == ["a.tif"]
