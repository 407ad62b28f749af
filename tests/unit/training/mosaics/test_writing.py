"""Written sets: slides open with their pixels and spacing, the table is relative, the facts are beside it."""

import csv
import json

import numpy as np
import pytest

from napari_gigaclf import open_slide
from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.mosaics import MosaicSlide, plan_set, write_set


@pytest.fixture
def pools(pool):
    return {"train": pool, "test": pool}


def test_a_set_is_written_and_opens_again(small, pools, tmp_path):
    settings = small(kind="regression", side_px=1400)
    table = write_set(settings, pools, {"train": 2}, tmp_path / "set", seed=3, quality=None, facts={"from": "noise"})
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["slide", "label", "split", "group", "um_per_px", "score"]
    assert [row["slide"] for row in rows] == ["slides/train-0000.ome.tif", "slides/train-0001.ome.tif"]
    assert rows[0]["group"] == rows[1]["group"]
    facts = json.loads((tmp_path / "set" / "mosaics.json").read_text())
    assert facts["from"] == "noise"
    assert facts["seed"] == 3
    for row, plan in zip(rows, plan_set(settings, pools, {"train": 2}, 3), strict=True):
        known = facts["slides"][plan.name]
        assert known["num_tumour_tiles"] == plan.num_tumour
        assert float(row["score"]) == pytest.approx(plan.score, abs=1e-6)
        assert (tmp_path / "set" / known["truth"]).is_file()
        with open_slide(table.parent / row["slide"]) as slide:
            assert slide.um_per_px == pytest.approx((0.97, 0.97))
            made = MosaicSlide(plan, pools["train"]).read(0, 0, 1400, 0, 1400)
            np.testing.assert_array_equal(slide.read(0, 0, 1400, 0, 1400), made)
            assert len(slide.levels) == 2


def test_jpeg_is_near(small, pools, tmp_path):
    settings = small(side_px=1400, lesions=("isolated",))
    table = write_set(settings, pools, {"test": 2}, tmp_path, seed=3)
    assert "score" not in table.read_text()
    plan = next(plan_set(settings, pools, {"test": 2}, 3))
    with open_slide(tmp_path / "slides" / f"{plan.name}.ome.tif") as slide:
        made = MosaicSlide(plan, pools["test"]).read(0, 600, 700, 600, 700).astype(float)
        assert abs(slide.read(0, 600, 700, 600, 700) - made).mean() < 20


@pytest.mark.parametrize(
    ("num_slides", "said"),
    [
        ({"train": 3}, "3 train slides .* even number"),
        ({"tune": 2}, "there are no tune tiles"),
        ({"test": -2}, "-2"),
        ({}, "no slides are asked"),
    ],
)
def test_impossible_numbers_are_refused(small, pools, num_slides, said):
    with pytest.raises(CohortError, match=said):
        list(plan_set(small(), pools, num_slides, 0))
