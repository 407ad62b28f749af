"""Tools over the second canvas, by mouse and keys: ask of the result that is shown there, measure, teach."""

import re

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_gigaclf.inference import classify
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer.commands import toggle_link
from napari_gigaclf.viewer.layers import Frame, prediction_layers
from napari_gigaclf.viewer.taking import canvas_is_sharp
from napari_gigaclf.viewer.texts import problem_text
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.asking import BLIND
from napari_gigaclf.viewer.widgets.compare import CompareWidget
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.docked import dock_of
from napari_gigaclf.viewer.widgets.navigate import FOLLOW_MS, NavigateWidget
from napari_gigaclf.viewer.widgets.teach import TeachWidget

OTHER_MODEL = "phantom-tumour"
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def viewer(shown_viewer):
    """A window with room for two canvases and a widget."""
    shown_viewer.window.resize(1700, 900)
    return shown_viewer


@pytest.fixture
def compare(viewer, qtbot):
    """Open the second canvas under the first one, so that the widgets on the right stay in sight."""
    made = []

    def open_it(area="bottom"):
        made.append(CompareWidget(viewer))
        viewer.window.add_dock_widget(made[-1], name="Compare", area=area)
        qtbot.waitUntil(made[-1].qt_viewer.isVisible, timeout=10_000)
        window = viewer.window._qt_window
        first, dock = window.centralWidget(), dock_of(made[-1])
        if window.dockWidgetArea(dock) == Qt.DockWidgetArea.BottomDockWidgetArea:  # it is given half of the height
            qtbot.waitUntil(lambda: abs(first.height() - dock.height()) < 40, timeout=10_000)
        qtbot.waitUntil(lambda: canvas_is_sharp(made[-1].second), timeout=30_000)
        return made[-1]

    yield open_it
    for widget in made:
        widget.shut_down()


@pytest.fixture
def other(pixels):
    """Another slide of the same size: the same tissue, mirrored."""
    fine = np.ascontiguousarray(pixels[:, ::-1])
    return open_slide([fine, fine[::4, ::4]], um_per_px=1.0)


def point_on(widget, slide, corner):
    """Return where on the second canvas a place of the slide is, (y, x) level-0 corner coordinates."""
    box, (height, width) = Viewpoint(widget.second).box(slide), widget.second.canvas.size
    share = (corner[0] - box.y0) / (box.y1 - box.y0), (corner[1] - box.x0) / (box.x1 - box.x0)
    assert all(0 < each < 1 for each in share), "out of view"
    return QPoint(round(share[1] * width), round(share[0] * height))


def show_result(viewer, slide, prediction, class_name="tumour"):
    (data, kwargs, _), *_ = prediction_layers(prediction, Frame.of_slide(slide), class_name)
    return viewer.add_image(data, **{**kwargs, "name": prediction.record.model.name})


def lay_over(widget, name):
    (choice,) = [each for each in widget.controller.overlays() if each.name == name]
    widget.controller.show_overlay(choice.key, True)


