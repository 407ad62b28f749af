"""A napari window with the widget docked; workers are joined before the window goes."""

import gc
import sys
import time

import numpy as np
import pytest

from napari_gigaclf.viewer.reader import open_layers
from napari_gigaclf.viewer.taking import canvas_is_sharp


@pytest.fixture(autouse=True)
def usual_priority(monkeypatch):
    """Let the workers have their share of a machine on which other things run."""
    monkeypatch.setattr("napari_gigaclf.viewer.worker.lower_priority", lambda: None)


@pytest.fixture(autouse=True)
def only_its_own_is_searched(monkeypatch):
    """Search for garbage among what the test makes, all of it, and not among what is left of the tests before.

    napari keeps thousands of objects of every window that was, and its fixture collects garbage several times for each
    test: after two hundred windows a second each time.
    """
    monkeypatch.setattr("napari_gigaclf.viewer.set_aside.MANY_MODULES", sys.maxsize)
    gc.collect()
    gc.freeze()


@pytest.fixture
def viewer(make_napari_viewer):
    """A napari viewer."""
    return make_napari_viewer()


@pytest.fixture
def shown_viewer(make_napari_viewer):
    """A napari viewer in a window of the size of a small screen that is drawn, so that its camera follows the mouse."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    return viewer


@pytest.fixture
def on_the_screen(viewer, qtbot):
    """Have the window on the screen and with the focus (not returned: napari looks for windows that are held)."""
    window = viewer.window._qt_window
    window.resize(1280, 800)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=10_000)


@pytest.fixture
def dock_worklist(viewer, qtbot, plugin_settings):
    """Dock the worklist, on a folder or a table whose rows are waited for; its slides return until the end."""
    from napari_gigaclf.viewer.returning.host import found_in
    from napari_gigaclf.viewer.widgets.worklist import WorklistWidget

    docked = []

    def dock(source=None, rows=0):
        docked.append(WorklistWidget(viewer))
        viewer.window.add_dock_widget(docked[-1], name="Worklist")
        if source is not None:
            docked[-1].source_row.set_path(source)
            qtbot.waitUntil(lambda: docked[-1].table.rowCount() == rows, timeout=20_000)
        return docked[-1]

    yield dock
    for widget in docked:
        widget.shut_down()
        assert widget.worker.close()
    if (returning := found_in(viewer.window._qt_window)) is not None:
        returning.shut_down()


@pytest.fixture
def widget(viewer, qtbot, model_folder):
    """The widget, docked, with the tiny model as its only model."""
    from napari.utils._proxies import PublicOnlyProxy

    from napari_gigaclf.viewer.controllers.jobs import read_models
    from napari_gigaclf.viewer.widgets.classify import ClassifyWidget

    widget = ClassifyWidget(PublicOnlyProxy(viewer))  # what napari gives to plugins
    viewer.window.add_dock_widget(widget, name="Classify slide")
    qtbot.waitUntil(lambda: not widget.quick.busy, timeout=60_000)
    qtbot.wait(10)
    widget.choices.models = {}
    widget.choices.offer_models(read_models(model_folder))
    widget.choices.saliency_box.setCurrentIndex(widget.choices.saliency_box.findData("none"))
    yield widget
    widget.shut_down()
    assert widget.quick.close()
    assert widget.long.close()


@pytest.fixture
def show(viewer):
    """Add a slide to the viewer as the reader does."""

    def add(slide):
        layers = [getattr(viewer, f"add_{kind}")(data, **kwargs) for data, kwargs, kind in open_layers(slide)]
        return layers[0]

    return add


@pytest.fixture
def settled_picture(qtbot):
    """Take the canvas's picture once every tile has come and a while of events changes nothing any more."""

    def take(viewer):
        shot = []

        def settled():
            shot.append(np.asarray(viewer.screenshot(canvas_only=True, flash=False))[..., :3])
            return canvas_is_sharp(viewer) and len(shot) > 1 and np.array_equal(*shot[-2:])

        qtbot.waitUntil(settled, timeout=60_000)
        return shot[-1]

    return take


@pytest.fixture
def ready(widget, qtbot):
    """Wait until the widget has planned the run for a slide."""
    from napari_gigaclf.viewer.controllers.run_view import State

    def wait(slide):
        def planned():
            chosen = widget.runs.slide
            return chosen is not None and chosen.id == slide.id and widget.runs.state is State.READY

        qtbot.waitUntil(planned, timeout=60_000)

    return wait


@pytest.fixture
def drag_mouse(qtbot):
    """Press the real mouse at a point of a canvas, move it to another one, and let go."""
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    left = Qt.MouseButton.LeftButton

    def drag(canvas, begin, end, modifier=Qt.KeyboardModifier.NoModifier):
        QTest.mouseMove(canvas, begin)
        QTest.mousePress(canvas, left, modifier, begin)
        for share in (0.3, 0.7, 1.0):  # not by QTest, whose moves carry no modifier
            point = begin + (end - begin) * share
            on_screen = QPointF(canvas.mapToGlobal(point))
            event = QMouseEvent(QEvent.Type.MouseMove, QPointF(point), on_screen, left, left, modifier)
            QApplication.sendEvent(canvas, event)
            qtbot.wait(50)
        QTest.mouseRelease(canvas, left, modifier, end)
        qtbot.wait(20)

    return drag


@pytest.fixture
def clicker(viewer):
    """Press, move and release the mouse over the canvas, in world coordinates, as napari does."""
    from napari.utils._proxies import ReadOnlyWrapper
    from napari.utils.interactions import mouse_move_callbacks, mouse_press_callbacks, mouse_release_callbacks

    class Event:
        def __init__(self, kind, position, pos):
            self.type, self.position, self.pos = kind, position, pos
            self.button, self.is_dragging, self.handled = 1, kind == "mouse_move", False
            self.modifiers, self.view_direction, self.dims_displayed = [], None, [0, 1]
            self.dims_point = [0, 0]

    def gesture(world, moves=()):
        start = (100.0, 100.0)
        mouse_press_callbacks(viewer, ReadOnlyWrapper(Event("mouse_press", world, start), exceptions=("handled",)))
        for dy, dx in moves:
            event = Event("mouse_move", world, (start[0] + dy, start[1] + dx))
            mouse_move_callbacks(viewer, ReadOnlyWrapper(event, exceptions=("handled",)))
        mouse_release_callbacks(viewer, ReadOnlyWrapper(Event("mouse_release", world, start), exceptions=("handled",)))
        time.sleep(0)

    return gesture
