"""The curtain in a real window: pixels left and right of the line, by mouse and keys, at every zoom."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.viewer import commands
from napari_gigaclf.viewer.controllers.curtain import Side
from napari_gigaclf.viewer.layers import Frame, probability_layer
from napari_gigaclf.viewer.taking import take_snapshot
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.curtain import CurtainWidget
from napari_gigaclf.viewer.widgets.curtain_line import curtain_line

MORE_THAN_A_TEXTURE = 17_000
"""Columns of an image which napari draws as several textures."""


@pytest.fixture
def viewer(shown_viewer):
    """A window that is drawn."""
    return shown_viewer


@pytest.fixture
def layers(viewer, show, slide):
    """A multiscale slide and, over it, a map, labels, shapes with a text, and an image of several textures."""
    frame = Frame.of_slide(slide)
    rng = np.random.default_rng(0)
    grid = PixelGrid(origin=(0.0, 0.0), step=(32.0, 32.0), shape=(16, 20))
    map_data, kwargs, _ = probability_layer(rng.random(grid.shape, np.float32), grid, frame, class_name="tumour")
    wide = PixelGrid(origin=(100.0, 0.0), step=(20.0, 640 / MORE_THAN_A_TEXTURE), shape=(2, MORE_THAN_A_TEXTURE))
    there = {
        "slide": show(slide),
        "map": viewer.add_image(map_data, **kwargs),
        "labels": viewer.add_labels(rng.integers(0, 3, grid.shape, np.uint8), **frame.place(grid), opacity=0.4),
        "wide": viewer.add_image(np.ones(wide.shape, np.float32), **frame.place(wide), opacity=0.5),
        "shapes": viewer.add_shapes(
            [np.array([[y, 10.0], [y, 630.0]]) for y in (200.0, 330.0)],
            shape_type="line",
            edge_width=8,
            features={"text": ["a text that is long"] * 2},
            text={"string": "{text}", "size": 30},
            **frame.place(),
        ),
    }
    Viewpoint(viewer).fit(slide)
    return there


@pytest.fixture
def picture(viewer, settled_picture):
    """Return what the canvas shows once every tile has come and the window is laid out."""
    return lambda: settled_picture(viewer)


@pytest.fixture
def halves(viewer, layers, picture):
    """Return what is drawn now, and what it should be for overlays right of a column."""
    return lambda at: _halves(viewer, layers, picture, at)


def _halves(viewer, layers, picture, at):
    drawn = picture()
    line = curtain_line(viewer)
    line.curtain.switch(False)
    full = picture()
    seen = [layer for name, layer in layers.items() if name != "slide" and layer.visible]
    for layer in seen:
        layer.visible = False
    plain = picture()
    for layer in seen:
        layer.visible = True
    line.curtain.switch(True)
    column = round(at * drawn.shape[1])
    assert (plain[:, column:] != full[:, column:]).any(), "there is something to cut off"
    assert (plain[:, :column] != full[:, :column]).any()
    return drawn, np.concatenate([plain[:, :column], full[:, column:]], axis=1)


def test_every_kind_of_layer_ends_at_the_line_which_stays_while_the_view_moves(viewer, layers, picture, halves):
    filters = {name: len(_filters(viewer, layer)) for name, layer in layers.items()}
    before = picture()
    commands.toggle_curtain(viewer)
    line = curtain_line(viewer)
    for at in (0.5, 0.31):
        line.curtain.move_to(at)
        assert np.array_equal(*halves(at))
    commands.toggle_curtain(viewer)
    assert np.array_equal(picture(), before), "no trace is left"
    commands.toggle_curtain(viewer)
    Viewpoint(viewer).magnify(2.7)
    Viewpoint(viewer).pan(0.1, -0.2)
    assert np.array_equal(*halves(0.31))
    layers["map"].data = layers["map"].data[:, ::-1].copy()
    Viewpoint(viewer).turn()
    assert np.array_equal(*halves(0.31))
    viewer.window.resize(1000, 700)
    assert np.array_equal(*halves(0.31)), "a share of the canvas, whatever its size"
    commands.toggle_curtain(viewer)
    assert {name: len(_filters(viewer, layer)) for name, layer in layers.items()} == filters


def test_dragged_and_moved_by_keys_while_the_view_stands_still(viewer, layers, halves, qtbot):
    commands.toggle_curtain(viewer)
    line, canvas = curtain_line(viewer), viewer.window._qt_viewer.canvas.native
    camera = viewer.scene.camera
    seen = (camera.center, camera.zoom)
    assert line.isVisible()
    middle = QPoint(line.width() // 2, 100)
    qtbot.mousePress(line, Qt.MouseButton.LeftButton, pos=middle)
    goal = round(0.75 * canvas.width())
    qtbot.mouseMove(line, line.mapFromGlobal(canvas.mapToGlobal(QPoint(goal, 100))))
    qtbot.mouseRelease(line, Qt.MouseButton.LeftButton, pos=middle)
    assert line.curtain.at == pytest.approx(0.75, abs=2 / canvas.width())
    assert abs(line.geometry().center().x() - goal) <= 2
    assert np.array_equal(*halves(line.curtain.at))
    at = line.curtain.at
    qtbot.keyClick(line, Qt.Key.Key_Left)
    qtbot.keyClick(line, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert line.curtain.at == pytest.approx(at - 6 * 0.02)
    commands.curtain_right(viewer)
    assert line.curtain.at == pytest.approx(at - 4 * 0.02)
    assert (camera.center, camera.zoom) == seen
    qtbot.keyClick(line, Qt.Key.Key_Escape)
    assert not line.isVisible()
    assert not line.curtain.on


def test_two_maps_are_compared_and_a_snapshot_says_which(viewer, layers, picture):
    from napari.utils._proxies import PublicOnlyProxy

    widget = CurtainWidget(PublicOnlyProxy(viewer))
    viewer.window.add_dock_widget(widget, name="Curtain")
    for name in ("labels", "wide", "shapes"):
        layers[name].visible = False
    other = viewer.add_image(1 - layers["map"].data, **{**_as_is(layers["map"]), "name": "model B"})
    layers["map"].name = "model A"
    pictures = []
    for shown, hidden in ((layers["map"], other), (other, layers["map"])):
        shown.visible, hidden.visible = True, False
        pictures.append(picture())
    layers["map"].visible = True
    names = [widget.table.item(row, 0).text() for row in range(widget.table.rowCount())]
    box = widget.table.cellWidget(names.index("model A"), 1)
    box.setCurrentIndex(box.findData(Side.LEFT))
    widget.on_box.click()
    column = round(0.5 * pictures[0].shape[1])
    expected = np.concatenate([pictures[0][:, :column], pictures[1][:, column:]], axis=1)
    assert np.array_equal(picture(), expected)
    snapshot = take_snapshot(viewer)
    assert snapshot.caption[-1] == "Curtain, left: model A; right: model B"
    assert (snapshot.pixels[:, column] == 255).all()
    widget.swap_button.click()
    assert box.currentData() is Side.RIGHT
    commands.swap_curtain(viewer)
    assert box.currentData() is Side.LEFT
    assert take_snapshot(viewer).caption[-1] == "Curtain, left: model A; right: model B"
    widget.usual_button.click()
    viewer.layers.remove(other)
    assert widget.table.rowCount() == len(viewer.layers)
    commands.toggle_curtain(viewer)
    assert not widget.on_box.isChecked()
    assert take_snapshot(viewer).caption[-1] != "Curtain, left: model A; right: model B"
    widget.shut_down()


def _filters(viewer, layer):
    """Return the filters of everything by which a layer is drawn."""
    from napari_gigaclf.viewer.half_clips import _drawings

    node = viewer.window._qt_viewer.canvas.layer_to_visual[layer].node
    return [each for drawing in _drawings(node) for each in drawing._vshare.filters]


def _as_is(layer):
    """Return how a layer looks and lies."""
    names = ("scale", "translate", "units", "axis_labels", "colormap", "contrast_limits", "opacity", "metadata")
    return {name: getattr(layer, name) for name in names}
