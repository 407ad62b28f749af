"""What a layer was drawn from is forgotten with it: a driver that reads it afterwards ends the program."""

import numpy as np
import pytest
from vispy.gloo import gl

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.vertex_arrays import NUM_ARRAYS

ENABLED = 0x8622  # GL_VERTEX_ATTRIB_ARRAY_ENABLED


@pytest.fixture
def arrays_on(viewer, qtbot):
    """Return the numbers of the vertex arrays that the canvas has switched on."""
    native = viewer.window._qt_viewer.canvas.native
    viewer.window._qt_window.show()

    def numbers():
        native.makeCurrent()
        found = [number for number in range(NUM_ARRAYS) if gl.glGetVertexAttrib(number, ENABLED)]
        native.doneCurrent()
        return found

    return numbers


def test_points_that_go_leave_no_array_on_that_an_image_does_not_draw_from(viewer, qtbot, arrays_on):
    SlideCanvas(viewer)
    viewer.add_image(np.zeros((64, 64), np.uint8))
    qtbot.waitUntil(lambda: arrays_on() == [0, 1], timeout=10_000)
    points = viewer.add_points(np.arange(20).reshape(10, 2), size=3)
    qtbot.waitUntil(lambda: len(arrays_on()) > 2, timeout=10_000)
    viewer.layers.remove(points)
    qtbot.waitUntil(lambda: arrays_on() == [0, 1], timeout=10_000)  # what the image has switched on again
