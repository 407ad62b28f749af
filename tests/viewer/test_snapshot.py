import dataclasses
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from napari_gigaclf.errors import OutputError
from napari_gigaclf.viewer.snapshot import MARGIN, Legend, Snapshot, save_snapshot, scale_bar, strip_height


@pytest.fixture
def snapshot():
    colours = np.stack([np.arange(64)] * 3, axis=1).astype(np.uint8) * 4
    legend = Legend(title="probability of <tumour>", colours=colours, low="0", high="1")
    pixels = np.full((400, 800, 3), (200, 120, 180), np.uint8)
    return Snapshot(pixels=pixels, um_per_px=0.5, caption=("slide & co",), legends=(legend,))


@pytest.mark.parametrize(
    ("um_per_px", "width", "um", "text"),
    [(0.25, 1000, 50, "50 µm"), (0.5, 800, 100, "100 µm"), (8.0, 1100, 2000, "2 mm"), (0.01, 300, 0.5, "0.5 µm")],
)
def test_the_bar_is_a_round_length_of_at_most_a_quarter(um_per_px, width, um, text):
    bar = scale_bar(um_per_px, width)
    assert (bar.um, bar.text) == (pytest.approx(um), text)
    assert bar.pixels * um_per_px == pytest.approx(bar.um)
    assert width / 10 - 1 <= bar.pixels <= width / 4


@pytest.mark.parametrize("name", ["a.png", "a.svg"])
def test_a_slide_whose_name_is_no_text_has_snapshots_too(snapshot, tmp_path, name):
    odd = b"slide \xff.svs".decode("utf-8", "surrogateescape")  # as Python names such a file on Linux
    save_snapshot(dataclasses.replace(snapshot, caption=(odd,)), tmp_path / name)
    data = (tmp_path / name).read_bytes()
    assert data.startswith(b"\x89PNG") or "slide ?.svs" in ET.fromstring(data.decode()).itertext()


def test_png_keeps_the_pixels_and_its_bar_has_the_length_it_says(snapshot, tmp_path):
    save_snapshot(snapshot, tmp_path / "a.png")
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    assert picture.shape == (400 + strip_height(snapshot), 800, 3)
    assert np.array_equal(picture[:400], snapshot.pixels)
    rows = (picture[400:, MARGIN : MARGIN + 200] == 0).all(axis=(1, 2))
    assert rows.sum() == 6, "100 um at 0.5 um per pixel"
    y = 400 + int(np.flatnonzero(rows)[0])
    assert (picture[y, MARGIN + 200] == 255).all()


def test_svg_has_the_same_picture_and_bar_and_texts_that_can_be_edited(snapshot, tmp_path):
    save_snapshot(snapshot, tmp_path / "a.svg")
    root = ET.parse(tmp_path / "a.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    (bar,) = [each for each in root.iter(f"{space}rect") if each.get("id") == "scale-bar"]
    assert float(bar.get("width")) == 200
    texts = [each.text for each in root.iter(f"{space}text")]
    assert {"100 µm", "slide & co", "probability of <tumour>", "0", "1"} <= set(texts)
    (image,) = root.iter(f"{space}image")
    assert re.match(r"data:image/png;base64,\w+", image.get("href"))


def test_no_bar_where_the_scale_is_unknown(snapshot, tmp_path):
    save_snapshot(Snapshot(pixels=snapshot.pixels, um_per_px=None, caption=("c",)), tmp_path / "a.svg")
    assert "scale-bar" not in (tmp_path / "a.svg").read_text()


def test_another_suffix_is_refused(snapshot, tmp_path):
    with pytest.raises(OutputError, match="ends so"):
        save_snapshot(snapshot, tmp_path / "a.bmp")
    assert not list(tmp_path.iterdir())
