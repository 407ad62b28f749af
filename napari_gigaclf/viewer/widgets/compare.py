"""The dock widget "Compare": a second canvas beside the first one, with a slide and overlays of its own."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from qtpy.QtCore import QEvent, QObject, QSize, QTimer
from qtpy.QtWidgets import QCheckBox, QDockWidget, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_gigaclf.viewer import commands
from napari_gigaclf.viewer.canvas_keys import CanvasKeys
from napari_gigaclf.viewer.companions import add_companion, remove_companion
from napari_gigaclf.viewer.controllers.compare import CompareController, Kept
from napari_gigaclf.viewer.finished_frames import finish_frames
from napari_gigaclf.viewer.proxied import model_of
from napari_gigaclf.viewer.widgets.controls import choose, combo_box, note, refill
from napari_gigaclf.viewer.widgets.docked import Docked
from napari_gigaclf.viewer.widgets.under_the_canvas import give_corners_to_sides, lay_under

SMALLEST = (280, 240)
"""Width and height below which a canvas is no use."""
SCALE_BAR_MS = 150
"""The scale bar comes so much after the slide: napari renders its letters one by one, a quarter of a second long."""
FIRST_ONLY = ("toggle_ruler", "save_snapshot", "show_shortcuts")
"""Commands that belong to napari's own canvas."""


