"""The Hotspots widget in a real napari window, through mouse, keys and controls; and what is left when it is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_gigaclf.inference import Prediction
from napari_gigaclf.inference.findings.review_file import reviews_folder
from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer import hotspot_commands as commands
from napari_gigaclf.viewer.commands import toggle_probability
from napari_gigaclf.viewer.layers import Frame, prediction_layers
from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget

KILLED = """
import sys
import napari
import numpy as np
from napari.settings import get_settings
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
get_settings(None)
from napari_gigaclf.inference import Prediction
from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.demo import settle, wait_until
from napari_gigaclf.viewer.layers import Frame, prediction_layers
from napari_gigaclf.viewer.reader import open_layers
from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget

slide = open_slide(np.load(sys.argv[1]), um_per_px=1.0)
viewer = napari.Viewer(show=True)
result = prediction_layers(Prediction.load(sys.argv[2]), Frame.of_slide(slide), "tumour")
for data, kwargs, kind in [*open_layers(slide), *result]:
    getattr(viewer, f"add_{kind}")(data, **kwargs)
widget = HotspotsWidget(viewer)
viewer.window.add_dock_widget(widget, name="Hotspots")
assert wait_until(lambda: bool(widget.lesions.lesions))
widget.choices.reader_box.setText("Ada")
canvas = viewer.window._qt_viewer.canvas.native
canvas.setFocus()
for key in "NANXNRE":
    if key == "E":
        widget.list.class_box.setEditText("normal")
        QTest.keyClick(widget.list.class_box, Qt.Key.Key_Return)
    else:
        QTest.keyClick(canvas, getattr(Qt.Key, f"Key_{key}"))
for key in "NANXU":
    QTest.keyClick(canvas, getattr(Qt.Key, f"Key_{key}"))
assert wait_until(lambda: not widget.saver.busy and "saved" in widget.saved_note.text())
print("said", flush=True)
settle(600)
"""
"""Five places: accepted, rejected, normal, accepted, and one whose rejection was undone."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Verdicts of a test lie in its own folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if not reviews_folder().is_relative_to(tmp_path):
        pytest.skip("the folder for data cannot be moved on this system")


@pytest.fixture(scope="module")
def image():
    """Tissue with dark dots, enough for some neighbourhoods of 250 um."""
    rng = np.random.default_rng(3)
    pixels = np.full((1536, 1280, 3), 245, dtype=np.uint8)
    pixels[96:1440, 96:1184] = np.clip(rng.normal((205, 140, 180), 12, size=(1344, 1088, 3)), 0, 255).astype(np.uint8)
    for y, x in zip(rng.integers(100, 1430, 4000), rng.integers(640, 1170, 4000), strict=True):
        pixels[y : y + 5, x : x + 5] = (90, 50, 130)
    return pixels


@pytest.fixture(scope="module")
def result(image, model_folder, tmp_path_factory) -> Path:
    """A saved result of the image."""
    from napari_gigaclf import classify

    slide = open_slide(image, um_per_px=1.0)
    return classify(slide, str(model_folder), device="cpu", saliency=None).save(
        tmp_path_factory.mktemp("result") / "slide.gigaclf"
    )


@pytest.fixture
def big(image):
    return open_slide(image, um_per_px=1.0)


@pytest.fixture
def make_hotspots(viewer, qtbot):
    """Dock widgets; they are shut down in the end."""
    from napari.utils._proxies import PublicOnlyProxy

    made = []

    def make():
        made.append(HotspotsWidget(PublicOnlyProxy(viewer)))
        viewer.window.add_dock_widget(made[-1], name="Hotspots")
        return made[-1]

    yield make
    for widget in made:
        widget.shut_down()
        assert all(worker.close() for worker in (widget.quick, widget.saver, widget.pictures))


@pytest.fixture
def show_result(viewer, show, big, result):
    """Open the slide with its result."""

    def add():
        show(big)
        for data, kwargs, kind in prediction_layers(Prediction.load(result), Frame.of_slide(big), "tumour"):
            getattr(viewer, f"add_{kind}")(data, **kwargs)

    return add


@pytest.fixture
def hotspots(on_the_screen, make_hotspots, show_result, qtbot):
    """The widget with a result open, all of it on the screen."""
    show_result()
    return filled(make_hotspots(), qtbot)


def filled(widget, qtbot):
    qtbot.waitUntil(lambda: bool(widget.lesions.lesions), timeout=30_000)
    widget.choices.threshold_box.setValue(0.01)
    qtbot.waitUntil(lambda: "0.01" in widget.tally_note.text(), timeout=10_000)
    assert widget.list.table.rowCount() >= 5
    return widget


