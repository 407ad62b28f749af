"""What was taught by clicks is applied to the worklist: in a real window, on phantom slides in files."""

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QPoint, Qt

from napari_gigaclf.geometry import corner_to_napari_data
from napari_gigaclf.inference import classify
from napari_gigaclf.inference.teaching.kept_features import KeptFeatures
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer import teach_commands
from napari_gigaclf.viewer.layers import Frame, prediction_layers
from napari_gigaclf.viewer.returning.host import found_in
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.teach import TeachWidget

MODEL = "phantom-tumour"
NAME = f"lesson 1 on {MODEL}"
SIDE = 1600


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Three slides in files, the second one damaged, and a table that names them with their scale."""
    folder = tmp_path_factory.mktemp("case")
    rows = ["slide,um_per_px"]
    for seed, name in ((3, "a.png"), (None, "b.png"), (4, "c.png")):
        if seed is None:
            (folder / name).write_bytes(b"no picture")
        else:
            slide = PhantomSlide(seed=seed, shape=(SIDE, SIDE))
            Image.fromarray(np.asarray(slide.levels[0][:, :])).save(folder / name)
        rows.append(f"{name},{slide.um_per_px[0]}")
    (folder / "case.csv").write_text("\n".join(rows))
    return folder / "case.csv"


@pytest.fixture(scope="module")
def results(table):
    """The base model's results of the two slides that can be read, by name."""
    um_per_px = PhantomSlide(seed=3, shape=(SIDE, SIDE)).um_per_px[0]
    return {
        name: classify(open_slide(table.parent / name, um_per_px), MODEL, saliency=None, device="cpu")
        for name in ("a.png", "c.png")
    }


@pytest.fixture
def worklist(dock_worklist, table):
    return dock_worklist(table, rows=3)


@pytest.fixture
def teach(viewer, qtbot, worklist, tmp_path, results):
    """The Teach widget; the first slide's features are kept from an earlier run."""
    KeptFeatures(tmp_path / "features").keep(results["a.png"])
    widget = TeachWidget(viewer, lessons=tmp_path / "lessons", features=tmp_path / "features")
    viewer.window.add_dock_widget(widget, name="Teach")
    qtbot.waitUntil(lambda: widget.teaching.lesson is not None, timeout=60_000)
    choose(widget.choices.model_box, MODEL)
    qtbot.waitUntil(lambda: widget.teaching.base is not None and widget.teaching.base.name == MODEL, timeout=60_000)
    yield widget
    widget.shut_down()
    assert all(worker.close(60) for worker in (widget.quick, widget.saver, widget.long, widget.list_panel.worker))


@pytest.fixture
def go_to(viewer, qtbot, worklist):
    """Go to a row by its keys, past the damaged slide, until everything has returned."""

    def go(row):
        canvas, controller = viewer.window._qt_viewer.canvas.native, worklist.controller
        while controller.current != row or controller.opening:
            key = Qt.Key.Key_PageDown if controller.current is None or controller.current < row else Qt.Key.Key_PageUp
            canvas.setFocus()
            qtbot.keyClick(canvas, key)
            qtbot.waitUntil(lambda: not controller.opening, timeout=20_000)
        slide = next(layer.metadata["slide"] for layer in viewer.layers if layer.metadata.get("slide"))
        returning = found_in(viewer.window._qt_window).controller
        qtbot.waitUntil(lambda: returning.keeps_shapes(slide.id), timeout=20_000)
        return slide

    return go


