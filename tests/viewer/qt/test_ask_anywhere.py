"""Ask anywhere and why, in a real window, by mouse and keys: the same numbers at every zoom, before and after a run."""

import shutil

import numpy as np
import pytest
import shapely
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_gigaclf import load_model, open_slide
from napari_gigaclf.annotations import read_geojson
from napari_gigaclf.inference import prepare
from napari_gigaclf.viewer import ask_commands
from napari_gigaclf.viewer.controllers.jobs import read_models
from napari_gigaclf.viewer.controllers.probe import NETWORK, STORED, Question
from napari_gigaclf.viewer.returning.host import let_slides_return
from napari_gigaclf.viewer.shapes import filled_shapes
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.navigate import NavigateWidget

PLACE = (250.0, 420.0)
"""Tissue, (y, x), level-0 pixels, corner convention."""
GLASS = (40.0, 40.0)
HOLED = shapely.box(128, 128, 512, 384).difference(shapely.box(380, 210, 460, 290))
"""An area around the place, which lies in its hole."""


@pytest.fixture
def viewer(shown_viewer):
    """A window that is drawn."""
    return shown_viewer


@pytest.fixture
def mouse(viewer, slide, drag_mouse, qtbot):
    """Press the real mouse over the canvas at places of the slide, (y, x) level-0 corner coordinates."""
    canvas = viewer.window._qt_viewer.canvas.native  # napari has no public way to the canvas

    def at(corner):
        box = Viewpoint(viewer).box(slide)
        height, width = viewer.canvas.size
        share = (corner[0] - box.y0) / (box.y1 - box.y0), (corner[1] - box.x0) / (box.x1 - box.x0)
        assert 0 < share[0] < 1, "out of view"
        assert 0 < share[1] < 1, "out of view"
        return QPoint(round(share[1] * width), round(share[0] * height))

    class Mouse:
        def click(self, corner):
            qtbot.mouseMove(canvas, at(corner))
            qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=at(corner))

        def drag(self, begin, end, modifier=Qt.KeyboardModifier.NoModifier):
            drag_mouse(canvas, at(begin), at(end), modifier)

        def press(self, key, modifier=Qt.KeyboardModifier.NoModifier):
            QTest.keyClick(canvas, key, modifier)

    return Mouse()


@pytest.fixture
def look(viewer, slide, qtbot):
    """Look at a place, so many pixels of the screen per pixel."""

    def at(corner, zoom):
        Viewpoint(viewer).set_zoom(slide, zoom)
        Viewpoint(viewer).look_at(slide, corner)
        qtbot.wait(50)

    return at


@pytest.fixture
def answers(widget, qtbot):
    """Wait for a number of rows and return them."""

    def wait(count):
        qtbot.waitUntil(lambda: len(widget.probes.rows) == count and not widget.asks.num_waiting, timeout=60_000)
        return widget.probes.rows

    return wait


@pytest.fixture
def asking(widget, show, slide, ready, qtbot):
    """The slide is shown, its run planned, and the tool on."""
    show(slide)
    ready(slide)
    qtbot.waitUntil(lambda: not widget.quick.busy, timeout=60_000)
    widget.probes.tool_box.click()


@pytest.fixture
def run(widget, slide, qtbot):
    """Classify the slide."""

    def go():
        widget.run_panel.run_button.click()
        qtbot.waitUntil(lambda: slide.id in widget.runs.results and not widget.runs.running, timeout=60_000)

    return go


def draw(viewer, slide, geometry, class_name=""):
    """Draw an area, holes and all, select it, and leave the drawing mode."""
    layer = viewer.add_shapes(
        filled_shapes(geometry),
        shape_type="polygon",
        features={"class": [class_name]},
        scale=slide.um_per_px,
        units=("um", "um"),
    )
    layer.selected_data = {0}
    return layer


def test_one_place_at_three_zooms_on_glass_and_in_a_polygon_with_a_hole(
    asking, widget, viewer, slide, mouse, look, answers, run
):
    """The same numbers, "no tissue"; by the mouse over the canvas, from the features of a run.

    How soon they come, ``benchmarks/viewer/ask.py`` measures.
    """
    run()
    count = 0
    for zoom in (0.5, 1.0, 6.0):
        for _ in range(3):
            look(PLACE, zoom)
            mouse.click(PLACE)
            count += 1
            answers(count)
    look(GLASS, 2.0)
    for _ in range(3):
        mouse.click(GLASS)
        count += 1
        answers(count)
    draw(viewer, slide, HOLED)
    for zoom in (0.5, 1.0, 6.0):
        look(PLACE, zoom)
        widget.probes.measure_button.click()
        count += 1
        answers(count)
    rows = answers(15)
    assert {row.source for row in rows} == {STORED}
    places, areas = rows[:9], rows[12:]
    for row in places:
        assert row.answer.probabilities == places[0].answer.probabilities
        assert row.answer.outline.equals(places[0].answer.outline)
        assert row.position == pytest.approx(PLACE, abs=2.0)  # a pixel of the screen at zoom 0.5 is two of the slide
    assert [widget.probes.texts()[index] for index in (9, 10, 11)] == ["no tissue"] * 3
    prediction, _ = widget.runs.results[slide.id]
    whole = prediction.query(shapely.box(128, 128, 512, 384))
    for row in areas:
        assert row.answer.probabilities == areas[0].answer.probabilities
        assert row.answer.area_um2 == pytest.approx(HOLED.area)  # 1 um/px
        assert row.answer.num_cells == whole.num_cells - 4  # the centres in the hole


