"""Notes on slides: what a file may bring into them, how much is kept, and whom they are told."""

import pytest
import shapely
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy

from napari_gigaclf.models.records import parse, plain
from napari_gigaclf.viewer.asked_places import place_of, question_of
from napari_gigaclf.viewer.controllers.probe import Question
from napari_gigaclf.viewer.slide_notes import MAX_ASKED, AskedPlace, HotspotsShown, NoteBook, SlideNotes, notes_of


def test_a_viewer_and_its_proxy_have_one_book():
    viewer = ViewerModel()
    assert notes_of(PublicOnlyProxy(viewer)) is notes_of(viewer)
    assert notes_of(ViewerModel()) is not notes_of(viewer)


def test_what_returns_comes_before_what_was_noted_since():
    book, told = NoteBook(), []
    stop = book.watch(lambda: told.append(1))
    one, two = AskedPlace(point=(1.0, 2.0)), AskedPlace(box=(0, 1, 0, 1))
    book.note_asked("a", (two,))
    book.note_asked("a", (two,))
    assert told == [1]
    book.take_up("a", SlideNotes(asked=(one,), hotspots=HotspotsShown(class_name="x", threshold=0.5)))
    assert book.of("a").asked == (one, two)
    assert book.of("a").hotspots.class_name == "x"
    assert told == [1], "what came from the file need not be written"
    book.forget("a")
    assert book.of("a") == SlideNotes()
    stop()
    book.note_asked("a", (one,))
    assert told == [1]


def test_of_too_many_places_the_latest_are_kept():
    book = NoteBook()
    book.note_asked("a", tuple(AskedPlace(point=(float(index), 0.0)) for index in range(MAX_ASKED + 5)))
    assert [book.of("a").asked[index].point[0] for index in (0, -1)] == [5.0, MAX_ASKED + 4.0]
    letters = "x" * 150_000
    book.note_asked("a", tuple(AskedPlace(area=letters, label=str(index)) for index in range(4)))
    assert [each.label for each in book.of("a").asked] == ["2", "3"]
    circle = shapely.Point(0, 0).buffer(1000, quad_segs=10_000)
    assert place_of(Question(kind="area", place=circle, position=(0.0, 0.0))) is None


@pytest.mark.parametrize("raw", [
    {"asked": [{}]}, {"asked": [{"point": [1, 2], "area": "POINT (1 2)"}]}, {"asked": [{"point": [1e12, 0]}]},
    {"asked": [{"box": [5, 5, 0, 1]}]}, {"asked": [{"point": [1, 2], "threshold": 7}]}, {"asked": [{"point": [1]}]},
    {"asked": [{"point": [1, 2]}] * (MAX_ASKED + 1)}, {"asked": [{"area": "x" * 500_000}]},
    {"hotspots": {"class_name": "x", "threshold": -1}}, {"asked": [{"point": [1, 2], "label": "x" * 2000}]},
])  # fmt: skip
def test_notes_that_cannot_be_are_refused(raw):
    with pytest.raises(ValueError):
        parse(SlideNotes, raw, "notes")


def test_notes_come_back_from_json():
    notes = SlideNotes(
        asked=(AskedPlace(point=(0.1, 2.0)), AskedPlace(area="POLYGON ((0 0, 1 0, 1 1, 0 0))", label="b"))
    )
    assert parse(SlideNotes, plain(notes), "notes") == notes


@pytest.mark.parametrize("text", [
    "", "nonsense", "POINT (1 2)", "POLYGON EMPTY", "POLYGON ((0 0, 1 1))", "POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))",
    "POLYGON ((0 0, 1 0, inf 1, 0 0))", "GEOMETRYCOLLECTION (POINT (1 1))",
])  # fmt: skip
def test_a_text_that_is_no_area_is_no_question(text):
    assert question_of(AskedPlace(area=text)) is None