def test_a_click_and_a_box_ask_the_result_that_is_shown_there(
    viewer, widget, compare, show, ready, slide, other, predict, drag_mouse, qtbot
):
    show(other)
    show(slide)
    theirs = classify(slide, OTHER_MODEL, tissue=False, saliency=None, device="cpu")
    show_result(viewer, slide, theirs)
    show_result(viewer, slide, predict(slide))
    choose(widget.choices.slide_box, slide.id)
    ready(slide)
    qtbot.waitUntil(lambda: slide.id in widget.runs.results, timeout=60_000)
    assert widget.runs.results[slide.id][0].record.model.name == "tiny"
    widget.probes.tool_box.click()
    second = compare()
    canvas = second.qt_viewer.canvas.native
    toggle_link(viewer)
    assert not second.link_box.isChecked()
    Viewpoint(second.second).set_zoom(slide, 0.6)
    Viewpoint(second.second).look_at(slide, (250.0, 330.0))

    def answers(count):
        qtbot.waitUntil(lambda: len(widget.probes.rows) == count and not widget.asks.num_waiting, timeout=60_000)
        return widget.probes.rows[-1]

    def click(corner):
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=point_on(second, second_slide(), corner))

    def second_slide():
        return Viewpoint(second.second).slide()

    click((250.0, 420.0))
    row = answers(1)
    assert (row.model, row.slide_id) == ("tiny", slide.id), "no result is shown there: as on the first canvas"
    assert row.position == pytest.approx((250.0, 420.0), abs=2)

    lay_over(second, OTHER_MODEL)
    click((260.0, 400.0))
    row = answers(2)
    assert row.model == OTHER_MODEL
    assert row.answer.probabilities == pytest.approx(theirs.query(row.position).probabilities)
    assert widget.probes.texts()[1].startswith(f"second canvas, {OTHER_MODEL}\n")

    begin, end = (point_on(second, slide, corner) for corner in ((180.0, 300.0), (300.0, 460.0)))
    centre = Viewpoint(second.second).world_centre
    drag_mouse(canvas, begin, end, SHIFT)
    row = answers(3)
    assert Viewpoint(second.second).world_centre == centre, "a box is drawn, nothing is panned"
    place = row.question.place
    assert (place.y0, place.y1, place.x0, place.x1) == pytest.approx((180, 300, 300, 460), abs=4)
    assert row.answer.mean == pytest.approx(theirs.query(place).mean)
    assert widget.probes.texts()[2].startswith(f"second canvas, {OTHER_MODEL}\nbox: ")
    qtbot.waitUntil(lambda: "clicked fields" in second.second.layers, timeout=5_000)
    assert len(second.second.layers["clicked fields"].data) == 3, "outlined where it was asked"
    assert [layer.name for layer in second.second.layers][1:] == [OTHER_MODEL, "clicked fields"]
    drag_mouse(canvas, begin, end)
    assert Viewpoint(second.second).world_centre != centre, "a plain drag pans"

    second.controller.choose_slide(other.id)
    Viewpoint(second.second).fit(other)
    click((250.0, 220.0))
    row = answers(4)
    assert (row.slide_id, row.model) == (other.id, "tiny")
    assert row.position == pytest.approx((250.0, 220.0), abs=3)
    widget.hide_findings(True)
    click((250.0, 220.0))
    qtbot.waitUntil(lambda: widget.run_panel.estimate_note.text() == problem_text(BLIND), timeout=5_000)
    widget.hide_findings(False)
    second.shut_down()
    assert second.second.mouse_drag_callbacks == ViewerModel().mouse_drag_callbacks, "the tool let go"
    assert len(widget.probes.rows) == 4


def test_a_click_there_says_what_to_do_while_the_widget_is_not_in_sight(
    viewer, widget, compare, show, ready, slide, qtbot
):
    show(slide)
    ready(slide)
    widget.probes.tool_box.click()
    second = compare()
    viewer.window._qt_window.tabifyDockWidget(dock_of(widget), dock_of(second))
    dock_of(second).raise_()
    qtbot.waitUntil(lambda: widget.visibleRegion().isEmpty(), timeout=10_000)
    canvas = second.qt_viewer.canvas.native
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=middle)
    assert second.note.text().startswith("Classify slide is not in sight, so a click does nothing here: drag its tab")
    assert second.note.isVisible()
    assert not widget.asks.num_waiting
    viewer.window._qt_window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock_of(second))
    qtbot.waitUntil(lambda: not widget.visibleRegion().isEmpty(), timeout=10_000)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(canvas.width() // 2, canvas.height() // 2))
    qtbot.waitUntil(lambda: len(widget.probes.rows) == 1, timeout=60_000)


def test_a_hidden_tool_says_nothing_of_a_click_that_another_one_took(
    viewer, widget, compare, show, ready, slide, qtbot, tmp_path
):
    show(slide)
    ready(slide)
    widget.probes.tool_box.click()
    teach = TeachWidget(viewer, lessons=tmp_path / "lessons", features=tmp_path / "features")
    viewer.window.add_dock_widget(teach, name="Teach")
    try:
        second = compare()
        canvas = second.qt_viewer.canvas.native
        middle = QPoint(canvas.width() // 2, canvas.height() // 2)
        qtbot.waitUntil(lambda: teach.in_front() and not widget.in_front(), timeout=10_000)
        widget.come_forward()
        qtbot.waitUntil(lambda: widget.in_front() and not teach.in_front(), timeout=10_000)
        before = second.note.text()
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=middle)
        qtbot.waitUntil(lambda: len(widget.probes.rows) == 1, timeout=60_000)
        assert second.note.text() == before
        widget.probes.tool_box.click()
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=middle)
        assert second.note.text().startswith("Teach is not in sight"), "now it would have been this one's"
    finally:
        teach.shut_down()
        assert all(worker.close(60) for worker in (teach.quick, teach.saver, teach.long))


