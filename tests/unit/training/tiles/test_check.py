"""A folder or an archive of tiles is looked at as a whole before anything runs, and every problem is named."""

import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image
from skimage.data import immunohistochemistry

from napari_gigaclf.errors import CohortError
from napari_gigaclf.testing.runs import kinds
from napari_gigaclf.testing.tiles import write_small_tiles
from napari_gigaclf.training.tiles import check_tiles


@pytest.fixture
def folder(tmp_path):
    return write_small_tiles(tmp_path / "tiles", per_patient=2)


def tile(path, value=100, size=(96, 96), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"RGB": 3, "RGBA": 4, "L": 0, "I;16": 0, "CMYK": 4}[mode]
    shape = (size[1], size[0], channels) if channels else (size[1], size[0])
    dtype = np.uint16 if mode == "I;16" else np.uint8
    Image.fromarray(np.full(shape, value, dtype), mode=mode if mode == "CMYK" else None).save(path, **options)


def test_a_folder_of_classes_and_patients_has_no_problem(folder):
    report = check_tiles(folder)
    assert report.problems == ()
    assert report.counts == {"no split": {"plain": 6, "spots": 6}}
    tiles = report.tiles
    assert tiles.side_px == 96
    assert tiles.cohort.classes == ("plain", "spots")
    row = next(row for row in tiles.cohort.rows if row.name == "spots/patient2/5.png")
    assert (tiles.cohort.label_text(row), row.group) == ("spots", "patient2")
    assert np.array_equal(tiles.images([row])[0], np.asarray(Image.open(folder / row.name)))


def test_an_archive_gives_what_its_folder_gives(folder, tmp_path):
    with tarfile.open(tmp_path / "tiles.tar", "w") as archive:
        archive.add(folder, "outer")
    one, other = check_tiles(folder).tiles, check_tiles(tmp_path / "tiles.tar").tiles
    assert [f"outer/{row.name}" for row in one.cohort.rows] == [row.name for row in other.cohort.rows]
    assert [row.labels for row in one.cohort.rows] == [row.labels for row in other.cohort.rows]
    assert np.array_equal(one.images(one.cohort.rows), other.images(other.cohort.rows))
    assert one.cohort.classes == other.cohort.classes
    other.close()


def test_a_compressed_archive_is_refused_with_what_to_do(folder, tmp_path):
    with tarfile.open(tmp_path / "tiles.tar.gz", "w:gz") as archive:
        archive.add(folder, "outer")
    with pytest.raises(CohortError, match="unpack it"):
        check_tiles(tmp_path / "tiles.tar.gz")


@pytest.mark.parametrize(("name", "words"), [("none", "no such folder"), ("empty", "there are no tiles")])
def test_nothing_to_check(tmp_path, name, words):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CohortError, match=words):
        check_tiles(tmp_path / name)


def test_all_problems_are_in_one_report(folder):
    (folder / "spots" / "patient0" / "bad.png").write_bytes(b"no picture")
    cut = folder / "spots" / "patient0" / "1.png"
    (folder / "spots" / "patient0" / "cut.png").write_bytes(cut.read_bytes()[:-3000])
    shutil.copy(cut, folder / "plain" / "patient0" / "copy.png")
    shutil.copy(cut, folder / "spots" / "patient0" / "again.png")
    tile(folder / "plain" / "patient0" / "size.png", size=(80, 96))
    tile(folder / "plain" / "patient0" / "deep.tif", mode="I;16")
    tile(folder / "plain" / "patient0" / "ink.tif", mode="CMYK")
    tile(folder / "plain" / "patient0" / "glass.png", mode="RGBA")
    tile(folder / "loose.png")
    report = check_tiles(folder)
    text = report.text
    assert sorted(kinds(report)) == sorted(
        ["no-class", "other-size", "two-classes", "two-classes", "copies", *["unreadable-tile"] * 5]
    )  # fmt: skip
    for words in (
        "loose.png: lies in no folder of a class", "bad.png: not a picture", "cut.png: cannot be decoded",
        "size.png: 80 x 96 px, others have 96 x 96", "deep.tif: colours of the kind 'I;16'", "ink.tif: colours of",
        "glass.png: partly transparent", "the same file as plain/patient0/copy.png, but of the classes plain and spots",
    ):  # fmt: skip
        assert words in text, words
    with pytest.raises(CohortError, match="the first of 9 errors"):
        report.raise_if_bad()


def test_greys_palettes_and_jpeg_are_read(tmp_path):
    tile(tmp_path / "a" / "grey.png", 7, mode="L")
    tile(tmp_path / "b" / "photo.jpg", 90)
    palette = np.zeros((96, 96, 3), np.uint8)
    palette[:48] = (10, 200, 30)
    Image.fromarray(palette).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "b" / "map.png")
    tiles = check_tiles(tmp_path).tiles
    images = dict(zip([row.name for row in tiles.cohort.rows], tiles.images(tiles.cohort.rows), strict=True))
    assert (images["a/grey.png"] == 7).all()
    assert np.array_equal(images["b/map.png"], palette)
    assert abs(int(images["b/photo.jpg"].mean()) - 90) <= 1