@pytest.fixture
def teach_ten(viewer, qtbot, teach, results):
    """Give five places without tumour and five with it on the first slide; by keys and mouse if they can be seen."""

    def click_cells(key, cells):
        canvas, slide = viewer.window._qt_viewer.canvas.native, teach.teaching.slide
        canvas.setFocus()
        qtbot.keyClick(canvas, key)
        for row, column in cells[:: max(1, len(cells) // 5)][:5]:
            place = teach.teaching.opened.canvas.grid.centre_of(int(row), int(column))
            if not viewer.window._qt_window.isVisible():
                teach.teaching.click(slide, place)
                continue
            world = corner_to_napari_data(np.array([place]))[0] * slide.um_per_px
            camera = viewer.scene.camera
            y, x = np.array([canvas.height(), canvas.width()]) / 2 + (world - camera.center[-2:]) * camera.zoom
            qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(round(x), round(y)))

    def give():
        qtbot.waitUntil(lambda: teach.teaching.opened is not None, timeout=60_000)
        Viewpoint(viewer).fit(teach.teaching.slide)
        tumour = np.nan_to_num(results["a.png"].probability_map[1], nan=0.5)
        click_cells(Qt.Key.Key_1, np.argwhere(tumour < 0.01))
        click_cells(Qt.Key.Key_2, np.argwhere(tumour > 0.99))
        assert list(teach.teaching.lesson.counts().values()) == [5, 5]
        qtbot.waitUntil(lambda: teach.teaching.painter.check is not None, timeout=60_000)

    return give


def status(worklist):
    return [worklist.table.item(row, 1).text() for row in range(worklist.table.rowCount())]


def maps(viewer):
    """Return the model's name and whether it is seen of each result over the slide, from the lowest."""
    return [
        (layer.metadata["prediction"].record.model.name, layer.visible)
        for layer in viewer.layers
        if layer.metadata.get("kind") == "probability"
    ]


def test_every_slide_has_its_map_when_it_is_opened_and_no_other_result_is_lost(
    viewer, qtbot, worklist, teach, go_to, teach_ten, results, own_folders
):
    slide = go_to(2)
    for data in prediction_layers(results["c.png"], Frame.of_slide(slide), "tumour"):
        teach.canvas.put(slide.id, data)
    slide = go_to(0)
    qtbot.waitUntil(lambda: status(worklist)[2] == f"result of {MODEL}", timeout=20_000)
    viewer.add_points([[10.0, 20.0]], name="mine")
    teach_ten()
    qtbot.mouseClick(teach.list_panel.apply_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(
        lambda: teach.list_panel.note.text().startswith("Applied to 2 of 3 slides; 1 failed"), timeout=120_000
    )
    assert "b.png: " in teach.list_panel.note.text()
    qtbot.waitUntil(lambda: status(worklist)[2] == f"result of {NAME}", timeout=20_000)
    qtbot.waitUntil(lambda: maps(viewer) == [(NAME, False)], timeout=20_000)  # under the painted one, which is the same
    assert len(list((own_folders / "results").glob("*.gigaclf"))) == 3

    slide = go_to(2)
    qtbot.waitUntil(lambda: teach.canvas.overlay(slide.id, "taught") is not None, timeout=60_000)
    qtbot.waitUntil(lambda: teach.teaching.painter.check is not None, timeout=60_000)
    painted = np.array(teach.canvas.overlay(slide.id, "taught").metadata["live"].values)
    stored = teach.canvas.overlay(slide.id, "probability").metadata["prediction"]
    assert np.asarray(stored.probability_map) == pytest.approx(painted, abs=1e-6, nan_ok=True)
    assert maps(viewer) == [(MODEL, False), (NAME, False)]

    teach.shut_down()
    slide = go_to(0)
    assert status(worklist)[0].startswith(f"open, result of {NAME}")
    assert "mine" in [layer.name for layer in viewer.layers]
    assert maps(viewer) == [(NAME, True)]
    slide = go_to(2)
    assert maps(viewer) == [(MODEL, False), (NAME, True)]
    again = go_to(0) and go_to(2)
    assert again.id == slide.id
    assert maps(viewer) == [(MODEL, False), (NAME, True)], "however often it is opened"


def test_it_is_stopped_and_keeps_what_is_done(on_the_screen, viewer, qtbot, worklist, teach, go_to, teach_ten):
    go_to(0)
    teach_ten()
    panel = teach.list_panel
    teach_commands.teach_apply_worklist(viewer)
    qtbot.waitUntil(lambda: "classifying" in panel.note.text(), timeout=120_000)
    assert "3 of 3 slides: c.png" in panel.note.text()
    assert "left" in panel.note.text()
    assert panel.bar.value() >= 2000
    qtbot.mouseClick(panel.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.stop_button.isVisible(), timeout=60_000)
    assert panel.note.text().startswith("Applied to 1 of 3 slides; stopped, what is done stays; 1 failed")
    qtbot.waitUntil(lambda: NAME in status(worklist)[0], timeout=20_000)
    assert status(worklist)[2] == "not opened"


def test_what_is_missing_is_said(viewer, qtbot, worklist, teach, go_to, teach_ten, plugin_settings):
    panel = teach.list_panel
    qtbot.mouseClick(panel.apply_button, Qt.MouseButton.LeftButton)
    assert "Teach two classes first" in panel.note.text()
    go_to(0)
    teach_ten()
    worklist.controller.worklist = None
    qtbot.mouseClick(panel.apply_button, Qt.MouseButton.LeftButton)
    assert "There is no worklist: open Worklist" in panel.note.text()
    assert panel.apply_button.isEnabled()


def test_a_map_is_laid_over_the_second_slide_of_a_list_in_a_window_window(
    viewer, qtbot, on_the_screen, worklist, teach, go_to, results
):
    """The examples' points went with the first slide; the driver read them when the second was drawn again."""
    go_to(0)
    qtbot.wait(500)  # until both are drawn
    slide = go_to(2)
    qtbot.wait(500)
    for data in prediction_layers(results["c.png"], Frame.of_slide(slide), "tumour"):
        teach.canvas.put(slide.id, data)
    qtbot.wait(500)
    assert teach.canvas.overlay(slide.id, "probability").visible
