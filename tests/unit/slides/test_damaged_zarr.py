"""OME-Zarr stores that are damaged, huge, hostile or only unusual: pixels, or one SlideError, at once."""

import json
import shutil
import zipfile

import numpy as np
import pytest
import zarr

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides import open_slide
from napari_gigaclf.testing.slide_files import halved, picture, write_ome_zarr

IMAGE = picture(260, 200)


@pytest.fixture(params=["0.4", "0.5"])
def store(request, tmp_path):
    """Return a sound store of each version."""
    return write_ome_zarr(tmp_path / "slide.ome.zarr", IMAGE, request.param)


def change(path, edit):
    """Rewrite the JSON of a file in place."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def attributes(store):
    """Return the file with the root's attributes and the way to the OME part of them."""
    if (store / ".zattrs").exists():
        return store / ".zattrs", lambda content: content
    return store / "zarr.json", lambda content: content["attributes"]["ome"]


def level_json(store, level):
    """Return the file that describes a level's array."""
    name = ".zarray" if (store / level / ".zarray").exists() else "zarr.json"
    return store / level / name


def level_name(store, number):
    """Return the path of a level."""
    path, ome = attributes(store)
    return ome(json.loads(path.read_text()))["multiscales"][0]["datasets"][number]["path"]


def chunk_files(store, level):
    """Return the files of a level's chunks."""
    return sorted(
        f for f in (store / level).rglob("*") if f.is_file() and f.name not in (".zarray", ".zattrs", "zarr.json")
    )


def test_sound(store):
    with open_slide(store) as slide:
        assert slide.format.startswith("OME-Zarr 0.")
        assert [level.shape for level in slide.levels] == [(260, 200, 3), (130, 100, 3), (65, 50, 3)]
        assert (slide.um_per_px, slide.um_per_px_source) == ((0.4, 0.5), "OME-Zarr scale")
        assert np.array_equal(slide.levels[0][...], IMAGE)
        assert np.array_equal(slide.levels[1][...], halved(IMAGE))
        assert slide.levels[0].chunks == (64, 64, 3)
        assert slide.kind == "brightfield"


def test_missing_chunks_are_background(store):
    for file in chunk_files(store, level_name(store, 0))[3:]:
        file.unlink()
    with open_slide(store) as slide:
        whole = slide.levels[0][...]
        assert np.array_equal(whole[:64, :64], IMAGE[:64, :64])
        assert (whole[200:, 150:] == 255).all()


def test_cut_chunks_are_one_error(store):
    for file in chunk_files(store, level_name(store, 0)):
        file.write_bytes(file.read_bytes()[:10])
    with open_slide(store) as slide, pytest.raises(SlideError, match="cannot be read"):
        slide.read(0, 0, 64, 0, 64)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": NaN}', "\0\0", '{"zarr_format": 9}'])
def test_broken_json(store, text):
    attributes(store)[0].write_text(text)
    with pytest.raises(SlideError):
        open_slide(store)
    write_ome_zarr(store, IMAGE, "0.4")
    level_json(store, level_name(store, 0)).write_text(text)
    with pytest.raises(SlideError):
        open_slide(store)


@pytest.mark.parametrize(
    "damage",
    [
        lambda ome: ome.update(multiscales=[]),
        lambda ome: ome.update(multiscales={}),
        lambda ome: ome.update(multiscales=[None]),
        lambda ome: ome["multiscales"][0].update(axes=["c", "y", "y"]),
        lambda ome: ome["multiscales"][0].update(axes=[{"name": "q"}, {"name": "y"}, {"name": "x"}]),
        lambda ome: ome["multiscales"][0].pop("axes"),
        lambda ome: ome["multiscales"][0].update(datasets=[]),
        lambda ome: ome["multiscales"][0].update(datasets=[{}] * 3),
        lambda ome: ome["multiscales"][0].update(datasets=[{"path": "nowhere"}]),
        lambda ome: ome["multiscales"][0].update(datasets=[{"path": "../outside"}]),
        lambda ome: ome["multiscales"][0].update(datasets=[{"path": "/etc"}]),
        lambda ome: ome["multiscales"][0].update(datasets=[{"path": 7}]),
        lambda ome: ome["multiscales"][0].update(datasets=[{"path": "s0"}] * 1000),
    ],
)
def test_damaged_attributes(store, damage):
    path, ome = attributes(store)
    change(path, lambda content: damage(ome(content)))
    with pytest.raises(SlideError):
        open_slide(store)


@pytest.mark.parametrize(
    "scale", [None, [], [1], ["a", "b", "c"], [1, 0, 0], [1, -1, -1], [1, 1e400, 1], [1, 1e-9, 1e-9]]
)
def test_nonsense_scales_are_unknown(store, scale):
    path, ome = attributes(store)

    def edit(content):
        for dataset in ome(content)["multiscales"][0]["datasets"]:
            dataset["coordinateTransformations"] = None if scale is None else [{"type": "scale", "scale": scale}]
        for axis in ome(content)["multiscales"][0]["axes"]:
            axis.pop("unit", None)

    change(path, edit)
    with open_slide(store) as slide:
        assert (slide.um_per_px, slide.um_per_px_source) == (None, "unknown")
        assert [level.step for level in slide.levels] == [(1, 1), (2, 2), (4, 4)]


