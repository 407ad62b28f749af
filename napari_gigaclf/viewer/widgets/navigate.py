"""The dock widget "Navigate": where one is on the slide, at which magnification, and what lies under the cursor."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_gigaclf.viewer import commands
from napari_gigaclf.viewer.bridge import GuiPost
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.canvas_keys import CanvasKeys
from napari_gigaclf.viewer.controllers.navigation import NavigationController
from napari_gigaclf.viewer.controllers.objective import OBJECTIVES
from napari_gigaclf.viewer.every_canvas import EveryCanvas, ToolOnCanvases
from napari_gigaclf.viewer.hover import Hover
from napari_gigaclf.viewer.layers import RULER
from napari_gigaclf.viewer.ruler import Ruler
from napari_gigaclf.viewer.ruler_by_keys import KEY, RulerByKeys
from napari_gigaclf.viewer.widgets.canvases import qt_viewer_of
from napari_gigaclf.viewer.widgets.controls import scrolling
from napari_gigaclf.viewer.widgets.docked import Docked
from napari_gigaclf.viewer.widgets.middle_cross import crossing
from napari_gigaclf.viewer.widgets.overview_map import OverviewMap
from napari_gigaclf.viewer.widgets.properties_panel import AssociatedImage, PropertiesPanel
from napari_gigaclf.viewer.worker import Worker

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

FOLLOW_MS = 30
"""Readout and view box follow the view this much later, once for many movements."""
READING_LINES = 4
TEXT_ROOM = 12
"""Pixels of a button beside its text."""


class NavigateWidget(Docked):
    """Move over a slide as at a microscope.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it by this name.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:  # noqa: ANN401 - no stubs
        super().__init__(parent)
        self.canvas = SlideCanvas(napari_viewer)
        self.map = OverviewMap()
        self.readout = QLabel("no slide")
        self.reading = QLabel()
        self.objectives = {each: _button(f"{each:g}x", f"Show the slide at {each:g}x") for each in OBJECTIVES}
        self.properties = PropertiesPanel()
        self._lay_out()
        self._post = GuiPost(self)
        self.worker = Worker("gigaclf-navigate", self._post)
        self.controller = NavigationController(self, self.canvas, worker=self.worker)
        self.ruler = ToolOnCanvases(napari_viewer, lambda viewer: Ruler(viewer, self._measured))
        self.key_ruler = self._make_key_ruler()
        self._follow = _once_soon(self, self.controller.view_moved)
        self._look_again = _once_soon(self, self.controller.layers_changed)
        self._read = _once_soon(self, self._hover)
        self._cursor: tuple[Any, tuple[float, float]] | None = None
        """Over which canvas the mouse was last, and where in its world, until that is read."""
        self._closed = False
        self._connect()
        self.show_slide(None, ())
        self.controller.layers_changed()

    # --- NavigatorView ----------------------------------------------------------------------------------------------

    def show_slide(self, slide: "Slide | None", reachable: tuple[float, ...]) -> None:
        """Show which slide is on top, and which objectives can be jumped to."""
        for objective, button in self.objectives.items():
            button.setEnabled(objective in reachable)
        self.properties.show_slide(slide)
        if slide is None:
            self.readout.setText("no slide")
            self.reading.setText("")

    def show_overview(self, picture: NDArray[np.uint8] | None) -> None:
        """Show the slide from afar."""
        self.map.show_picture(picture)

    def show_view(self, text: str, objective: float | None, box: tuple[float, float, float, float]) -> None:
        """Show magnification and view box."""
        self.readout.setText(text)
        for each, button in self.objectives.items():
            button.setChecked(each == objective)
        self.map.show_box(box)

    def show_reading(self, lines: list[str]) -> None:
        """Show what lies under the cursor."""
        self.reading.setText("\n".join(lines))

    def show_problem(self, text: str) -> None:
        """Show one line that says why something cannot be done."""
        if text:
            self.reading.setText(text)

    def measure_by_keys(self) -> None:
        """Begin to measure at the middle of the view, or take one end, or the other; what is next can be read."""
        self.key_ruler.step()
        if self.key_ruler.on:
            self.come_forward()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _make_key_ruler(self) -> RulerByKeys:
        viewer = self.canvas.viewer
        drawn = qt_viewer_of(viewer)
        mark = crossing(None if drawn is None else drawn.canvas.native)
        return RulerByKeys(viewer, Ruler(viewer, self._measured).show, mark, lambda text: self.show_reading([text]))

    def _show_associated(self, name: str) -> None:
        slide = self.controller.slide
        if slide is not None:
            read = slide.read_associated
            self.worker.submit(lambda _job: read(name), lambda pixels: self._picture(name, pixels), self.show_problem)

    def _picture(self, name: str, pixels: NDArray[np.generic]) -> None:
        AssociatedImage(name, pixels, self.main_window()).show()

    def _moved(self, viewer: Any, world: tuple[float, float]) -> None:  # noqa: ANN401 - napari has no stubs
        self._cursor = (viewer, world)
        self._read()

    def _measured(self, text: str) -> None:
        self.show_reading([f"ruler {text}"])

    def _read_lines(self, layers: Sequence[Any]) -> None:
        """Show the length of the ruler's line among layers whose features have changed: by the mouse, or the scale."""
        for layer in layers:
            if getattr(layer, "metadata", {}).get("kind") == RULER and len(layer.data):
                self._measured(str(layer.features["length"].iloc[0]))

    def _hover(self) -> None:
        cursor, self._cursor = self._cursor, None
        measuring = self.ruler.on or self.key_ruler.on
        if cursor is not None and not measuring:  # the length that was measured stays to be read
            self.controller.hover(*cursor)

    def _lay_out(self) -> None:
        self.readout.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.readout.setToolTip(
            "Magnification of the view; ≈ where the slide does not say with which objective it was scanned"
        )
        self.reading.setMinimumHeight(READING_LINES * self.reading.fontMetrics().lineSpacing())
        self.reading.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.reading.setWordWrap(True)
        self.reading.setToolTip("What lies under the cursor")
        objectives = QHBoxLayout()
        objectives.setSpacing(2)
        for button in self.objectives.values():
            button.setCheckable(True)
            objectives.addWidget(button)
        self.buttons = {
            "fit": _button("Fit", "Show the whole slide (Home)"),
            "turn": _button("Turn", "Turn the slide by a quarter (Alt+R)"),
            "mirror": _button("Mirror", "Exchange left and right (Alt+M)"),
            "upright": _button("Upright", "Show the slide as its file has it (Alt+U)"),
            "ruler": _button("Ruler", f"Drag over the slide to measure a length (Alt+D); without a mouse: {KEY}"),
            "snapshot": _button("Snapshot", "Save what is shown, with scale bar and legend (Alt+T)"),
            "keys": _button("Keys", "List the keys of the canvas (Alt+K)"),
            "properties": _button("Properties", "What the slide says about itself"),
        }
        grid = QGridLayout()
        grid.setSpacing(2)
        for number, button in enumerate(self.buttons.values()):
            grid.addWidget(button, number // 4, number % 4)
        for name in ("ruler", "properties"):
            self.buttons[name].setCheckable(True)
        self.properties.hide()
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.map)
        column.addWidget(self.readout)
        column.addLayout(objectives)
        column.addLayout(grid)
        column.addWidget(self.reading)
        column.addWidget(self.properties)
        column.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scrolling(inner))

    def _connect(self) -> None:
        viewer = self.canvas.viewer
        self.map.pressed.connect(lambda y, x: self.controller.look_at((y, x)))
        for objective, button in self.objectives.items():
            button.clicked.connect(lambda _checked, at=objective: self._jump(at))
        for name, run in (
            ("fit", commands.fit_slide),
            ("turn", commands.turn_view),
            ("mirror", commands.flip_view),
            ("upright", commands.upright_view),
            ("snapshot", commands.save_snapshot),
            ("keys", commands.show_shortcuts),
        ):
            self.buttons[name].clicked.connect(lambda _checked, run=run: run(viewer))
        self.buttons["ruler"].toggled.connect(self.ruler.switch)
        self.buttons["properties"].toggled.connect(self.properties.setVisible)
        self.properties.image_wanted.connect(self._show_associated)
        self.plus = QShortcut(QKeySequence(commands.PLUS), self)
        self.plus.activated.connect(lambda: commands.zoom_in(viewer))
        self._disconnect = (
            EveryCanvas(viewer, lambda each: Hover(each, self._moved)).stop,
            self.canvas.watch(self._look_again, lambda _layer: self._look_again()),
            self.canvas.watch_view(self._follow),
            self._watch_layers(),
            CanvasKeys(viewer, commands.key_actions(viewer)).stop,
            commands.NAVIGATORS.register(viewer, self),
        )
        worker = self.worker
        self.destroyed.connect(lambda: worker.close())

    def _jump(self, objective: float) -> None:
        self.controller.jump(objective)
        self._follow()  # the button must not stay pressed where the view does not change

    def _watch_layers(self) -> Any:  # noqa: ANN401 - what ends it
        """Notice what is on top (layers moved, shown or hidden, data replaced by complete levels), and new lengths."""
        events = self.canvas.viewer.layers.events
        look = self._look_again

        def changed(event: Any) -> None:  # noqa: ANN401
            if event.type in ("reordered", "visible", "data", "scale"):
                look()
            if event.type == "scale" and any(_shows_slide(each) for each in event.sources):
                self.reading.setText("")  # numbers of another scale
            elif event.type == "features":
                self._read_lines(event.sources)

        events.connect(changed)  # those of the layers, too
        return lambda: events.disconnect(changed)

    def shut_down(self) -> None:
        """Let go of the viewer; the widget cannot be used afterwards."""
        if self._closed:
            return
        self._closed = True
        self.ruler.stop()
        self.key_ruler.stop()
        self._let_go()
        for disconnect in self._disconnect:
            disconnect()
        self._post.close()
        self.worker.close(0)


def _shows_slide(layer: Any) -> bool:  # noqa: ANN401 - whatever emits events in a list of layers
    return getattr(layer, "metadata", {}).get("slide") is not None


def _button(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    button.setMinimumWidth(button.fontMetrics().horizontalAdvance(text) + TEXT_ROOM)
    return button


def _once_soon(parent: QWidget, function: Any) -> Any:  # noqa: ANN401 - calls without arguments
    """Return a function that has another one called a little later, once for many calls."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(FOLLOW_MS)
    timer.timeout.connect(function)

    def soon() -> None:
        if not timer.isActive():
            timer.start()

    return soon
