"""What the second canvas shows and where it looks, without a window."""

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.another_scale import rescale
from napari_gigaclf.viewer.blindfold import Blindfold
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.companions import add_companion, remove_companion
from napari_gigaclf.viewer.controllers.compare import SCALE_UNKNOWN, CompareController
from napari_gigaclf.viewer.layers import slide_layers
from napari_gigaclf.viewer.viewpoint import Viewpoint


class View:
    """Keeps what it is told, and calls back when a test says so."""

    def __init__(self):
        self.calls = []

    def show_slides(self, slides, chosen):
        self.slides, self.chosen = slides, chosen

    def show_link(self, *, possible, on, text):
        self.link = (possible, on, text)

    def soon(self, call):
        self.calls.append(call)

    def run(self):
        calls, self.calls = self.calls, []
        for call in calls[-1:]:
            call()


@pytest.fixture
def view():
    return View()


def viewer_of(*slides):
    viewer = ViewerModel()
    for slide in slides:
        ((levels, kwargs, _),) = slide_layers(slide)
        viewer.add_image(levels, **kwargs)
    viewer.canvas.size = (600, 900)
    return viewer


def add_map(viewer, slide, name):
    metadata = {"kind": "probability", "slide_id": slide.id}
    return viewer.add_image(np.zeros((4, 5), np.float32), name=name, metadata=metadata, contrast_limits=(0, 1))


@pytest.fixture
def first(slide):
    return viewer_of(slide)


@pytest.fixture
def second():
    model = ViewerModel()
    model.canvas.size = (500, 400)
    return model


@pytest.fixture
def other(pixels):
    """The same tissue, mirrored, at half the size of pixel."""
    fine = pixels[:, ::-1].repeat(2, axis=0).repeat(2, axis=1)
    return open_slide([fine, fine[::4, ::4]], um_per_px=0.5)


@pytest.fixture
def compare(view, first, second):
    controller = CompareController(view, first, second)
    yield controller
    controller.shut_down()


def seen(viewer):
    point = Viewpoint(viewer)
    return (*point.world_centre, viewer.scene.camera.zoom, point.exchanged, viewer.scene.camera.orientation2d)


def test_whichever_moves_takes_the_other_along_until_the_link_is_off(compare, first, second):
    first.scene.camera.center, first.scene.camera.zoom = (0, 100.0, 250.0), 1.7
    assert seen(second) == seen(first)
    second.scene.camera.center, second.scene.camera.zoom = (0, 40.0, 20.0), 0.4
    assert Viewpoint(first).world_centre == (40.0, 20.0)
    Viewpoint(first).turn()
    Viewpoint(first).flip()
    assert seen(second) == seen(first)
    assert Viewpoint(second).world_centre == (40.0, 20.0)
    compare.switch_link(False)
    second.scene.camera.center = (0, 7.0, 8.0)
    assert Viewpoint(first).world_centre == (40.0, 20.0)
    compare.switch_link(True)
    assert seen(second) == seen(first), "the same slide: the same place"


def test_slides_of_other_resolution_match_in_micrometres_and_keep_the_places_that_were_brought_together(
    compare, view, first, second, other
):
    ((levels, kwargs, _),) = slide_layers(other)
    first.add_image(levels, **kwargs).visible = False
    view.run()
    assert [key for _, key in view.slides] == [SlideCanvas(first).slide_layers()[0].metadata["slide"].id, other.id]
    compare.choose_slide(other.id)
    assert [layer.metadata["slide"].id for layer in second.layers] == [other.id]
    first.scene.camera.center, first.scene.camera.zoom = (0, 200.0, 300.0), 2.0
    assert np.allclose(Viewpoint(second).world_centre, (200.0, 300.0)), "both are 512 x 640 um"
    assert Viewpoint(second).zoom(other) == pytest.approx(1.0), "pixels of half the size"
    compare.switch_link(False)
    second.scene.camera.center = (0, 210.0, 280.0)
    compare.switch_link(True)
    Viewpoint(first).turn()
    first.scene.camera.center = (0, 20.0, 10.0)  # turned: x down, y across
    assert Viewpoint(first).world_centre == (10.0, 20.0)
    assert np.allclose(Viewpoint(second).world_centre, (20.0, 0.0))


def test_a_slide_without_a_scale_is_not_linked_with_one_that_has_it(view, second, slide, pixels):
    unknown = open_slide([pixels[:300], pixels[:300:4, ::4]])
    first = viewer_of(unknown, slide)
    compare = CompareController(view, first, second)
    compare.choose_slide(unknown.id)
    assert view.link == (False, False, SCALE_UNKNOWN)
    whole = Viewpoint(second).box(unknown)
    assert whole.y0 <= 0
    assert whole.x1 >= 640
    compare.choose_slide(slide.id)
    assert view.link == (True, True, "")
    compare.shut_down()


