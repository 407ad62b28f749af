"""The case of the tutorial in one go, as a person goes through it: mouse, keys, buttons, menus and file dialogs."""

import numpy as np
import pytest
import shapely
from npe2 import PluginManifest
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import QApplication, QDialogButtonBox, QFileDialog, QLineEdit

from napari_gigaclf.annotations import read_geojson
from napari_gigaclf.geometry import swap_xy
from napari_gigaclf.models import load_model
from napari_gigaclf.viewer.viewpoint import Viewpoint

PLUGIN = "napari-gigaclf"
PATIENCE_MS = 240_000
OTHER = ((1550, 2900), (3610, 1225), (4515, 3030), (5290, 4000), (3030, 6000))
LYMPHOID = ((840, 3870), (970, 5290), (2130, 6190), (4515, 5350), (3100, 3030))
"""The ten clicks: tumour and fibres, and the parts that are dense with small nuclei; (y, x), level-0 pixels."""
DRAWN = ((1000, 2700), (1000, 3400), (1900, 3400), (1900, 2700))
"""A polygon inside the largest tumour."""


class Case:
    """A window of the size of a small screen, with hands over it."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native  # napari has no public way to the canvas
        self.open = []

    def until(self, condition):
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=PATIENCE_MS)

    def menu(self, command):
        """Open a widget as *Layers > ...* does."""
        from napari._app_model import get_app_model

        get_app_model().commands.execute_command(f"{PLUGIN}.{command}").result()
        self.qtbot.wait(50)
        docks = self.viewer.window._wrapped_dock_widgets.values()
        widget = list(docks)[-1].inner_widget()
        if widget not in self.open:
            self.open.append(widget)
        return widget

    def push(self, button):
        assert button.isEnabled()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def pick(self, box, text):
        """Choose an entry of a list by keyboard."""
        box.setFocus()
        self.qtbot.keyClick(box, Qt.Key.Key_Home)
        for _ in range(box.count()):
            if box.currentText().startswith(text):
                return
            self.qtbot.keyClick(box, Qt.Key.Key_Down)
        raise AssertionError(f"no {text} in the list")

    def press(self, letters):
        """Press keys over the slide."""
        self.canvas.setFocus()
        for letter in letters:
            self.qtbot.keyClick(self.canvas, getattr(Qt.Key, f"Key_{letter}"))

    def click(self, slide, place):
        box = Viewpoint(self.viewer).box(slide)
        height, width = self.viewer.canvas.size
        y, x = (place[0] - box.y0) / (box.y1 - box.y0), (place[1] - box.x0) / (box.x1 - box.x0)
        assert 0 < y < 1, "out of view"
        assert 0 < x < 1, "out of view"
        at = QPoint(round(x * width), round(y * height))
        step = max((box.y1 - box.y0) / height, (box.x1 - box.x0) / width)
        self.until(lambda: self.hovered(slide, at, place, 2 * step))
        self.qtbot.mouseClick(self.canvas, Qt.MouseButton.LeftButton, pos=at)

    def hovered(self, slide, at, place, near):
        """Move the mouse; return whether napari has noticed: it draws a polygon by where the mouse was seen last."""
        self.qtbot.mouseMove(self.canvas, at)
        found = np.array(self.viewer.cursor.position[-2:]) / (slide.um_per_px or (1.0, 1.0))
        return np.abs(found - place).max() <= near

    def paste_into_dialog(self, button, text):
        """Push a button that asks for a file or folder, paste the path and push *Save* or *Choose*."""

        def answer():
            dialog = QApplication.activeModalWidget()
            if not isinstance(dialog, QFileDialog):
                QTimer.singleShot(50, answer)
                return
            field = dialog.findChild(QLineEdit, "fileNameEdit")
            field.selectAll()
            QApplication.clipboard().setText(text)  # letter by letter, Qt's completions change what was typed
            self.qtbot.keyClick(field, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
            field.completer().popup().hide()
            box = dialog.findChild(QDialogButtonBox)
            (accept,) = [each for each in box.buttons() if box.buttonRole(each) == box.ButtonRole.AcceptRole]
            self.push(accept)

        QTimer.singleShot(50, answer)
        self.push(button)


@pytest.fixture
def case(make_napari_viewer, npe2pm, repository, plugin_settings, tmp_path, monkeypatch, qtbot):
    """The window; what is kept lies in a folder of this test's own, and file dialogs are Qt's."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    own = QApplication.testAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs, True)
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(repository / "napari_gigaclf" / "napari.yaml")):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 800)
        viewer.window._qt_window.activateWindow()
        qtbot.waitUntil(viewer.window._qt_window.isActiveWindow, timeout=10_000)
        case = Case(viewer, qtbot)
        yield case
        for widget in case.open:
            widget.shut_down()
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs, own)