@pytest.fixture
def press(viewer, qtbot):
    """Press keys while the canvas has the focus."""
    canvas = viewer.window._qt_viewer.canvas.native

    def keys(letters):
        canvas.setFocus()
        for letter in letters:
            qtbot.keyClick(canvas, getattr(Qt.Key, f"Key_{letter}"))

    return keys


def verdicts(widget):
    table = widget.list.table
    return [table.item(row, 2).text() for row in range(table.rowCount())]


def marks(widget, big):
    return widget.canvas.overlay(big.id, "hotspots")


def click(qtbot, table, row, column=1):
    table.scrollToItem(table.item(row, column))
    where = table.visualItemRect(table.item(row, column)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=where)


def test_five_places_by_keys_over_the_slide(hotspots, press, big, viewer, qtbot):
    press("NANXNR")
    field = hotspots.list.class_box
    assert QApplication.focusWidget() is field
    qtbot.keyClicks(field, "normal")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert QApplication.focusWidget() is viewer.window._qt_viewer.canvas.native
    press("NANXU")
    assert verdicts(hotspots)[:5] == ["accepted", "rejected", "is normal", "accepted", ""]
    entry = hotspots.findings.current_entry
    assert entry.rank == 5
    assert viewer.scene.camera.center[-2:] == pytest.approx([v - 0.5 for v in entry.place])
    layer = marks(hotspots, big)
    assert [str(symbol) for symbol in layer.symbol[:5]] == ["square", "x", "diamond", "square", "disc"]
    assert len({tuple(colour) for colour in layer.border_color[:5]}) == 4
    assert layer.border_width[4] > layer.border_width[3]
    qtbot.waitUntil(lambda: "saved" in hotspots.saved_note.text(), timeout=5_000)
    press("PP")
    assert hotspots.findings.current_entry.rank == 3
    assert hotspots.list.table.currentRow() == 2
    press("PPP")
    assert hotspots.note.text() == "That was the first place."
    press("N")
    assert hotspots.note.text() == ""


def test_the_palette_goes_through_the_places(hotspots, qtbot, tmp_path, monkeypatch, viewer):
    commands.hotspots_next(viewer)
    commands.hotspots_accept(viewer)
    commands.hotspots_next(viewer)
    commands.hotspots_reject(viewer)
    commands.hotspots_undo(viewer)
    commands.hotspots_previous(viewer)
    commands.hotspots_note(viewer)
    assert QApplication.focusWidget() is hotspots.list.note_box
    qtbot.keyClicks(hotspots.list.note_box, "clear")
    qtbot.keyClick(hotspots.list.note_box, Qt.Key.Key_Return)
    assert verdicts(hotspots)[:2] == ["accepted: clear", ""]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_asked: str(tmp_path))
    commands.hotspots_export(viewer)
    qtbot.waitUntil(lambda: "Exported" in hotspots.note.text(), timeout=20_000)
    assert len(list(tmp_path.glob("*-hotspots.csv"))) == 1
    commands.hotspots_reader_first(viewer)
    assert hotspots.list.table.rowCount() == 0
    commands.hotspots_reader_first(viewer)
    assert verdicts(hotspots)[0] == "accepted: clear"


def test_what_is_written_is_seen_though_another_tab_was_in_front(hotspots, press, viewer, widget, qtbot):
    press("N")
    widget.come_forward()
    qtbot.waitUntil(lambda: hotspots.visibleRegion().isEmpty(), timeout=10_000)
    press("R")
    qtbot.waitUntil(lambda: not hotspots.visibleRegion().isEmpty(), timeout=10_000)
    field = hotspots.list.class_box
    assert QApplication.focusWidget() is field
    qtbot.keyClicks(field, "normal")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert verdicts(hotspots)[0] == "is normal"
    assert QApplication.focusWidget() is viewer.window._qt_viewer.canvas.native


def test_on_a_small_screen_the_list_has_most_of_the_room(hotspots, viewer, qtbot):
    hotspots.choices.threshold_box.setValue(0.5)
    assert viewer.window._qt_window.size().height() == 800
    table = hotspots.list.table
    seen = lambda: table.viewport().height() // table.verticalHeader().defaultSectionSize()  # noqa: E731
    qtbot.waitUntil(lambda: seen() >= 7, timeout=5_000)
    for part in (hotspots.list.note_box, hotspots.export_button, hotspots.lesions.table, hotspots.choices.reader_box):
        assert not part.visibleRegion().isEmpty(), "nothing else has to be scrolled to"


