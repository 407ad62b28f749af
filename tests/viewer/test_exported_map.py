"""An exported map opens over its slide with the names of its classes; other files' channels have their own names."""

import numpy as np
import pytest
import tifffile

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.export_tiff import write_ome_tiff
from napari_gigaclf.inference.export_zarr import write_ome_zarr
from napari_gigaclf.inference.map_image import MapImage
from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer import reader


@pytest.fixture(params=[(0.5, 0.25), None], ids=["um", "pixels"])
def image(request):
    values = np.random.default_rng(0).random((2, 150, 90), dtype=np.float32)
    values[:, :50] = np.nan
    return MapImage(
        values=values,
        channels=("normal", "tumour"),
        grid=PixelGrid(origin=(-7.0, 12.0), step=(32.0, 33.0), shape=(150, 90)),
        um_per_px=request.param,
        name="slide.svs: probability",
        notes={"model": "tiny 1"},
    )


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("map.ome.tif", write_ome_tiff),
        ("map.ome.zarr", write_ome_zarr),
        ("map5.ome.zarr", lambda path, image: write_ome_zarr(path, image, version="0.5")),
    ],
)
def test_a_map_lies_where_it_was_computed(tmp_path, image, name, write):
    write(tmp_path / name, image)
    layers = reader.open_path(tmp_path / name).layers
    assert [kwargs["name"] for _, kwargs, _ in layers] == [f"{name}: normal", f"{name}: tumour"]
    assert [kwargs["visible"] for _, kwargs, _ in layers] == [False, True]
    scale, translate = image.grid.napari_transform(image.um_per_px)
    for channel, (levels, kwargs, kind) in enumerate(layers):
        assert kind == "image"
        np.testing.assert_allclose(kwargs["scale"], scale)
        np.testing.assert_allclose(kwargs["translate"], translate)
        assert kwargs["units"] == (("um", "um") if image.um_per_px else ("pixel", "pixel"))
        assert kwargs["contrast_limits"] == (0.0, 1.0)
        np.testing.assert_array_equal(np.asarray(levels[0]), image.values[channel])
        assert "slide" not in kwargs["metadata"]  # it is no slide to be classified
        assert len(levels) == len(image.pyramid())


def write_fluorescence(path, names, description=None):
    pixels = np.random.default_rng(0).integers(0, 900, (2, 64, 64)).astype(np.uint16)
    metadata = {"axes": "CYX", "Channel": {"Name": names}}
    if description is not None:
        metadata["Description"] = description
    tifffile.imwrite(path, pixels, ome=True, photometric="minisblack", metadata=metadata)


def test_channels_have_the_names_that_the_file_gives(tmp_path):
    write_fluorescence(tmp_path / "f.ome.tif", ["DAPI", "CD8"])
    layers = reader.open_path(tmp_path / "f.ome.tif").layers
    assert [kwargs["name"] for _, kwargs, _ in layers] == ["f.ome.tif DAPI", "f.ome.tif CD8"]
    assert all("slide" in kwargs["metadata"] for _, kwargs, _ in layers)


@pytest.mark.parametrize(
    "place", ["[1]", '[1e999, 0], "level0_cell_xy_px": [1, 1]', '[0, 0], "level0_cell_xy_px": [0, 1]']
)
def test_notes_that_are_damaged_are_no_place(tmp_path, place):
    write_fluorescence(tmp_path / "f.ome.tif", ["DAPI", "CD8"], f'{{"level0_corner_xy_px": {place}}}')
    layers = reader.open_path(tmp_path / "f.ome.tif").layers
    assert all("slide" in kwargs["metadata"] for _, kwargs, _ in layers)


def test_contrast_of_an_image_with_gaps(tmp_path):
    pixels = np.linspace(0, 100, 64 * 64, dtype=np.float32).reshape(64, 64)
    pixels[:8] = np.nan
    tifffile.imwrite(tmp_path / "f.tif", pixels)
    ((_, kwargs, _),) = reader.open_path(tmp_path / "f.tif").layers
    low, high = kwargs["contrast_limits"]
    assert 0 < low < high <= 100


def test_the_channels_of_another_scene_do_not_get_the_names_of_the_first(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 900, (2, 64, 64)).astype(np.uint16)
    with tifffile.TiffWriter(tmp_path / "two.ome.tif", ome=True) as writer:
        for names in (["DAPI", "CD3"], ["DAPI", "CD8"]):
            metadata = {"axes": "CYX", "Channel": {"Name": names}}
            writer.write(pixels, photometric="minisblack", metadata=metadata)
    for scene, named in ((0, "CD3"), (1, "channel 2")):
        with open_slide(tmp_path / "two.ome.tif", scene=scene) as slide:
            layers = reader.open_layers(slide)
        assert layers[1][1]["name"] == f"two.ome.tif [scene {scene}] {named}"
