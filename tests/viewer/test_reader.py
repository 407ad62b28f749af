"""The reader: slides lazily, folders by what they hold, damaged files as one notification."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_gigaclf.slides.overview import needs_coarse_levels
from napari_gigaclf.viewer import reader
from napari_gigaclf.viewer.coarse import placeholder_levels


@pytest.fixture
def slide_path(tmp_path: Path, pixels: np.ndarray) -> Path:
    path = tmp_path / "slide.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        metadata = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeXUnit": "µm"}
        options = {"photometric": "rgb", "tile": (128, 128), "metadata": metadata}
        tiff.write(pixels, subifds=1, **options)
        tiff.write(pixels[::4, ::4], subfiletype=1, photometric="rgb", tile=(128, 128))
    return path


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr("napari.utils.notifications.show_error", messages.append)
    return messages


def test_a_tiff_is_read_level_by_level_as_it_lies_in_the_file(slide_path: Path, pixels: np.ndarray) -> None:
    read = reader.get_reader(str(slide_path))
    assert read is not None
    ((levels, kwargs, kind),) = read(str(slide_path))
    assert kind == "image"
    assert [level.shape for level in levels] == [(512, 640, 3), (128, 160, 3)]
    assert levels[0].level.chunks[:2] == (128, 128)
    assert levels[0].chunks[:2] == (256, 256), "shown several at a time"
    assert (kwargs["scale"], kwargs["units"], kwargs["rgb"]) == ((0.25, 0.25), ("um", "um"), True)
    assert np.array_equal(levels[0][100:140, 90:190], pixels[100:140, 90:190])
    kwargs["metadata"]["slide"].close()


def test_a_broken_file_is_one_notification_and_the_others_still_open(
    tmp_path: Path, slide_path: Path, notified: list[str]
) -> None:
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"II*\0" + b"\xff" * 100)
    layers = reader.read_paths([str(broken), str(slide_path)])
    assert len(layers) == 1
    layers[0][1]["metadata"]["slide"].close()
    (message,) = notified
    assert "broken.svs" in message
    assert "\n" not in message
    assert reader.read_paths(str(broken)) == [(None,)]


def test_missing_files_are_notified_too(tmp_path: Path, notified: list[str]) -> None:
    assert reader.read_paths(str(tmp_path / "nothing.tif")) == [(None,)]
    assert len(notified) == 1


def test_folders_are_claimed_only_if_they_look_like_slides(tmp_path: Path) -> None:
    assert reader.get_reader(str(tmp_path)) is None
    (tmp_path / "notes.txt").write_text("x")
    assert reader.get_reader(str(tmp_path)) is None
    (tmp_path / "a.dcm").write_bytes(b"")
    assert reader.get_reader(str(tmp_path)) is not None
    zarr = tmp_path / "b.zarr"
    zarr.mkdir()
    assert reader.get_reader(str(zarr)) is not None


def test_without_a_window_nothing_is_silently_left_out(
    tmp_path: Path, model_folder: Path, slide_path: Path, notified: list[str]
) -> None:
    geojson, result = tmp_path / "a.geojson", tmp_path / "a.gigaclf"
    geojson.write_text("[]")
    result.mkdir()
    for path in (geojson, result, model_folder, tmp_path):
        assert reader.get_reader(str(path)) is not None
        assert reader.read_paths(str(path)) == [(None,)]
    assert ["open their slide first" in notified[0], "lacks result.json" in notified[1]] == [True, True]
    assert all("What can be dropped: a slide" in message for message in notified[1:])
    assert len(notified) == 4


def test_a_huge_single_level_gets_blank_coarse_levels_that_take_no_memory() -> None:
    from napari_gigaclf.slides import open_slide

    slide = open_slide(np.broadcast_to(np.uint8(200), (20_000, 10_000, 3)))
    assert needs_coarse_levels(slide)
    levels = placeholder_levels(slide)
    assert levels[0] is slide.levels[0]
    assert [level.shape[0] for level in levels] == [20_000, 10_000, 5_000, 2_500, 1_250, 625]
    assert all(level.strides[:2] == (0, 0) for level in levels[1:])
    assert not needs_coarse_levels(open_slide(np.zeros((1000, 1000, 3), np.uint8)))


@pytest.mark.slow
def test_every_damaged_file_opens_or_is_notified(shared_data: Path, notified: list[str]) -> None:
    for path in sorted((shared_data / "corrupt").iterdir()):
        before = len(notified)
        layers = reader.read_paths(str(path))
        assert (layers == reader.NO_LAYERS) == (len(notified) == before + 1), path.name
        for slide in {
            id(layer[1]["metadata"]["slide"]): layer[1]["metadata"]["slide"] for layer in layers if layer[0]
        }.values():
            slide.close()
    assert all("\n" not in message for message in notified)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["pipe.geojson", "pipe.svs"])
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path, notified: list[str], name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert reader.read_paths(str(tmp_path / name)) == reader.NO_LAYERS
    assert "a pipe or a device" in notified[0]