def test_a_box_is_asked_about_with_shift_and_a_drag_stays_a_drag(
    asking, widget, viewer, slide, mouse, look, answers, run
):
    look((256.0, 320.0), 0.8)  # in view however wide the docks are
    centre = viewer.scene.camera.center
    mouse.drag((150.0, 250.0), (350.0, 500.0), Qt.KeyboardModifier.ShiftModifier)
    (row,) = answers(1)
    assert row.source == NETWORK
    assert viewer.scene.camera.center == centre
    assert tuple(row.question.place) == pytest.approx((150, 350, 250, 500), abs=2)
    assert row.answer.area_um2 == pytest.approx(200 * 250, rel=0.03)
    assert row.answer.num_cells > 20
    assert "mm²" in widget.probes.texts()[0]
    assert [layer.name for layer in viewer.layers if layer.name == "box"] == []
    assert len(widget.canvas.overlay(slide.id, "fields").data) == 1
    assert viewer.scene.camera.mouse_pan
    mouse.drag((256.0, 320.0), (300.0, 300.0))
    assert viewer.scene.camera.center != centre  # it panned
    assert len(widget.probes.rows) == 1
    run()
    look((256.0, 320.0), 0.8)  # in view however wide the docks are
    mouse.drag((150.0, 250.0), (350.0, 500.0), Qt.KeyboardModifier.ShiftModifier)
    again = answers(2)[1]
    assert again.source == STORED
    assert again.answer.probabilities == pytest.approx(row.answer.probabilities, abs=2e-4)
    assert again.answer.share_above == row.answer.share_above


def test_all_annotations_of_a_class_are_one_question(asking, widget, viewer, slide, answers, qtbot):
    boxes = {"tumour": [(110, 110, 200, 200), (300, 120, 420, 300)], "stroma": [(200, 300, 300, 400)]}
    for name, places in boxes.items():
        for place in places:
            draw(viewer, slide, shapely.box(*place), name)
    menu = widget.probes.more_menu
    menu.aboutToShow.emit()
    titles = [action.text() for action in menu.actions() if not action.isSeparator()]
    assert titles == ["Selected shape", "What is in view", "All of class stroma (1)", "All of class tumour (2)"]
    next(action for action in menu.actions() if "tumour" in action.text()).trigger()
    (row,) = answers(1)
    assert row.answer.area_um2 == pytest.approx(90 * 90 + 120 * 180)
    assert widget.probes.texts()[0].startswith("2 annotations of tumour: ")
    widget.asking.ask_class("nothing of this name")
    assert "no drawn area" in widget.run_panel.estimate_note.text()


def test_what_was_drawn_on_another_slide_is_neither_asked_about_nor_exported(
    widget, viewer, show, slide, pixels, ready, answers, qtbot, tmp_path
):
    returning = let_slides_return(viewer)  # notes on which slide a shape is drawn, in every window
    other = open_slide([pixels[::-1], pixels[::-4, ::4]], um_per_px=1.0)
    for each, place in ((other, (110, 110, 200, 200)), (slide, (300, 120, 420, 300))):
        show(each)
        qtbot.waitUntil(lambda each=each: returning.controller.keeps_shapes(each.id), timeout=60_000)
        draw(viewer, each, shapely.box(*place), "tumour")
    choose(widget.choices.slide_box, slide.id)
    ready(slide)
    menu = widget.probes.more_menu
    menu.aboutToShow.emit()
    (title,) = [action.text() for action in menu.actions() if "tumour" in action.text()]
    assert title == "All of class tumour (1)"
    widget.asking.ask_class("tumour")
    (row,) = answers(1)
    assert row.answer.area_um2 == pytest.approx(120 * 180)
    assert widget.probes.texts()[0].startswith("1 annotation of tumour: ")
    widget.export_to(tmp_path)
    qtbot.waitUntil(lambda: "Exported" in widget.run_panel.estimate_note.text(), timeout=60_000)
    (annotation,) = read_geojson(next(tmp_path.glob("*.geojson")))
    assert annotation.geometry.bounds == (300, 120, 420, 300)
    returning.shut_down()


