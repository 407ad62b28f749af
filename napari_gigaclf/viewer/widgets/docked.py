"""A dock widget that notices its end: napari's window closed, or the widget taken out of it for good."""

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_gigaclf.viewer.widgets.by_keyboard import first_control, keyboard_of

NAPARI_DOCKS = ("layer list", "layer controls", "console")
"""Names of napari's own docks, which nothing of ours must hide."""


class Docked(QWidget):
    """Calls ``shut_down`` when it will not be used any more.

    A dock that floats or is hidden still belongs to its window; a window that a person did not close after all does,
    too. A class made from this one sets ``_closed`` to False once it is made, and to True in ``shut_down``.

    Opened in an area where another one is, it becomes a tab of it: one above the other, as napari puts them, leaves
    each a strip of a small screen. A canvas goes elsewhere instead, since one looks at it while one uses the others.
    Where a person moves them afterwards they stay.
    """

    is_canvas = False
    """Whether slides are looked at here: such a widget makes room for the others instead of sharing their place."""

    # Qt may still send events to a widget whose attributes Python has collected already.
    _closed = True
    _window: QMainWindow | None = None

    def __init__(self, parent: QWidget | None = None) -> None:
        self._closed = True  # until everything is made: Qt sends events meanwhile
        self._window = None
        super().__init__(parent)

    def shut_down(self) -> None:
        """End everything; the widget cannot be used afterwards."""
        raise NotImplementedError

    def lost_with(self, slide_id: str) -> list[str]:
        """Return what would be lost if a slide were closed now, each as half a sentence; nothing usually."""
        del slide_id
        return []

    def make_room(self) -> None:
        """Go, with the dock, where the others and this one are all in sight; for a canvas."""

    @property
    def is_closed(self) -> bool:
        """Whether it has been shut down."""
        return self._closed

    def main_window(self) -> QMainWindow | None:
        """Return napari's window; None if the widget is in none."""
        window = self.parentWidget()
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()
        return window

    def in_front(self) -> bool:
        """Return whether a person sees the widget: not if it is behind another tab, or its dock is hidden.

        While the whole window is not on the screen nothing is seen, and nothing is hidden by something else.
        """
        window = self.main_window()
        if window is None or not window.isVisible():
            return True
        return not (dock_of(self) or self).visibleRegion().isEmpty()

    def come_forward(self) -> None:
        """Show the dock, in front of those it shares a place with; the keys stay where they are."""
        widget: QWidget | None = self
        while widget is not None and not isinstance(widget, QMainWindow):
            widget.show()
            widget.raise_()
            widget = widget.parentWidget()

    def enter(self) -> None:
        """Come into sight and give the keys to what had them last here, or to the first control."""
        self.come_forward()
        control = first_control(self)
        (self if control is None else control).setFocus(Qt.FocusReason.ShortcutFocusReason)

    def event(self, event: QEvent) -> bool:
        """Notice being docked (the window is watched for its end) and being taken out of the dock for good."""
        if event.type() in (QEvent.Type.Show, QEvent.Type.ParentChange):
            self._watch_window()
            QTimer.singleShot(0, self._watch_window)  # the dock itself may not be in the window yet
        return bool(super().event(event))

    def closeEvent(self, event: QEvent) -> None:
        """Shut down when closed as a window of its own."""
        self.shut_down()
        super().closeEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Shut down when napari's window has closed; a person may still say no to a close, so look afterwards."""
        if watched is self._window and event.type() in (QEvent.Type.Hide, QEvent.Type.Close):
            QTimer.singleShot(0, self._shut_down_if_window_closed)
        return False

    def _let_go(self) -> None:
        """Watch the window no more."""
        if self._window is not None:
            self._window.removeEventFilter(self)
            self._window = None

    def _watch_window(self) -> None:
        if self._closed:
            return
        window = self.main_window()
        if window is None and self._window is not None:
            self.shut_down()  # taken out of the window
        elif window is not None and window is not self._window:
            self._window = window
            window.installEventFilter(self)
            keyboard_of(window).add(self)
            QTimer.singleShot(0, self._share_place)  # once napari has given it a place

    def _share_place(self) -> None:
        """Become a tab of the other widgets of this kind in the same area, in front of them; a canvas makes room."""
        window, dock = self._window, dock_of(self)
        if self._closed or window is None or dock is None or dock.isFloating():
            return
        if any(each.objectName() in NAPARI_DOCKS for each in window.tabifiedDockWidgets(dock)):
            # napari put it where it was the last time, on top of the list of layers: under that instead
            window.addDockWidget(window.dockWidgetArea(dock), dock)
            dock.show()
            self.make_room()
        elif window.dockWidgetArea(dock) == Qt.DockWidgetArea.BottomDockWidgetArea:
            self.make_room()  # napari remembers where it was and not how high
        others = self._in_the_same_area(window, dock)
        canvases = [each for each in (self, *others) if each.is_canvas]
        if others and canvases:
            canvases[0].make_room()
        tabs = [found for each in others if not each.is_canvas and (found := dock_of(each)) is not None]
        if tabs and not self.is_canvas and not window.tabifiedDockWidgets(dock):
            window.tabifyDockWidget(tabs[0], dock)
            dock.raise_()

    def _in_the_same_area(self, window: QMainWindow, dock: QDockWidget) -> "list[Docked]":
        """Return the other widgets of this kind that lie in the same area."""
        found = []
        for each in window.findChildren(Docked):
            other = None if each is self or each.is_closed else dock_of(each)
            beside = other is not None and not other.isFloating() and not other.isHidden()
            if beside and window.dockWidgetArea(other) == window.dockWidgetArea(dock):
                found.append(each)
        return found

    def _shut_down_if_window_closed(self) -> None:
        if self._window is not None and not self._window.isVisible():
            self.shut_down()


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock in which a widget is; None if it is in none."""
    dock = widget.parentWidget()
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    return dock
