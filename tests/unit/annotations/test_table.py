import csv

import pytest
from shapely.geometry import box

from napari_gigaclf.annotations import Annotation, write_csv


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_columns_hold_places_sizes_and_all_measurements(tmp_path, annotations):
    assert write_csv(tmp_path / "a.csv", annotations, um_per_px=(0.5, 0.25)) == len(annotations)
    rows = rows_of(tmp_path / "a.csv")
    assert [row["id"] for row in rows] == [a.id for a in annotations]
    assert float(rows[0]["area_px2"]) == 900**2 - 300**2
    assert float(rows[0]["area_um2"]) == pytest.approx((900**2 - 300**2) * 0.125)
    assert float(rows[0]["centre_x_um"]) == pytest.approx(450 * 0.25)
    assert float(rows[0]["centre_y_um"]) == pytest.approx(450 * 0.5)
    assert rows[1]["prob_tumour"] == "0.93"
    assert rows[1]["nothing"] == ""
    assert rows[0]["prob_tumour"] == ""


def test_no_micrometres_are_claimed_where_they_are_unknown(tmp_path, annotations):
    write_csv(tmp_path / "a.csv", annotations)
    assert not [name for name in rows_of(tmp_path / "a.csv")[0] if name.endswith(("_um", "_um2"))]


def test_a_name_cannot_become_a_formula(tmp_path):
    write_csv(tmp_path / "a.csv", [Annotation(geometry=box(0, 0, 1, 1), name="=cmd()", measurements={"change": -1.5})])
    (row,) = rows_of(tmp_path / "a.csv")
    assert row["name"] == "'=cmd()"
    assert row["change"] == "-1.5"