def test_the_palette_asks_about_the_view_its_middle_and_why(asking, widget, viewer, slide, look, answers, qtbot):
    look(PLACE, 4.0)
    ask_commands.ask_middle(viewer)
    ask_commands.ask_view(viewer)
    rows = answers(2)
    kinds = {row.kind: row for row in rows}
    assert kinds["field"].position == pytest.approx(PLACE, abs=1.0)
    seen = Viewpoint(viewer).box(slide)
    assert kinds["area"].answer.area_px == pytest.approx((seen.y1 - seen.y0) * (seen.x1 - seen.x0), rel=0.1)
    ask_commands.ask_shape(viewer)
    assert "no shape is selected" in widget.run_panel.estimate_note.text()
    ask_commands.explain(viewer)
    qtbot.waitUntil(lambda: widget.canvas.overlay(slide.id, "why") is not None, timeout=60_000)


def test_an_answer_to_the_palette_is_seen_though_another_tab_was_in_front(
    asking, widget, viewer, slide, look, answers, qtbot
):
    navigate = NavigateWidget(viewer)
    viewer.window.add_dock_widget(navigate, name="Navigate")
    qtbot.waitUntil(lambda: navigate.in_front() and not widget.in_front(), timeout=10_000)
    look(PLACE, 4.0)
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    ask_commands.ask_middle(viewer)
    answers(1)
    qtbot.waitUntil(widget.in_front, timeout=10_000)
    assert viewer.window._qt_window.focusWidget() is canvas
    navigate.shut_down()


def test_a_row_is_gone_to_by_enter(asking, widget, viewer, slide, look, answers, qtbot):
    look(PLACE, 4.0)
    ask_commands.ask_middle(viewer)
    answers(1)
    look(GLASS, 4.0)
    widget.probes.table.setFocus()
    qtbot.keyClick(widget.probes.table, Qt.Key.Key_Return)
    assert Viewpoint(viewer).box(slide).centre == pytest.approx(PLACE, abs=1.0)


def test_why_is_shown_signed_and_unsigned_and_goes_with_clear(
    asking, widget, viewer, slide, mouse, look, answers, qtbot
):
    look(PLACE, 2.0)
    mouse.click(PLACE)
    answers(1)
    mouse.press(Qt.Key.Key_W)
    qtbot.waitUntil(lambda: widget.canvas.overlay(slide.id, "why") is not None, timeout=60_000)
    layer = widget.canvas.overlay(slide.id, "why")
    assert "tumour (signed" in layer.name
    assert layer.contrast_limits[0] == pytest.approx(-layer.contrast_limits[1])
    assert layer.data.min() < 0 < layer.data.max()
    assert "logit" in widget.asking.why.why_note.text()
    signed = np.array(layer.data)
    widget.asking.why.sign_box.setCurrentIndex(1)
    layer = widget.canvas.overlay(slide.id, "why")
    assert "unsigned" in layer.name
    assert layer.contrast_limits[0] == 0
    assert layer.data.shape == signed.shape
    assert layer.data.min() >= 0
    outline = widget.probes.rows[0].answer.outline
    box = Viewpoint(viewer).box(slide)
    assert box.x0 < outline.centroid.x < box.x1  # the view did not move
    widget.asking.why.class_box.setCurrentIndex(widget.asking.why.class_box.findData("normal"))
    widget.asking.why.smooth_box.setChecked(True)
    widget.asking.why.samples_box.setValue(2)
    widget.asking.why.why_button.click()
    qtbot.waitUntil(lambda: "normal" in widget.canvas.overlay(slide.id, "why").name, timeout=60_000)
    assert "SmoothGrad: 2 copies" in widget.asking.why.why_note.text()
    widget.probes.clear_button.click()
    assert widget.canvas.overlay(slide.id, "why") is None
    assert widget.canvas.overlay(slide.id, "fields") is None


def test_why_can_be_cancelled_and_says_what_it_lacks(asking, widget, slide, mouse, look, answers, qtbot):
    look(PLACE, 2.0)
    widget.asking.why.why_button.click()
    assert "ask about a place first" in widget.asking.why.why_note.text()
    mouse.click(PLACE)
    answers(1)
    widget.asking.why.smooth_box.setChecked(True)
    widget.asking.why.samples_box.setValue(1000)
    estimate = widget.run_panel.estimate_note.text()
    widget.asking.why.why_button.click()
    qtbot.waitUntil(lambda: widget.asking.why.bar.maximum() > 0 and widget.asking.why.bar.value() > 0, timeout=60_000)
    assert "tile" in widget.asking.why.stage_note.text()
    widget.asking.why.cancel_button.click()
    qtbot.waitUntil(lambda: not widget.asking.whys.working, timeout=10_000)
    assert "cancelled" in widget.asking.why.why_note.text()
    assert widget.run_panel.estimate_note.text() == estimate, "what a run would take is still said"
    assert widget.canvas.overlay(slide.id, "why") is None
    look(GLASS, 2.0)
    mouse.click(GLASS)
    answers(2)
    widget.asking.why.why_button.click()
    assert "no tissue" in widget.asking.why.why_note.text()


