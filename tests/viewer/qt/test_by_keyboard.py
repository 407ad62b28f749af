"""A window without a mouse: keys between its parts, a focus that is seen, and one that the palette gives back."""

import pytest
from npe2 import PluginManifest
from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtGui import QKeySequence
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractItemView, QApplication, QPlainTextEdit, QWidget

from napari_gigaclf.viewer.canvas_keys import CanvasKeys
from napari_gigaclf.viewer.commands import PLUS, show_shortcuts
from napari_gigaclf.viewer.key_list import NEXT_PART_KEY, NEXT_WIDGET_KEY, all_keys
from napari_gigaclf.viewer.widgets.by_keyboard import ByKeyboard
from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
from napari_gigaclf.viewer.widgets.compare import CompareWidget
from napari_gigaclf.viewer.widgets.curtain import CurtainWidget
from napari_gigaclf.viewer.widgets.focus_frame import COLOUR, FocusFrame
from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget
from napari_gigaclf.viewer.widgets.navigate import NavigateWidget
from napari_gigaclf.viewer.widgets.shortcut_list import ShortcutList
from napari_gigaclf.viewer.widgets.teach import TeachWidget
from napari_gigaclf.viewer.widgets.train import TrainWidget
from napari_gigaclf.viewer.widgets.worklist import WorklistWidget

KINDS = (
    ClassifyWidget, HotspotsWidget, TeachWidget, TrainWidget, NavigateWidget, WorklistWidget, CurtainWidget,
    CompareWidget,
)  # fmt: skip


@pytest.fixture
def dock(viewer, on_the_screen, show, slide, qtbot):
    """Dock a widget over a slide; all are shut down in the end."""
    show(slide)
    made = []

    def open_it(kind):
        made.append(kind(viewer))
        viewer.window.add_dock_widget(made[-1], name=kind.__name__)
        qtbot.waitUntil(made[-1].in_front, timeout=10_000)
        qtbot.wait(50)  # docks find their places once events have been seen to
        return made[-1]

    yield open_it
    for widget in made:
        widget.shut_down()


@pytest.fixture
def canvas(viewer):
    return viewer.window._qt_viewer.canvas.native


def press(key, modifier=Qt.KeyboardModifier.NoModifier):
    """Press a key where the focus is."""
    QTest.keyClick(QApplication.focusWidget(), key, modifier)


