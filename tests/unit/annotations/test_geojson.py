"""What is written keeps QuPath's rules, and comes back as it was."""

import gzip
import json
import math
import resource
import tracemalloc

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box

from napari_gigaclf.annotations import Annotation, qupath_origin, read_geojson, validate_geojson, write_geojson
from napari_gigaclf.errors import AnnotationError, OutputError


@pytest.mark.parametrize("name", ["a.geojson", "a.json", "a.geojson.gz"])
def test_round_trip_keeps_everything(tmp_path, annotations, name):
    path = tmp_path / name
    assert write_geojson(path, annotations) == len(annotations)
    assert validate_geojson(path) == []
    back = read_geojson(path)
    for one, other in zip(annotations, back, strict=True):
        assert other.geometry.normalize().equals(one.geometry.normalize())
        assert (other.class_name, other.name, other.author, other.kind, other.id) == (
            one.class_name,
            one.name,
            one.author,
            one.kind,
            one.id,
        )
        assert other.colour == one.shown_colour
        assert dict(other.metadata) == dict(one.metadata)
        assert {k: v for k, v in other.measurements.items() if not math.isnan(v)} == {
            k: v for k, v in one.measurements.items() if not math.isnan(v)
        }
        assert set(other.measurements) == set(one.measurements)


def test_one_feature_per_line_and_qupath_layout(tmp_path, annotations):
    path = tmp_path / "a.geojson"
    write_geojson(path, annotations)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(annotations) + 2
    features = [json.loads(line.rstrip(",")) for line in lines[1:-1]]
    first, tile, several, single, point = features
    assert first["geometry"]["coordinates"][0][0] == first["geometry"]["coordinates"][0][-1]
    assert len(first["geometry"]["coordinates"]) == 2, "the hole is kept"
    assert first["properties"]["classification"]["names"] == ["Tumour", "invasive"]
    assert tile["properties"]["objectType"] == "tile"
    assert tile["properties"]["classification"] == {"name": "tumour", "color": [200, 0, 0]}
    assert tile["properties"]["measurements"] == {"prob_tumour": 0.93, "nothing": "NaN"}
    assert tile["properties"]["isLocked"] is True
    assert "name" not in tile["properties"]
    assert several["geometry"]["type"] == "MultiPolygon"
    assert "classification" not in several["properties"]
    assert single["geometry"]["type"] == "Polygon", "a MultiPolygon of one part is a Polygon"
    assert single["properties"]["classification"]["color"] == [1, 2, 3]
    assert point["geometry"] == {"type": "Point", "coordinates": [3.25, 4.5]}


def test_no_annotations_is_a_valid_file(tmp_path):
    assert write_geojson(tmp_path / "a.geojson", []) == 0
    assert validate_geojson(tmp_path / "a.geojson") == []
    assert read_geojson(tmp_path / "a.geojson") == []


def test_same_annotations_same_bytes(tmp_path, annotations):
    for name in ("a.geojson.gz", "b.geojson.gz"):
        write_geojson(tmp_path / name, annotations)
    assert (tmp_path / "a.geojson.gz").read_bytes() == (tmp_path / "b.geojson.gz").read_bytes()


def test_origin_of_a_cropped_slide(tmp_path):
    """QuPath crops MRXS slides to their bounds: the file is relative to that corner, and comes back whole."""
    path = tmp_path / "a.geojson"
    write_geojson(path, [Annotation(geometry=box(1000, 2000, 1010, 2020))], origin=(1000, 2000))
    assert read_geojson(path)[0].geometry.bounds == (0, 0, 10, 20)
    assert read_geojson(path, origin=(1000, 2000))[0].geometry.bounds == (1000, 2000, 1010, 2020)


coordinate = st.floats(-10, 200_000, allow_nan=False, width=64)


@st.composite
def areas(draw):
    """Boxes, stars and boxes with holes, alone or several, at any place and with any digits."""
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        x, y = draw(coordinate), draw(coordinate)
        w, h = draw(st.floats(1, 5000)), draw(st.floats(1, 5000))
        outer = box(x, y, x + w, y + h)
        if draw(st.booleans()):
            outer = outer.difference(box(x + w / 4, y + h / 4, x + w / 2, y + h / 2))
        parts.append(outer)
    return shapely.union_all(parts)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    area=areas(), clockwise=st.booleans(), name=st.one_of(st.none(), st.text(min_size=1).filter(lambda t: t.strip()))
)
def test_any_area_is_written_validly_and_moves_less_than_a_hundredth_of_a_pixel(tmp_path, area, clockwise, name):
    path = tmp_path / "a.geojson"
    given_area = area.reverse() if clockwise else area
    text = name.encode("utf-8", "ignore").decode().strip() or None if name else None
    write_geojson(path, [Annotation(geometry=given_area, name=text, class_name="tumour")])
    assert validate_geojson(path) == []
    back = read_geojson(path)[0]
    assert back.name == text
    assert back.geometry.hausdorff_distance(area) <= 0.0100001
    assert abs(back.geometry.area - area.area) <= 0.011 * area.length + 1e-3


