"""The Teach widget in a real napari window: mouse, keys and controls, on phantom slides with the phantom model."""

import re

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QInputDialog, QLineEdit, QShortcut

from napari_gigaclf.geometry import corner_to_napari_data
from napari_gigaclf.inference import classify
from napari_gigaclf.inference.teaching.kept_features import KeptFeatures
from napari_gigaclf.models import load_model
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer import commands, teach_commands
from napari_gigaclf.viewer.reader import open_layers
from napari_gigaclf.viewer.readings import read_at
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.docked import dock_of
from napari_gigaclf.viewer.widgets.teach import TeachWidget

MODEL = "phantom-tumour"
SIDE = 1600


@pytest.fixture(scope="module")
def first():
    return PhantomSlide(seed=3, shape=(SIDE, SIDE))


@pytest.fixture(scope="module")
def second():
    return PhantomSlide(seed=4, shape=(SIDE, SIDE))


@pytest.fixture(scope="module")
def result(first):
    return classify(first, MODEL, saliency=None, device="cpu")


@pytest.fixture
def make_teach(viewer, on_the_screen, qtbot, tmp_path):
    """Dock widgets on the phantom's model; they are shut down in the end."""
    from napari.utils._proxies import PublicOnlyProxy

    made = []

    def make(viewer=viewer):
        folders = {"lessons": tmp_path / "lessons", "features": tmp_path / "features"}
        made.append(TeachWidget(PublicOnlyProxy(viewer), **folders))
        widget = made[-1]
        viewer.window.add_dock_widget(widget, name="Teach")
        qtbot.waitUntil(lambda: widget.teaching.lesson is not None, timeout=60_000)
        choose(widget.choices.model_box, MODEL)
        qtbot.waitUntil(
            lambda: widget.teaching.lesson is not None and widget.teaching.base.name == MODEL, timeout=60_000
        )
        return widget

    yield make
    for widget in made:
        widget.shut_down()
        assert all(worker.close(60) for worker in (widget.quick, widget.saver, widget.long))


@pytest.fixture
def kept(result, tmp_path):
    """Have the first slide's features kept from an earlier run."""
    KeptFeatures(tmp_path / "features").keep(result)


@pytest.fixture
def press(viewer, qtbot):
    canvas = viewer.window._qt_viewer.canvas.native

    def keys(letters):
        canvas.setFocus()
        for letter in letters:
            qtbot.keyClick(canvas, getattr(Qt.Key, f"Key_{letter}"))

    return keys


@pytest.fixture
def click_cell(viewer, qtbot):
    """Click the middle of a cell with the mouse, wherever it is on the screen."""
    canvas = viewer.window._qt_viewer.canvas.native

    def click(widget, cell):
        slide, at = widget.teaching.slide, widget.teaching.opened
        world = corner_to_napari_data(np.array([at.canvas.grid.centre_of(*cell)]))[0] * slide.um_per_px
        camera = viewer.scene.camera
        y, x = np.array([canvas.height(), canvas.width()]) / 2 + (world - camera.center[-2:]) * camera.zoom
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(round(x), round(y)))

    return click


def open_in(viewer, slide):
    for data, kwargs, kind in open_layers(slide):
        getattr(viewer, f"add_{kind}")(data, **kwargs)


def ready(widget, qtbot):
    qtbot.waitUntil(
        lambda: widget.teaching.opened is not None and widget.teaching.painter.check is not None, timeout=120_000
    )


def judged(widget, qtbot):
    qtbot.waitUntil(lambda: widget.teaching.painter.check is not None, timeout=30_000)


