"""A worklist without a window: real files, real layers, what this program keeps of slides."""

import shutil

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image

from napari_gigaclf.errors import CohortError, SlideError
from napari_gigaclf.inference.findings.review_file import ReviewStore
from napari_gigaclf.inference.findings.reviews import Review, ReviewKey, ReviewLog, now
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.controllers import worklist_jobs
from napari_gigaclf.viewer.controllers.worklist import WorklistController
from napari_gigaclf.viewer.controllers.worklist_jobs import KnownFiles, read_worklist
from napari_gigaclf.viewer.returning.pieces import file_of
from napari_gigaclf.viewer.returning.state import ResultShown, SlideState
from napari_gigaclf.viewer.returning.state_store import StateStore
from napari_gigaclf.viewer.worklist_texts import (
    RUN_LOST,
    known_text,
    known_tip,
    leaving_text,
    list_text,
    marks_lost,
    problem_status,
)


class FakeWidget:
    """Remembers what it was told."""

    def __init__(self):
        self.notes, self.asked, self.leave, self.returned = [], [], True, 0

    def show_list(self, worklist):
        self.worklist = worklist

    def show_rows(self):
        pass

    def show_note(self, text):
        self.notes.append(text)

    def may_leave(self, slide):
        self.asked.append(slide.name)
        return self.leave

    def slide_shown(self):
        self.returned += 1


@pytest.fixture
def folder(tmp_path, pixels):
    folder = tmp_path / "case"
    folder.mkdir()
    for number, name in enumerate(("b.png", "A.png", "c.png")):
        Image.fromarray(np.roll(pixels, 20 * number, axis=0)).save(folder / name)
    (folder / "bad.svs").write_bytes(b"II*\0" + b"\xff" * 100)
    (folder / "empty.tif").write_bytes(b"")
    (folder / "notes.txt").write_text("not listed")
    return folder


@pytest.fixture
def known(tmp_path):
    return KnownFiles(tmp_path / "slides", tmp_path / "reviews")


@pytest.fixture
def work(make_worker, pump, known):
    canvas, worker, view = SlideCanvas(ViewerModel()), make_worker("worklist"), FakeWidget()
    controller = WorklistController(view, canvas, worker=worker, known=known)
    controller.view, controller.canvas = view, canvas

    def settle():
        pump.until(lambda: not worker.busy)
        pump.drain()
        pump.until(lambda: not worker.busy)
        pump.drain()

    controller.settle = settle
    return controller


def test_a_folder_and_a_table_are_listed_with_what_cannot_be_opened(folder, tmp_path, monkeypatch):
    found = read_worklist(folder)
    assert [item.name for item in found.items] == ["A.png", "b.png", "bad.svs", "c.png", "empty.tif"]
    assert [item.problem for item in found.items] == ["", "", "", "", "the file is empty"]
    table = tmp_path / "cohort.csv"
    table.write_text("slide,label,um_per_px,group\ncase/b.png,tumour,0.5,p1\n,x,,p2\ncase/gone.svs,normal,fast,p2\n")
    found = read_worklist(table)
    assert [(item.name, item.um_per_px, item.problem) for item in found.items] == [
        ("b.png", 0.5, ""), ("gone.svs", None, "there is no such file")]  # fmt: skip
    monkeypatch.setattr(worklist_jobs, "MAX_SLIDES", 2)
    assert read_worklist(folder).left_out == "only the first 2 of 5 slides are listed"


