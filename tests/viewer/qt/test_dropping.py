"""Files and folders dropped on napari's window, as Qt brings them."""

import numpy as np
import pytest
import shapely
from npe2 import PluginManifest
from PIL import Image
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_gigaclf.annotations import Annotation, write_geojson
from napari_gigaclf.inference import classify
from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.returning.host import found_in
from napari_gigaclf.viewer.widgets.worklist import WorklistWidget


@pytest.fixture
def plugin(npe2pm, repository, plugin_settings):
    """The plugin, registered in a plugin manager of this test's own."""
    manifest = PluginManifest.from_file(repository / "napari_gigaclf" / "napari.yaml")
    with npe2pm.tmp_plugin(manifest=manifest) as plugin:
        yield plugin


@pytest.fixture
def drop(viewer, plugin):
    def drop_on_window(*paths):
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        copy, button, no = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        viewer.window._qt_viewer.dropEvent(QDropEvent(QPointF(9, 9), copy, data, button, no))

    yield drop_on_window
    returning = found_in(viewer.window._qt_window)
    if returning is not None:
        returning.shut_down()


def test_everything_goes_where_it_belongs(widget, viewer, drop, tmp_path, pixels, model_folder, qtbot):
    from napari.utils.notifications import notification_manager

    case = tmp_path / "case"
    case.mkdir()
    for name, picture in (("tissue.png", pixels), ("other.png", pixels[::-1])):
        Image.fromarray(picture).save(case / name)
    slide_file, regions = case / "tissue.png", tmp_path / "regions.geojson"
    write_geojson(regions, [Annotation(geometry=shapely.box(10, 20, 60, 80), class_name="tumour")])
    prediction = classify(open_slide(pixels, um_per_px=1.0), model_folder, saliency=None)
    stray = prediction.save(tmp_path / "stray.gigaclf")
    with open_slide(slide_file, um_per_px=1.0) as slide:
        right = classify(slide, model_folder, saliency=None).save(tmp_path / "out" / "prediction.gigaclf")

    records = notification_manager.records
    before = len(records)
    drop(regions)
    assert "open their slide first" in records[-1].message
    drop(slide_file)
    drop(case / "other.png")
    drop(slide_file)
    assert [layer.name for layer in viewer.layers] == ["other.png", "tissue.png"], "not twice, but in front"
    assert "tissue.png is open already" in records[-1].message
    viewer.layers.remove("other.png")
    slide = viewer.layers["tissue.png"].metadata["slide"]
    drop(regions)
    shapes = viewer.layers["regions.geojson"]
    assert shapes.metadata["drawn_on"] == slide.id
    assert (list(shapes.features["class"]), shapes.data[0].min(axis=0).tolist()) == (["tumour"], [19.5, 9.5])
    assert widget.canvas.drawn_classes(slide) == {"tumour": 1}, (
        "it is asked about and exported like what was drawn here"
    )

    drop(stray)
    assert any("is the result of another slide" in each.message for each in records[before:])
    drop(right.parent)
    qtbot.waitUntil(lambda: slide.id in widget.runs.results, timeout=20_000)
    overlay = widget.canvas.overlay(slide.id, "probability")
    assert np.array_equal(overlay.scale, np.array(right_step(widget, slide))), "over the slide as it is open"
    assert overlay.metadata["file"] == str(right), "from where it returns when the slide is opened again"

    with open_slide(slide_file, um_per_px=1.0) as slide_again:
        later = classify(slide_again, model_folder, saliency=None, tissue=False)
    drop(later.save(tmp_path / "later.gigaclf"))
    qtbot.waitUntil(lambda: widget.runs.results[slide.id][0].record == later.record, timeout=20_000)
    assert len([*widget.canvas.overlays(slide.id, "probability")]) == 2, "the earlier one stays, to be compared"

    widget.choices.model_box.setCurrentIndex(-1)
    drop(model_folder)
    qtbot.waitUntil(lambda: widget.choices.model_key == str(model_folder), timeout=20_000)

    drop(case)
    (worklist,) = viewer.window._qt_window.findChildren(WorklistWidget)
    qtbot.waitUntil(lambda: worklist.table.rowCount() == 2, timeout=20_000)
    worklist.shut_down()
    (tmp_path / "no.geojson").write_text("{}")
    drop(tmp_path / "no.geojson")
    assert "not GeoJSON" in records[-1].message
    assert "What can be dropped: a slide" in records[-1].message


def right_step(widget, slide):
    """Where the map's cells lie in the world of the slide, which knows no micrometres."""
    prediction, _ = widget.runs.results[slide.id]
    return prediction.grid.napari_transform(slide.um_per_px)[0]
