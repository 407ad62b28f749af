import copy

import pytest
from shapely.geometry import GeometryCollection, Point, Polygon, box

from napari_gigaclf.annotations import Annotation, default_colour
from napari_gigaclf.errors import AnnotationError


@pytest.mark.parametrize(
    "wrong",
    [
        {"geometry": Polygon()},
        {"geometry": GeometryCollection([Point(0, 0)])},
        {"geometry": "POINT (0 0)"},
        {"geometry": Point(float("inf"), 0)},
        {"kind": "cell"},
        {"class_name": ""},
        {"name": "   "},
        {"name": 3},
        {"id": "tumour-1"},
        {"colour": (1, 2, 300)},
        {"colour": (1, 2)},
        {"measurements": {"a": "b"}},
        {"measurements": {"a": float("inf")}},
        {"metadata": {"a": 1}},
    ],
)
def test_what_cannot_be_written_is_refused_when_made(wrong):
    with pytest.raises(AnnotationError) as caught:
        Annotation(**{"geometry": box(0, 0, 1, 1), **wrong})
    assert "\n" not in str(caught.value)


def test_ids_are_unique_uuids():
    ids = {Annotation(geometry=Point(0, 0)).id for _ in range(100)}
    assert len(ids) == 100


def test_measurements_cannot_be_changed_from_outside():
    given = {"area": 1.0}
    annotation = Annotation(geometry=Point(0, 0), measurements=given)
    given["area"] = 2.0
    assert annotation.measurements["area"] == 1.0
    with pytest.raises(TypeError):
        annotation.measurements["area"] = 3.0


def test_survives_copies(annotations):
    for annotation in annotations:
        other = copy.deepcopy(annotation)
        assert other.id == annotation.id
        assert other.geometry.equals(annotation.geometry)
        assert dict(other.metadata) == dict(annotation.metadata)
        assert list(other.measurements) == list(annotation.measurements)


def test_colours_by_name_are_stable_and_differ_for_tumour_and_normal():
    assert default_colour("tumour") == default_colour("Tumor") == (200, 0, 0)
    assert default_colour("normal") != default_colour("tumour")
    assert default_colour("class 7") == default_colour("class 7")
    assert Annotation(geometry=Point(0, 0)).shown_colour is None
