"""What a curtain decides, without a window."""

import gc

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_gigaclf.viewer.controllers.curtain import STEP, Curtain, Side
from napari_gigaclf.viewer.layers import slide_layers


@pytest.fixture
def viewer(slide):
    """A slide, two maps, a mask and a ruler."""
    viewer = ViewerModel()
    ((levels, kwargs, _),) = slide_layers(slide)
    viewer.add_image(levels, **{**kwargs, "name": "slide"})
    for name in ("A", "B"):
        viewer.add_image(np.zeros((4, 4), np.float32), name=name, metadata={"kind": "probability"})
    viewer.add_labels(np.zeros((4, 4), np.uint8), name="mask", metadata={"kind": "mask"})
    viewer.add_shapes(np.zeros((2, 2)), shape_type="line", name="ruler", metadata={"kind": "ruler"})
    return viewer


def test_the_slide_is_everywhere_and_what_lies_over_it_is_right(viewer):
    curtain = Curtain()
    sides = {layer.name: curtain.side(layer) for layer in viewer.layers}
    assert sides == {
        "slide": Side.BOTH, "A": Side.RIGHT, "B": Side.RIGHT, "mask": Side.RIGHT, "ruler": Side.BOTH,
    }  # fmt: skip
    photograph = viewer.add_image(np.zeros((4, 4, 3), np.uint8), rgb=True)
    assert curtain.side(photograph) is Side.BOTH


def test_a_person_chooses_sides_and_nothing_of_it_is_in_the_layers(viewer):
    curtain = Curtain()
    heard = []
    stop = curtain.watch(lambda: heard.append(curtain.at))
    before = [layer.as_layer_data_tuple()[1]["metadata"].copy() for layer in viewer.layers]
    curtain.put(viewer.layers["A"], Side.LEFT)
    viewer.layers["mask"].visible = False
    assert curtain.caption(viewer.layers) == "left: A; right: B"
    curtain.swap(viewer.layers)
    assert curtain.caption(viewer.layers) == "left: B; right: A"
    assert [layer.metadata for layer in viewer.layers] == before
    curtain.as_usual()
    assert curtain.caption(viewer.layers) == "left: the slide alone; right: A, B"
    assert len(heard) == 3
    stop()
    curtain.move_to(0.1)
    assert len(heard) == 3


def test_it_says_when_both_sides_are_alike(viewer):
    curtain = Curtain()
    assert curtain.cuts(viewer.layers)
    for name in ("A", "B", "mask"):
        viewer.layers[name].visible = False
    assert not curtain.cuts(viewer.layers)


def test_the_line_stops_at_the_edges_and_moves_by_steps():
    curtain = Curtain()
    curtain.step(3)
    assert curtain.at == pytest.approx(0.5 + 3 * STEP)
    for at, reached in ((-1.0, 0.0), (7.0, 1.0)):
        curtain.move_to(at)
        assert curtain.at == reached


def test_a_layer_that_went_is_not_kept_alive(viewer):
    import weakref

    curtain = Curtain()
    layer = viewer.layers["A"]
    curtain.put(layer, Side.LEFT)
    gone = weakref.ref(layer)
    viewer.layers.remove(layer)
    del layer
    gc.collect()
    assert gone() is None
