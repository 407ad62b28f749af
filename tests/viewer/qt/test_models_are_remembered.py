"""Models that a person saved or added are listed in the next window, wherever models are listed."""

import json
import shutil
import subprocess
import sys

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QContextMenuEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QMenu

from napari_gigaclf.viewer.dropped import use_model
from napari_gigaclf.viewer.model_folders import FORMAT, MAX_FOLDERS, folders_file, remember, remembered_folders
from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.teach import TeachWidget
from napari_gigaclf.viewer.widgets.train import TrainWidget

KINDS = {"Classify slide": ClassifyWidget, "Teach": TeachWidget, "Train": TrainWidget}
LISTED_WITHOUT_TORCH = """
import sys, time
import napari
from napari.settings import get_settings
get_settings(None)
viewer = napari.Viewer(show=False)
from qtpy.QtWidgets import QApplication
from napari_gigaclf.viewer.widgets.teach import TeachWidget
widget = TeachWidget(viewer)
viewer.window.add_dock_widget(widget)
end = time.monotonic() + 60
while not any(key.endswith("mine") for key in widget.choices.models) and time.monotonic() < end:
    QApplication.processEvents()
print(any(key.endswith("mine") for key in widget.choices.models), "torch" in sys.modules)
widget.shut_down()
viewer.close()
"""


@pytest.fixture
def mine(model_folder, tmp_path):
    """A model folder of a person's own."""
    return shutil.copytree(model_folder, tmp_path / "mine")


@pytest.fixture
def dock(viewer, qtbot):
    """Open a widget, and wait until it has looked at files."""
    made = []

    def open_widget(name):
        made.append(KINDS[name](viewer))
        viewer.window.add_dock_widget(made[-1], name=f"{name} {len(made)}")
        qtbot.waitUntil(lambda: not made[-1].quick.busy, timeout=60_000)
        qtbot.wait(20)
        return made[-1]

    yield open_widget
    for widget in made:
        widget.shut_down()


def box_of(widget):
    return widget.choices.start_box if isinstance(widget, TrainWidget) else widget.choices.model_box


def add_by_button(widget, folder, monkeypatch, qtbot):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args, **_kwargs: str(folder))
    button = {ClassifyWidget: "model_button", TeachWidget: "folder_button", TrainWidget: "start_button"}[type(widget)]
    getattr(widget.choices, button).click()
    qtbot.waitUntil(lambda: box_of(widget).currentData() == str(folder), timeout=30_000)
    qtbot.waitUntil(lambda: remembered_folders() == [folder], timeout=30_000)


@pytest.mark.parametrize("name", list(KINDS))
def test_a_folder_that_was_added_is_listed_by_every_widget_of_the_next_window(
    name, dock, mine, monkeypatch, qtbot, show, slide
):
    first = dock(name)
    add_by_button(first, mine, monkeypatch, qtbot)
    first.shut_down()
    for each in KINDS:
        box = box_of(dock(each))
        qtbot.waitUntil(lambda box=box: box.findData(str(mine)) >= 0, timeout=30_000)
        assert box.currentData() != str(mine), "it is offered, not chosen"


def test_a_model_that_was_dropped_is_run_in_the_next_window(dock, viewer, mine, show, slide, qtbot):
    classify = dock("Classify slide")
    use_model(viewer, mine)
    qtbot.waitUntil(lambda: classify.choices.model_key == str(mine), timeout=30_000)
    qtbot.waitUntil(lambda: remembered_folders() == [mine], timeout=30_000)
    classify.shut_down()
    again = dock("Classify slide")
    qtbot.waitUntil(lambda: choose(again.choices.model_box, str(mine)), timeout=30_000)
    show(slide)
    qtbot.waitUntil(lambda: again.runs.slide is slide and again.runs.prepared is not None, timeout=60_000)
    again.run_panel.run_button.click()
    qtbot.waitUntil(lambda: slide.id in again.runs.results, timeout=60_000)
    assert again.runs.results[slide.id][0].record.model.name == "tiny"


