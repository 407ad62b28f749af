"""Archives of tiles: decoded in order, split by class, and refused where they are wrong."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.tiles import read_tar, split


def _png(value: int, side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path):
    def make(members: dict[str, bytes]):
        path = tmp_path / "tiles.tar"
        with tarfile.open(path, "w") as tar:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return path

    return make


def test_tiles_and_labels_in_the_order_of_names(archive, tmp_path):
    path = archive({"t/1/b.png": _png(3), "t/0/a.png": _png(1), "t/0/notes.txt": b"x", "t/1/a.png": _png(2)})
    tiles = read_tar(path, side_px=8)
    assert tiles.images[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert tiles.labels.tolist() == [0, 1, 1]
    for _ in range(2):  # written, then read back
        cached = read_tar(path, side_px=8, cache=tmp_path / "cache")
        assert np.array_equal(cached.images, tiles.images)
        assert np.array_equal(cached.labels, tiles.labels)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "no tiles inside"),
        ({"t/1/a.png": _png(1, side=9)}, "expected 8 x 8"),
        ({"t/tumour/a.png": _png(1)}, "no folder named by its class index"),
        ({"t/1/a.png": b"not an image"}, "cannot be decoded"),
        ({"t/1/a.png": bytes((1 << 20) + 1)}, "is not a tile"),
    ],
    ids=["empty", "size", "class", "broken", "large"],
)
def test_wrong_archives(archive, members, message):
    with pytest.raises(CohortError, match=message):
        read_tar(archive(members), side_px=8)


def test_missing_archive_and_no_archive(tmp_path):
    with pytest.raises(CohortError, match="no such archive"):
        read_tar(tmp_path / "none.tar")
    (tmp_path / "text.tar").write_text("hello")
    with pytest.raises(CohortError, match="not a readable tar"):
        read_tar(tmp_path / "text.tar")


def test_split_keeps_proportions_and_loses_nothing():
    labels = np.array([0] * 60 + [1] * 40)
    kept, held = split(labels, 20, seed=1)
    assert sorted([*kept, *held]) == list(range(100))
    assert np.bincount(labels[held]).tolist() == [12, 8]
    assert not np.array_equal(held, split(labels, 20, seed=2)[1])
    assert np.array_equal(held, split(labels, 20, seed=1)[1])
