"""The map as OME-TIFF and OME-Zarr: numbers, names, sizes and places come back through independent readers."""

import json
import resource
import time
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import numpy as np
import pytest
import tifffile
import zarr

from napari_gigaclf.errors import OutputError
from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.export_tiff import write_ome_tiff
from napari_gigaclf.inference.export_zarr import write_ome_zarr
from napari_gigaclf.inference.map_image import SMALLEST_LEVEL, MapImage, halved
from napari_gigaclf.slides import open_slide


def map_image(shape=(301, 167), um_per_px=(0.5, 0.25), classes=("normal", "tumour <&> 'ü'")):
    rng = np.random.default_rng(3)
    values = rng.random((len(classes), *shape), dtype=np.float32)
    values[:, : shape[0] // 3] = np.nan
    values[:, 0, 0] = 0.25
    grid = PixelGrid(origin=(64.0, 128.5), step=(32.0, 33.3), shape=shape)
    notes = {"model": "phantom-tumour", "complete": "false"}
    return MapImage(values=values, channels=classes, grid=grid, um_per_px=um_per_px, name="slide.svs", notes=notes)


def test_halving_is_the_mean_of_what_is_there():
    values = np.array([[[1, 3, np.nan, np.nan, 5], [np.nan, 2, np.nan, np.nan, np.nan]]], dtype=np.float32)
    np.testing.assert_array_equal(halved(values), [[[2, np.nan, 5]]])


def test_levels_keep_their_place_on_the_slide():
    levels = map_image().pyramid()
    assert max(levels[-1].grid.shape) <= SMALLEST_LEVEL < max(levels[-2].grid.shape)
    for fine, coarse in pairwise(levels):
        assert coarse.grid.shape == tuple(-(-n // 2) for n in fine.grid.shape)
        assert coarse.grid.origin == fine.grid.origin
        first = np.mean([fine.grid.centre_of(0, 0), fine.grid.centre_of(1, 1)], axis=0)
        np.testing.assert_allclose(coarse.grid.centre_of(0, 0), first)


def ome_xml(path):
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        return ElementTree.fromstring(tif.ome_metadata.encode())


def test_ome_tiff_holds_values_levels_names_and_size_of_a_cell(tmp_path):
    image = map_image()
    path = write_ome_tiff(tmp_path / "probability.ome.tif", image)
    with tifffile.TiffFile(path) as tif:
        (series,) = tif.series
        assert series.axes == "CYX"
        assert len(series.levels) == len(image.pyramid()) == 4
        for found, expected in zip(series.levels, image.pyramid(), strict=True):
            assert found.dtype == np.float32
            assert found.keyframe.is_tiled
            np.testing.assert_array_equal(found.asarray(), expected.values)
        resolution = tif.pages[0].get_resolution("MICROMETER")
        np.testing.assert_allclose(1 / np.array(resolution), [33.3 * 0.25, 16.0], rtol=1e-6)
    root = ome_xml(path)
    space = {"o": root.tag.split("}")[0].strip("{")}
    pixels = root.find(".//o:Pixels", space)
    assert float(pixels.get("PhysicalSizeX")) == pytest.approx(33.3 * 0.25)
    assert float(pixels.get("PhysicalSizeY")) == pytest.approx(16.0)
    assert pixels.get("PhysicalSizeXUnit") == "µm"
    assert [c.get("Name") for c in root.findall(".//o:Channel", space)] == list(image.channels)
    plane = root.find(".//o:Plane", space)
    assert (float(plane.get("PositionY")), float(plane.get("PositionX"))) == (32.0, 32.125)
    notes = json.loads(root.find(".//o:Description", space).text)
    assert notes["level0_corner_xy_px"] == [128.5, 64.0]
    assert notes["complete"] == "false"


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (64, 64), (65, 2)])
def test_ome_tiff_of_any_size_and_number_of_classes(tmp_path, shape):
    for classes in (("tumour",), ("a", "b", "c")):
        image = map_image(shape, um_per_px=None, classes=classes)
        path = write_ome_tiff(tmp_path / "a.ome.tif", image)
        with tifffile.TiffFile(path) as tif:
            np.testing.assert_array_equal(tif.asarray().reshape(image.values.shape), image.values)
            assert len(tif.series[0].levels) == len(image.pyramid())
        pixels = next(e for e in ome_xml(path).iter() if e.tag.endswith("Pixels"))
        assert pixels.get("PhysicalSizeX") is None, "no micrometres are claimed where they are unknown"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_is_valid_and_lies_where_the_map_lies(tmp_path, version):
    image = map_image()
    path = write_ome_zarr(tmp_path / "probability.ome.zarr", image, version=version)
    group = zarr.open_group(path, mode="r")
    if version == "0.4":
        from ome_zarr_models.v04 import Image
    else:
        from ome_zarr_models.v05 import Image
    parsed = Image.from_zarr(group)
    metadata = parsed.attributes if version == "0.4" else parsed.attributes.ome
    multiscale = metadata.multiscales[0]
    assert [a.name for a in multiscale.axes] == ["c", "y", "x"]
    assert [a.unit for a in multiscale.axes] == [None, "micrometer", "micrometer"]
    omero = (group.attrs if version == "0.4" else group.attrs["ome"])["omero"]
    assert [c["label"] for c in omero["channels"]] == list(image.channels)
    assert {(c["window"]["start"], c["window"]["end"]) for c in omero["channels"]} == {(0, 1)}
    for dataset, level in zip(multiscale.datasets, image.pyramid(), strict=True):
        array = group[dataset.path]
        np.testing.assert_array_equal(array[:], level.values)
        assert array.chunks == (1, 256, 256)
        assert np.isnan(array.fill_value)
        scale, translation = (
            np.array(t.scale if t.type == "scale" else t.translation) for t in dataset.coordinateTransformations
        )
        for row, column in [(0, 0), (level.grid.shape[0] - 1, 3)]:
            world = scale * (0, row, column) + translation
            centre = np.array(level.grid.centre_of(row, column))
            np.testing.assert_allclose(world[1:], (centre - 0.5) * image.um_per_px)
    assert group.attrs["gigaclf"]["model"] == "phantom-tumour"


def test_ome_zarr_of_a_slide_of_unknown_scale_is_in_pixels(tmp_path):
    image = map_image(um_per_px=None)
    group = zarr.open_group(write_ome_zarr(tmp_path / "a.ome.zarr", image, version="0.4"), mode="r")
    (multiscale,) = group.attrs["multiscales"]
    assert all("unit" not in axis for axis in multiscale["axes"])
    assert multiscale["datasets"][0]["coordinateTransformations"][0]["scale"] == [1.0, 32.0, 33.3]


def test_layout_on_disk_is_what_the_versions_ask_for(tmp_path):
    old = write_ome_zarr(tmp_path / "a.ome.zarr", map_image(), version="0.4")
    assert json.loads((old / "s0" / ".zarray").read_text())["dimension_separator"] == "/"
    assert json.loads((old / "s0" / ".zattrs").read_text())["_ARRAY_DIMENSIONS"] == ["c", "y", "x"]
    new = write_ome_zarr(tmp_path / "b.ome.zarr", map_image(), version="0.5")
    assert json.loads((new / "zarr.json").read_text())["attributes"]["ome"]["version"] == "0.5"
    assert json.loads((new / "s0" / "zarr.json").read_text())["dimension_names"] == ["c", "y", "x"]


@pytest.mark.parametrize("write", [write_ome_tiff, write_ome_zarr])
def test_a_second_result_replaces_the_first_and_a_full_disk_leaves_it(tmp_path, write):
    path = tmp_path / ("a.ome.tif" if write is write_ome_tiff else "a.ome.zarr")
    write(path, map_image((3, 3)))
    write(path, map_image((301, 167)))
    before = sorted((p, p.stat().st_size) for p in tmp_path.rglob("*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        with pytest.raises(OutputError, match="cannot be written") as caught:
            write(path, map_image((400, 400)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    time.sleep(0.2)  # zarr goes on with other chunks after one has failed, unless they are written one by one
    assert sorted((p, p.stat().st_size) for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("cell_um", [(16.0, 8.325), (31.04, 31.04), (64.0, 64.0)])
def test_the_maps_open_here_again_with_the_size_of_a_cell(tmp_path, cell_um):
    image = map_image(um_per_px=tuple(um / step for um, step in zip(cell_um, map_image().grid.step, strict=True)))
    for path in (
        write_ome_tiff(tmp_path / "probability.ome.tif", image),
        write_ome_zarr(tmp_path / "probability.ome.zarr", image),
    ):
        with open_slide(path) as slide:
            assert slide.um_per_px == pytest.approx(cell_um)