def test_one_key_goes_to_the_widget_in_sight_and_back_and_another_brings_the_next_forward(dock, canvas, qtbot):
    classify, hotspots = dock(ClassifyWidget), dock(HotspotsWidget)
    canvas.setFocus()
    press(Qt.Key.Key_F6)
    assert hotspots.isAncestorOf(QApplication.focusWidget())
    hotspots.choices.reader_box.setFocus()
    press(Qt.Key.Key_F6)
    assert QApplication.focusWidget() is canvas
    assert hotspots.in_front()
    press(Qt.Key.Key_F6)
    assert QApplication.focusWidget() is hotspots.choices.reader_box  # where one was
    press(Qt.Key.Key_F6, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(classify.in_front, timeout=5_000)
    assert classify.isAncestorOf(QApplication.focusWidget())
    press(Qt.Key.Key_F6, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(hotspots.in_front, timeout=5_000)
    hotspots.shut_down()
    classify.shut_down()
    press(Qt.Key.Key_F6)
    assert QApplication.focusWidget() is canvas


def in_the_loop(steps):
    """Do things one after the other in Qt's loop, as in the program: without it what is deleted later goes at once."""
    loop, timer, to_do = QEventLoop(), QTimer(), iter(steps)

    def step():
        doing = next(to_do, None)
        loop.quit() if doing is None else doing()

    timer.timeout.connect(step)
    timer.start(20)
    loop.exec()
    timer.stop()


def frames(window):
    """Return what the frames that are seen are around."""
    return [each.parentWidget() for each in window.findChildren(FocusFrame) if each.isVisible()]


def test_what_has_the_focus_by_keyboard_is_framed_and_what_was_clicked_is_not(viewer, dock, canvas, qtbot):
    hotspots = dock(HotspotsWidget)
    window = viewer.window._qt_window
    canvas.setFocus()
    press(Qt.Key.Key_F6)
    first = QApplication.focusWidget()
    qtbot.waitUntil(lambda: frames(window) == [first], timeout=5_000)
    picture = first.grab().toImage()
    assert picture.pixelColor(0, first.height() // 2) == picture.pixelColor(first.width() - 1, 1) == COLOUR
    assert picture.pixelColor(first.width() // 2, first.height() // 2) != COLOUR
    in_the_loop([lambda: press(Qt.Key.Key_Tab)] * 4)
    assert QApplication.focusWidget() is not first
    assert frames(window) == [QApplication.focusWidget()]
    qtbot.mouseClick(hotspots.choices.reader_box, Qt.MouseButton.LeftButton)
    assert QApplication.focusWidget() is hotspots.choices.reader_box
    qtbot.waitUntil(lambda: frames(window) == [], timeout=5_000)


def test_a_button_that_greys_out_hands_on_a_frame_only_if_a_key_pressed_it(viewer, dock, canvas, qtbot):
    hotspots = dock(HotspotsWidget)
    window = viewer.window._qt_window
    button, following = hotspots.export_button, hotspots.choices.reader_box
    QWidget.setTabOrder(button, following)
    button.clicked.disconnect()
    button.clicked.connect(lambda: button.setEnabled(False))
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    for by_mouse in (True, False):
        button.setEnabled(True)
        canvas.setFocus()
        button.setFocus()
        if by_mouse:
            qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        else:
            press(Qt.Key.Key_Space)
        assert not button.isEnabled()
        assert QApplication.focusWidget() not in (None, button)
        expected = [] if by_mouse else [QApplication.focusWidget()]
        qtbot.waitUntil(lambda expected=expected: frames(window) == expected, timeout=5_000)


def test_the_whole_viewer_in_focus_keeps_its_parts(viewer, dock, canvas, qtbot):
    dock(HotspotsWidget)
    splitter = viewer.window._qt_viewer  # napari gives it the focus when it starts
    before = splitter.count(), canvas.height()
    canvas.setFocus()
    splitter.setFocus()
    qtbot.wait(50)
    assert (splitter.count(), canvas.height()) == before
    (framed,) = frames(viewer.window._qt_window)
    assert framed.isAncestorOf(canvas)


def test_a_frame_goes_with_its_widget(viewer, dock, canvas, qtbot):
    dock(HotspotsWidget)
    button = QWidget(viewer.window._qt_window)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    button.show()
    button.setFocus()
    qtbot.waitUntil(lambda: frames(viewer.window._qt_window) == [button], timeout=5_000)
    button.deleteLater()
    qtbot.waitUntil(lambda: frames(viewer.window._qt_window) != [button], timeout=5_000)
    canvas.setFocus()
    qtbot.waitUntil(lambda: frames(viewer.window._qt_window) == [canvas], timeout=5_000)


@pytest.mark.parametrize("last", [Qt.Key.Key_Escape, Qt.Key.Key_Return])
def test_the_palette_gives_the_focus_back(viewer, dock, canvas, qtbot, last):
    dock(NavigateWidget)
    palette = viewer.window._qt_window._command_palette
    canvas.setFocus()
    viewer.window._qt_window._command_palette.show()
    line = QApplication.focusWidget()
    assert palette.isAncestorOf(line)
    qtbot.keyClicks(line, "turn the slide by a quarter")
    qtbot.keyClick(line, last)
    assert not palette.isVisible()
    assert QApplication.focusWidget() is canvas


@pytest.fixture
def plugin(npe2pm, repository, plugin_settings):
    """The plugin, registered in a plugin manager of this test's own."""
    manifest = PluginManifest.from_file(repository / "napari_gigaclf" / "napari.yaml")
    with npe2pm.tmp_plugin(manifest=manifest) as plugin:
        yield plugin


def test_a_slide_that_was_opened_is_enough(viewer, on_the_screen, plugin, canvas, qtbot):
    viewer.open_sample("napari-gigaclf", "large-phantom")
    window = viewer.window._qt_window
    canvas.setFocus()
    qtbot.waitUntil(lambda: window.findChild(ByKeyboard) is not None, timeout=30_000)
    window._command_palette.show()
    window._command_palette.hide()
    assert QApplication.focusWidget() is canvas


def test_the_palette_that_brings_the_first_slide_leaves_the_keys_on_the_canvas(
    viewer, on_the_screen, plugin, canvas, qtbot
):
    """Nothing of the plugin was there when the palette took the focus."""
    window = viewer.window._qt_window
    assert window.findChild(ByKeyboard) is None
    canvas.setFocus()
    press(Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    line = QApplication.focusWidget()
    qtbot.keyClicks(line, "phantom slide")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.findChild(ByKeyboard) is not None, timeout=60_000)
    assert QApplication.focusWidget() is canvas
    assert len(viewer.layers) > 0


def test_the_palette_leaves_the_focus_to_a_command_that_takes_it(viewer, dock, canvas, qtbot):
    teach = dock(TeachWidget)
    canvas.setFocus()
    palette = viewer.window._qt_window._command_palette
    palette.show()
    palette.hide()
    teach.classes.name_box.setFocus()
    assert QApplication.focusWidget() is teach.classes.name_box
    palette.show()
    palette.hide()
    assert QApplication.focusWidget() is teach.classes.name_box


@pytest.mark.parametrize("kind", KINDS)
def test_tab_leaves_every_table_and_text(dock, qtbot, kind):
    widget = dock(kind)
    traps = [*widget.findChildren(QAbstractItemView), *widget.findChildren(QPlainTextEdit)]
    for each in traps:
        held = each.tabKeyNavigation() if isinstance(each, QAbstractItemView) else not each.tabChangesFocus()
        assert not held, f"{type(each).__name__} {each.accessibleName()}"


def test_every_key_over_the_slide_reaches_it_and_none_is_taken_by_napari(
    viewer, on_the_screen, show, slide, canvas, qtbot
):
    """Pressed as the system tells of keys, so that shortcuts and menus of the window come first, as in the program."""
    show(slide)
    keys = [key for told in all_keys().values() for _, spelled in told for key in spelled]
    keys = [key for key in keys if key not in (NEXT_PART_KEY, NEXT_WIDGET_KEY, PLUS)]
    assert len(keys) > 40
    pressed = []
    bound = CanvasKeys(viewer, {key: lambda key=key: pressed.append(key) for key in keys})
    window = viewer.window._qt_window.windowHandle()
    for key in keys:
        canvas.setFocus()
        code = QKeySequence(key.replace("Alt-", "Alt+").replace("Shift-", "Shift+").replace("Page", "Pg"))[0]
        QTest.keyClick(window, code.key(), code.keyboardModifiers())
        qtbot.wait(5)
        for popup in (QApplication.activePopupWidget(), QApplication.activeModalWidget()):
            if popup is not None:
                popup.close()
    bound.stop()
    assert pressed == keys


def test_tab_and_escape_leave_the_list_of_keys(viewer, dock, qtbot):
    dock(NavigateWidget)
    show_shortcuts(viewer)
    (shown,) = (each for each in QApplication.topLevelWidgets() if isinstance(each, ShortcutList) and each.isVisible())
    assert not shown.table.tabKeyNavigation()
    qtbot.keyClick(shown.table, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not any(isinstance(each, ShortcutList) for each in QApplication.topLevelWidgets()))
