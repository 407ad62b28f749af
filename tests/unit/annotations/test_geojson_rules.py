"""Each rule of QuPath's format is broken alone, and is named alone."""

import copy
import json

import pytest

from napari_gigaclf.annotations import validate_geojson

GOOD = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "0b0f6a8e-6a0e-4f6b-9f0e-2f6f6b1f7a11",
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[0, 0], [900, 0], [900, 900], [0, 900], [0, 0]],
                    [[300, 300], [300, 600], [600, 600], [600, 300], [300, 300]],
                ],
            },
            "properties": {
                "objectType": "annotation",
                "name": "Lesion 1",
                "classification": {"names": ["Tumor", "Invasive"], "color": [200, 0, 0]},
                "isLocked": True,
                "measurements": {"a": 0.5, "b": "NaN"},
                "metadata": {"run": "1"},
            },
        }
    ],
}


def problems_of(tmp_path, document, name="a.geojson"):
    path = tmp_path / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return validate_geojson(path)


def test_the_example_of_the_format_page_is_good(tmp_path):
    assert problems_of(tmp_path, GOOD) == []


PROPERTIES = [
    ({"objectType": None}, "objectType"),
    ({"objectType": "Tile"}, "objectType"),
    ({"name": None}, "name is not a text"),
    ({"classification": {"name": "Tumor"}}, "no color"),
    ({"classification": {"color": [1, 2, 3]}}, "either name or names"),
    ({"classification": {"name": "a", "names": ["a"], "color": [1, 2, 3]}}, "either name or names"),
    ({"classification": {"name": None, "color": [1, 2, 3]}}, "name is not a text"),
    ({"classification": {"names": [], "color": [1, 2, 3]}}, "names is not a list"),
    ({"classification": {"name": "a", "color": [1, 2, 256]}}, "color is not"),
    ({"classification": None}, "neither a text nor an object"),
    ({"color": "red"}, "color is not"),
    ({"isLocked": False}, "isLocked"),
    ({"isLocked": "true"}, "isLocked"),
    ({"measurements": [{"name": "a", "value": 1}]}, "measurements are not an object"),
    ({"measurements": {"a": None}}, "neither a number"),
    ({"measurements": {"a": "1"}}, "neither a number"),
    ({"measurements": {"a": {"b": 1}}}, "neither a number"),
    ({"metadata": {"a": 1}}, "metadata"),
]


@pytest.mark.parametrize(("change", "named"), PROPERTIES)
def test_each_rule_of_the_properties(tmp_path, change, named):
    document = copy.deepcopy(GOOD)
    document["features"][0]["properties"].update(change)
    (problem,) = problems_of(tmp_path, document)
    assert named in problem
    assert problem.startswith("feature 1: ")


OUTER = [[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]
HOLE = [[3, 3], [3, 6], [6, 6], [6, 3], [3, 3]]
GEOMETRIES = [
    (None, "geometry is none of"),
    ({"type": "GeometryCollection", "geometries": []}, "geometry is none of"),
    ({"type": "Polygon", "coordinates": [OUTER[:-1]]}, "not closed"),
    ({"type": "Polygon", "coordinates": [OUTER[::-1]]}, "wrong way"),
    ({"type": "Polygon", "coordinates": [OUTER, HOLE[::-1]]}, "wrong way"),
    ({"type": "Polygon", "coordinates": [OUTER[:3]]}, "4 or more positions"),
    ({"type": "Polygon", "coordinates": []}, "1 or more rings"),
    ({"type": "Polygon", "coordinates": [[[0, 0], [9.123, 0], [9, 9], [0, 9], [0, 0]]]}, "decimals"),
    ({"type": "Polygon", "coordinates": [[[0, 0], ["9", 0], [9, 9], [0, 9], [0, 0]]]}, "not [x, y]"),
    ({"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [20, 0], [20, 30], [0, 0], [0, 10], [0, 0]]]}, "not valid"),
    ({"type": "Polygon", "coordinates": [HOLE[::-1], OUTER[::-1]]}, "not valid"),
    ({"type": "MultiPolygon", "coordinates": [[OUTER]]}, "else it is a Polygon"),
    ({"type": "MultiPoint", "coordinates": [[0, 0]]}, "else it is a Point"),
    ({"type": "LineString", "coordinates": [[0, 0]]}, "2 or more positions"),
    ({"type": "Point", "coordinates": [0]}, "not [x, y]"),
]


@pytest.mark.parametrize(("geometry", "named"), GEOMETRIES)
def test_each_rule_of_the_geometry(tmp_path, geometry, named):
    document = copy.deepcopy(GOOD)
    document["features"][0]["geometry"] = geometry
    (problem,) = problems_of(tmp_path, document)
    assert named in problem


def test_rules_of_the_feature_and_the_file(tmp_path):
    feature = GOOD["features"][0]
    cases = [
        ({**GOOD, "features": [{**feature, "id": "1"}]}, "UUID"),
        ({**GOOD, "features": [feature, feature]}, "also that of feature 1"),
        ({**GOOD, "features": [{**feature, "objectType": "tile"}]}, "beside properties"),
        ({**GOOD, "features": [{**feature, "properties": None}]}, "properties are not an object"),
        ({**GOOD, "features": [[]]}, "not an object of type Feature"),
        ({**GOOD, "features": {}}, "no list of features"),
        ([feature], "FeatureCollection"),
        (json.dumps(GOOD).replace("0.5", "NaN"), "not JSON"),
        (json.dumps(GOOD)[:-1], "not JSON"),
        ("\ufeff" + json.dumps(GOOD), "not JSON"),
        (json.dumps(GOOD).replace('"name"', '"name": "x", "name"'), "twice"),
    ]
    for document, named in cases:
        (problem,) = problems_of(tmp_path, document)
        assert named in problem
    (problem,) = problems_of(tmp_path, GOOD, name="a.txt")
    assert "ends in none of" in problem


def test_all_problems_are_told_at_once(tmp_path):
    document = copy.deepcopy(GOOD)
    document["features"][0]["id"] = "no"
    document["features"][0]["properties"].update({"name": None, "metadata": 3, "classification": {"name": "Tumor"}})
    document["features"].append({"type": "Feature"})
    assert len(problems_of(tmp_path, document)) == 4 + 3
