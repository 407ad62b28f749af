"""Lets the graphics driver finish each frame before anything that it was drawn from goes.

With points or text that go, vispy deletes their buffers, programs and textures. Where the canvas is drawn again within
the event that changes its size, Mesa's software renderer (22.3) then reads what is gone, and the program ends:
stepping through a worklist while teaching did that each time. It does not happen once the frame before is finished.
"""

from typing import Any
from weakref import WeakSet

from napari_gigaclf.viewer.proxied import model_of

_WATCHED: WeakSet[Any] = WeakSet()
"""Canvases of vispy that this is done for."""


def finish_frames(viewer: Any, native: Any = None) -> None:  # noqa: ANN401 - napari has no stubs
    """From now on wait for the driver at the end of each frame of a viewer.

    Parameters
    ----------
    viewer
        A napari viewer, or what is drawn beside one.
    native
        The widget of Qt's that it is drawn on; None: that of the viewer's window, if it has one.
    """
    if native is None:
        window = getattr(model_of(viewer), "window", None)
        native = getattr(getattr(getattr(window, "_qt_viewer", None), "canvas", None), "native", None)
    canvas = getattr(native, "_vispy_canvas", None)
    if canvas is None or canvas in _WATCHED:
        return
    _WATCHED.add(canvas)
    canvas.events.draw.connect(_finish, position="last")


def _finish(_event: Any) -> None:  # noqa: ANN401 - vispy's event; the canvas's context is the current one
    from vispy.gloo import gl

    gl.glFinish()
