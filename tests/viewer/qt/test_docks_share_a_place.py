"""Widgets opened one after the other on a small screen: tabs of one place, each with all of its height."""

import pytest
from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
from napari_gigaclf.viewer.widgets.compare import CompareWidget
from napari_gigaclf.viewer.widgets.docked import dock_of
from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget
from napari_gigaclf.viewer.widgets.navigate import NavigateWidget
from napari_gigaclf.viewer.widgets.worklist import WorklistWidget


@pytest.fixture
def viewer(shown_viewer):
    """A window that is drawn."""
    return shown_viewer


@pytest.fixture
def dock(viewer, qtbot):
    """Open widgets as the menus do, and shut them down in the end."""
    made = []

    def open_it(kind, **where):
        made.append(kind(viewer))
        viewer.window.add_dock_widget(made[-1], **where)
        qtbot.wait(50)
        return made[-1]

    yield open_it
    for widget in made:
        widget.shut_down()


def seen(widget):
    return not widget.visibleRegion().isEmpty()


def test_they_become_tabs_with_the_latest_in_front(viewer, dock, qtbot):
    first = dock(HotspotsWidget, name="Hotspots")
    qtbot.waitUntil(lambda: first.height() > 600, timeout=10_000)
    height = first.height()
    for kind in (WorklistWidget, NavigateWidget):
        latest = dock(kind, name=kind.__name__)
        qtbot.waitUntil(lambda latest=latest: seen(latest) and not seen(first), timeout=10_000)
        qtbot.waitUntil(lambda latest=latest: latest.height() > 0.9 * height, timeout=10_000)  # once it is laid out
    first.come_forward()
    qtbot.waitUntil(lambda: seen(first) and not seen(latest), timeout=10_000)


@pytest.mark.parametrize(("kind", "share"), [(NavigateWidget, 0.45), (ClassifyWidget, 0.33)])
def test_on_a_small_screen_the_slide_keeps_its_share_of_the_window(viewer, dock, qtbot, kind, share):
    widget = dock(kind, name=kind.__name__)
    canvas = viewer.window._qt_viewer.canvas.native
    assert viewer.window._qt_window.width() == 1280
    qtbot.waitUntil(lambda: seen(widget) and canvas.width() > share * 1280, timeout=10_000)
    qtbot.wait(100)  # once more, when everything is laid out
    assert canvas.width() > share * 1280


def test_what_a_person_moved_and_what_is_not_ours_stays_where_it_is(viewer, dock, qtbot):
    other = QWidget()
    viewer.window.add_dock_widget(other, name="somebody else's", area="right")
    first = dock(HotspotsWidget, name="Hotspots")
    assert seen(first)
    assert seen(other)
    below = dock(WorklistWidget, name="Worklist", area="bottom")
    assert seen(first)
    assert seen(below)
    window, worklist = viewer.window._qt_window, dock_of(below)
    worklist.setFloating(True)
    second = dock(NavigateWidget, name="Navigate", area="bottom")
    assert not window.tabifiedDockWidgets(worklist)
    worklist.setFloating(False)
    window.splitDockWidget(dock_of(first), worklist, Qt.Orientation.Vertical)
    worklist.hide()
    worklist.show()
    qtbot.wait(50)
    assert not window.tabifiedDockWidgets(worklist)
    assert all(seen(each) for each in (first, below, second))


@pytest.mark.parametrize("area", ["left", "bottom", "right"])
def test_a_second_canvas_comes_up_in_a_sane_place_wherever_it_was_the_last_time(viewer, dock, qtbot, area):
    get_settings().application.plugin_widget_positions = {"Compare": area}
    window, first = viewer.window._qt_window, viewer.window._qt_viewer.canvas.native
    compare = dock(CompareWidget, name="Compare", tabify=True)
    qtbot.waitUntil(compare.qt_viewer.isVisible, timeout=10_000)
    qtbot.wait(100)
    second = compare.qt_viewer.canvas.native
    for each in (viewer.window._qt_viewer.dockLayerList, viewer.window._qt_viewer.dockLayerControls):
        assert seen(each), "the list of layers is not hidden behind a tab"
        assert not each.geometry().intersects(dock_of(compare).geometry())
    assert window.width() == 1280
    assert window.height() <= 820  # Qt lets a window grow a little when napari lays a dock over its hidden console
    assert min(first.width(), second.width()) > 300
    assert min(first.height(), second.height()) > 300


def test_a_widget_that_was_left_the_last_time_does_not_hide_the_list_of_layers(viewer, dock, qtbot):
    get_settings().application.plugin_widget_positions = {"Navigate": "left"}
    navigate = dock(NavigateWidget, name="Navigate", tabify=True)
    qtbot.wait(100)
    assert seen(viewer.window._qt_viewer.dockLayerList)
    assert seen(navigate)