def test_on_a_small_screen_nothing_beside_the_class_and_in_the_tables_is_cut_off(hotspots, viewer, press, qtbot):
    assert viewer.window._qt_window.size().width() == 1280
    press("NR")
    box = hotspots.list.class_box
    qtbot.keyClicks(box, "macrophage")
    field = box.lineEdit()
    room = field.width() - field.fontMetrics().horizontalAdvance("m")  # margins, and the cursor
    assert field.fontMetrics().horizontalAdvance("macrophage") <= room
    qtbot.keyClick(box, Qt.Key.Key_Return)
    note = hotspots.list.note_box
    assert note.fontMetrics().horizontalAdvance(note.placeholderText()) < note.width() - 8
    for table in (hotspots.list.table, hotspots.lesions.table):
        assert table.rowCount()
        header = table.horizontalHeader()
        assert header.length() <= table.viewport().width(), "every column is seen"
    hotspots.list.offer_classes(["papillary carcinoma of the thyroid, follicular variant"])
    assert field.cursorPosition() == 0, "a long name is seen from its beginning"


def test_they_return_after_the_program_was_killed(
    image, result, tmp_path, on_the_screen, make_hotspots, show_result, qtbot, big
):
    np.save(tmp_path / "image.npy", image)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "image.npy"), str(result)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        line = program.stdout.readline()
        os.kill(program.pid, signal.SIGKILL)
        assert line == "said\n", program.communicate()[1]
        program.communicate()
    assert program.returncode == -signal.SIGKILL
    show_result()
    widget = filled(make_hotspots(), qtbot)
    assert verdicts(widget)[:5] == ["accepted", "rejected", "is normal", "accepted", ""]
    assert "Ada" in widget.list.table.item(1, 2).toolTip()
    assert [str(symbol) for symbol in marks(widget, big).symbol[:5]] == ["square", "x", "diamond", "square", "disc"]
    assert [review.verdict for review in widget.findings.log.reviews] == [
        "accepted", "rejected", "relabelled", "accepted",
    ]  # fmt: skip
    for _ in range(4):
        qtbot.mouseClick(widget.list.undo_button, Qt.MouseButton.LeftButton)
    assert set(verdicts(widget)) == {""}


def test_by_mouse(hotspots, qtbot, viewer, big):
    table = hotspots.list.table
    click(qtbot, table, 2)
    entry = hotspots.findings.current_entry
    assert entry.rank == 3
    assert viewer.scene.camera.center[-2:] == pytest.approx([v - 0.5 for v in entry.place])
    viewer.scene.camera.center = (0.0, 0.0)
    click(qtbot, table, 2)  # once more: back there
    assert viewer.scene.camera.center[-2:] == pytest.approx([v - 0.5 for v in entry.place])
    panel = hotspots.list
    for button, said in (
        (panel.accept_button, "accepted"),
        (panel.reject_button, "rejected"),
        (panel.undo_button, "accepted"),
    ):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        assert verdicts(hotspots)[2] == said
    panel.class_box.setCurrentIndex(panel.class_box.findData("normal"))
    qtbot.mouseClick(panel.relabel_button, Qt.MouseButton.LeftButton)
    assert verdicts(hotspots)[2] == "is normal"
    qtbot.mouseClick(panel.next_button, Qt.MouseButton.LeftButton)
    assert hotspots.findings.current_entry.rank == 4
    qtbot.mouseClick(panel.previous_button, Qt.MouseButton.LeftButton)
    assert hotspots.findings.current_entry.rank == 3
    click(qtbot, hotspots.lesions.table, 0)
    place = hotspots.lesions.lesions[0].place
    assert viewer.scene.camera.center[-2:] == pytest.approx([v - 0.5 for v in place])
    qtbot.waitUntil(lambda: not table.item(0, 0).icon().isNull(), timeout=10_000)