def teach_ten(widget, viewer, qtbot, press, click_cell, result):
    """Give five examples of cells without tumour and five of cells with it, by keys and mouse, all on the screen."""
    Viewpoint(viewer).fit(widget.teaching.slide)
    tumour = np.nan_to_num(result.probability_map[1], nan=0.5)
    for key, cells in (("1", np.argwhere(tumour < 0.01)), ("2", np.argwhere(tumour > 0.99))):
        press(key)
        for row, column in cells[:: max(1, len(cells) // 5)][:5]:
            click_cell(widget, (int(row), int(column)))
            judged(widget, qtbot)


def taught(widget, slide):
    return np.array(widget.canvas.overlay(slide.id, "taught").metadata["live"].values)


def test_ten_clicks_two_undone_saved_reopened_and_applied_to_another_slide(
    viewer, make_napari_viewer, make_teach, first, second, result, press, click_cell, qtbot, tmp_path
):
    open_in(viewer, first)
    widget = make_teach()
    qtbot.waitUntil(widget.choices.read_button.isEnabled, timeout=30_000)
    qtbot.mouseClick(widget.choices.read_button, Qt.MouseButton.LeftButton)
    ready(widget, qtbot)
    assert "read just now" in widget.choices.features_note.text()
    teach_ten(widget, viewer, qtbot, press, click_cell, result)
    assert [widget.classes.table.item(row, 2).text() for row in range(2)] == ["5", "5"]
    ten = taught(widget, first)
    press("ZZ")
    judged(widget, qtbot)
    assert len(widget.teaching.lesson.examples) == 8
    assert "8 of 8 examples right" in widget.check_note.text()
    eight = taught(widget, first)
    assert not np.array_equal(eight, ten, equal_nan=True)
    assert ((eight[1] > 0.5) == (result.probability_map[1] > 0.5))[result.store.kept].mean() > 0.95
    widget.save_to(tmp_path / "two by ten")
    qtbot.waitUntil(lambda: "Saved two by ten" in widget.note.text(), timeout=60_000)
    widget.shut_down()

    # In a window of its own: napari 0.9.2 crashes where all layers are closed and two are opened again.
    anew = make_napari_viewer()
    open_in(anew, first)
    again = make_teach(anew)
    ready(again, qtbot)
    assert "kept from an earlier run" in again.choices.features_note.text()
    assert len(again.teaching.lesson.examples) == 8
    qtbot.waitUntil(lambda: again.canvas.overlay(first.id, "taught") is not None, timeout=30_000)
    assert np.array_equal(taught(again, first), eight, equal_nan=True)
    saved = str(tmp_path / "two by ten")
    assert again.choices.model_box.findData(saved) >= 0
    anew_classify = ClassifyWidget(anew)
    anew.window.add_dock_widget(anew_classify, name="Classify slide")
    qtbot.waitUntil(lambda: choose(anew_classify.choices.model_box, saved), timeout=30_000)
    assert "taught by clicks on 1 slide" in anew_classify.choices.model_box.currentText()
    anew_classify.shut_down()

    open_in(anew, second)
    qtbot.waitUntil(lambda: again.teaching.slide is second and again.choices.read_button.isEnabled(), timeout=30_000)
    qtbot.mouseClick(again.apply_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: again.canvas.overlay(second.id, "taught") is not None, timeout=120_000)
    judged(again, qtbot)
    streamed = classify(second, load_model(tmp_path / "two by ten"), saliency=None, device="cpu")
    assert np.isfinite(streamed.probability_map).any()
    assert streamed.probability_map == pytest.approx(taught(again, second), abs=2e-5, nan_ok=True)
    assert "taught by clicks on 1 slide" in streamed.head.config.card.title


def test_a_result_beside_it_is_taught_on_at_once(viewer, make_teach, show, first, result, press, click_cell, qtbot):
    from napari_gigaclf.viewer.layers import Frame, prediction_layers

    show(first)
    for data, kwargs, kind in prediction_layers(result, Frame.of_slide(first), "tumour"):
        getattr(viewer, f"add_{kind}")(data, **kwargs)
    widget = make_teach()
    ready(widget, qtbot)
    assert "from the result that is open" in widget.choices.features_note.text()
    teach_ten(widget, viewer, qtbot, press, click_cell, result)
    map_, model_map = (widget.canvas.overlay(first.id, kind) for kind in ("taught", "probability"))
    assert (map_.visible, model_map.visible) == (True, False)
    assert map_.name == "taught: probability of class 2"
    point = widget.teaching.lesson.examples[-1].place
    world = tuple(corner_to_napari_data(np.array([point]))[0] * first.um_per_px)
    reading = read_at(widget.canvas, first, world)
    assert reading.probabilities["class 2"] > 0.5 > reading.probabilities["class 1"]
    commands.toggle_probability(viewer)
    assert not map_.visible
    commands.toggle_probability(viewer)
    assert (map_.visible, model_map.visible) == (True, False)
    choose(widget.class_box, "class 1")
    assert map_.name == "taught: probability of class 1"
    qtbot.waitUntil(lambda: widget.teaching.kept.size() > 0, timeout=30_000)


def test_lists_and_keys(viewer, make_teach, show, first, result, kept, press, click_cell, qtbot):
    show(first)
    widget = make_teach()
    ready(widget, qtbot)
    teach_ten(widget, viewer, qtbot, press, click_cell, result)
    table = widget.classes.table
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_F2)
    editor = QApplication.focusWidget()
    assert isinstance(editor, QLineEdit)
    qtbot.keyClicks(editor, "metastasis 12")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    names = lambda: [each.name for each in widget.teaching.lesson.classes]  # noqa: E731
    qtbot.waitUntil(lambda: names() == ["class 1", "metastasis 12"], timeout=5_000)  # Qt takes the text soon
    assert len(widget.teaching.lesson.examples) == 10
    judged(widget, qtbot)

    press("1")
    click_cell(widget, tuple(map(int, np.argwhere(np.nan_to_num(result.probability_map[1]) > 0.99)[1])))
    judged(widget, qtbot)
    examples = widget.examples.table
    assert examples.item(0, 2).text().startswith("rather metastasis 12")
    symbols = [str(each) for each in widget.canvas.overlay(first.id, "examples").symbol]
    assert symbols.count("x") == sum(bool(examples.item(row, 2).text()) for row in range(examples.rowCount()))
    liar = widget.examples.examples[0]
    where = examples.visualItemRect(examples.item(0, 0)).center()
    qtbot.mouseClick(examples.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert viewer.scene.camera.center[-2:] == pytest.approx(
        corner_to_napari_data(np.array([liar.place]))[0] * first.um_per_px
    )
    examples.setFocus()
    qtbot.keyClick(examples, Qt.Key.Key_Delete)
    judged(widget, qtbot)
    assert liar not in widget.teaching.lesson.examples

    first_place = widget.teaching.opened.canvas.grid.centre_of(*widget.teaching.painter.suggestions[0])
    press("S")
    assert viewer.scene.camera.center[-2:] == pytest.approx(
        corner_to_napari_data(np.array([first_place]))[0] * first.um_per_px
    )
    assert "star" in [str(each) for each in widget.canvas.overlay(first.id, "suggestions").symbol]
    widget.shut_down()
    press("12SZ")
    assert all(key not in map(str, viewer.keymap) for key in "12SZ")
    assert widget.canvas.overlay(first.id, "examples") is None
    assert widget.canvas.overlay(first.id, "taught") is not None


def test_a_name_being_typed_outlives_a_repainted_map(
    viewer, make_teach, show, first, result, kept, press, click_cell, qtbot
):
    show(first)
    widget = make_teach()
    ready(widget, qtbot)
    teach_ten(widget, viewer, qtbot, press, click_cell, result)
    table = widget.classes.table
    where = table.visualItemRect(table.item(1, 1)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=where)
    qtbot.keyClick(table, Qt.Key.Key_F2)
    (editor,) = table.viewport().findChildren(QLineEdit)
    qtbot.keyClicks(editor, "metas")
    widget.show_lesson(widget._shown)  # what the painter says once it has judged the examples anew
    qtbot.keyClicks(editor, "tasis")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    names = lambda: [each.name for each in widget.teaching.lesson.classes]  # noqa: E731
    qtbot.waitUntil(lambda: names() == ["class 1", "metastasis"], timeout=5_000)


def keys_in(text):
    """Return the keys that a text names: a range of digits and single capitals."""
    first, last = re.search(r"([0-9]) to ([0-9])", text).groups()
    return {str(number) for number in range(int(first), int(last) + 1)} | set(re.findall(r"\b[A-Z]\b", text))


def test_the_keys_that_the_texts_name_are_those_that_are_bound(viewer, make_teach, show, first, repository):
    show(first)
    before = {str(key) for key in viewer.keymap}
    widget = make_teach()
    direct = Qt.FindChildOption.FindDirectChildrenOnly
    here = {each.key().toString() for each in widget.findChildren(QShortcut, options=direct)}
    over_the_slide = {str(key) for key in viewer.keymap} - before
    assert here == over_the_slide == keys_in(widget.toolTip())
    section = (repository / "docs" / "how-to.md").read_text().split("## Teach classes by clicking examples")[1]
    table = [line.split("|")[1] for line in section.split("\n## ")[0].splitlines() if line.startswith("| ")]
    assert keys_in("\n".join(table)) == here
    for button in (widget.examples.next_button, widget.examples.undo_button):
        (key,) = re.findall(r"\((.+)\)", button.text())
        assert key in here
        assert f"press {key}" in button.toolTip()


def test_the_palette_teaches(viewer, make_teach, show, first, second, result, kept, press, click_cell, qtbot, tmp_path,
                             monkeypatch):  # fmt: skip
    show(first)
    widget = make_teach()
    ready(widget, qtbot)
    teach_ten(widget, viewer, qtbot, press, click_cell, result)
    teach_commands.teach_undo(viewer)
    assert len(widget.teaching.lesson.examples) == 9
    judged(widget, qtbot)
    place = widget.teaching.opened.canvas.grid.centre_of(*widget.teaching.painter.suggestions[0])
    teach_commands.teach_suggestion(viewer)
    assert viewer.scene.camera.center[-2:] == pytest.approx(
        corner_to_napari_data(np.array([place]))[0] * first.um_per_px
    )
    teach_commands.teach_remove_example(viewer)
    assert "Choose in the list" in widget.note.text()
    widget.examples.table.setCurrentCell(0, 0)
    chosen = widget.examples.chosen
    teach_commands.teach_remove_example(viewer)
    assert len(widget.teaching.lesson.examples) == 8
    assert chosen not in widget.teaching.lesson.examples
    teach_commands.teach_undo(viewer)
    teach_commands.teach_add_class(viewer)
    assert QApplication.focusWidget() is widget.classes.name_box
    qtbot.keyClicks(widget.classes.name_box, "necrosis")
    qtbot.keyClick(widget.classes.name_box, Qt.Key.Key_Return)
    assert [each.name for each in widget.teaching.lesson.classes] == ["class 1", "class 2", "necrosis"]
    teach_commands.teach_remove_class(viewer)
    assert [each.name for each in widget.teaching.lesson.classes] == ["class 1", "class 2"]
    teach_commands.teach_clicks(viewer)
    assert not widget.tool_box.isChecked()
    teach_commands.teach_read(viewer)
    assert "there already" in widget.note.text()
    folder = tmp_path / "by palette"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_asked: (str(folder), ""))
    teach_commands.teach_save(viewer)
    qtbot.waitUntil(lambda: "Saved by palette" in widget.note.text(), timeout=60_000)
    assert load_model(folder).classes == ("class 1", "class 2")

    show(second)
    qtbot.waitUntil(widget.choices.read_button.isEnabled, timeout=30_000)
    teach_commands.teach_read(viewer)
    assert widget.teaching.reader.busy
    teach_commands.teach_stop(viewer)
    qtbot.waitUntil(lambda: widget.note.text() == "Stopped." and not widget.teaching.reader.busy, timeout=60_000)
    teach_commands.teach_stop(viewer)
    assert "No slide is being read" in widget.note.text()
    teach_commands.teach_apply(viewer)
    qtbot.waitUntil(lambda: widget.canvas.overlay(second.id, "taught") is not None, timeout=120_000)
    judged(widget, qtbot)
    teach_commands.teach_delete_features(viewer)
    qtbot.waitUntil(lambda: widget.note.text().startswith("Deleted"), timeout=30_000)
    teach_commands.teach_delete_all_features(viewer)
    qtbot.waitUntil(lambda: widget.note.text().startswith("Deleted"), timeout=30_000)
    teach_commands.teach_delete_all_features(viewer)
    qtbot.waitUntil(lambda: widget.note.text() == "No features were kept.", timeout=30_000)
    teach_commands.teach_new_lesson(viewer)
    assert widget.teaching.lesson.examples == ()
    assert widget.choices.lesson_box.count() == 2
    monkeypatch.setattr(QInputDialog, "getText", lambda *_asked, text: (f"the one after {text}", True))
    teach_commands.teach_rename_lesson(viewer)
    assert widget.choices.lesson_box.currentText() == "the one after lesson 2"
    qtbot.mouseClick(widget.choices.rename_button, Qt.MouseButton.LeftButton)
    assert (
        widget.choices.lesson_box.currentText() == widget.teaching.lesson.name == "the one after the one after lesson 2"
    )
    qtbot.waitUntil(lambda: widget.saved_note.text() == "saved", timeout=30_000)


def test_dragging_and_a_tool_that_is_off_teach_nothing(
    viewer, make_teach, show, first, result, kept, press, click_cell, clicker, qtbot
):
    show(first)
    widget = make_teach()
    ready(widget, qtbot)
    cell = tuple(map(int, np.argwhere(widget.teaching.opened.canvas.kept)[40]))
    world = corner_to_napari_data(np.array([widget.teaching.opened.canvas.grid.centre_of(*cell)]))[0] * first.um_per_px
    clicker(tuple(world), moves=[(30, 0)])
    assert widget.teaching.lesson.examples == ()
    widget.tool_box.click()
    clicker(tuple(world))
    assert widget.teaching.lesson.examples == ()
    widget.tool_box.click()
    clicker(tuple(world))
    assert len(widget.teaching.lesson.examples) == 1
    judged(widget, qtbot)


def test_a_key_and_the_palette_teach_the_middle_of_the_view(viewer, make_teach, show, first, kept, press, qtbot):
    show(first)
    widget = make_teach()
    ready(widget, qtbot)
    point = Viewpoint(viewer)
    for turned, (key, number) in ((False, ("1", 0)), (True, ("2", 1))):
        if turned:
            point.turn()
        press("S" + key + "E")
        judged(widget, qtbot)
        latest = widget.teaching.lesson.examples[-1]
        assert latest.class_number == number
        cell_at = widget.teaching.opened.canvas.cell_at
        assert cell_at(latest.place) == cell_at(point.box(first).centre) is not None
    qtbot.waitUntil(lambda: widget.canvas.overlay(first.id, "taught") is not None, timeout=30_000)
    widget.teaching.undo()
    teach_commands.teach_middle(viewer)
    assert len(widget.teaching.lesson.examples) == 2
    widget.parentWidget().hide()
    press("E")
    assert len(widget.teaching.lesson.examples) == 2, "one does not see which class it would get"


def drawn_on(viewer, kind):
    """Add a layer as a person draws on it, with two things in it that are selected, and leave its drawing tool."""
    corners = np.array([[100.0, 100.0], [300.0, 400.0]])
    if kind == "labels":
        return viewer.add_labels(np.ones((40, 40), np.uint8))
    layer = viewer.add_points(corners) if kind == "points" else viewer.add_shapes([corners, corners + 500.0])
    layer.selected_data = {0, 1}
    return layer


@pytest.mark.parametrize(("kind", "tools"), [("shapes", "21"), ("points", "23"), ("labels", "21")])
def test_its_keys_go_before_the_tools_of_any_selected_layer_while_clicks_teach(
    viewer, make_teach, show, first, kept, press, click_cell, qtbot, kind, tools
):
    show(first)
    widget = make_teach()
    ready(widget, qtbot)
    Viewpoint(viewer).fit(first)
    layer = drawn_on(viewer, kind)
    count = len(layer.data)
    cells = iter(np.argwhere(widget.teaching.opened.canvas.kept)[20::40])
    for key in "121":  # of points, 1 deletes those that are selected
        press(key)
        assert widget.teaching.current_class == int(key) - 1
        click_cell(widget, tuple(map(int, next(cells))))
        judged(widget, qtbot)
    assert [each.class_number for each in widget.teaching.lesson.examples] == [0, 1, 0]
    press("Z")
    assert len(widget.teaching.lesson.examples) == 2
    assert (viewer.layers.selection.active, layer.mode, len(layer.data)) == (layer, "pan_zoom", count)

    widget.tool_box.click()
    press(tools[0])
    assert layer.mode != "pan_zoom", "clicks teach no more: napari's tool"
    mode = layer.mode
    widget.tool_box.click()
    press(tools[1])
    assert layer.mode not in ("pan_zoom", mode), "the mouse draws: napari's tool"
    assert widget.teaching.current_class == 0
    layer.mode = "pan_zoom"
    press("2")
    assert (layer.mode, widget.teaching.current_class) == ("pan_zoom", 1)
    dock_of(widget).hide()
    press(tools[0])
    assert layer.mode == mode, "nobody sees Teach: napari's tool"
    layer.mode = "pan_zoom"
    dock_of(widget).show()
    widget.shut_down()
    press(tools[0])
    assert layer.mode == mode
    assert not layer.keymap


def test_another_slide_on_top_is_taught_on(viewer, make_teach, show, first, second, kept, qtbot):
    show(first)
    widget = make_teach()
    ready(widget, qtbot)
    top = show(second)
    qtbot.waitUntil(lambda: widget.teaching.slide is second, timeout=10_000)
    assert widget.choices.slide_box.currentData() == second.id
    choose(widget.choices.slide_box, first.id)
    assert widget.teaching.slide.id == first.id
    ready(widget, qtbot)
    viewer.layers.remove(top)
    assert widget.choices.slide_box.count() == 1
    viewer.layers.clear()
    assert widget.teaching.slide is None
    assert widget.choices.features_note.text() == "Open a slide first."


def test_no_place_is_asked_for_while_there_is_nothing_to_save(
    viewer, make_teach, show, first, kept, qtbot, monkeypatch
):
    show(first)
    widget = make_teach()
    ready(widget, qtbot)
    asked = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_asked: (asked.append(1), ("", ""))[1])
    widget.ask_where_to_save()
    assert "Teach two classes first" in widget.note.text()
    assert asked == []