def test_a_refusal_is_said_until_its_reason_is_gone(
    asking, widget, viewer, show, slide, pixels, mouse, look, answers, qtbot
):
    why, note = widget.asking.why, widget.asking.why.why_note
    look(PLACE, 2.0)
    why.why_button.click()
    assert "ask about a place first" in note.text()
    mouse.click(PLACE)
    answers(1)
    assert note.isHidden(), note.text()
    why.why_button.click()
    qtbot.waitUntil(lambda: "logit" in note.text(), timeout=60_000)
    shown = note.text()
    widget.probes.measure_button.click()
    assert "no shape is selected" in note.text()
    draw(viewer, slide, HOLED)
    widget.probes.measure_button.click()
    answers(2)
    assert note.text() == shown, "the gradient is on show still"
    other = open_slide(np.ascontiguousarray(pixels[:, ::-1]), um_per_px=1.0)
    show(other)
    widget.choose_slide(other.id)
    why.why_button.click()
    assert "of another slide" in note.text()
    widget.choose_slide(slide.id)
    assert note.text() == shown


def test_a_slide_that_was_just_chosen_answers_for_itself(asking, widget, show, slide, pixels, model_folder, answers):
    """Its run is planned a moment later; until then the plan there is speaks of the slide before."""
    other = open_slide(np.ascontiguousarray(pixels[:, ::-1]), um_per_px=1.0)
    show(other)
    widget.choose_slide(other.id)
    assert widget.chosen_slide() is other
    assert widget.runs.slide is slide
    widget.asking.ask(other, Question(kind="field", place=PLACE, position=PLACE))
    (row,) = answers(1)
    expected, wrong = (prepare(each, load_model(model_folder)).ask(PLACE).probabilities for each in (other, slide))
    assert row.answer.probabilities == pytest.approx(expected, abs=1e-6)
    assert row.answer.probabilities != pytest.approx(wrong, abs=1e-6)


def test_of_two_slides_the_one_that_is_seen_is_asked_and_the_one_that_is_chosen_is_seen(
    asking, widget, viewer, show, slide, pixels, mouse, look, answers, qtbot
):
    other = open_slide([pixels[:, ::-1], pixels[::4, ::-4]], um_per_px=1.0)
    show(other)
    assert widget.chosen_slide() is slide, "which lies under the other one"
    look(PLACE, 1.0)
    mouse.click(PLACE)
    (row,) = answers(1)
    assert row.slide_id == other.id
    box = widget.choices.slide_box
    assert box.currentIndex() == 0
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Down)
    QTest.keyClick(box, Qt.Key.Key_Up)
    assert widget.chosen_slide() is slide
    assert Viewpoint(viewer).slide() is slide
    mouse.click(PLACE)
    assert answers(2)[1].slide_id == slide.id
    look(GLASS, 1.0)
    cell = widget.probes.table.visualItemRect(widget.probes.table.item(0, 3)).center()
    for press in (QTest.mouseClick, QTest.mouseDClick):
        press(widget.probes.table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, cell)
    assert Viewpoint(viewer).slide() is other, "an answer is shown on its own slide"
    assert Viewpoint(viewer).box(other).centre == pytest.approx(row.position)


def test_the_map_on_show_is_not_explained_by_another_model(
    asking, widget, viewer, slide, run, answers, model_folder, tmp_path
):
    run()
    copy = shutil.copytree(model_folder, tmp_path / "another")
    widget.choices.offer_models(read_models(copy))
    widget.choices.model_box.setCurrentIndex(widget.choices.model_box.count() - 1)
    draw(viewer, slide, shapely.box(128, 128, 512, 384))
    widget.probes.measure_button.click()
    (row,) = answers(1)
    assert row.source == STORED
    widget.asking.why.why_button.click()
    assert f"by {row.model}: choose that model" in widget.asking.why.why_note.text()
    assert not widget.asking.whys.working


def test_without_a_slide_the_palette_says_so(widget, viewer):
    for ask in (ask_commands.ask_middle, ask_commands.ask_view, ask_commands.ask_shape):
        widget.run_panel.show_note("")
        ask(viewer)
        assert "pen a slide first" in widget.run_panel.estimate_note.text()
