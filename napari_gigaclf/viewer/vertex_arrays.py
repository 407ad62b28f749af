"""Lets the graphics driver forget what layers were drawn from that are gone.

vispy switches the vertex arrays of what it draws on and never off again (``gloo.glir.GlirProgram``). When a layer of
points goes, its buffers go, and the arrays that were drawn from them stay on: a driver may read them with the next
thing that is drawn. Mesa's software renderer crashes there, and the program with it; napari's issue 6472 tells of the
same on Windows. So whenever a layer goes all arrays are switched off; whatever is drawn next switches its own on.
"""

from typing import Any
from weakref import WeakSet, ref

from napari_gigaclf.viewer.proxied import model_of

NUM_ARRAYS = 16
"""What every OpenGL has at least, and more than napari's layers use."""
_WATCHED: WeakSet[Any] = WeakSet()
"""Lists of layers that are watched."""


def switch_off_with_layers(viewer: Any, native: Any = None) -> None:  # noqa: ANN401 - napari has no stubs
    """From now on switch all vertex arrays off whenever a layer goes; once per viewer.

    Parameters
    ----------
    viewer
        A napari viewer, or what is drawn beside one.
    native
        The widget of Qt's that it is drawn on; None: that of the viewer's window, if it has one.
    """
    layers = model_of(viewer).layers
    if native is None:
        native = getattr(getattr(getattr(viewer, "window", None), "_qt_viewer", None), "canvas", None)
        native = getattr(native, "native", None)
    if native is None or layers in _WATCHED:
        return
    _WATCHED.add(layers)
    there = ref(native)
    layers.events.removed.connect(lambda _event: _switch_off(there()), position="last")


def _switch_off(native: Any) -> None:  # noqa: ANN401
    from vispy.gloo import gl

    try:
        if native is None or not native.isValid():  # nothing was ever drawn
            return
        native.makeCurrent()
    except RuntimeError:  # Qt has taken the widget with its window
        return
    for number in range(NUM_ARRAYS):
        gl.glDisableVertexAttribArray(number)
    native.doneCurrent()