def test_the_ruler_measures_there(viewer, compare, show, slide, other, drag_mouse, qtbot):
    show(other)
    layer = show(slide)
    navigator = NavigateWidget(viewer)
    viewer.window.add_dock_widget(navigator, name="Navigate")
    try:
        navigator.buttons["ruler"].click()
        second = compare()
        canvas = second.qt_viewer.canvas.native
        lines = lambda: [each for each in second.second.layers if each.metadata.get("kind") == "ruler"]  # noqa: E731
        Viewpoint(second.second).set_zoom(slide, 0.8)
        Viewpoint(second.second).look_at(slide, (250.0, 330.0))
        centre = Viewpoint(second.second).world_centre
        drag_mouse(canvas, point_on(second, slide, (200.0, 250.0)), point_on(second, slide, (200.0, 400.0)))
        assert Viewpoint(second.second).world_centre == centre
        (line,) = lines()
        (begin, end), (text,) = line.data[0], line.features["length"]
        assert end - begin == pytest.approx((0.0, 150.0), abs=3)
        assert text == f"{end[1] - begin[1]:.1f} µm" or text == f"{(end[1] - begin[1]) / 1000:.3f} mm"
        assert navigator.reading.text() == f"ruler {text}"
        assert [each.metadata.get("kind") for each in viewer.layers] == [None, None], "a line of that canvas alone"
        second.controller.choose_slide(other.id)
        assert not lines(), "it goes with its slide"
        second.controller.choose_slide(slide.id)
        navigator.buttons["ruler"].click()
        assert second.second.scene.camera.mouse_pan
        drag_mouse(canvas, QPoint(100, 100), QPoint(160, 160))
        assert not lines()
        viewer.layers.remove(layer)
    finally:
        navigator.shut_down()
        assert navigator.worker.close()


def test_w_explains_there_and_shows_it_there(viewer, widget, compare, show, ready, slide, other, qtbot):
    show(other)
    show(slide)
    choose(widget.choices.slide_box, slide.id)
    ready(slide)
    widget.probes.tool_box.click()
    second = compare()
    canvas = second.qt_viewer.canvas.native
    toggle_link(viewer)
    second.controller.choose_slide(other.id)
    Viewpoint(second.second).fit(other)
    kinds = lambda: [each.metadata.get("kind") for each in second.second.layers]  # noqa: E731

    def press_w():
        canvas.setFocus()
        qtbot.keyClick(canvas, Qt.Key.Key_W)

    press_w()
    assert "ask about a place first" in widget.asking.why.why_note.text()
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=point_on(second, other, (250.0, 220.0)))
    qtbot.waitUntil(lambda: len(widget.probes.rows) == 1 and not widget.asks.num_waiting, timeout=60_000)
    press_w()
    qtbot.waitUntil(lambda: "why" in kinds(), timeout=60_000)
    assert widget.canvas.overlay(other.id, "why") is not None
    assert "logit" in widget.asking.why.why_note.text()
    second.controller.choose_slide(slide.id)
    press_w()
    assert "the chosen answer is of another slide" in widget.asking.why.why_note.text()
    assert "why" not in kinds()


