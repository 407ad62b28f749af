"""The worklist in a real window: keys, double click, a run that is left, slides that return."""

import shutil

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_gigaclf.viewer import worklist_commands
from napari_gigaclf.viewer.returning.host import found_in
from napari_gigaclf.viewer.viewpoint import Viewpoint


@pytest.fixture
def folder(tmp_path, pixels):
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "b-bad.svs").write_bytes(b"II*\0" + b"\xff" * 100)
    for number, name in enumerate(("a.png", "c.png")):
        Image.fromarray(np.roll(pixels, 20 * number, axis=0)).save(folder / name)
    return folder


@pytest.fixture
def worklist(viewer, dock_worklist):
    viewer.window.resize(1280, 800)
    return dock_worklist()


def status(worklist):
    return [worklist.table.item(row, 1).text() for row in range(worklist.table.rowCount())]


def test_through_a_folder_by_keys_and_double_click(worklist, viewer, folder, qtbot):
    canvas = viewer.window._qt_viewer.canvas.native

    def settled(row):
        controller = worklist.controller
        qtbot.waitUntil(lambda: controller.open_row == row and not controller.opening, timeout=20_000)
        returning = found_in(viewer.window._qt_window)
        kept = returning.controller.keeps_shapes
        layer = next(layer for layer in viewer.layers if layer.metadata.get("slide"))
        qtbot.waitUntil(lambda: kept(layer.metadata["slide"].id), timeout=20_000)
        return layer.metadata["slide"]

    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder))])
    copy, button, no = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    worklist.dropEvent(QDropEvent(QPointF(9, 9), copy, data, button, no))
    qtbot.waitUntil(lambda: worklist.table.rowCount() == 3, timeout=20_000)
    assert status(worklist) == ["not opened"] * 3
    qtbot.keyClick(canvas, Qt.Key.Key_PageDown)
    slide = settled(0)
    point = Viewpoint(viewer)
    point.set_zoom(slide, 3.0)
    viewer.add_shapes([np.array([[10, 10], [10, 60], [50, 60.0]])], shape_type="polygon", name="mine")
    viewer.layers.selection.active = viewer.layers[0]

    qtbot.keyClick(canvas, Qt.Key.Key_PageDown)
    qtbot.waitUntil(lambda: status(worklist)[1].startswith("cannot be opened"), timeout=20_000)
    assert "b-bad.svs" in worklist.note.text()
    assert [layer.name for layer in viewer.layers] == ["a.png", "mine"]
    worklist_commands.next_slide(viewer)
    settled(2)
    assert [layer.name for layer in viewer.layers] == ["c.png"]
    qtbot.waitUntil(lambda: status(worklist)[0] == "1 drawn", timeout=20_000)
    assert status(worklist)[2] == "open"
    assert "1 cannot be opened" in worklist.position_note.text()

    place = worklist.table.visualItemRect(worklist.table.item(0, 0)).center()
    qtbot.mouseClick(worklist.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.mouseDClick(worklist.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    slide = settled(0)
    assert point.zoom(slide) == pytest.approx(3.0)
    assert [layer.name for layer in viewer.layers] == ["a.png", "mine"]
    worklist.shut_down()
    assert not viewer.keymap


def test_a_copy_under_another_name_says_so_once_and_shares_what_is_drawn(worklist, viewer, folder, qtbot, monkeypatch):
    shutil.copyfile(folder / "a.png", folder / "a-copy.png")
    said = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", said.append)
    monkeypatch.setattr("napari.utils.notifications.show_info", said.append)
    worklist.source_row.set_path(folder)
    qtbot.waitUntil(lambda: worklist.table.rowCount() == 4, timeout=20_000)
    rows = [worklist.table.item(row, 0).text() for row in range(4)]
    copy, original = rows.index("a-copy.png"), rows.index("a.png")

    def go(row):
        worklist.controller.open(row)
        qtbot.waitUntil(lambda: worklist.controller.open_row == row and not worklist.controller.opening, timeout=20_000)
        slide = next(layer for layer in viewer.layers if layer.metadata.get("slide")).metadata["slide"]
        returning = found_in(viewer.window._qt_window).controller
        qtbot.waitUntil(lambda: returning.keeps_shapes(slide.id), timeout=20_000)
        assert slide.path.name == rows[row]

    go(original)
    viewer.add_shapes([np.array([[10, 10], [10, 60], [50, 60.0]])], shape_type="polygon", name="mine")
    assert said == []
    go(copy)
    assert [layer.name for layer in viewer.layers] == ["a-copy.png", "mine"]
    assert len(said) == 1
    assert f"a-copy.png has the same content as {folder / 'a.png'}" in said[0]
    qtbot.waitUntil(lambda: status(worklist)[original] == "1 drawn, same content as a-copy.png", timeout=20_000)
    assert status(worklist)[copy] == "open, 1 drawn, same content as a.png"
    viewer.layers.remove("mine")
    go(original)
    assert [layer.name for layer in viewer.layers] == ["a.png"], "one slide: taken away from one is taken from both"
    go(copy)
    assert len(said) == 1, "it is known by now"


def test_the_palette_lists_again_what_came_into_the_folder(worklist, viewer, folder, qtbot):
    worklist_commands.list_again(viewer)
    assert "folder" in worklist.note.text(), "there is nothing to be listed yet"
    worklist.source_row.set_path(folder)
    qtbot.waitUntil(lambda: worklist.table.rowCount() == 3, timeout=20_000)
    (folder / "a.png").rename(folder / "d.png")
    (folder / "e.png").write_bytes((folder / "d.png").read_bytes())
    worklist_commands.list_again(viewer)
    qtbot.waitUntil(lambda: worklist.table.rowCount() == 4, timeout=20_000)
    names = [worklist.table.item(row, 0).text() for row in range(4)]
    assert names == ["b-bad.svs", "c.png", "d.png", "e.png"]


def test_points_and_painted_masks_stay_with_their_slide(worklist, viewer, folder, qtbot):
    """Made with napari's own buttons, so in whatever coordinates these give them."""
    controller, buttons = worklist.controller, viewer.window._qt_viewer.layerButtons

    def settled(row):
        qtbot.waitUntil(lambda: controller.open_row == row and not controller.opening, timeout=20_000)
        kept = found_in(viewer.window._qt_window).controller.keeps_shapes
        slide = next(layer.metadata["slide"] for layer in viewer.layers if layer.metadata.get("slide"))
        qtbot.waitUntil(lambda: kept(slide.id), timeout=20_000)

    worklist.source_row.set_path(folder)
    qtbot.waitUntil(lambda: worklist.table.rowCount() == 3, timeout=20_000)
    controller.open(0)
    settled(0)
    buttons.newPointsButton.click()
    viewer.layers.selection.active.add([[30.0, 40.0]])
    viewer.layers.selection.active = viewer.layers[0]  # napari makes a mask as large as what is selected
    buttons.newLabelsButton.click()
    viewer.layers.selection.active.paint((60, 70), 3)
    painted = np.array(viewer.layers.selection.active.data)
    assert painted.any()
    buttons.newPointsButton.click()  # and nothing set in it
    controller.open(2)
    settled(2)
    assert [layer.name for layer in viewer.layers] == ["c.png"]
    buttons.newPointsButton.click()
    viewer.layers.selection.active.add([[1.0, 2.0], [3.0, 4.0]])
    controller.open(0)
    settled(0)
    slide, points, labels = viewer.layers
    assert (slide.name, points.data.tolist()) == ("a.png", [[30, 40]])
    assert np.array_equal(labels.data, painted)
    controller.open(2)
    settled(2)
    slide, points = viewer.layers
    assert (slide.name, points.data.tolist()) == ("c.png", [[1, 2], [3, 4]])


def test_a_run_is_stopped_only_if_a_person_says_so_and_a_result_returns(
    widget, worklist, viewer, folder, qtbot, monkeypatch
):
    answers, asked = [False, True], []
    monkeypatch.setattr(worklist, "ask", lambda text: (asked.append(text), answers.pop(0))[1])
    controller = worklist.controller
    worklist.source_row.set_path(folder)
    qtbot.waitUntil(lambda: worklist.table.rowCount() == 3, timeout=20_000)
    controller.open(0)
    qtbot.waitUntil(lambda: controller.open_row == 0 and not controller.opening, timeout=20_000)
    slide = widget.chosen_slide()
    widget.book.give_scale(slide, 1.0)
    qtbot.waitUntil(lambda: widget.chosen_slide().um_per_px is not None, timeout=20_000)
    qtbot.waitUntil(lambda: widget.runs.prepared is not None, timeout=60_000)
    widget.run_panel.run_button.click()
    controller.open(2)
    assert controller.open_row == 0, "the person said no"
    assert "would be stopped" in asked[0]
    qtbot.waitUntil(lambda: slide.id in widget.runs.results and not widget.runs.running, timeout=60_000)
    prediction = widget.runs.results[slide.id][0]
    widget.run_panel.run_button.click()
    controller.open(2)
    qtbot.waitUntil(lambda: controller.open_row == 2 and not controller.opening, timeout=20_000)
    assert not widget.runs.running
    assert widget.chosen_slide().name == "c.png"
    qtbot.waitUntil(lambda: status(worklist)[0] == "result of tiny", timeout=20_000)
    controller.open(0)
    qtbot.waitUntil(lambda: slide.id in widget.runs.results, timeout=20_000)
    again = widget.runs.results[slide.id][0]
    assert again.record == prediction.record
    assert np.array_equal(again.probability_map, prediction.probability_map, equal_nan=True)
    assert widget.run_panel.result_note.text() != ""


@pytest.mark.parametrize(("key", "modifier", "goes"), [
    (Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier, False),
    (Qt.Key.Key_Space, Qt.KeyboardModifier.NoModifier, False),
    (Qt.Key.Key_Escape, Qt.KeyboardModifier.NoModifier, False),
    (Qt.Key.Key_Y, Qt.KeyboardModifier.AltModifier, True),
])  # fmt: skip
def test_what_would_lose_something_is_answered_by_keys_and_not_by_a_slip(worklist, qtbot, key, modifier, goes):
    def answer():
        asked = QApplication.activeModalWidget()
        QTest.keyClick(asked.focusWidget() or asked, key, modifier)

    QTimer.singleShot(300, answer)
    assert worklist.ask("Close it?") == goes
