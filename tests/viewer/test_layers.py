"""Layer data as napari takes it: place, units, absolute contrast, NaN outside, names that say what is shown."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from napari.components import ViewerModel

from napari_gigaclf.annotations import Annotation
from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.another_scale import rescale
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import (
    ChannelPlane,
    Frame,
    annotation_layer,
    contrast_limits,
    fading_inferno,
    field_layer,
    outline_layer,
    probability_layer,
    slide_layers,
    thresholded,
)


@pytest.fixture
def frame() -> Frame:
    return Frame(um_per_px=(0.5, 0.25), shape=(512, 640))


def test_a_colour_slide_is_one_lazy_layer_in_micrometres(pixels: np.ndarray) -> None:
    slide = open_slide([pixels, pixels[::4, ::4]], um_per_px=(0.5, 0.25))
    ((levels, kwargs, kind),) = slide_layers(slide)
    assert kind == "image"
    assert [level is known for level, known in zip(levels, slide.levels, strict=True)] == [True, True]
    assert (kwargs["scale"], kwargs["units"], kwargs["axis_labels"]) == ((0.5, 0.25), ("um", "um"), ("y", "x"))
    assert kwargs["metadata"]["slide"] is slide


def test_a_slide_of_unknown_scale_is_in_pixels(pixels: np.ndarray) -> None:
    ((_, kwargs, _),) = slide_layers(open_slide(pixels))
    assert (kwargs["scale"], kwargs["units"]) == ((1.0, 1.0), ("pixel", "pixel"))


def test_fluorescence_is_one_layer_per_channel_with_limits_from_its_own_values() -> None:
    rng = np.random.default_rng(0)
    image = np.stack([rng.integers(100, 900, (64, 80)), rng.integers(2000, 9000, (64, 80))], axis=-1).astype(np.uint16)
    slide = open_slide(image)
    layers = slide_layers(slide, limits=contrast_limits(slide))
    assert len(layers) == 2
    for channel, (levels, kwargs, _) in enumerate(layers):
        assert kwargs["rgb"] is False
        low, high = kwargs["contrast_limits"]
        assert image[..., channel].min() <= low < high <= image[..., channel].max()
        assert np.array_equal(levels[0][10:20, 5:25], image[10:20, 5:25, channel])


def test_a_channel_plane_has_what_napari_asks_for(pixels: np.ndarray) -> None:
    plane = ChannelPlane(open_slide(pixels).levels[0], 1)
    assert (plane.shape, plane.ndim, plane.size, len(plane.chunks)) == ((512, 640), 2, 512 * 640, 2)
    assert np.array_equal(np.asarray(plane), pixels[..., 1])
    assert np.array_equal(plane[3], pixels[3, :, 1])


def test_the_overlay_lies_exactly_over_its_cells(frame: Frame) -> None:
    grid = PixelGrid(origin=(64.0, 32.0), step=(32.0, 32.0), shape=(4, 5))
    data, kwargs, kind = probability_layer(np.zeros(grid.shape, np.float32), grid, frame, class_name="tumour")
    viewer = ViewerModel()
    layer = getattr(viewer, f"add_{kind}")(data, **kwargs)
    corner = np.array(layer.data_to_world((-0.5, -0.5))) / frame.um_per_px + 0.5  # corner of cell (0, 0), level-0 px
    assert corner == pytest.approx((64.0, 32.0))
    far = np.array(layer.data_to_world((3.5, 4.5))) / frame.um_per_px + 0.5
    assert far == pytest.approx((64 + 4 * 32, 32 + 5 * 32))


def test_probability_is_absolute_and_says_if_it_is_partial(frame: Frame) -> None:
    grid = frame.level0
    shown = np.zeros((2, 2), np.float32)
    _, kwargs, _ = probability_layer(shown, grid, frame, class_name="tumour", partial=True)
    assert kwargs["contrast_limits"] == (0.0, 1.0)
    assert "tumour" in kwargs["name"]
    assert "partial" in kwargs["name"]


def test_the_colormap_is_inferno_where_it_matters_and_fades_towards_zero() -> None:
    colours = np.array(fading_inferno().map(np.array([0.0, 0.2, 0.5, 1.0, np.nan])))
    assert colours[0, 3] == 0
    assert 0 < colours[1, 3] < 1
    assert colours[2:4, 3] == pytest.approx([1, 1])
    assert colours[4, 3] == 0  # NaN: nothing was computed here


def test_below_the_threshold_is_transparent_and_nan_stays_nan() -> None:
    shown = thresholded(np.array([0.2, 0.5, 0.9, np.nan]), 0.5)
    assert np.array_equal(shown, np.array([np.nan, 0.5, 0.9, np.nan], np.float32), equal_nan=True)


def test_outlines_take_every_ring_and_an_empty_one_is_an_empty_layer(frame: Frame) -> None:
    ring = shapely.box(0, 0, 10, 10).difference(shapely.box(2, 2, 4, 4))
    viewer = ViewerModel()
    for geometries, count in (([ring], 2), ([], 0)):
        data, kwargs, kind = outline_layer(geometries, frame, name="tissue", colour=(0, 0, 1, 1), kind="tissue")
        layer = getattr(viewer, f"add_{kind}")(data, **kwargs)
        assert len(layer.data) == count


def test_annotations_have_their_own_colours_shape_by_shape(frame: Frame) -> None:
    annotations = [
        Annotation(geometry=shapely.box(0, 0, 10, 10), class_name="tumour", colour=(255, 0, 0)),
        Annotation(geometry=shapely.box(20, 0, 30, 10), class_name="aaa", colour=(0, 255, 0)),
    ]
    data, kwargs, kind = annotation_layer(annotations, frame)
    layer = getattr(ViewerModel(), f"add_{kind}")(data, **kwargs)
    assert layer.edge_color[:, :3].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert list(layer.features["class"]) == ["tumour", "aaa"]


def test_clicked_fields_carry_their_number(frame: Frame) -> None:
    data, kwargs, kind = field_layer([(3, shapely.box(0, 0, 96, 96))], frame)
    layer = getattr(ViewerModel(), f"add_{kind}")(data, **kwargs)
    assert list(layer.features["number"]) == [3]


def test_drawn_shapes_come_back_in_level_0_pixels_whatever_the_layer_s_own_scale(pixels: np.ndarray) -> None:
    slide = open_slide(pixels, um_per_px=0.5)
    viewer = ViewerModel()
    ((levels, kwargs, _),) = slide_layers(slide)
    viewer.add_image(levels, **kwargs)
    world = np.array([[10.0, 20.0], [10.0, 40.0], [30.0, 40.0], [30.0, 20.0]])  # micrometres
    layer = viewer.add_shapes([world / 2], shape_type="polygon", scale=(2, 2), units=("um", "um"))
    layer.selected_data = {0}
    area = SlideCanvas(viewer).selected_area(slide)
    assert area.bounds == (40.5, 20.5, 80.5, 60.5)


def test_all_layers_of_a_slide_follow_a_new_scale(pixels: np.ndarray) -> None:
    from napari_gigaclf.viewer.controllers.jobs import slide_with_scale

    slide = open_slide(pixels)
    viewer = ViewerModel()
    canvas = SlideCanvas(viewer)
    ((levels, kwargs, _),) = slide_layers(slide)
    viewer.add_image(levels, **kwargs)
    grid = PixelGrid(origin=(0.0, 0.0), step=(32.0, 32.0), shape=(4, 5))
    overlay = probability_layer(np.zeros(grid.shape, np.float32), grid, Frame.of_slide(slide), class_name="tumour")
    layer = canvas.put(slide.id, overlay)
    scaled = slide_with_scale(slide, 0.5)
    rescale(canvas, scaled)
    assert canvas.layer_of(slide.id).metadata["slide"] is scaled
    assert layer.scale.tolist() == [16.0, 16.0]
    assert layer.translate.tolist() == [7.75, 7.75]
    assert {str(unit) for each in viewer.layers for unit in each.units} == {"micrometer"}


def test_overlays_lie_in_their_order_whatever_came_first(pixels: np.ndarray) -> None:
    slide = open_slide(pixels, um_per_px=0.5)
    viewer, frame = ViewerModel(), Frame.of_slide(slide)
    canvas = SlideCanvas(viewer)
    ((levels, kwargs, _),) = slide_layers(slide)
    viewer.add_image(levels, **kwargs)
    box = [shapely.box(0, 0, 9, 9)]
    viewer.add_points(np.zeros((1, 2)), name="mine", scale=(0.5, 0.5), units=("um", "um"))
    for kind in ("truth", "tissue"):
        canvas.put(slide.id, outline_layer(box, frame, name=kind, colour=(0, 0, 1, 1), kind=kind))
    overlay = probability_layer(np.zeros((4, 5), np.float32), frame.level0, frame, class_name="tumour")
    canvas.put(slide.id, overlay)
    canvas.put(slide.id, overlay)  # again: in the old one's place
    names = [layer.name for layer in viewer.layers]
    assert names == ["array", "probability of tumour", "tissue", "truth", "mine"]


def test_the_map_of_a_slide_stays_under_another_slide_that_lies_over_it(pixels: np.ndarray) -> None:
    lower, upper = open_slide(pixels, um_per_px=0.5), open_slide(pixels[::-1], um_per_px=0.5)
    viewer = ViewerModel()
    canvas = SlideCanvas(viewer)
    for name, slide in (("lower", lower), ("upper", upper)):
        ((levels, kwargs, _),) = slide_layers(slide)
        viewer.add_image(levels, **{**kwargs, "name": name})
    for name, slide in (("under", lower), ("over", upper)):
        frame = Frame.of_slide(slide)
        data, kwargs, kind = probability_layer(np.zeros((4, 5), np.float32), frame.level0, frame, class_name="tumour")
        canvas.put(slide.id, (data, {**kwargs, "name": name}, kind))
    assert [layer.name for layer in viewer.layers] == ["lower", "under", "upper", "over"]


def test_of_two_results_the_one_on_top_is_meant(pixels: np.ndarray) -> None:
    slide = open_slide(pixels, um_per_px=0.5)
    viewer, frame = ViewerModel(), Frame.of_slide(slide)
    canvas = SlideCanvas(viewer)
    for name in ("first", "second"):
        data, kwargs, _ = probability_layer(np.zeros((4, 5), np.float32), frame.level0, frame, class_name="tumour")
        viewer.add_image(data, **{**kwargs, "name": name, "metadata": {**kwargs["metadata"], "slide_id": slide.id}})
    overlay = canvas.overlay(slide.id, "probability")
    assert overlay is not None
    assert overlay.name == "second"


def test_a_layer_says_which_scene_and_plane_it_shows(scenes_file: Path, pixels: np.ndarray) -> None:
    with open_slide(scenes_file, scene=1, z=0) as slide:
        ((_, kwargs, _),) = slide_layers(slide)
    assert kwargs["name"] == "many.ome.tif [scene 1, z 0]"
    ((_, kwargs, _),) = slide_layers(open_slide(pixels))
    assert "[" not in kwargs["name"]