def test_what_lies_under_the_cursor_there_is_read_there(viewer, compare, show, slide, other, predict, qtbot):
    show(other)
    show(slide)
    show_result(viewer, slide, predict(slide))
    navigator = NavigateWidget(viewer)
    viewer.window.add_dock_widget(navigator, name="Navigate")
    try:
        second = compare()
        canvas = second.qt_viewer.canvas.native
        lay_over(second, "tiny")
        Viewpoint(second.second).look_at(slide, (250.0, 330.0))

        def hover(shown, corner):
            at = point_on(second, shown, corner)
            QTest.mouseMove(canvas, at + QPoint(3, 3))
            QTest.mouseMove(canvas, at)
            qtbot.waitUntil(lambda: navigator.reading.text().startswith("second canvas: x "), timeout=5_000)
            qtbot.wait(3 * FOLLOW_MS)
            return navigator.reading.text().splitlines()

        place, colour, says = hover(slide, (260.0, 400.0))
        assert [float(number) for number in re.findall(r"[0-9.]+", place)] == pytest.approx([0.4, 0.26], abs=0.004)
        assert colour.startswith("colour ")
        assert says.startswith("normal 0.")
        second.controller.choose_slide(other.id)
        Viewpoint(second.second).fit(other)
        place, colour = hover(other, (250.0, 220.0))
        assert [float(number) for number in re.findall(r"[0-9.]+", place)] == pytest.approx([0.22, 0.25], abs=0.004)

        first = viewer.window._qt_viewer.canvas.native
        QTest.mouseMove(first, QPoint(first.width() // 2, first.height() // 2))
        qtbot.waitUntil(lambda: navigator.reading.text().startswith("x "), timeout=5_000)
        callbacks = second.second.mouse_move_callbacks
        assert callbacks
        navigator.shut_down()
        assert not callbacks
    finally:
        navigator.shut_down()
        assert navigator.worker.close()


def test_a_click_teaches_there_on_the_same_slide_and_is_refused_with_a_sentence_on_another(
    viewer, compare, show, other, qtbot, tmp_path
):
    phantom = PhantomSlide(seed=3, shape=(1600, 1600))
    result = classify(phantom, OTHER_MODEL, saliency=None, device="cpu")
    show(other)
    show(phantom)
    show_result(viewer, phantom, result)
    teach = TeachWidget(viewer, lessons=tmp_path / "lessons", features=tmp_path / "features")
    viewer.window.add_dock_widget(teach, name="Teach")
    try:
        qtbot.waitUntil(lambda: teach.teaching.lesson is not None, timeout=60_000)
        choose(teach.choices.model_box, OTHER_MODEL)
        qtbot.waitUntil(
            lambda: teach.teaching.opened is not None and teach.teaching.base.name == OTHER_MODEL, timeout=60_000
        )
        second = compare()
        canvas = second.qt_viewer.canvas.native
        row, column = np.argwhere(result.store.kept)[len(result.store.kept) // 2]
        place = teach.teaching.opened.canvas.grid.centre_of(int(row), int(column))
        Viewpoint(second.second).set_zoom(phantom, 1.0)
        Viewpoint(second.second).look_at(phantom, place)
        canvas.setFocus()
        qtbot.keyClick(canvas, Qt.Key.Key_2)
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=point_on(second, phantom, place))
        (example,) = teach.teaching.lesson.examples
        assert (example.slide_id, example.class_number, example.place) == (phantom.id, 1, place)
        qtbot.waitUntil(lambda: any(each.metadata.get("kind") == "examples" for each in second.second.layers))

        second.controller.choose_slide(other.id)
        Viewpoint(second.second).fit(other)
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=point_on(second, other, (250.0, 220.0)))
        assert len(teach.teaching.lesson.examples) == 1
        assert "Nothing was taught: the second canvas shows another slide" in teach.note.text()
        second.controller.choose_slide(phantom.id)
        qtbot.keyClick(canvas, Qt.Key.Key_Z)
        assert not teach.teaching.lesson.examples
    finally:
        teach.shut_down()
        assert all(worker.close(60) for worker in (teach.quick, teach.saver, teach.long))
