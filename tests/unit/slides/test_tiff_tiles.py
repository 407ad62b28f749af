"""Tiles read straight from the file are those that zarr reads, whatever their codec, shape, type and place."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_gigaclf.errors import SlideError
from napari_gigaclf.geometry import Box
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.tiff_levels import zarr_array
from napari_gigaclf.slides.tiff_tiles import TileReader, is_plain
from napari_gigaclf.testing.slide_files import picture, write_sparse_tiff

IMAGE = picture(203, 157)
BOXES = [Box(0, 203, 0, 157), Box(5, 6, 150, 157), Box(60, 130, 63, 65), Box(192, 203, 100, 157)]
STORED = {
    "jpeg tiles": (IMAGE, {"tile": (64, 48), "compression": "jpeg", "photometric": "rgb"}),
    "jpeg ycbcr tiles": (IMAGE, {"tile": (64, 64), "compression": "jpeg", "photometric": "ycbcr"}),
    "jpeg 2000 tiles": (IMAGE, {"tile": (64, 64), "compression": "jpeg2000", "photometric": "rgb"}),
    "plain tiles": (IMAGE, {"tile": (64, 64), "photometric": "rgb"}),
    "predicted tiles": (IMAGE, {"tile": (64, 64), "compression": "lzw", "predictor": True, "photometric": "rgb"}),
    "strips": (IMAGE, {"rowsperstrip": 50, "compression": "zlib", "photometric": "rgb"}),
    "grey strips": (IMAGE[..., 0], {"rowsperstrip": 7, "photometric": "minisblack"}),
    "one strip": (IMAGE[..., 0], {"compression": "zlib", "photometric": "minisblack"}),
    "deep big-endian": (IMAGE.astype(">u2") * 200, {"tile": (64, 64), "photometric": "rgb", "byteorder": ">"}),
    "floats": (IMAGE[..., 1] / np.float32(7), {"tile": (64, 64), "compression": "zstd", "photometric": "minisblack"}),
    "bits": (IMAGE[..., 0] > 128, {"tile": (64, 64), "photometric": "minisblack"}),
}


def assert_same_as_zarr(series, fill: int, boxes: list[Box], *, workers: int | None = None) -> None:
    reader, array = TileReader(series, fill, workers=workers), zarr_array(series, 0, fill)
    for box in boxes:
        expected = np.asarray(array[box.slices])
        block = reader.read(box)
        assert block.dtype == expected.dtype.newbyteorder("=")
        assert np.array_equal(block, expected)


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("workers", [1, 4])
def test_plain_images_are_read_as_zarr_reads_them(tmp_path: Path, name: str, workers: int) -> None:
    pixels, options = STORED[name]
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, pixels, metadata=None, **options)
    with tifffile.TiffFile(path) as file:
        assert is_plain(file.series[0])
        assert_same_as_zarr(file.series[0], 0, BOXES, workers=workers)


def test_missing_tiles_are_filled(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    write_sparse_tiff(path, IMAGE)
    with tifffile.TiffFile(path) as file:
        series = file.series[0].levels[0]
        assert is_plain(series)
        assert 0 in series.keyframe.databytecounts
        assert_same_as_zarr(series, 255, [box for box in BOXES if box.y1 <= series.shape[0]])


@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "tcga-jpeg2000.svs", "metaplasia-HE-13198x11685.tif"])
def test_levels_of_real_slides_are_read_as_zarr_reads_them(shared_data: Path, name: str) -> None:
    with tifffile.TiffFile(shared_data / "slides" / name) as file:
        for series in file.series[0].levels:
            assert is_plain(series)
            height, width = series.shape[:2]
            corner = Box(max(0, height - 300), height, max(0, width - 500), width)
            assert_same_as_zarr(series, 255, [corner, Box(0, min(260, height), 0, min(260, width))])


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3, 64, 64), {"photometric": "minisblack"}),  # a stack of pages
        ((3, 64, 64), {"photometric": "rgb", "planarconfig": "separate", "tile": (16, 16)}),
        ((32, 64, 64), {"photometric": "minisblack", "volumetric": True, "tile": (16, 16, 16)}),
    ],
)
def test_what_is_stored_otherwise_is_left_to_zarr(tmp_path: Path, shape: tuple[int, ...], options: dict) -> None:
    path = tmp_path / "other.tif"
    tifffile.imwrite(path, np.arange(np.prod(shape), dtype=np.uint8).reshape(shape), metadata=None, **options)
    with tifffile.TiffFile(path) as file:
        assert not is_plain(file.series[0])


def test_threads_read_the_same_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "threads.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)
    tifffile.imwrite(path, pixels, tile=(32, 32), photometric="rgb", metadata=None)
    wrong = []
    with tifffile.TiffFile(path) as file:
        readers = [TileReader(file.series[0], 0) for _ in range(2)]  # two levels of a slide share the file likewise

        def read_all(number: int) -> None:
            for start in range(0, 480, 16):
                box = Box(start, start + 32, 0, 512)
                if not np.array_equal(readers[number % 2].read(box), pixels[box.slices]):
                    wrong.append(box)

        threads = [threading.Thread(target=read_all, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_a_tile_of_another_type_than_the_file_says_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lying.tif"
    tifffile.imwrite(path, IMAGE, tile=(64, 64), compression="jpeg2000", photometric="rgb", metadata=None)
    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, IMAGE.astype(np.uint16) * 200, tile=(64, 64), compression="jpeg2000", photometric="rgb")
    with tifffile.TiffFile(deep) as file:
        page = file.pages.first
        deep_tile = deep.read_bytes()[page.dataoffsets[0] : page.dataoffsets[0] + page.databytecounts[0]]
    with tifffile.TiffFile(path, mode="r+b") as file:
        page = file.pages.first
        at_end = path.stat().st_size
        page.tags["TileOffsets"].overwrite([at_end, *page.dataoffsets[1:]])
        page.tags["TileByteCounts"].overwrite([len(deep_tile), *page.databytecounts[1:]])
    with path.open("ab") as file:
        file.write(deep_tile)
    with open_slide(path) as slide:
        with pytest.raises(SlideError, match="samples of uint16"):
            slide.read(0, 0, 10, 0, 10)
        assert slide.read(0, 70, 80, 70, 80).shape == (10, 10, 3)


def test_the_first_pixels_of_a_plain_slide_import_no_zarr(tmp_path: Path) -> None:
    """Half of what opening the first slide took was the import of zarr; dask, scipy and others would be as dear."""
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, IMAGE, tile=(64, 64), compression="jpeg", photometric="rgb", metadata=None)
    script = f"""
import sys
from napari_gigaclf.viewer.reader import get_reader
path = {str(path)!r}
((levels, kwargs, kind),) = get_reader(path)(path)
levels[-1][:, :]
dear = ("zarr", "dask", "scipy", "skimage", "shapely", "ome_zarr", "openslide", "wsidicom", "torch", "napari.layers")
print([name for name in dear if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
