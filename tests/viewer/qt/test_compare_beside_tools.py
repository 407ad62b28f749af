"""Two slides on two canvases with the tools in sight on a small screen: opened as by the menus, driven by the mouse."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.taking import canvas_is_sharp
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.compare import SMALLEST, CompareWidget
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.docked import dock_of
from napari_gigaclf.viewer.widgets.teach import TeachWidget

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def viewer(shown_viewer):
    """A window of the size of a small screen that is drawn."""
    return shown_viewer


@pytest.fixture
def open_compare(viewer, qtbot):
    """Open the second canvas where napari puts it."""
    made = []

    def open_it(**where):
        made.append(CompareWidget(viewer))
        viewer.window.add_dock_widget(made[-1], name="Compare", **where)
        qtbot.waitUntil(made[-1].qt_viewer.isVisible, timeout=10_000)
        return made[-1]

    yield open_it
    for widget in made:
        widget.shut_down()


@pytest.fixture
def open_teach(viewer, tmp_path):
    """Open Teach where napari puts it."""
    made = []

    def open_it(**where):
        made.append(TeachWidget(viewer, lessons=tmp_path / "lessons", features=tmp_path / "features"))
        viewer.window.add_dock_widget(made[-1], name="Teach", **where)
        return made[-1]

    yield open_it
    for widget in made:
        widget.shut_down()
        assert all(worker.close(60) for worker in (widget.quick, widget.saver, widget.long))


@pytest.fixture
def other(pixels):
    """Another slide, twice as fine: the same tissue, mirrored."""
    fine = np.repeat(np.repeat(pixels[:, ::-1], 2, axis=0), 2, axis=1)
    return open_slide([fine, np.ascontiguousarray(fine[::4, ::4])], um_per_px=0.5)


def turn_wheel(canvas, steps):
    """Turn the wheel over a point beside the middle."""
    place = QPointF(canvas.width() * 0.3, canvas.height() * 0.6)
    on_screen = QPointF(canvas.mapToGlobal(place.toPoint()))
    nothing, no_key = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    event = QWheelEvent(
        place, on_screen, QPoint(), QPoint(0, 120 * steps), nothing, no_key, Qt.ScrollPhase.NoScrollPhase, False
    )
    QApplication.sendEvent(canvas, event)


def seen(widget):
    return not widget.visibleRegion().isEmpty()


def apart(viewer, second):
    """Return how much further, (y, x) in micrometres, the second canvas looks."""
    return np.subtract(Viewpoint(second).world_centre, Viewpoint(viewer).world_centre)


def test_the_tool_and_both_canvases_are_in_sight_whichever_is_opened_first(
    viewer, widget, open_compare, open_teach, show, slide, qtbot
):
    show(slide)
    first = viewer.window._qt_viewer.canvas.native
    height = widget.height()
    compare = open_compare()

    def well_placed(tool):
        second = compare.qt_viewer.canvas.native
        sides = [each.width() for each in (first, second)], [each.height() for each in (first, second)]
        large = min(sides[0]) > 1.5 * SMALLEST[0] and min(sides[1]) > SMALLEST[1]
        return large and seen(tool) and seen(compare) and tool.height() > 0.9 * height

    qtbot.waitUntil(lambda: well_placed(widget), timeout=10_000)
    teach = open_teach()
    qtbot.waitUntil(lambda: well_placed(teach) and not seen(widget), timeout=10_000)
    compare.shut_down()
    viewer.window.remove_dock_widget(dock_of(compare))
    compare = open_compare(area="right")
    qtbot.waitUntil(lambda: well_placed(teach), timeout=10_000)


@pytest.mark.parametrize("tabify", [False, True])
def test_the_second_canvas_makes_room_for_a_tool_that_is_opened_after_it(
    viewer, open_compare, open_teach, show, slide, tabify, qtbot
):
    show(slide)
    compare = open_compare()
    canvas = compare.qt_viewer.canvas.native
    qtbot.waitUntil(lambda: canvas.height() > 600, timeout=10_000)  # alone it lies beside the first one
    teach = open_teach(tabify=tabify)
    qtbot.waitUntil(lambda: seen(teach) and seen(compare) and teach.height() > 600, timeout=10_000)
    assert compare.qt_viewer.canvas.native is canvas, "it is the same canvas"
    window = viewer.window._qt_window
    window.tabifyDockWidget(dock_of(teach), dock_of(compare))
    dock_of(compare).raise_()
    qtbot.waitUntil(lambda: seen(compare) and not seen(teach), timeout=10_000)
    qtbot.wait(100)
    assert seen(compare), "where a person moves it, it stays"
    assert not seen(teach)


def test_corners_of_the_window_are_given_back(viewer, open_compare, qtbot):
    window, corner = viewer.window._qt_window, Qt.Corner.BottomRightCorner
    before = window.corner(corner)
    compare = open_compare()
    qtbot.waitUntil(lambda: window.corner(corner) == Qt.DockWidgetArea.RightDockWidgetArea, timeout=5_000)
    compare.shut_down()
    assert window.corner(corner) == before


def test_two_slides_linked_with_an_offset_move_together_and_each_is_asked_about_where_it_is_clicked(
    viewer, widget, open_compare, show, slide, other, ready, drag_mouse, qtbot
):
    show(other)
    show(slide)
    choose(widget.choices.slide_box, slide.id)
    ready(slide)
    widget.probes.tool_box.click()
    compare = open_compare()
    qtbot.waitUntil(lambda: seen(widget) and seen(compare), timeout=10_000)
    qtbot.wait(100)  # once everything is laid out
    first, canvas, second = viewer.window._qt_viewer.canvas.native, compare.qt_viewer.canvas.native, compare.second
    compare.slide_box.setCurrentIndex(compare.slide_box.findData(other.id))
    Viewpoint(viewer).fit(slide)

    centre = QPoint(canvas.width() // 2, canvas.height() // 2)
    compare.link_box.click()
    drag_mouse(canvas, centre, centre + QPoint(30, -20))
    compare.link_box.click()
    offset = apart(viewer, second)
    zoom = viewer.scene.camera.zoom
    assert offset == pytest.approx((20 / zoom, -30 / zoom), abs=1.0)

    def linked():
        assert apart(viewer, second) == pytest.approx(offset, abs=0.01)
        assert second.scene.camera.zoom == pytest.approx(viewer.scene.camera.zoom)

    for moved in (first, canvas):
        before = Viewpoint(viewer).world_centre
        middle = QPoint(moved.width() // 2, moved.height() // 2)
        drag_mouse(moved, middle, middle + QPoint(25, 15))
        assert np.abs(np.subtract(Viewpoint(viewer).world_centre, before)).min() > 5
        linked()
        for steps in (2, -1):
            zoom = viewer.scene.camera.zoom
            turn_wheel(moved, steps)
            qtbot.waitUntil(lambda zoom=zoom: viewer.scene.camera.zoom != zoom, timeout=5_000)
            linked()
    qtbot.waitUntil(lambda: canvas_is_sharp(second), timeout=30_000)

    for count, (clicked, at, about) in enumerate(((canvas, second, other), (first, viewer, slide)), start=1):
        Viewpoint(viewer).look_at(slide, (250.0, 300.0))
        place = Viewpoint(at).box(about).centre
        qtbot.mouseClick(clicked, LEFT, pos=QPoint(clicked.width() // 2, clicked.height() // 2))
        qtbot.waitUntil(lambda count=count: len(widget.probes.rows) == count, timeout=60_000)
        row = widget.probes.rows[-1]
        assert row.slide_id == about.id
        assert row.position == pytest.approx(place, abs=2.5)
    assert "not in sight" not in compare.note.text()