def test_what_is_no_worklist_says_so(tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(SlideError, match="no slides in this folder"):
        read_worklist(tmp_path / "none")
    (tmp_path / "a.csv").write_text("file\nx\n")
    with pytest.raises(CohortError, match="no column 'slide'; the columns are: file"):
        read_worklist(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("slide\n\n")
    with pytest.raises(CohortError, match="names no slide"):
        read_worklist(tmp_path / "b.csv")
    (tmp_path / "c.doc").write_text("")
    with pytest.raises(CohortError, match="a worklist is a folder"):
        read_worklist(tmp_path / "c.doc")


def test_what_is_known_comes_from_our_files_and_only_of_the_same_file(folder, tmp_path, known):
    items = read_worklist(folder).items
    assert known.look(items) == [None] * 5
    path = folder / "b.png"
    slide_id = open_slide(path).id
    state = SlideState(slide_id=slide_id, slide_name="b.png", file=file_of(path), when="2026-02-03T04:05:06+00:00",
                       view=None, result=ResultShown(path="r", class_name="x", model="tiny"), num_drawn=2)  # fmt: skip
    StateStore(tmp_path / "slides", slide_id).save(state, None)
    key = ReviewKey(slide_id=slide_id, model="m", version="1", sha256="")
    said = {"class_name": "tumour", "probability": 0.5, "who": "me", "when": now()}
    log = ReviewLog(key=key).adding(Review(place=(1.0, 2.0), verdict="rejected", **said))
    log = log.adding(Review(place=(1.0, 2.0), verdict="accepted", **said))
    ReviewStore(tmp_path / "reviews", key).save(log.adding(Review(place=(3.0, 4.0), verdict="open", note="?", **said)))
    (tmp_path / "reviews" / "broken.json").write_text("{")
    found = known.look(items)[1]
    assert (found.model, found.num_drawn, found.num_judged, found.opened[:10]) == ("tiny", 2, 1, "2026-02-03")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(path)
    assert known.look(items) == [None] * 5, "another file lies there now"


def test_copies_of_one_file_share_what_is_known_and_name_each_other(folder, tmp_path, known):
    path, copy = folder / "b.png", folder / "z.png"
    shutil.copyfile(path, copy)
    items = read_worklist(folder).items
    names = [item.name for item in items]
    slide_id = open_slide(path).id
    assert open_slide(copy).id == slide_id
    state = SlideState(slide_id=slide_id, slide_name="z.png", file=file_of(copy), when="2026-02-03T04:05:06+00:00",
                       view=None, num_drawn=2, copies=(file_of(path),))  # fmt: skip
    StateStore(tmp_path / "slides", slide_id).save(state, None)
    found = dict(zip(names, known.look(items), strict=True))
    assert (found["b.png"].num_drawn, found["z.png"].num_drawn) == (2, 2)
    assert (found["b.png"].copies, found["z.png"].copies) == (("z.png",), ("b.png",))
    assert known_text(found["b.png"]) == "2 drawn, same content as z.png"
    assert "holds for both" in known_tip(found["b.png"])
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(path)
    found = dict(zip(names, known.look(items), strict=True))
    assert found["b.png"] is None, "another file lies there now"
    assert found["z.png"].copies == ()


def test_one_slide_after_the_other_with_a_broken_one_between(work, folder):
    work.step(1)
    assert work.view.notes[-1] == "no worklist is chosen"
    work.choose(folder)
    work.settle()
    viewer = work.canvas.viewer
    other = viewer.add_points(np.zeros((1, 2)), name="not of a slide")
    work.step(1)
    work.settle()
    assert [layer.name for layer in viewer.layers] == ["not of a slide", "A.png"]
    assert (work.current, work.open_row, work.view.returned) == (0, 0, 1)
    slide = viewer.layers["A.png"].metadata["slide"]
    viewer.add_shapes([np.eye(3, 2) * 9], shape_type="polygon", metadata={"drawn_on": slide.id}, name="mine")
    work.step(1)
    work.settle()
    assert [layer.name for layer in viewer.layers] == ["not of a slide", "b.png"]
    work.step(1)
    work.settle()
    assert "bad.svs" in work.problems[2]
    assert (work.current, work.open_row) == (2, 1), "the slide before stays open"
    work.step(1)
    work.settle()
    assert [layer.name for layer in viewer.layers] == ["not of a slide", "c.png"]
    work.open(0)
    work.open(1)
    work.settle()
    assert (work.current, work.open_row, len(viewer.layers)) == (1, 1, 2), "the later wish wins"
    work.open(0)
    work.settle()
    work.step(-1)
    assert work.view.notes[-1] == "this is the first slide"
    assert other in viewer.layers


def test_a_file_that_was_cut_short_leaves_the_slide_before_open(work, folder):
    PhantomSlide(3, (700, 900), 1.0).save(folder / "d.tif")
    content = (folder / "d.tif").read_bytes()
    (folder / "d.tif").write_bytes(content[: len(content) // 20])
    work.choose(folder)
    work.settle()
    work.step(1)
    work.settle()
    work.open(4)
    work.settle()
    assert work.worklist.items[4].name == "d.tif"
    assert "cut short" in work.problems[4]
    assert [layer.name for layer in work.canvas.viewer.layers] == ["A.png"]


def test_a_slide_that_may_not_be_left_stays(work, folder):
    work.choose(folder)
    work.settle()
    work.step(1)
    work.settle()
    work.view.leave = False
    work.step(1)
    work.settle()
    assert (work.current, work.open_row, work.view.asked) == (0, 0, ["A.png"])
    work.choose(folder / "nothing.csv")
    work.settle()
    assert "no such table" in work.view.notes[-1]
    assert work.worklist.source == folder, "the list before stays"


def test_a_slide_that_a_person_has_opened_is_taken_forward(work, folder):
    from napari_gigaclf.viewer.reader import open_layers

    work.choose(folder)
    work.settle()
    for name in ("b.png", "c.png"):
        work.canvas.add_slide(open_layers(open_slide(folder / name)))
    work.open(1)
    work.settle()
    assert [layer.name for layer in work.canvas.viewer.layers] == ["c.png", "b.png"]
    assert work.open_row == 1


def test_the_sentences():
    assert list_text(1, [None, None], ["", "x"], "") == "2 of 2 slides: 0 opened, 0 with a result, 1 cannot be opened"
    assert problem_status("/a/b/bad.svs: no TIFF", "bad.svs") == "cannot be opened: no TIFF"
    assert problem_status("/a/bad.svs: cannot be opened: damaged", "bad.svs") == "cannot be opened: damaged"
    assert problem_status("the file is empty", "bad.svs") == "cannot be opened: the file is empty"
    assert leaving_text("a", [], 0) == ""
    assert "would be stopped" in leaving_text("a", [RUN_LOST], 0)
    assert "1 mark of your own call would not be kept" in leaving_text("a", [RUN_LOST, *marks_lost(1)], 0)
    assert "2 drawings (shapes, points, masks) would not be kept" in leaving_text("a", [], 2)