def test_a_twin_is_the_same_array_and_follows_but_leads_nothing(compare, first, second, slide, view):
    overlay = add_map(first, slide, "A")
    mask = first.add_labels(np.zeros((4, 5), np.uint8), name="mask", metadata={"kind": "mask", "slide_id": slide.id})
    view.run()
    assert len(second.layers) == 1, "the slide alone"
    for choice in compare.overlays():
        compare.show_overlay(choice.key, True)
    _, twin, twin_mask = second.layers
    assert twin.data is overlay.data
    overlay.data[1, 2] = 0.75
    overlay.refresh()
    assert twin._slice.image.view[1, 2] == pytest.approx(0.75)
    mask.paint((2, 3), 1)
    assert twin_mask._slice.image.raw[2, 3] == 1
    mask.undo()
    assert twin_mask._slice.image.raw[2, 3] == 0
    overlay.opacity, overlay.contrast_limits, overlay.name = 0.3, (-2.0, 6.0), "score"
    assert (twin.opacity, tuple(twin.contrast_limits), twin.name) == (0.3, (-2.0, 6.0), "score")
    overlay.data = np.ones((4, 5), np.float32)
    assert twin.data is overlay.data
    overlay.visible = False
    assert twin.visible
    twin.opacity = 1.0
    assert overlay.opacity == 0.3
    assert second.layers.selection.active is None


def test_overlays_come_go_and_come_back_in_the_order_of_the_first_canvas(compare, first, second, slide, other, view):
    ((levels, kwargs, _),) = slide_layers(other)
    first.add_image(levels, **{**kwargs, "visible": False})
    maps = [add_map(first, slide, name) for name in ("A", "B")]
    add_map(first, other, "of the other slide")
    drawn = first.add_shapes([np.array([[0, 0], [0, 9], [9, 9.0]])], shape_type="polygon", name="drawn")
    first.add_shapes(np.zeros((2, 2)), shape_type="line", metadata={"kind": "ruler"})
    view.run()
    assert [choice.name for choice in compare.overlays()] == ["drawn", "B", "A"]
    for layer in (drawn, *maps):
        compare.show_overlay(str(layer.unique_id), True)
    names = lambda: [layer.name for layer in second.layers][1:]  # noqa: E731
    assert names() == ["A", "B", "drawn"]
    first.layers.move(first.layers.index(maps[0]), len(first.layers))
    view.run()
    assert names() == ["B", "drawn", "A"]
    drawn.add([np.array([[20, 20], [20, 29], [29, 29.0]])], shape_type="polygon")
    view.run()
    assert len(second.layers["drawn"].data) == 2
    first.layers.remove(maps[1])
    view.run()
    assert names() == ["drawn", "A"]
    add_map(first, slide, "B")  # as a run that is made again does
    view.run()
    assert sorted(names()) == ["A", "B", "drawn"]
    first.layers.remove(SlideCanvas(first).layer_of(slide.id))
    view.run()
    assert second.layers[0].metadata["slide"].id == other.id
    assert names() == ["drawn"], "what a person drew belongs to no slide"


def test_another_scale_reaches_the_second_canvas(compare, first, second, slide, view):
    rescale(SlideCanvas(first), open_slide([level[:] for level in slide.levels], um_per_px=0.25))
    rescaled = open_slide([level[:] for level in slide.levels], um_per_px=0.25)
    assert rescaled.id == slide.id
    view.run()
    assert tuple(second.layers[0].scale) == (0.25, 0.25)
    assert second.layers[0].metadata["slide"].um_per_px == (0.25, 0.25)
    assert seen(second) == seen(first)


def test_reader_first_hides_the_map_on_both_canvases(compare, first, second, slide, view):
    overlay = add_map(first, slide, "A")
    view.run()
    compare.show_overlay(str(overlay.unique_id), True)
    add_companion(second, first, wish=compare.show_kind, say=print)
    blindfold = Blindfold(SlideCanvas(first))
    blindfold.apply(lambda _id: True)
    assert [overlay.visible, second.layers[1].visible] == [False, False]
    blindfold.apply(lambda _id: False)
    assert [overlay.visible, second.layers[1].visible] == [True, True]
    remove_companion(second)


def test_reader_first_hides_an_overlay_that_is_chosen_or_comes_back_on_the_second_canvas(
    compare, first, second, slide, view
):
    overlay = add_map(first, slide, "A")
    add_companion(second, first, wish=compare.show_kind, say=print)
    blindfold = Blindfold(SlideCanvas(first))
    blindfold.apply(lambda _id: True)
    compare.show_overlay(str(overlay.unique_id), True)
    assert not second.layers[1].visible
    first.layers.remove(overlay)
    again = add_map(first, slide, "A")
    blindfold.apply(lambda _id: True)
    view.run()
    assert [again.visible, second.layers[1].visible] == [False, False]
    blindfold.apply(lambda _id: False)
    assert [again.visible, second.layers[1].visible] == [True, True]
    remove_companion(second)


def test_nothing_is_left_connected(view, first, second, slide):
    SlideCanvas(first)  # what keeps outlines thin is connected once, and stays with the viewer
    overlay = add_map(first, slide, "A")
    emitters = [
        *first.layers.events.emitters.values(),
        *overlay.events.emitters.values(),
        *first.scene.camera.events.emitters.values(),
        *first.dims.events.emitters.values(),
        first.layers.events,
    ]
    before = [len(emitter.callbacks) for emitter in emitters]
    compare = CompareController(view, first, second)
    compare.show_overlay(str(overlay.unique_id), True)
    assert [len(emitter.callbacks) for emitter in emitters] != before
    compare.shut_down()
    assert [len(emitter.callbacks) for emitter in emitters] == before
    assert not second.layers