def test_the_middle_of_larger_tiles_is_looked_at(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (50, 61, 3), dtype=np.uint8)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(image + (name == "b")).save(tmp_path / name / "1.png")
    assert "not-square" in kinds(check_tiles(tmp_path))
    tiles = check_tiles(tmp_path, side_px=32).tiles
    assert np.array_equal(tiles.images(tiles.cohort.rows[:1])[0], image[9:41, 14:46])
    assert kinds(check_tiles(tmp_path, side_px=51)).count("too-small") == 2


def test_folders_of_splits_are_kept_and_leaks_named(tmp_path):
    for split, value in (("train", 1), ("val", 5)):
        for number, name in enumerate(("a", "b")):
            tile(tmp_path / split / name / "p1" / "1.png", value + number)
    report = check_tiles(tmp_path)
    assert report.counts == {"train": {"a": 1, "b": 1}, "tune": {"a": 1, "b": 1}, "test": {"a": 0, "b": 0}}
    assert kinds(report) == ["group-divided"]
    shutil.copy(tmp_path / "train" / "a" / "p1" / "1.png", tmp_path / "val" / "a" / "p1" / "2.png")
    assert "two-splits" in kinds(check_tiles(tmp_path))
    shutil.rmtree(tmp_path / "train" / "a")
    assert "split 'train' has no tile of a" in check_tiles(tmp_path).text


@pytest.mark.parametrize("outer", ["", "outer/"])
def test_a_folder_of_one_split_is_that_split(tmp_path, outer):
    for number, name in enumerate("ab"):
        tile(tmp_path / outer / "train" / name / f"p{number}" / "1.png", number)
    report = check_tiles(tmp_path)
    assert report.counts["train"] == {"a": 1, "b": 1}
    assert not report.errors
    (tmp_path / outer / "train").rename(tmp_path / outer / "test")
    report = check_tiles(tmp_path)
    assert report.counts["test"] == {"a": 1, "b": 1}
    assert "split 'train' has no tile of a, b" in report.errors[0].message


def test_patients_are_found_in_names(tmp_path):
    for number in range(4):
        for name in "ab":
            tile(tmp_path / name / f"P{number // 2}-{number}.png", 10 * number + (name == "b"))
    report = check_tiles(tmp_path)
    assert kinds(report) == ["no-groups"]
    assert not report.errors
    found = check_tiles(tmp_path, group=r"(P\d)-").tiles
    assert {row.group for row in found.cohort.rows} == {"P0", "P1"}
    assert kinds(check_tiles(tmp_path, group=r"Q\d")) == ["no-group"] * 8


def cut(path, row, column):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(immunohistochemistry()[row : row + 96, column : column + 96]).save(path)


def test_tiles_that_overlap_are_kept_on_one_side(tmp_path):
    for number, (row, column) in enumerate([(0, 0), (30, 10), (60, 20), (300, 200)]):
        cut(tmp_path / "a" / f"{number}.png", row, column)
        cut(tmp_path / "b" / f"{number}.png", row, column + 200)
    report = check_tiles(tmp_path)
    assert kinds(report) == ["no-groups", "overlaps"]
    assert "6 of 8 tiles overlap others, in 2 places" in report.warnings[1].message
    groups = {row.name: row.group for row in report.tiles.cohort.rows}
    assert groups["a/0.png"] == groups["a/1.png"] == groups["a/2.png"]
    assert len(set(groups.values())) == 4


def test_overlaps_between_splits_are_told(tmp_path):
    for number, split in enumerate(("train", "tune")):
        for name, column in (("a", 0), ("b", 250)):
            cut(tmp_path / split / name / "1.png", 20 * number, column)
    report = check_tiles(tmp_path)
    assert not report.errors
    (message,) = [problem.message for problem in report.warnings if problem.kind == "places-divided"]
    assert message.startswith("2 tiles overlap those of another split")
    assert "tune/a/1.png (tune) is of one place with train/a/1.png (train)" in message


def test_slides_of_one_patient_belong_together(tmp_path):
    for name in "ab":
        for patient in range(2):
            for slide in range(3):
                value = 100 * (name == "b") + 10 * patient + slide
                tile(tmp_path / name / f"P{patient}" / f"slide{slide}" / "1.png", value)
    assert {row.group for row in check_tiles(tmp_path).tiles.cohort.rows} == {"P0", "P1"}


def test_classes_that_were_asked_for_are_those_there_are(folder):
    report = check_tiles(folder, classes=("spots", "plaine"))
    assert "folder 'plain' (6 tiles): did you mean 'plaine'?" in report.text
    assert "there is no tile of class 'plaine'" in report.text
    assert check_tiles(folder, classes=("spots", "plain")).tiles.cohort.classes == ("spots", "plain")


def test_classes_that_are_numbers_are_sorted_as_numbers(tmp_path):
    for number in (10, 2, 1):
        tile(tmp_path / str(number) / "1.png", number)
    assert check_tiles(tmp_path).tiles.cohort.classes == ("1", "2", "10")


def test_one_class_is_none(tmp_path):
    tile(tmp_path / "a" / "1.png")
    assert "one-class" in kinds(check_tiles(tmp_path))
