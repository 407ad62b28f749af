"""Centre, zoom and orientation in terms of the slide; the camera is napari's own."""

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer import commands
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import slide_layers
from napari_gigaclf.viewer.viewpoint import Viewpoint


@pytest.fixture
def slide(pixels):
    return open_slide([np.tile(pixels, (4, 4, 1)), pixels], um_per_px=0.5)  # 2048 x 2560


@pytest.fixture
def viewer(slide):
    viewer = ViewerModel()
    ((levels, kwargs, _),) = slide_layers(slide)
    viewer.add_image(levels, **kwargs)
    viewer.canvas.size = (600, 900)
    return viewer


@pytest.fixture
def point(viewer):
    return Viewpoint(viewer)


def test_looking_at_a_place_puts_it_in_the_middle_whatever_the_orientation(viewer, point, slide):
    point.set_zoom(slide, 2.0)
    for _ in range(2):
        for _ in range(4):
            point.look_at(slide, (700.0, 1500.0))
            assert np.allclose(point.box(slide).centre, (700.0, 1500.0))
            box = point.box(slide)
            across, down = (box.y1 - box.y0, box.x1 - box.x0) if point.exchanged else (box.x1 - box.x0, box.y1 - box.y0)
            assert (across, down) == pytest.approx((450.0, 300.0)), "900 x 600 pixels at two per pixel"
            assert SlideCanvas(viewer).view_box(slide).shape == (round(box.y1 - box.y0), round(box.x1 - box.x0))
            point.turn()
        point.flip()


def test_zoom_is_in_pixels_of_the_screen_per_pixel_of_level_0(viewer, point, slide):
    point.set_zoom(slide, 1.0)
    assert viewer.scene.camera.zoom == pytest.approx(2.0), "per micrometre"
    assert point.zoom(slide) == pytest.approx(1.0)


@pytest.mark.parametrize("turns", [0, 1])
def test_fit_shows_the_whole_slide_and_little_more(viewer, point, slide, turns):
    for _ in range(turns):
        point.turn()
    commands.fit_slide(viewer)
    box = point.box(slide)
    assert box.y0 <= 0
    assert box.x0 <= 0
    assert box.y1 >= 2048
    assert box.x1 >= 2560
    assert min((box.y1 - box.y0) / 2048, (box.x1 - box.x0) / 2560) < 1.05


def test_four_quarter_turns_and_two_mirrors_are_none(viewer, point, slide):
    def state():
        return tuple(viewer.dims.order), tuple(str(each) for each in viewer.scene.camera.orientation2d)

    before = state()
    seen = set()
    for mirrored in (False, True):
        for _ in range(4):
            seen.add(state())
            point.turn()
        assert (state() == before) is not mirrored
        point.flip()
    assert len(seen) == 8
    assert state() == before
    point.turn()
    point.flip()
    point.upright()
    assert state() == before


def test_arrow_keys_move_in_directions_of_the_screen(viewer, point, slide):
    point.set_zoom(slide, 1.0)
    point.look_at(slide, (1000.0, 1000.0))
    commands.pan_right(viewer)
    assert np.allclose(point.box(slide).centre, (1000.0, 1225.0))
    commands.pan_down(viewer)
    assert np.allclose(point.box(slide).centre, (1150.0, 1225.0))
    point.turn()  # clockwise: what was below lies to the left
    commands.pan_left(viewer)
    assert np.allclose(point.box(slide).centre, (1375.0, 1225.0))
    commands.pan_down(viewer)  # what was to the right lies below
    assert np.allclose(point.box(slide).centre, (1375.0, 1375.0))


def test_objectives_and_zoom_steps(viewer, point, slide):
    commands.objective_20(viewer)
    assert point.zoom(slide) == pytest.approx(1.0), "0.5 um per pixel is 20x"
    commands.objective_5(viewer)
    assert point.zoom(slide) == pytest.approx(0.25)
    commands.zoom_in(viewer)
    commands.zoom_in(viewer)
    assert point.zoom(slide) == pytest.approx(0.5)
    commands.zoom_out(viewer)
    assert point.zoom(slide) == pytest.approx(0.5**1.5)


def test_the_slide_on_top_that_one_sees_is_meant(viewer, point, slide, pixels):
    other = open_slide([pixels, pixels[::4, ::4]], um_per_px=1.0)
    ((levels, kwargs, _),) = slide_layers(other)
    layer = viewer.add_image(levels, **kwargs)
    assert point.slide() is other
    layer.visible = False
    assert point.slide() is slide


def test_commands_do_nothing_without_a_slide():
    viewer = ViewerModel()
    for run in (commands.fit_slide, commands.objective_10, commands.toggle_probability, commands.pan_left):
        run(viewer)


def test_every_key_does_one_thing_and_does_it_to_the_viewer(viewer):
    actions, zoom = commands.key_actions(viewer), viewer.scene.camera.zoom
    assert len(actions) == sum(len(command.keys) for command in commands.COMMANDS) - 1, "all but +"
    actions["="]()
    assert viewer.scene.camera.zoom > zoom
