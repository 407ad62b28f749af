"""A slide whose file ends too early says so: a tile that was lost is not one that was never written."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides import open_slide


def cut(path: Path, keep: float) -> None:
    """Write a tiled slide with its directory first (as scanners' streaming writers do) and cut its end off."""
    pixels = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)
    tifffile.imwrite(path, pixels, tile=(128, 128), photometric="rgb")
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * keep))


@pytest.mark.parametrize("keep", [0.01, 0.6])
def test_a_lost_tile_is_an_error_not_glass(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "cut.tif"
    cut(path, keep)
    with pytest.raises(SlideError, match="cut short"), open_slide(path) as slide:
        slide.read(0, 400, 500, 400, 500)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.tif", b"II*\0 broken"),
        ("b.tif", b"II*\0"),
        ("c.tif", b"MM\0*\0\0\0\x08\0"),
        ("d.png", b"\x89PNG\r\n\x1a\n12"),
        ("e.jpg", b"\xff\xd8\xff\xe0"),
        ("f.zip", b"PK\3\4xx"),
    ],
)
def test_a_damaged_file_says_what_to_do_in_words_of_ours(tmp_path: Path, name: str, head: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(head)
    with pytest.raises(
        SlideError, match=rf"{name}: cannot be opened: it seems to be damaged or cut short; copy it again"
    ):
        open_slide(path)


def test_a_file_without_an_image_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "e.tif"
    path.write_bytes(b"II*\0" + (8).to_bytes(4, "little") + bytes(6))  # one directory, with nothing in it
    with pytest.raises(SlideError, match=r"it holds no image: .*open the one that the scanner's program opens"):
        open_slide(path)


def test_what_is_there_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "cut.tif"
    cut(path, 0.6)
    expected = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)[:100, :100]
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read(0, 0, 100, 0, 100), expected)