def test_terabytes_take_neither_time_nor_memory(store):
    def edit(content):
        content["shape"] = [3, 500_000, 500_000]

    change(level_json(store, level_name(store, 0)), edit)
    with open_slide(store) as slide:
        assert slide.levels[0].shape == (500_000, 500_000, 3)
        assert (slide.read(0, 499_990, 500_010, 10, 30) == 255).all()


@pytest.mark.parametrize("shape", [[3, 2**40, 2**40], [3, -5, 10], [3, 0, 10], [10**6, 64, 64], [260, 200], "x"])
def test_impossible_shapes(store, shape):
    change(level_json(store, level_name(store, 0)), lambda content: content.update(shape=shape))
    with pytest.raises(SlideError):
        open_slide(store)


def test_huge_chunks_are_refused(store):
    def edit(content):
        content["shape"] = [3, 100_000, 100_000]
        if "chunks" in content:
            content["chunks"] = [3, 50_000, 50_000]
        else:
            content["chunk_grid"]["configuration"]["chunk_shape"] = [3, 50_000, 50_000]

    change(level_json(store, level_name(store, 0)), edit)
    with pytest.raises(SlideError, match="chunks take 7153 MiB"):
        open_slide(store)


def test_a_codec_that_unpickles_is_refused(tmp_path):
    store = write_ome_zarr(tmp_path / "slide.ome.zarr", IMAGE, "0.4")
    change(level_json(store, level_name(store, 0)), lambda content: content.update(filters=[{"id": "pickle"}]))
    with pytest.raises(SlideError, match="pickle"):
        open_slide(store)


def test_objects_are_refused(tmp_path):
    store = write_ome_zarr(tmp_path / "slide.ome.zarr", IMAGE, "0.4")
    change(level_json(store, level_name(store, 0)), lambda content: content.update(dtype="|O"))
    with pytest.raises(SlideError):
        open_slide(store)


def zipped(store, path):
    """Return the store as a zip with the store's folder inside."""
    shutil.make_archive(str(path.with_suffix("")), "zip", store.parent, store.name)
    return path


def test_zip_has_the_pixels_and_id_of_the_folder(store, tmp_path):
    with open_slide(store) as folder, open_slide(zipped(store, tmp_path / "z.zip")) as inside:
        assert np.array_equal(folder.levels[0][...], inside.levels[0][...])
        assert folder.id == inside.id


def test_zips_that_are_none(store, tmp_path):
    good = zipped(store, tmp_path / "z.zip").read_bytes()
    bad = tmp_path / "bad.zip"
    for content, reason in ((good[: len(good) // 2], "zip"), (b"PK\3\4" + b"\0" * 100, "zip")):
        bad.write_bytes(content)
        with pytest.raises(SlideError, match=reason):
            open_slide(bad)
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("readme.txt", "no zarr")
    with pytest.raises(SlideError, match="holds no OME-Zarr"):
        open_slide(bad)


@pytest.mark.parametrize("name", ["../../escape/zarr.json", "/etc/zarr.json", "a/../../b"])
def test_zips_that_point_outside_are_refused(store, tmp_path, name):
    path = zipped(store, tmp_path / "z.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "{}")
    with pytest.raises(SlideError, match="points outside"):
        open_slide(path)


def test_a_zip_bomb_is_refused(tmp_path):
    path = zipped(write_ome_zarr(tmp_path / "slide.ome.zarr", IMAGE, "0.5"), tmp_path / "z.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb", "w") as file:
        for _ in range(260):
            file.write(bytes(2**20))
    with pytest.raises(SlideError, match="unpacks to 260 MiB"):
        open_slide(path)


def test_plates_and_plain_groups_are_refused(tmp_path):
    group = zarr.open_group(str(tmp_path / "plate.zarr"), mode="w", zarr_format=2)
    group.attrs["plate"] = {}
    with pytest.raises(SlideError, match="plate"):
        open_slide(tmp_path / "plate.zarr")
    zarr.open_group(str(tmp_path / "plain.zarr"), mode="w")
    with pytest.raises(SlideError, match="without OME"):
        open_slide(tmp_path / "plain.zarr")


def test_numbered_images_are_scenes(tmp_path):
    root = zarr.open_group(str(tmp_path / "many.zarr"), mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    second = picture(120, 90, seed=4)
    write_ome_zarr(tmp_path / "many.zarr" / "0", IMAGE, "0.4")
    write_ome_zarr(tmp_path / "many.zarr" / "1", second, "0.4")
    with open_slide(tmp_path / "many.zarr") as slide:
        assert slide.scenes == ("0", "1")
        first_id = slide.id
    with open_slide(tmp_path / "many.zarr", scene=1) as slide:
        assert np.array_equal(slide.levels[0][...], second)
        assert slide.id != first_id
        assert slide.scene == 1


def test_planes_and_single_channels(tmp_path):
    stack = np.random.default_rng(0).integers(0, 4000, (1, 5, 80, 60)).astype(np.uint16)
    group = zarr.open_group(str(tmp_path / "z.zarr"), mode="w", zarr_format=3)
    group.create_array("0", data=stack, chunks=(1, 1, 32, 32), shards=(1, 1, 64, 64))
    axes = [{"name": name, "type": "space"} for name in "tzyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    with open_slide(tmp_path / "z.zarr", z=4) as slide:
        assert (slide.num_z, slide.z, slide.num_channels, slide.kind) == (5, 4, 1, "other")
        assert slide.levels[0].chunks == (32, 32)
        assert np.array_equal(slide.levels[0][...], stack[0, 4])