def test_crossing_outline_is_written_as_its_areas(tmp_path):
    bow_tie = Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    path = tmp_path / "a.geojson"
    write_geojson(path, [Annotation(geometry=bow_tie)])
    assert validate_geojson(path) == []
    back = read_geojson(path)[0].geometry
    assert isinstance(back, MultiPolygon)
    assert back.area == pytest.approx(50)


def test_refusals_leave_the_old_file(tmp_path, annotations):
    path = tmp_path / "a.geojson"
    write_geojson(path, annotations)
    before = path.read_bytes()
    with pytest.raises(AnnotationError, match="share the id"):
        write_geojson(path, [annotations[0], annotations[0]])
    with pytest.raises(AnnotationError, match="smaller than"):
        write_geojson(path, [annotations[0], Annotation(geometry=box(0, 0, 0.001, 0.001))])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(AnnotationError, match="ends in"):
        write_geojson(tmp_path / "a.txt", annotations)


def test_folder_that_cannot_be_written_to(tmp_path, annotations):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        write_geojson(tmp_path / "file" / "a.geojson", annotations)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz"])
def test_full_disk_leaves_nothing(tmp_path, name):
    """A limit on the size of files fails in the middle of writing as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    many = (Annotation(geometry=box(i, 0, i + 1, 1)) for i in range(5000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            write_geojson(tmp_path / name, many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_writing_many_needs_no_memory(tmp_path):
    """Ids are remembered (to refuse doubles), features are not."""

    def many():
        for i in range(4000):
            yield Annotation(geometry=box(i, 0, i + 1, 1), measurements={f"m{k}": float(k) for k in range(20)})

    tracemalloc.start()
    write_geojson(tmp_path / "a.geojson", many())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "a.geojson").stat().st_size > 1_700_000
    assert peak < 1_200_000


# --- reading what others wrote ---------------------------------------------------------------------------------------


def feature(geometry=None, **properties):
    square = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]}
    return {"type": "Feature", "geometry": geometry or square, "properties": properties}


def written(tmp_path, document, name="other.geojson"):
    path = tmp_path / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"classification": "Tumor"}, {"class_name": "Tumor", "colour": None}),
        ({"classification": {"name": "Tumor"}}, {"class_name": "Tumor"}),
        ({"classification": {"name": "Tumor", "colorRGB": -3670016}}, {"class_name": "Tumor", "colour": (200, 0, 0)}),
        ({"classification": {"names": ["A", "B"], "color": [1, 2, 3, 4]}}, {"class_name": "A: B", "colour": (1, 2, 3)}),
        ({"classification": None, "name": None}, {"class_name": None, "name": None}),
        ({"object_type": "cell"}, {"kind": "detection"}),
        ({"objectType": "tmaCore"}, {"kind": "annotation"}),
        ({"type": "tile"}, {"kind": "tile"}),
        ({"measurements": [{"name": "Area", "value": 2}]}, {"measurements": {"Area": 2.0}}),
        ({"measurements": {"Area": 2, "p": "0.5"}}, {"measurements": {"Area": 2.0, "p": 0.5}}),
        ({"metadata": {"a": "b", "n": 1}}, {"metadata": {"a": "b", "n": "1"}}),
    ],
)
def test_properties_of_other_programs(tmp_path, properties, expected):
    (annotation,) = read_geojson(written(tmp_path, {"type": "FeatureCollection", "features": [feature(**properties)]}))
    for name, value in expected.items():
        found = getattr(annotation, name)
        assert (dict(found) if isinstance(value, dict) else found) == value


@pytest.mark.parametrize(
    "document",
    [
        {"type": "FeatureCollection", "features": [feature()]},
        [feature()],
        feature(),
        feature()["geometry"],
        {"type": "FeatureCollection", "features": [{**feature(), "properties": None, "id": "1"}]},
        [feature({"type": "Polygon", "coordinates": [[[0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0]]]})],
    ],
)
def test_wrappings_and_open_rings_of_other_programs(tmp_path, document):
    (annotation,) = read_geojson(written(tmp_path, document))
    assert annotation.geometry.area == 16


def test_gzip_and_byte_order_mark_are_recognised_by_content(tmp_path):
    text = json.dumps([feature()])
    (tmp_path / "a.geojson").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "b.geojson").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(read_geojson(tmp_path / "a.geojson")) == len(read_geojson(tmp_path / "b.geojson")) == 1


def test_doubled_ids_become_different(tmp_path):
    one = {**feature(), "id": "0b0f6a8e-6a0e-4f6b-9f0e-2f6f6b1f7a11"}
    first, second = read_geojson(written(tmp_path, [one, one]))
    assert first.id == one["id"] != second.id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[",
        "{}",
        '{"features": 3}',
        "[" * 100_000,
        '{"type":' * 50_000,
        "1" * 5000,
        "[null]",
        '[{"type":"Feature","geometry":null}]',
        '[{"geometry":{"type":"Polygon","coordinates":[[[0,0],[1,1]]]}}]',
        '[{"geometry":{"type":"Polygon","coordinates":[[[0,0],[1,1],[2,2],[0,0]]]}}]',
        '[{"geometry":{"type":"Polygon","coordinates":[[[0,0],[1,1],[2,"2"],[0,0]]]}}]',
        '[{"geometry":{"type":"Polygon","coordinates":[[[0,0],[1e999,1],[2,2],[0,0]]]}}]',
        '[{"geometry":{"type":"Polygon","coordinates":[[[0,0],[NaN,1],[2,2],[0,0]]]}}]',
        '[{"geometry":{"type":"Polygon","coordinates":{}}}]',
        '[{"geometry":{"type":"Polygon","coordinates":[]}}]',
        '[{"geometry":{"type":"Circle","coordinates":[0,0]}}]',
        '[{"geometry":{"type":["Polygon"],"coordinates":[0,0]}}]',
        '[{"geometry":{"type":"Point","coordinates":[true,0]}}]',
        '[{"geometry":{"type":"Point","coordinates":[0,0]},"properties":{"measurements":{"a":[1]}}}]',
        '[{"geometry":{"type":"Point","coordinates":' + "[" * 500 + "]" * 500 + "}}]",
    ],
)
def test_what_cannot_be_understood_is_one_line(tmp_path, text):
    path = tmp_path / "bad.geojson"
    path.write_text(text)
    with pytest.raises(AnnotationError) as caught:
        read_geojson(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "a.geojson").write_bytes(bytes(range(256)))
    (tmp_path / "b.geojson").write_bytes(gzip.compress(b"[]" * 1000)[:-12])
    (tmp_path / "c.geojson").write_bytes(gzip.compress(b" " * 3_000_000 + b"[]"))
    for name in ("a.geojson", "b.geojson", "missing.geojson", "."):
        with pytest.raises(AnnotationError):
            read_geojson(tmp_path / name)
    with pytest.raises(AnnotationError, match="larger than"):
        read_geojson(tmp_path / "c.geojson", max_bytes=1_000_000)


def ring_of(xy):
    return {"type": "Polygon", "coordinates": [[*xy.tolist(), xy[0].tolist()]]}


def at_random(num_corners):
    return np.random.default_rng(3).integers(0, 100_000, (num_corners, 2))


def jitter(num_corners):
    """A circle of 10 mm whose corners lie up to 64 px off it, so that it crosses itself everywhere."""
    angle = np.linspace(0, 2 * np.pi, num_corners, endpoint=False)
    circle = 20_000 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.round(circle + np.random.default_rng(3).uniform(-64, 64, circle.shape), 2)


def hatching(num_corners):
    """One line to and fro at 45 degrees, which never crosses itself: the boxes of all of its sides overlap."""
    along = np.arange(num_corners)
    up = np.where(along % 2, num_corners, 0)
    return np.concatenate([np.stack([along + up, up], axis=1), [[3 * num_corners, -5], [-5, -5]]])


@pytest.mark.parametrize(
    ("corners", "said"),
    [
        (at_random(300), "crosses itself so often that it has"),
        (jitter(200_000), "so dense"),
        (hatching(200_000), "so dense"),
    ],
)
def test_outlines_that_would_take_minutes_are_refused_at_once(tmp_path, corners, said):
    """Repairing 300 corners at random takes 17 s, 200 000 that jitter minutes, comparing those of a hatching six."""
    path = written(tmp_path, [feature(), feature(ring_of(corners))])
    with pytest.raises(AnnotationError, match=f"feature 2: .*{said}.*simplify it, or repair it"):
        read_geojson(path)


def test_many_outlines_that_cross_themselves_are_limited_together(tmp_path):
    path = written(tmp_path, [feature(ring_of(at_random(30)))] * 400)
    with pytest.raises(AnnotationError, match=r"as those before it did.*in one file"):
        read_geojson(path)


def test_a_large_outline_that_crosses_itself_here_and_there_is_repaired(tmp_path):
    angle = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    corners = np.round(20_000 * np.stack([np.cos(angle), np.sin(angle)], axis=1), 2)
    swapped = corners.copy()
    here = np.arange(100, 20_000, 1000)
    swapped[here], swapped[here + 1] = corners[here + 1], corners[here]
    (annotation,) = read_geojson(written(tmp_path, [feature(ring_of(swapped))]))
    assert annotation.geometry.is_valid
    assert annotation.geometry.area == pytest.approx(Polygon(corners).area, rel=1e-4)


def test_the_corner_that_qupath_crops_to_comes_from_the_slide():
    assert qupath_origin({"openslide.bounds-x": "1024", "openslide.bounds-y": "4096.0"}) == (1024.0, 4096.0)
    assert qupath_origin({"objective magnification": "20"}) == (0.0, 0.0)
