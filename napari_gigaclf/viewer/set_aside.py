"""Sets aside what is never garbage, so that the window does not wait while Python goes through it.

napari has Python look for garbage whenever layers go (drivers of some graphics cards need it), and Python does so by
itself now and then. Either goes through every object there is, half a million once PyTorch is loaded, nearly all of
them modules and functions: a third of a second on the window's thread. ``gc.freeze`` takes what is there out of it;
what comes later is searched as always, in milliseconds.

Layers that are there are set aside with the rest, and what they hold would never be given back. So before one of those
goes everything is taken back in, and it is set aside again once all that went has been given back.
"""

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMainWindow

from napari_gigaclf.viewer.proxied import model_of

NAME = "napari-gigaclf set aside"
MANY_MODULES = 100
"""Whoever imported fewer since the last time has made little that is worth setting aside."""


class SetAside(QObject):
    """Sets aside what is there, until the window closes.

    Parameters
    ----------
    layers
        The viewer's list of layers.
    window
        Its window, which owns this.
    """

    def __init__(self, layers: Any, window: QMainWindow) -> None:  # noqa: ANN401 - napari has no stubs
        super().__init__(window)
        self.setObjectName(NAME)
        self._layers = layers
        self._frozen: set[object] = set()
        """Layers that were set aside."""
        self._taken_back = False
        self._gone: list[weakref.ref[Any]] = []
        """Layers that went while everything was taken back in."""
        self._num_modules = 0
        events = layers.events
        self._connected: tuple[tuple[Any, Callable[[Any], None]], ...] = (
            (events.removing, self._removing),
            (events.removed, self._removed),
            (events.end_batch, self._ended),
        )
        for emitter, callback in self._connected:
            emitter.connect(callback, position="last")  # napari has looked for garbage by then
        window.installEventFilter(self)

    def look(self) -> None:
        """Set aside what is there now, if many modules have come."""
        if len(sys.modules) - self._num_modules >= MANY_MODULES:
            self.now()

    def now(self) -> None:
        """Set aside what is there now."""
        gc.freeze()
        self._num_modules = len(sys.modules)
        self._frozen = {layer.unique_id for layer in self._layers}
        self._taken_back = False

    def stop(self) -> None:
        """Take everything back in for good, if anything was set aside."""
        for emitter, callback in self._connected:
            emitter.disconnect(callback)
        self._connected = ()
        self.setObjectName("")
        if self._num_modules:
            gc.unfreeze()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stop when the window closes: it is to be given back as a whole."""
        if event.type() == QEvent.Type.Close and self._connected:
            self.stop()
        return False

    def _removing(self, event: Any) -> None:  # noqa: ANN401 - napari's event
        if not self._taken_back and self._layers[event.index].unique_id in self._frozen:
            gc.unfreeze()
            self._taken_back = True

    def _removed(self, event: Any) -> None:  # noqa: ANN401 - napari's event
        if self._taken_back:
            self._gone.append(weakref.ref(event.value))

    def _ended(self, _event: Any) -> None:  # noqa: ANN401 - napari's event
        """Set aside again, unless somebody still holds a layer that went: then after a later batch."""
        self._gone = [each for each in self._gone if each() is not None]
        if self._taken_back and not self._gone:
            self.now()


def set_aside(viewer: Any) -> None:  # noqa: ANN401 - napari has no stubs
    """Set aside what is there now, if large modules have been imported; on the window's thread."""
    viewer = model_of(viewer)
    window = getattr(getattr(viewer, "window", None), "_qt_window", None)
    if window is None or not window.isVisible():
        return
    there = [each for each in window.findChildren(QObject, NAME) if isinstance(each, SetAside)]
    (there[0] if there else SetAside(viewer.layers, window)).look()