@pytest.mark.timeout(900)
def test_the_case(case, tmp_path):
    case.viewer.open_sample(PLUGIN, "phantom")
    classify = case.menu("classify")
    case.until(lambda: classify.choices.models)
    case.pick(classify.choices.model_box, "Tumour of the phantom slide")
    slide = classify.chosen_slide()
    planned_and_run(case, classify, slide)
    gone_through_hotspots(case, slide)
    asked_why(case, classify, slide)
    compared(case, slide)
    taught(case, classify, slide, tmp_path / "lymphoid")
    measured_and_exported(case, classify, slide, tmp_path)


def planned_and_run(case, classify, slide):
    assert classify.choices.saliency_box.currentText() == "of tumour"
    case.until(lambda: "tiles" in classify.run_panel.estimate_note.text())
    case.push(classify.choices.preview_button)
    case.until(lambda: classify.canvas.overlay(slide.id, "mask") is not None)
    case.push(classify.run_panel.run_button)
    finished(case, classify, slide)
    assert "Slide: tumour 0.9" in classify.run_panel.result_note.text()


def finished(case, classify, slide):
    case.until(lambda: classify.runs.running)
    case.until(lambda: not classify.runs.running and slide.id in classify.runs.results)


def gone_through_hotspots(case, slide):
    hotspots = case.menu("hotspots")
    case.until(lambda: hotspots.lesions.lesions)
    truth = shapely.union_all([shapely.Polygon(swap_xy(r)) for r in case.viewer.layers["known truth"].data])
    table = hotspots.list.table
    case.press("NANA")
    for row in range(2):
        assert table.item(row, 2).text() == "accepted"
        assert hotspots.findings.entries[row].outline.intersects(truth)
    case.press("NX")
    assert hotspots.findings.entries[2].outline.intersects(truth)
    assert table.item(2, 2).text() == "rejected"
    case.press("U")
    assert table.item(2, 2).text() == ""
    assert "no longer rejected" in hotspots.note.text()
    box = Viewpoint(case.viewer).box(slide)
    assert box.centre == pytest.approx(hotspots.findings.entries[2].place), "the view went there"
    case.until(lambda: "saved" in hotspots.saved_note.text())


def asked_why(case, classify, slide):
    classify.come_forward()
    case.push(classify.probes.tool_box)
    place = Viewpoint(case.viewer).box(slide).centre
    case.click(slide, place)
    case.until(lambda: len(classify.probes.rows) == 1)
    assert classify.probes.rows[0].answer.probabilities["tumour"] > 0.9
    case.push(classify.probes.tool_box)
    case.press("W")
    case.until(lambda: classify.canvas.overlay(slide.id, "why") is not None)
    gradient = classify.asking._shown[1].found
    assert gradient.logit > 0
    assert np.abs(gradient.signed()).max() > 0


def compared(case, slide):
    compare = case.menu("compare")
    case.until(lambda: compare.qt_viewer.isVisible())
    chosen = []

    def tick():
        if not compare.menu.isVisible():
            QTimer.singleShot(50, tick)
            return
        (action,) = [each for each in compare.menu.actions() if each.text().startswith("saliency of tumour")]
        chosen.append(action.text())
        case.qtbot.mouseClick(compare.menu, Qt.MouseButton.LeftButton, pos=compare.menu.actionGeometry(action).center())

    QTimer.singleShot(50, tick)
    case.push(compare.overlay_button)
    case.until(lambda: len(compare.second.layers) == 2)
    assert [layer.name for layer in compare.second.layers][1:] == chosen
    case.qtbot.keyClick(compare.qt_viewer.canvas.native, Qt.Key.Key_Right)
    assert Viewpoint(compare.second).world_centre == pytest.approx(Viewpoint(case.viewer).world_centre)