def test_listing_remembered_models_loads_no_network(mine):
    remember(mine)
    done = subprocess.run([sys.executable, "-c", LISTED_WITHOUT_TORCH], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["True", "False"], done.stderr


def test_a_folder_that_has_gone_or_is_damaged_is_greyed_with_the_reason(dock, mine, model_folder, tmp_path, qtbot):
    damaged = shutil.copytree(model_folder, tmp_path / "damaged")
    for folder in (mine, damaged):
        remember(folder)
    shutil.rmtree(mine)
    (damaged / "config.json").write_text("{")
    for name in KINDS:
        box = box_of(dock(name))
        qtbot.waitUntil(lambda box=box: box.findData(str(damaged)) >= 0, timeout=30_000)
        for folder, reason in ((mine, "mine: the folder is not there"), (damaged, "damaged: config.json: ")):
            index = box.findData(str(folder))
            assert box.itemText(index).startswith(reason)
            assert not box.model().item(index).isEnabled()
    shutil.copytree(model_folder, mine)
    box = box_of(dock("Teach"))
    qtbot.waitUntil(lambda: box.findData(str(mine)) >= 0, timeout=30_000)
    assert box.model().item(box.findData(str(mine))).isEnabled(), "a disk that is there again brings its models back"


def menu_of(box):
    """Return the menu that is open over a list."""
    return next((each for each in box.findChildren(QMenu) if each.isVisible()), None)


@pytest.mark.parametrize("name", list(KINDS))
def test_a_greyed_folder_is_taken_off_every_list_by_mouse_or_key_and_no_file_goes(
    name, dock, on_the_screen, mine, model_folder, tmp_path, qtbot
):
    damaged = shutil.copytree(model_folder, tmp_path / "damaged")
    for folder in (mine, damaged, tmp_path / "gone"):
        remember(folder)
    (damaged / "config.json").write_text("{")
    boxes = [box_of(dock(each)) for each in KINDS]
    widget = dock(name)
    box = box_of(widget)
    for each in (*boxes, box):
        qtbot.waitUntil(lambda each=each: each.findData(str(damaged)) >= 0, timeout=30_000)
    chosen = box.currentData()
    box.setFocus()
    for folder, by_key in ((tmp_path / "gone", True), (damaged, False)):
        if by_key:
            qtbot.keyClick(box, Qt.Key.Key_Delete)
        else:
            pos = box.rect().center()
            QApplication.sendEvent(box, QContextMenuEvent(QContextMenuEvent.Reason.Mouse, pos, box.mapToGlobal(pos)))
        menu = menu_of(box)
        texts = [action.text() for action in menu.actions()]
        while folder.name not in menu.activeAction().text():
            qtbot.keyClick(menu, Qt.Key.Key_Down)
        qtbot.keyClick(menu, Qt.Key.Key_Return)
        assert all(mine.name not in text for text in texts)
        for each in (*boxes, box):
            qtbot.waitUntil(lambda each=each, folder=folder: each.findData(str(folder)) < 0, timeout=30_000)
    assert remembered_folders() == [mine]
    assert (damaged / "model.safetensors").exists()
    assert box.currentData() == chosen
    assert box.findData(str(mine)) >= 0
    qtbot.keyClick(box, Qt.Key.Key_Delete)
    assert [action.isEnabled() for action in menu_of(box).actions()] == [False], "there is none to be taken off"
    menu_of(box).close()


@pytest.mark.parametrize(
    "text", ["{", json.dumps({"format": FORMAT, "folders": [1]}), json.dumps({"format": "9"}), " " * (1 << 19)]
)
def test_a_list_that_cannot_be_read_is_said_and_left_as_it_is(text, dock, mine, qtbot):
    folders_file().parent.mkdir(parents=True, exist_ok=True)
    folders_file().write_text(text)
    classify = dock("Classify slide")
    assert classify.choices.model_box.count() >= 2, "the built-in models are there"
    classify.use_model(mine, select=True)
    qtbot.waitUntil(lambda: classify.choices.model_key == str(mine), timeout=30_000)
    qtbot.waitUntil(lambda: folders_file().name in classify.run_panel.estimate_note.text(), timeout=30_000)
    assert folders_file().read_text() == text


def test_the_last_folders_are_remembered_each_once(tmp_path):
    for number in range(MAX_FOLDERS + 5):
        remember(tmp_path / str(number))
    remember(tmp_path / "20")
    names = [each.name for each in remembered_folders()]
    assert names == [str(n) for n in range(5, MAX_FOLDERS + 5) if n != 20] + ["20"]
