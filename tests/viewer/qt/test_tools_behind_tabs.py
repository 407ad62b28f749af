"""Tools of widgets that lie behind another tab let the mouse alone; in front they take clicks again."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_gigaclf.inference import classify
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer import teach_commands
from napari_gigaclf.viewer.layers import Frame, prediction_layers
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.curtain import CurtainWidget
from napari_gigaclf.viewer.widgets.teach import TeachWidget

MODEL = "phantom-tumour"


@pytest.fixture
def viewer(shown_viewer):
    """A window that is drawn."""
    return shown_viewer


@pytest.fixture
def other(viewer):
    """Open another widget, which comes in front of those that are there."""
    made = []

    def open_it():
        made.append(CurtainWidget(viewer))
        viewer.window.add_dock_widget(made[-1], name="Curtain")
        return made[-1]

    yield open_it
    for widget in made:
        widget.shut_down()


@pytest.fixture
def click(viewer, qtbot):
    """Click the middle of the canvas, or a little beside it."""
    canvas = viewer.window._qt_viewer.canvas.native

    def at(beside=0):
        middle = QPoint(canvas.width() // 2 + beside, canvas.height() // 2)
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=middle)
        qtbot.wait(20)

    return at


def is_seen(widget):
    return not widget.visibleRegion().isEmpty()


def test_nothing_is_asked_while_classify_is_behind_another_tab(viewer, widget, show, slide, ready, other, click, qtbot):
    show(slide)
    ready(slide)
    widget.probes.tool_box.click()
    front = other()
    qtbot.waitUntil(lambda: is_seen(front) and not is_seen(widget), timeout=10_000)
    click()
    widget.come_forward()
    qtbot.waitUntil(lambda: is_seen(widget), timeout=10_000)
    click(40)
    qtbot.waitUntil(lambda: bool(widget.probes.rows) and not widget.asks.num_waiting, timeout=60_000)
    (row,) = widget.probes.rows
    middle = Viewpoint(viewer).box(slide).centre
    assert row.position[1] == pytest.approx(middle[1] + 40 / Viewpoint(viewer).zoom(slide), abs=2), "the second click's"


def test_nothing_is_taught_while_teach_is_behind_another_tab(viewer, show, other, click, qtbot, tmp_path):
    phantom = PhantomSlide(seed=3, shape=(1600, 1600))
    result = classify(phantom, MODEL, saliency=None, device="cpu")
    show(phantom)
    for data, kwargs, kind in prediction_layers(result, Frame.of_slide(phantom), "tumour"):
        getattr(viewer, f"add_{kind}")(data, **kwargs)
    teach = TeachWidget(viewer, lessons=tmp_path / "lessons", features=tmp_path / "features")
    viewer.window.add_dock_widget(teach, name="Teach")
    try:
        qtbot.waitUntil(lambda: teach.teaching.lesson is not None, timeout=60_000)
        choose(teach.choices.model_box, MODEL)
        qtbot.waitUntil(lambda: teach.teaching.opened is not None and teach.teaching.base.name == MODEL, timeout=60_000)
        row, column = np.argwhere(result.store.kept)[0]
        Viewpoint(viewer).look_at(phantom, teach.teaching.opened.canvas.grid.centre_of(int(row), int(column)))
        front = other()
        qtbot.waitUntil(lambda: is_seen(front) and not is_seen(teach), timeout=10_000)
        click()
        assert not teach.teaching.lesson.examples
        teach_commands.teach_clicks(viewer)  # off
        qtbot.waitUntil(lambda: is_seen(teach), timeout=10_000)
        click()
        assert not teach.teaching.lesson.examples
        teach_commands.teach_clicks(viewer)  # on again
        click()
        qtbot.waitUntil(lambda: len(teach.teaching.lesson.examples) == 1, timeout=30_000)
    finally:
        teach.shut_down()
        assert all(worker.close(60) for worker in (teach.quick, teach.saver, teach.long))