def taught(case, classify, slide, folder):
    teach = case.menu("teach")
    case.until(lambda: teach.teaching.opened is not None)
    assert teach.choices.model_box.currentText().startswith("Tumour of the phantom slide")
    assert "from the result that is open" in teach.choices.features_note.text()
    for row, name in enumerate(("other", "lymphoid")):
        renamed(case, teach.classes.table, row, name)
        case.until(lambda row=row, name=name: teach.teaching.lesson.classes[row].name == name)
    Viewpoint(case.viewer).fit(slide)
    for key, places in (("1", OTHER), ("2", LYMPHOID)):
        case.press(key)
        for place in places:
            case.click(slide, place)
    assert [teach.classes.table.item(row, 2).text() for row in range(2)] == ["5", "5"]
    case.until(lambda: teach.teaching.painter.check is not None)
    assert "of 10 examples right" in teach.check_note.text()
    painted = np.array(teach.canvas.overlay(slide.id, "taught").metadata["live"].values)
    dense_where_it_is_dense(painted[1], teach.teaching.opened.canvas.grid)
    case.paste_into_dialog(teach.save_button, str(folder))
    case.until(lambda: "Saved lymphoid" in teach.note.text())
    assert load_model(folder).classes == ("other", "lymphoid")

    classify.come_forward()
    case.until(lambda: str(folder) in classify.choices.models)
    case.pick(classify.choices.model_box, "other, lymphoid: taught by clicks")
    case.pick(classify.choices.saliency_box, "none")
    case.until(lambda: classify.runs.wishes.model == str(folder) and classify.run_panel.run_button.isEnabled())
    case.push(classify.run_panel.run_button)
    finished(case, classify, slide)
    result, _ = classify.runs.results[slide.id]
    assert result.probability_map == pytest.approx(painted, abs=2e-5, nan_ok=True)


def renamed(case, table, row, name):
    """Click a class, press F2, type another name, press Enter."""
    at = table.visualItemRect(table.item(row, 1)).center()
    case.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    case.qtbot.keyClick(table, Qt.Key.Key_F2)
    # The editor itself, and not whatever has the focus: without a window manager a window is active or is not.
    # That of the class before may still wait to be deleted, out of sight.
    (editor,) = (found for found in table.viewport().findChildren(QLineEdit) if found.isVisible())
    case.qtbot.keyClicks(editor, name)
    case.qtbot.keyClick(editor, Qt.Key.Key_Return)
    case.until(lambda: table.item(row, 1).text() == name)


def dense_where_it_is_dense(found, grid):
    """The phantom knows where it is dense; ten clicks find most of it."""
    from napari_gigaclf.slides.phantom import PhantomSlide

    (seed, shape) = 2015, (6144, 8192)
    fields = PhantomSlide(seed, shape)._painter.fields
    rows, columns = np.nonzero(np.isfinite(found))
    centres = np.array([grid.centre_of(int(row), int(column)) for row, column in zip(rows, columns, strict=True)])
    zones = fields.at(*(0.5 * centres.T).astype(np.float32))
    assert ((found[rows, columns] > 0.5) == (zones.lymphoid > 0.5)).mean() > 0.8
    assert (found[rows, columns] > 0.5)[zones.tumour > 10].mean() < 0.05


def measured_and_exported(case, classify, slide, folder):
    case.push(case.viewer.window._qt_viewer.layerButtons.newShapesButton)
    drawn = case.viewer.layers.selection.active
    case.press("P")
    for place in DRAWN:
        case.click(slide, place)
    case.qtbot.keyClick(case.canvas, Qt.Key.Key_Escape)
    assert [len(each) for each in drawn.data] == [4]
    case.push(classify.probes.measure_button)
    case.until(lambda: len(classify.probes.rows) == 2)
    row = classify.probes.rows[1]
    assert row.answer.area_um2 == pytest.approx(900 * 700 * 0.25, rel=0.1)
    assert row.answer.probabilities["lymphoid"] < 0.5
    case.paste_into_dialog(classify.run_panel.export_button, str(folder))
    case.until(lambda: "Exported" in classify.run_panel.estimate_note.text())
    (annotation,) = read_geojson(next(folder.glob("*-annotations.geojson")))
    assert annotation.geometry.area == pytest.approx(900 * 700, rel=0.1)