def test_by_keyboard_alone_in_the_list(hotspots, qtbot):
    table = hotspots.list.table
    table.setFocus()
    assert hotspots.findings.current_entry.rank == 1
    qtbot.keyClick(table, Qt.Key.Key_Down)
    qtbot.keyClick(table, Qt.Key.Key_N)
    qtbot.keyClick(table, Qt.Key.Key_P)
    assert hotspots.findings.current_entry.rank == 2
    qtbot.keyClick(table, Qt.Key.Key_X)
    qtbot.keyClick(table, Qt.Key.Key_M)
    field = hotspots.list.note_box
    assert QApplication.focusWidget() is field
    qtbot.keyClicks(field, "a nap, unux")  # letters that are keys elsewhere
    assert verdicts(hotspots)[1] == "rejected"
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert verdicts(hotspots)[1] == "rejected: a nap, unux"
    assert QApplication.focusWidget() is table
    qtbot.keyClick(table, Qt.Key.Key_R)
    qtbot.keyClick(hotspots.list.class_box, Qt.Key.Key_Escape)
    assert QApplication.focusWidget() is table
    assert verdicts(hotspots)[1] == "rejected: a nap, unux"
    qtbot.keyClick(table, Qt.Key.Key_U)
    assert verdicts(hotspots)[1] == "rejected"


def test_the_threshold_counts_live_and_hides(hotspots, qtbot, big):
    table = hotspots.list.table
    middle = hotspots.findings.entries[1].probability
    hotspots.choices.slider.setValue(int(middle * 100))
    assert hotspots.choices.threshold_box.value() == pytest.approx(int(middle * 100) / 100)
    qtbot.waitUntil(
        lambda: f"{hotspots.choices.threshold_box.value():.2f}" in hotspots.tally_note.text(), timeout=10_000
    )
    shown = [row for row in range(table.rowCount()) if not table.isRowHidden(row)]
    reaching = [
        i for i, e in enumerate(hotspots.findings.entries) if e.probability >= hotspots.choices.threshold_box.value()
    ]
    assert shown == reaching
    assert list(np.flatnonzero(marks(hotspots, big).border_color[:, 3])) == reaching
    assert all(word in hotspots.tally_note.text() for word in ("hotspot", "foc", "mm²"))
    hotspots.choices.slider.setFocus()
    qtbot.keyClick(hotspots.choices.slider, Qt.Key.Key_End)
    assert "lower the threshold" in hotspots.note.text()
    assert hotspots.note.isVisibleTo(hotspots)


def test_while_the_slider_is_dragged_rings_follow_and_numbers_are_written_once(hotspots, qtbot, big):
    layer, numbered = marks(hotspots, big), []
    layer.events.features.connect(lambda _event: numbered.append(list(layer.features["rank"])))
    for value in (60, 70, 80, 90, 30, 2):
        hotspots.choices.slider.setValue(value)
        assert list(np.flatnonzero(layer.border_color[:, 3])) == hotspots.findings.shown
    assert numbered == []
    entries, shown = hotspots.findings.entries, hotspots.findings.shown
    expected = [str(entry.rank) if index in shown else "" for index, entry in enumerate(entries)]
    qtbot.waitUntil(lambda: bool(numbered), timeout=10_000)
    assert numbered == [expected]


def test_keys_of_a_layer_that_is_drawn_on_stay_its_own(hotspots, press, viewer, big):
    press("N")
    shapes = viewer.add_shapes(ndim=2, scale=(1.0, 1.0), units=("um", "um"))
    viewer.layers.selection.active = shapes
    press("P")
    assert str(shapes.mode) == "add_polygon"
    press("X")
    assert verdicts(hotspots)[0] == ""
    shapes.mode = "pan_zoom"
    press("N")  # going to a place selects the map
    press("X")
    assert verdicts(hotspots)[1] == "rejected"


def test_going_to_a_place_selects_the_map_in_place_of_our_own_mask(hotspots, press, viewer, big):
    """Letters of a tissue mask that was painted choose what is painted, as those of a person's own layers do."""
    press("N")
    mask = viewer.add_labels(np.ones((8, 8), np.uint8), metadata={"kind": "mask", "slide_id": big.id})
    viewer.layers.selection.active = mask
    mask.mode = "paint"
    press("N")
    assert viewer.layers.selection.active is mask, "while one paints it stays"
    mask.mode = "pan_zoom"
    press("N")
    press("X")
    assert verdicts(hotspots)[2] == "rejected"


def test_the_keys_are_given_back(hotspots, press, viewer):
    press("N")
    viewer.bind_key("Q", lambda _viewer: None)
    hotspots.shut_down()
    press("NX")
    assert all(key not in map(str, viewer.keymap) for key in "NPAXRMU")
    assert "Q" in map(str, viewer.keymap)
    assert all(not layer.keymap for layer in viewer.layers)


