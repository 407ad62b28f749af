"""The command: archives in, a set of slides out; wrong wishes end in one line."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from napari_gigaclf import open_slide
from napari_gigaclf.training.mosaics.__main__ import main


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """30 tumour and 130 normal tiles of noise."""
    path = tmp_path_factory.mktemp("tiles") / "tiles.tar"
    generator = np.random.default_rng(0)
    with tarfile.open(path, "w") as tar:
        for k in range(160):
            pixels = generator.integers(*sorted(generator.choice(256, 2, replace=False)), (96, 96, 3), np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            info = tarfile.TarInfo(f"tiles/{int(k < 30)}/{k:03d}.png")
            info.size = buffer.tell()
            tar.addfile(info, io.BytesIO(buffer.getvalue()))
    return path


def test_a_set_from_an_archive(archive, tmp_path):
    wishes = ["--size", "768", "--num-train", "2", "--tune-share", "0", "--lesions", "isolated", "--share", "0.5"]
    assert main(["--tiles-train", str(archive), "--output", str(tmp_path), "--seed", "4", *wishes]) == 0
    assert (tmp_path / "cohort.csv").read_text().count("\n") == 3
    assert '"num_pairs"' in (tmp_path / "mosaics.json").read_text()
    with open_slide(tmp_path / "slides" / "train-0001.ome.tif") as slide:
        assert slide.levels[0].shape == (768, 768, 3)


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (["--num-test", "2"], "no test tiles"),
        (["--num-train", "1"], "even number"),
        (["--num-train", "2", "--size", "100"], "too small"),
        ([], "no slides are asked for"),
    ],
)
def test_wrong_wishes_end_in_one_line(archive, tmp_path, capsys, wishes, said):
    assert main(["--tiles-train", str(archive), "--output", str(tmp_path), *wishes]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
