"""Lets the slides of a napari window return: one per window, from the first slide that our reader opens in it."""

from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QMainWindow

from napari_gigaclf.viewer.bridge import GuiPost
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.controllers.returning import ReturningController
from napari_gigaclf.viewer.preferences import load_preferences
from napari_gigaclf.viewer.proxied import model_of
from napari_gigaclf.viewer.slide_notes import notes_of
from napari_gigaclf.viewer.worker import Worker

LOOK_AFTER_MS = 3000
"""Changes are written this much later, once for many; a program that is killed loses no more."""
LOOKS = ("visible", "opacity", "contrast_limits", "colormap", "name", "reordered")
SHAPES = ("data", "set_data", "edge_color", "face_color", "features", "name")
DRAWING = {"Shapes": (*SHAPES, "edge_width"), "Points": (*SHAPES, "size", "symbol")}
"""Events of layers after which what is drawn on them is taken anew."""
PAINTING = ("paint", "labels_update", "data", "set_data")
"""Events of layers of labels after which they are written anew; of undoing napari says nothing but the last one."""
NAME = "napari-gigaclf slides return"


class SlidesReturn(QObject):
    """Watches a viewer until its window closes.

    Parameters
    ----------
    viewer
        A napari viewer.
    window
        Its window, which owns this.
    """

    def __init__(self, viewer: Any, window: QMainWindow) -> None:  # noqa: ANN401 - napari has no stubs
        super().__init__(window)
        self.setObjectName(NAME)
        self._window: QMainWindow | None = window
        self._post = GuiPost(self)
        self.worker = Worker("gigaclf-return", self._post, gives_way=False)
        self.keeper = Worker("gigaclf-keep", self._post)
        self.canvas = SlideCanvas(viewer)
        self.controller = ReturningController(
            self.canvas, worker=self.worker, keeper=self.keeper, post=self._post, notify=_notify
        )
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(LOOK_AFTER_MS)
        self._timer.timeout.connect(self.controller.look)
        self._stop_view = self.canvas.watch_view(self._soon)
        self._stop_notes = notes_of(viewer).watch(self._soon)
        self._events = viewer.layers.events
        self._events.connect(self._noticed)
        window.installEventFilter(self)
        workers = (self.worker, self.keeper)
        self.destroyed.connect(lambda: [worker.close(0) for worker in workers])
        self.controller.layers_changed()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep everything when the window closes; one that the system asks to close may still be left open."""
        if self._window is None or watched is not self._window:
            return False
        kind = event.type()
        if kind == QEvent.Type.Close and event.spontaneous():
            self.controller.look()
            self.controller.flush()
        elif kind == QEvent.Type.Close or (kind == QEvent.Type.Hide and not self._window.isVisible()):
            self.shut_down()
        return False

    def shut_down(self) -> None:
        """Keep everything and let go of the viewer."""
        if self._window is None:
            return
        self._window.removeEventFilter(self)
        self._window = None
        self._timer.stop()
        self._stop_view()
        self._stop_notes()
        self._events.disconnect(self._noticed)
        self._post.close()
        self.controller.close()
        self.setObjectName("")

    def _noticed(self, event: Any) -> None:  # noqa: ANN401 - any of the events of layers
        kind = event.type
        if kind == "removing":
            self.controller.removing()
        elif kind == "removed":
            self.controller.layer_removed(event.value)
            self._soon()
        elif kind == "inserted":
            self.controller.layers_changed()
            self.controller.shapes_changed()
            self._soon()
        elif any(kind in DRAWING.get(type(source).__name__, ()) for source in event.sources):
            self.controller.shapes_changed()
            self._soon()
        elif kind in PAINTING and any(type(source).__name__ == "Labels" for source in event.sources):
            self.controller.masks_changed()
            self._soon()
        elif kind == "set_data" and any(_is_map(source) for source in event.sources):  # another threshold, perhaps
            self._soon()
        elif kind == "metadata":  # a run has ended: its result is kept before another one begins
            self._post(self.controller.look)
        elif kind in LOOKS:
            self._soon()

    def _soon(self) -> None:
        if not self._timer.isActive():
            self._timer.start()


def let_slides_return(viewer: Any) -> SlidesReturn | None:  # noqa: ANN401 - napari has no stubs
    """Return what lets the slides of a viewer return, made now if there is none; None if a person does not want it."""
    viewer = model_of(viewer)
    window = getattr(getattr(viewer, "window", None), "_qt_window", None)
    if window is None:
        return None
    there = found_in(window)
    if there is not None:
        return there
    return SlidesReturn(viewer, window) if load_preferences().return_slides else None


def found_in(window: QMainWindow | None) -> SlidesReturn | None:
    """Return what lets the slides of a window return, if it has been made."""
    children = [] if window is None else window.findChildren(QObject, NAME)
    return next((each for each in children if isinstance(each, SlidesReturn)), None)


def _is_map(layer: Any) -> bool:  # noqa: ANN401 - whatever emits events in a list of layers
    return getattr(layer, "metadata", {}).get("kind") == "probability"


def _notify(message: str) -> None:
    from napari.utils.notifications import show_warning

    show_warning(message)