def test_a_run_beside_it_is_listed_and_one_that_begins_anew_is_taken_away(
    widget, make_hotspots, show, big, ready, qtbot, viewer
):
    hotspots = make_hotspots()
    assert "Classify a slide" in hotspots.tally_note.text()
    assert not hotspots.list.isEnabled()
    show(big)
    ready(big)
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: bool(hotspots.lesions.lesions), timeout=60_000)
    record = hotspots.findings.found.prediction.record
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: hotspots.findings.found is None, timeout=30_000)
    assert len(marks(hotspots, big).data) == 0
    qtbot.waitUntil(lambda: hotspots.findings.found is not None, timeout=60_000)
    assert hotspots.findings.found.prediction.record is not record
    viewer.layers.remove(widget.canvas.overlay(big.id, "probability"))
    assert hotspots.findings.found is None
    assert hotspots.list.table.rowCount() == 0
    assert marks(hotspots, big) is None


def test_export_from_the_widget(hotspots, press, qtbot, tmp_path):
    press("NX")
    hotspots.export_to(tmp_path / "out")
    qtbot.waitUntil(lambda: "Exported" in hotspots.note.text(), timeout=10_000)
    text = (tmp_path / "out" / "slide-hotspots.csv").read_text()
    assert "rejected" in text


def test_tooltips_name_the_keys(hotspots):
    panel = hotspots.list
    for key, button in (("N", panel.next_button), ("P", panel.previous_button), ("A", panel.accept_button),
                        ("X", panel.reject_button), ("R", panel.relabel_button), ("U", panel.undo_button)):  # fmt: skip
        assert f"press {key}" in button.toolTip()
        assert f"({key})" in button.text()
    assert "press M" in panel.note_box.toolTip()


def test_reader_first_hides_everything_until_the_call_is_recorded(
    widget, on_the_screen, make_hotspots, show, big, ready, qtbot, viewer
):
    hotspots = make_hotspots()
    panel = hotspots.reader
    commands.hotspots_record(viewer)
    assert hotspots.note.text().startswith("Your own call is asked for while Reader first is on")
    qtbot.mouseClick(panel.switch, Qt.MouseButton.LeftButton, pos=QPoint(8, panel.switch.height() // 2))
    assert panel.switch.isChecked()
    show(big)
    ready(big)
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: hotspots.findings.found is not None, timeout=60_000)
    probability = widget.canvas.overlay(big.id, "probability")
    assert not probability.visible
    assert not probability.thumbnail[..., :3].any()
    assert not widget.run_panel.result_note.isVisibleTo(widget)
    assert marks(hotspots, big) is None
    assert hotspots.list.table.rowCount() == 0
    assert not hotspots.tally_note.isVisibleTo(hotspots)
    assert not hotspots.choices.slider.isVisibleTo(hotspots)
    assert hotspots.note.text().startswith("Say what you see")
    toggle_probability(viewer)
    assert not probability.visible, "a key pressed out of habit shows nothing"
    commands.hotspots_mark(viewer)
    own = widget.canvas.overlay(big.id, "own call")
    assert str(own.mode) == "add"
    viewer.scene.camera.center = (600.0, 500.0)
    viewer.scene.camera.zoom = 1.0
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())
    viewer.scene.camera.center = (700.0, 500.0)
    commands.hotspots_mark_middle(viewer)
    panel.class_box.setCurrentIndex(panel.class_box.findData("normal"))
    widget.come_forward()
    qtbot.waitUntil(lambda: not hotspots.in_front(), timeout=10_000)
    commands.hotspots_record(viewer)
    assert hotspots.findings.log.call is None, "it was not seen what would be recorded"
    qtbot.waitUntil(hotspots.in_front, timeout=10_000)
    assert hotspots.note.text().startswith("Look at the class above")
    commands.hotspots_record(viewer)
    qtbot.waitUntil(lambda: panel.compared.isVisibleTo(hotspots), timeout=30_000)
    assert probability.visible
    assert hotspots.choices.slider.isVisibleTo(hotspots)
    assert hotspots.note.text() == ""
    assert widget.run_panel.result_note.isVisibleTo(widget)
    assert hotspots.list.table.rowCount() >= 5
    assert (panel.labels[0, 1].text(), panel.labels[1, 1].text()) == ("normal", "2 places")
    assert "tumour 0." in panel.labels[0, 2].text()
    assert str(own.mode) == "pan_zoom"
    clicked, by_keyboard = hotspots.findings.log.call.places
    assert clicked == pytest.approx((600.5, 500.5), abs=2)
    assert by_keyboard == pytest.approx((700.5, 500.5), abs=2)