class CompareWidget(Docked):
    """Shows the same slide with other overlays, or another slide, at the same place and magnification.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it by this name.
    """

    is_canvas = True

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:  # noqa: ANN401 - no stubs
        super().__init__(parent)
        self.viewer = model_of(napari_viewer)
        self._begins_at = QSize(max(SMALLEST[0], int(self.viewer.canvas.size[1]) // 2), SMALLEST[1])
        self.slide_box = combo_box("The slide that is shown here")
        self.overlay_button = QPushButton("Overlays")
        self.link_box = QCheckBox("Linked")
        self.note = note()
        self._lay_out()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._update)
        self._dock: QDockWidget | None = None
        self._give_corners_back: Callable[[], None] = _nothing
        self._before: Kept | None = None
        self.qt_viewer: Any = None
        self._open_canvas(None)
        self._connect()
        self._closed = False

    def sizeHint(self) -> QSize:
        """Return half of the canvas that there was: both are then about as wide."""
        return self._begins_at

    def make_room(self) -> None:
        """Go under the first canvas: beside it is no room for another one and a widget on small screens."""
        window = self.main_window()
        if window is not None and self._dock is not None:
            lay_under(window, self._dock)

    # --- CompareView ------------------------------------------------------------------------------------------------

    def show_slides(self, slides: list[tuple[str, str]], chosen: str | None) -> None:
        """List the open slides and which of them is shown."""
        refill(self.slide_box, slides)
        self.slide_box.blockSignals(True)
        choose(self.slide_box, chosen)
        self.slide_box.blockSignals(False)
        self.slide_box.setEnabled(bool(slides))
        self.overlay_button.setEnabled(bool(slides))

    def show_link(self, *, possible: bool, on: bool, text: str) -> None:
        """Show whether the views are linked, and why not."""
        self.link_box.blockSignals(True)
        self.link_box.setChecked(on)
        self.link_box.blockSignals(False)
        self.link_box.setEnabled(possible)
        self.say(text)

    def say(self, text: str) -> None:
        """Show one line above the canvas, until there is something else to be said."""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def soon(self, call: Callable[[], None]) -> None:
        """Call the controller back when napari has done what it is at, once for many wishes."""
        del call  # always the same, see the timer
        self._soon.start()

    # --- inside -----------------------------------------------------------------------------------------------------

    def fill_menu(self) -> None:
        """List what can be laid over the slide."""
        self.menu.clear()
        for choice in self.controller.overlays():
            action = self.menu.addAction(choice.name)
            action.setCheckable(True)
            action.setChecked(choice.shown)
            action.toggled.connect(lambda on, key=choice.key: self.controller.show_overlay(key, on))
        if self.menu.isEmpty():
            self.menu.addAction("nothing lies over this slide").setEnabled(False)

    def _lay_out(self) -> None:
        self.menu = QMenu(self)
        self.overlay_button.setToolTip("What lies over the slide here")
        self.overlay_button.setMenu(self.menu)
        self.link_box.setToolTip(
            "Both canvases look at the same place at the same magnification. Of two slides, those places belong "
            "together that are in the middle when it is ticked"
        )
        row = QHBoxLayout()
        row.addWidget(self.slide_box, 1)
        row.addWidget(self.overlay_button)
        row.addWidget(self.link_box)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addLayout(row)
        column.addWidget(self.note)
        self._column = column

    def _connect(self) -> None:
        self.menu.aboutToShow.connect(self.fill_menu)
        self.slide_box.currentIndexChanged.connect(lambda _index: self._slide_chosen())
        self.link_box.toggled.connect(lambda on: self.controller.switch_link(on))
        themes = self.viewer.events.theme

        def themed(_event: Any) -> None:  # noqa: ANN401
            self.second.theme = self.viewer.theme

        themes.connect(themed)
        self._disconnect: tuple[Callable[[], None], ...] = (
            lambda: themes.disconnect(themed),
            commands.LINKS.register(self.viewer, self.link_box),
        )

    def _update(self) -> None:
        if self.qt_viewer is not None:
            self.controller.update()

    def _slide_chosen(self) -> None:
        key = self.slide_box.currentData()
        if key is not None:
            self.controller.choose_slide(key)

    def _watch_window(self) -> None:
        super()._watch_window()
        dock = self.parentWidget()
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parentWidget()
        if dock is not None and dock is not self._dock:
            self._dock = dock
            dock.installEventFilter(self)
            dock.topLevelChanged.connect(self._moved)
        window = self.main_window()
        if window is not None and self._give_corners_back is _nothing and not self._closed:
            self._give_corners_back = give_corners_to_sides(window)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take the canvas away before its dock becomes a window of its own, or ceases to be one."""
        if self._closed:
            return False
        if watched is self._dock and event.type() == QEvent.Type.WinIdChange and self.qt_viewer is not None:
            self._before = self.controller.kept
            self._close_canvas()
            QTimer.singleShot(0, self._moved)  # where Qt does not say that it is done
        return bool(super().eventFilter(watched, event))

    # --- the second canvas ------------------------------------------------------------------------------------------

    def _open_canvas(self, before: Kept | None) -> None:
        from napari.components import ViewerModel
        from napari.qt import QtViewer

        self.second = ViewerModel(title="Compare")
        self.second.theme = self.viewer.theme
        QTimer.singleShot(SCALE_BAR_MS, partial(_show_scale_bar, self.second))
        self.qt_viewer = QtViewer(self.second)
        finish_frames(self.second, self.qt_viewer.canvas.native)
        self.qt_viewer.setAcceptDrops(False)  # files belong to napari's own canvas
        self.qt_viewer.setMinimumSize(*SMALLEST)
        self._column.addWidget(self.qt_viewer, 1)
        self.controller = CompareController(self, self.viewer, self.second, before)
        second = self.second
        actions = {
            key: partial(each.run, second)
            for each in commands.COMMANDS
            for key in each.keys
            if key != commands.PLUS and each.run.__name__ not in FIRST_ONLY
        }
        self._keys = CanvasKeys(second, actions)
        add_companion(second, self.viewer, wish=self.controller.show_kind, say=self.say)

    def _close_canvas(self) -> None:
        """Let go of what the second canvas shows, then of the canvas; Qt may have taken it with the window already."""
        qt_viewer, self.qt_viewer = self.qt_viewer, None
        if qt_viewer is None:
            return
        remove_companion(self.second)
        self._keys.stop()
        self.controller.shut_down()
        slicer = getattr(self.second, "_layer_slicer", None)
        if slicer is not None:
            slicer.shutdown()  # its thread, where napari slices asynchronously
        with suppress(RuntimeError):
            self._soon.stop()
            self._column.removeWidget(qt_viewer)
            qt_viewer.close()

    def _moved(self, _floats: bool = False) -> None:
        """Make another canvas: each window has a drawing context of its own, without the textures of the other."""
        if not self._closed and self.qt_viewer is None:
            self._open_canvas(self._before)

    def shut_down(self) -> None:
        """Take the second canvas away; what it showed stays on the first one."""
        if self._closed:
            return
        self._closed = True
        self._let_go()
        for disconnect in self._disconnect:
            disconnect()
        if self._dock is not None:
            with suppress(RuntimeError):  # the dock is gone already
                self._dock.removeEventFilter(self)
                self._dock.topLevelChanged.disconnect(self._moved)
            self._dock = None
        with suppress(RuntimeError):  # the window has gone
            self._give_corners_back()
        self._give_corners_back = _nothing  # the other one holds the window
        self._close_canvas()


def _nothing() -> None:
    """Stand for what gives corners back while none were taken."""


def _show_scale_bar(second: Any) -> None:  # noqa: ANN401 - napari has no stubs
    second.canvas.overlays.scale_bar.visible = True
