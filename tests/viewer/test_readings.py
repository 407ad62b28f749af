import numpy as np
import pytest
from napari.components import ViewerModel

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import Frame, probability_layer, slide_layers
from napari_gigaclf.viewer.readings import NOTHING_HERE, read_at, reading_lines


@pytest.fixture
def canvas(slide):
    viewer = ViewerModel()
    ((levels, kwargs, _),) = slide_layers(slide)
    layer = viewer.add_image(levels, **kwargs)
    layer.data_level, layer.corner_pixels = 0, np.array([[0, 0], [511, 639]])
    layer.refresh()
    return SlideCanvas(viewer)


@pytest.fixture
def with_map(canvas, slide):
    """A map of 8 x 10 cells of 64 pixels; nothing was computed in the first row."""
    values = np.linspace(0, 1, 80, dtype=np.float32).reshape(8, 10)
    values[0] = np.nan
    grid = PixelGrid(origin=(0.0, 0.0), step=(64.0, 64.0), shape=(8, 10))
    layer = canvas.put(slide.id, probability_layer(values, grid, Frame.of_slide(slide), class_name="tumour"))
    return layer, values


def test_place_and_colour(canvas, slide, pixels):
    reading = read_at(canvas, slide, (300.0, 400.0))  # world: 1 um per pixel, centres at whole numbers
    assert reading.point == (300.5, 400.5)
    assert reading.colour == tuple(pixels[300, 400])
    assert reading_lines(reading)[0] == "x 0.401 mm, y 0.300 mm"
    assert reading.probabilities is None
    assert reading.saliency is None


def test_beside_the_slide_there_is_no_colour(canvas, slide):
    reading = read_at(canvas, slide, (-20.5, 400.0))
    assert reading.colour is None
    assert reading_lines(reading) == ["x 0.401 mm, y -0.020 mm"]


def test_probability_of_the_cell_in_which_the_cursor_is(canvas, slide, with_map):
    layer, values = with_map
    for row, column in ((1, 0), (7, 9), (4, 3)):
        for y, x in ((0.0, 0.0), (63.0, 63.0)):
            reading = read_at(canvas, slide, (64.0 * row + y, 64.0 * column + x))
            assert reading.probabilities == {"tumour": pytest.approx(values[row, column])}
    assert reading_lines(reading)[-1] == f"tumour {values[4, 3]:.3f}"
    assert reading_lines(read_at(canvas, slide, (10.0, 10.0)))[-1] == NOTHING_HERE
    layer.visible = False
    assert read_at(canvas, slide, (100.0, 100.0)).probabilities is None


def test_a_finished_run_answers_for_all_its_classes(canvas, slide, with_map):
    layer, values = with_map

    class Finished:
        classes = ("normal", "tumour")
        probability_map = np.stack([1 - values, values])

    layer.metadata["prediction"] = Finished()
    found = read_at(canvas, slide, (300.0, 300.0)).probabilities
    assert list(found) == ["normal", "tumour"]
    assert sum(found.values()) == pytest.approx(1.0)
