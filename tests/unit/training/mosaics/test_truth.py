"""The outlines hold exactly the tiles of their kind."""

import numpy as np
import pytest
import shapely

from napari_gigaclf.annotations import read_geojson, validate_geojson, write_geojson
from napari_gigaclf.training.mosaics import plan_slide, truth
from napari_gigaclf.training.mosaics.plan import SHAM, TUMOUR


@pytest.mark.parametrize(("kind", "lesions"), [("metastasis", ("macro", "isolated")), ("arrangement", ("micro",))])
def test_outlines_hold_exactly_their_tiles(small, pool, kind, lesions):
    for number in range(4):
        plan = plan_slide(small(kind=kind, lesions=lesions), pool, seed=9, split="tune", number=number)
        found = truth(plan, 9)
        for role, name in ((TUMOUR, "Tumour"), (SHAM, "Sham")):
            area = shapely.union_all([one.geometry for one in found if one.class_name == name])
            assert area.area == pytest.approx(np.sum(plan.roles == role) * 84**2)
            for cell, its_role in zip(plan.cells.tolist(), plan.roles.tolist(), strict=True):
                box = plan.grid.tile_box(*cell)
                centre = shapely.box(box.x0 + 32, box.y0 + 32, box.x1 - 32, box.y1 - 32)
                assert area.contains(centre) if its_role == role else not area.intersects(centre)


def test_the_file_is_valid_and_always_the_same(small, pool, tmp_path):
    plan = plan_slide(small(), pool, seed=9, split="tune", number=0)
    for name in ("one", "two"):
        write_geojson(tmp_path / f"{name}.geojson", truth(plan, 9))
    assert (tmp_path / "one.geojson").read_bytes() == (tmp_path / "two.geojson").read_bytes()
    assert validate_geojson(tmp_path / "one.geojson") == []
    assert len(read_geojson(tmp_path / "one.geojson")) == 1
