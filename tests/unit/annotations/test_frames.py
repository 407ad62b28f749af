"""Rectangles, ellipses and lines come back from GeoJSON as what they are, and only as long as they are."""

import json

import numpy as np
import pytest
import shapely
from shapely.affinity import rotate, translate

from napari_gigaclf.annotations import Annotation, read_geojson, validate_geojson, write_geojson
from napari_gigaclf.annotations.frames import FRAME_KEY, ShapeFrame, frame_of, framed

STRAIGHT = np.array([(10.25, 20.5), (110.25, 20.5), (110.25, 60.0), (10.25, 60.0)])
ASKEW = shapely.get_coordinates(rotate(shapely.Polygon(STRAIGHT), 30))[:4]


def _annotation(kind, corners):
    frame = ShapeFrame(kind=kind, corners=np.asarray(corners))
    return framed(Annotation(geometry=frame.outline, class_name="tumour"), frame)


@pytest.mark.parametrize("origin", [(0.0, 0.0), (7.0, -3.0)])
@pytest.mark.parametrize(
    ("kind", "corners"),
    [("rectangle", STRAIGHT), ("rectangle", ASKEW), ("ellipse", STRAIGHT), ("ellipse", ASKEW), ("line", STRAIGHT[:2])],
)
def test_a_shape_comes_back_with_its_corners(tmp_path, kind, corners, origin):
    path = tmp_path / "shapes.geojson"
    write_geojson(path, [_annotation(kind, corners)], origin=origin)
    assert validate_geojson(path) == []
    (geometry,) = [each["geometry"] for each in json.loads(path.read_text())["features"]]
    assert geometry.get("isEllipse", False) is (kind == "ellipse" and corners is STRAIGHT), "QuPath's are straight"
    (back,) = read_geojson(path, origin=origin)
    frame = frame_of(back)
    assert frame.kind == kind
    assert np.allclose(frame.corners, corners, rtol=0, atol=1e-9)


@pytest.mark.parametrize("change", [
    lambda shape: translate(shape, 1.0, 0.0),
    lambda shape: shape.difference(shapely.box(0, 0, 30, 30)),
    lambda shape: shape.boundary,
])  # fmt: skip
@pytest.mark.parametrize("kind", ["rectangle", "ellipse"])
def test_an_outline_that_was_changed_elsewhere_counts(tmp_path, kind, change):
    annotation = _annotation(kind, STRAIGHT)
    changed = Annotation(geometry=change(annotation.geometry), metadata=dict(annotation.metadata))
    write_geojson(tmp_path / "a.json", [changed])
    (back,) = read_geojson(tmp_path / "a.json")
    assert frame_of(back) is None


def test_an_ellipse_of_qupath_is_one(tmp_path):
    ring = shapely.get_coordinates(shapely.affinity.scale(shapely.Point(50, 40).buffer(1, quad_segs=20), 30, 20))
    geometry = {"type": "Polygon", "coordinates": [ring.round(2).tolist()], "isEllipse": True}
    path = tmp_path / "q.geojson"
    path.write_text(json.dumps({"type": "Feature", "geometry": geometry, "properties": {}}))
    (found,) = read_geojson(path)
    assert frame_of(found).kind == "ellipse"
    assert frame_of(found).outline.bounds == pytest.approx((20, 20, 80, 60))
    geometry["coordinates"] = [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]
    path.write_text(json.dumps({"type": "Feature", "geometry": geometry, "properties": {}}))
    assert frame_of(read_geojson(path)[0]) is None, "a square is no ellipse, whatever its file says"


@pytest.mark.parametrize("text", [
    "", "   ", "circle 1 2 3 4", "rectangle", "rectangle 1 2 3 4", "line a b c d", "line 1 2 3 nan", "line 1 2 3 inf",
    "rectangle " + "1 " * 500, "line 1e300 1 2 3", "rectangle 0 0 0 0 0 0 0 0",
])  # fmt: skip
def test_a_text_from_anywhere_is_no_frame(text):
    assert frame_of(Annotation(geometry=shapely.box(0, 0, 1, 1), metadata={FRAME_KEY: text})) is None
