"""The reader, sample data and writers through napari itself, as a person meets them."""

from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest


@pytest.fixture
def plugin(npe2pm, repository: Path):
    """The plugin, registered in a plugin manager of this test's own."""
    manifest = PluginManifest.from_file(repository / "napari_gigaclf" / "napari.yaml")
    with npe2pm.tmp_plugin(manifest=manifest) as plugin:
        yield plugin


@pytest.fixture
def png(tmp_path: Path, pixels: np.ndarray) -> Path:
    from PIL import Image

    Image.fromarray(pixels).save(tmp_path / "tissue.png")
    return tmp_path / "tissue.png"


def test_napari_opens_a_slide_lazily(make_napari_viewer, plugin, png, pixels):
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(png), plugin="napari-gigaclf")
    assert layer.metadata["slide"].path == png
    assert layer.rgb
    assert np.array_equal(layer.metadata["slide"].read(0, 0, 20, 0, 30), pixels[:20, :30])


def test_a_broken_file_is_a_notification_and_no_traceback(make_napari_viewer, plugin, tmp_path):
    from napari.utils.notifications import notification_manager

    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"II*\0" + b"\xff" * 100)
    viewer = make_napari_viewer()
    before = len(notification_manager.records)
    assert viewer.open(str(broken), plugin="napari-gigaclf") == []
    (record,) = notification_manager.records[before:]
    assert "broken.svs" in record.message
    assert len(viewer.layers) == 0


def test_shapes_are_saved_as_geojson_that_qupath_takes(make_napari_viewer, plugin, tmp_path):
    from napari_gigaclf.annotations import read_geojson, validate_geojson

    viewer = make_napari_viewer()
    square = np.array([[9.5, 9.5], [9.5, 49.5], [49.5, 49.5], [49.5, 9.5]])
    viewer.add_shapes(
        [square], shape_type="polygon", features={"class": ["tumour"]}, scale=(0.5, 0.5), units=("um", "um")
    )
    path = tmp_path / "drawn.geojson"
    assert viewer.layers.save(str(path), plugin="napari-gigaclf") == [str(path)]
    assert not validate_geojson(path)
    (annotation,) = read_geojson(path)
    assert (annotation.class_name, annotation.geometry.bounds) == ("tumour", (10, 10, 50, 50))


def test_a_map_is_saved_with_its_pixel_size(make_napari_viewer, plugin, tmp_path):
    import tifffile

    viewer = make_napari_viewer()
    viewer.add_image(np.full((8, 9), 0.25, np.float32), scale=(16, 16), units=("um", "um"), name="map")
    path = tmp_path / "map.ome.tif"
    assert viewer.layers.save(str(path), plugin="napari-gigaclf") == [str(path)]
    with tifffile.TiffFile(path) as tiff:
        assert 'PhysicalSizeX="16.0"' in tiff.ome_metadata
        assert tiff.asarray().max() == 0.25


def test_settings_are_declared_and_read(plugin, plugin_settings):
    from napari_gigaclf.viewer.preferences import Preferences, load_preferences

    assert load_preferences() == Preferences()


def test_a_huge_slide_is_blank_first_and_its_overview_comes_later(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    from napari_gigaclf.slides import open_slide, pyramid
    from napari_gigaclf.viewer.reader import open_layers, start_overviews

    monkeypatch.setattr(pyramid, "cache_folder", lambda: tmp_path / "cache")
    viewer = make_napari_viewer()
    slide = open_slide(np.full((4500, 1200, 3), 90, np.uint8))
    layers = open_layers(slide)
    (layer,) = [getattr(viewer, f"add_{kind}")(data, **kwargs) for data, kwargs, kind in layers]
    assert np.asarray(layer.data[-1]).min() > 90  # blank
    start_overviews(layers)
    qtbot.waitUntil(lambda: layer.metadata["slide"] is not slide, timeout=30_000)
    assert layer.metadata["slide"].id == slide.id
    assert np.asarray(layer.data[-1]).max() == 90
