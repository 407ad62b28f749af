"""Maps on a small screen have one colour bar per colour map in sight, and none lies over another."""

import itertools

import numpy as np
import pytest

from napari_gigaclf.inference import classify
from napari_gigaclf.inference.gradient import PlaceGradient
from napari_gigaclf.viewer.colour_bars import colour_bars_of
from napari_gigaclf.viewer.layers import Frame
from napari_gigaclf.viewer.overlays import Overlays
from napari_gigaclf.viewer.why_layer import why_layer
from napari_gigaclf.viewer.widgets.compare import CompareWidget


@pytest.fixture
def viewer(shown_viewer):
    """A window of the size of a small screen that is drawn."""
    return shown_viewer


@pytest.fixture
def open_results(tmp_path):
    """Open a result of a slide several times from files, and wait until the widget shows it."""

    def open_them(viewer, widget, slide, predictions, qtbot):
        for number, prediction in enumerate(predictions):
            path = prediction.save(tmp_path / f"{prediction.record.model.name}-{number}.gigaclf")
            (layer,) = (
                each for each in viewer.open(path, plugin="napari-gigaclf") if each.metadata["kind"] == "probability"
            )
            qtbot.waitUntil(lambda layer=layer: bool(layer.metadata.get("colour_bar")), timeout=30_000)

    return open_them


def bars(qt_viewer):
    """Return where colour bars are drawn on a canvas, (left, right) in pixels, from left to right."""
    canvas = qt_viewer.canvas
    canvas.native.update()
    qt_viewer.screenshot(flash=False)
    found = []
    for layer, overlays in canvas._layer_overlay_to_visual.items():
        for overlay, visual in overlays.items():
            if overlay is layer.colorbar and layer.visible and overlay.visible and visual.node.visible:
                left = float(visual.node.transform.translate[0])
                found.append((left, left + visual.x_size))
    return sorted(found)


def apart(found, width):
    inside = all(left >= 0 and right <= width for left, right in found)
    return inside and all(one[1] <= other[0] for one, other in itertools.pairwise(found))


def gradient(slide):
    frame = Frame.of_slide(slide)
    rows, columns = frame.level0.shape
    values = np.zeros((3, rows, columns), np.float32)
    values[0] = np.linspace(-1, 1, rows * columns).reshape(rows, columns)
    import shapely

    found = PlaceGradient(
        gradient=values, grid=frame.level0, outline=shapely.box(0, 0, 9, 9), num_cells=1, class_name="tumour",
        logit=1.0, of="answer", smooth=None,
    )  # fmt: skip
    return why_layer(found, frame, signed=True)


def test_four_maps_in_the_same_colours_have_one_bar_wherever_they_lie(
    viewer, widget, show, slide, ready, predict, open_results, qtbot
):
    show(slide)
    ready(slide)
    open_results(viewer, widget, slide, [predict(slide)] * 4, qtbot)
    maps = [layer for layer in viewer.layers if layer.metadata.get("kind") == "probability"]
    assert len(maps) == 4
    qt_viewer = viewer.window._qt_viewer
    assert len(bars(qt_viewer)) == 1
    for layer in maps[::-1]:  # whichever had it
        layer.visible = False
        assert len(bars(qt_viewer)) == (layer is not maps[0])
    for layer in maps:
        layer.visible = True
    assert len(bars(qt_viewer)) == 1
    maps[1].contrast_limits = (0.0, 0.5)  # other numbers for the same colours
    found = bars(qt_viewer)
    assert len(found) == 2
    assert apart(found, qt_viewer.canvas.native.width())
    viewer.layers.remove(maps[3])
    viewer.layers.move(viewer.layers.index(maps[0]), len(viewer.layers))
    assert len(bars(qt_viewer)) == 2


def test_maps_in_different_colours_have_bars_beside_each_other(
    viewer, widget, show, slide, ready, predict, score_folder, open_results, qtbot
):
    show(slide)
    ready(slide)
    grade = classify(slide, score_folder, saliency=None, tissue=False, device="cpu")
    open_results(viewer, widget, slide, [predict(slide), predict(slide), grade], qtbot)
    Overlays(widget.canvas).why(slide, gradient(slide))
    qt_viewer = viewer.window._qt_viewer
    found = bars(qt_viewer)
    assert len(found) == 3
    assert apart(found, qt_viewer.canvas.native.width())


def test_a_bar_that_a_person_switched_off_or_on_stays_so(
    viewer, widget, show, slide, ready, predict, open_results, qtbot
):
    show(slide)
    ready(slide)
    open_results(viewer, widget, slide, [predict(slide)] * 3, qtbot)
    maps = [layer for layer in viewer.layers if layer.metadata.get("kind") == "probability"]
    (with_bar,) = [layer for layer in maps if layer.colorbar.visible]
    with_bar.colorbar.visible = False
    qt_viewer = viewer.window._qt_viewer
    for layer in maps:
        layer.visible = False
        layer.visible = True
    assert not bars(qt_viewer)
    colour_bars_of(viewer).show(maps[0])
    assert len(bars(qt_viewer)) == 1
    maps[1].colorbar.visible = True
    viewer.layers.move(viewer.layers.index(maps[0]), len(viewer.layers))
    assert len(bars(qt_viewer)) == 2


def test_the_second_canvas_has_one_bar_for_the_same_colours_too(
    viewer, widget, show, slide, ready, predict, open_results, qtbot
):
    show(slide)
    ready(slide)
    open_results(viewer, widget, slide, [predict(slide)] * 3, qtbot)
    compare = CompareWidget(viewer)
    viewer.window.add_dock_widget(compare, name="Compare")
    qtbot.waitUntil(compare.qt_viewer.isVisible, timeout=10_000)
    for choice in compare.controller.overlays():
        compare.controller.show_overlay(choice.key, True)
    assert len([each for each in compare.second.layers if each.metadata.get("kind") == "probability"]) == 3
    assert len(bars(compare.qt_viewer)) == 1
    compare.shut_down()
