"""What a window needs to be worked in without a mouse: keys between its parts, a focus that is seen and kept.

napari has none of it: dozens of presses of Tab lie between its canvas and a dock widget.
"""

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QAbstractButton, QApplication, QMainWindow, QScrollArea, QWidget

from napari_gigaclf.viewer.key_list import NEXT_PART_KEY, NEXT_WIDGET_KEY
from napari_gigaclf.viewer.widgets.canvases import qt_viewer_of
from napari_gigaclf.viewer.widgets.focus_frame import FocusFrames
from napari_gigaclf.viewer.widgets.palette_focus import PaletteFocus

NAME = "napari-gigaclf by keyboard"


class Part(Protocol):
    """A dock widget of ours."""

    @property
    def is_closed(self) -> bool:
        """Whether it is gone for good."""
        ...

    def in_front(self) -> bool:
        """Whether a person sees it."""
        ...

    def enter(self) -> None:
        """Come into sight and take the keys."""
        ...

    def isAncestorOf(self, child: QWidget) -> bool:
        """Whether a widget is in it."""
        ...


class ByKeyboard(QObject):
    """Serves a window as long as it lives.

    Parameters
    ----------
    window
        napari's window, which owns this.
    """

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self.setObjectName(NAME)
        self._window = window
        self._known: list[weakref.ref[Part]] = []
        """In the order in which they were opened; what is closed must be free to go."""
        self._frames, self._palette = FocusFrames(window), PaletteFocus(window)
        for key, action in ((NEXT_PART_KEY, self.next_part), (NEXT_WIDGET_KEY, self.next_widget)):
            QShortcut(QKeySequence(key), window).activated.connect(action)
        self._take_lost_focus()

    def add(self, part: Part) -> None:
        """Go to a widget, too, as long as it is open."""
        if part not in self._parts():
            self._known.append(weakref.ref(part))

    def next_part(self) -> None:
        """Go from the canvas to the widgets that are seen, one after the other, and back to the canvas."""
        seen = [part for part in self._parts() if part.in_front()]
        focus = QApplication.focusWidget()
        here = [number for number, part in enumerate(seen) if focus is not None and part.isAncestorOf(focus)]
        following = here[0] + 1 if here else 0
        if following < len(seen):
            seen[following].enter()
        else:
            self._to_canvas()

    def next_widget(self) -> None:
        """Bring the widget forward that was opened after the one in front, and go there."""
        parts = self._parts()
        if parts:
            last = max((number for number, part in enumerate(parts) if part.in_front()), default=-1)
            parts[(last + 1) % len(parts)].enter()

    def _parts(self) -> list[Part]:
        there = [part for known in self._known if (part := known()) is not None and not part.is_closed]
        self._known = [weakref.ref(part) for part in there]
        return there

    def _take_lost_focus(self) -> None:
        """Give the keys to the canvas if a button of napari's has them.

        The palette that was used before anything of ours was there has left them on the window's first button.
        """
        focus = QApplication.focusWidget()
        if isinstance(focus, QAbstractButton) and self._window.isAncestorOf(focus):
            self._to_canvas()

    def _to_canvas(self) -> None:
        from napari.qt import QtViewer

        middle = self._window.centralWidget()
        drawn = None if middle is None else middle.findChild(QtViewer)
        if drawn is not None:
            drawn.canvas.native.setFocus(Qt.FocusReason.ShortcutFocusReason)


def bind_within(widget: QWidget, actions: Mapping[str, Callable[[], object]]) -> None:
    """Let keys do something while a widget, or what is in it, has the focus."""
    for key, action in actions.items():
        shortcut = QShortcut(QKeySequence(key), widget)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(action)


def keyboard_of(window: QMainWindow) -> ByKeyboard:
    """Return what serves a window; made now if there is none."""
    there = window.findChild(ByKeyboard, NAME)
    return ByKeyboard(window) if there is None else there


def serve(viewer: Any) -> None:  # noqa: ANN401 - a napari viewer or None
    """See to it that the window of a viewer is served, before one of our widgets is opened in it."""
    drawn = None if viewer is None else qt_viewer_of(viewer)
    window = None if drawn is None else drawn.window()
    if isinstance(window, QMainWindow):
        keyboard_of(window)


def first_control(part: QWidget) -> QWidget | None:
    """Return what a key goes to in a widget: what had the focus last, or the first that Tab would reach."""
    last = part.focusWidget()
    if last is not None and last is not part and _takes_keys(last):
        return last
    widget = part.nextInFocusChain()
    while widget is not None and widget is not part:
        if part.isAncestorOf(widget) and not isinstance(widget, QScrollArea) and _takes_keys(widget):
            return widget
        widget = widget.nextInFocusChain()
    return None


def _takes_keys(widget: QWidget) -> bool:
    by_tab = widget.focusPolicy().value & Qt.FocusPolicy.TabFocus.value
    return bool(by_tab and widget.isVisible() and widget.isEnabled())
