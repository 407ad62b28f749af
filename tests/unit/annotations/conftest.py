import pytest
from shapely.geometry import MultiPolygon, Point, Polygon, box

from napari_gigaclf.annotations import Annotation


@pytest.fixture
def ring_with_hole():
    return Polygon(box(0, 0, 900, 900).exterior, [box(300, 300, 600, 600).exterior])


@pytest.fixture
def annotations(ring_with_hole):
    """One of every sort a slide collects."""
    return [
        Annotation(geometry=ring_with_hole, class_name="Tumour: invasive", name="Lesion 1", metadata={"seen": "twice"}),
        Annotation(
            geometry=box(1024.5, 2048.25, 1536, 2560),
            class_name="tumour",
            kind="tile",
            author="model:phantom-tumour",
            measurements={"prob_tumour": 0.93, "nothing": float("nan")},
        ),
        Annotation(geometry=MultiPolygon([box(0, 0, 1, 1), box(5, 5, 7, 7)]), kind="detection"),
        Annotation(geometry=MultiPolygon([box(0, 0, 1, 1)]), class_name="Größe", colour=(1, 2, 3)),
        Annotation(geometry=Point(3.25, 4.5), colour=(9, 8, 7)),
    ]
