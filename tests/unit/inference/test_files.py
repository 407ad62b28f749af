"""Result folders: what is loaded is what was saved, and what is damaged is refused in one line."""

import dataclasses
import errno
import json
import shutil
import stat

import numpy as np
import pytest
import zarr

from napari_gigaclf.errors import GigaclfError, ModelError, OutputError, ResultError
from napari_gigaclf.geometry import Box
from napari_gigaclf.inference import Prediction, classify
from napari_gigaclf.inference.features import MAX_HALF, to_half
from napari_gigaclf.models.pooling import POOLING_KINDS


@pytest.fixture(scope="module")
def predictions():
    return {}


@pytest.fixture
def predict(make_model, slide, tissue, predictions):
    def make(pooling="max"):
        if pooling not in predictions:
            predictions[pooling] = classify(slide, make_model(pooling=pooling), tissue=tissue, tile=96)
        return predictions[pooling]

    return make


@pytest.fixture
def folder(predict, tmp_path):
    return predict().save(tmp_path / "slide.gigaclf")


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("pooling", POOLING_KINDS)
def test_round_trip(predict, tmp_path, pooling, whole):
    saved = predict(pooling)
    loaded = Prediction.load(saved.save(tmp_path / "a" / "slide.gigaclf", whole_features=whole))
    for name in ("classes", "probabilities", "grid", "complete", "message", "record", "input_step"):
        assert getattr(loaded, name) == getattr(saved, name), name
    assert np.array_equal(loaded.probability_map, saved.probability_map, equal_nan=True)
    assert np.array_equal(loaded.store.features, saved.store.features if whole else to_half(saved.store.features))
    assert (saved.store.whole, loaded.store.whole) == (True, whole)
    assert np.array_equal(loaded.saliency.values, saved.saliency.values)
    assert np.array_equal(loaded.saliency.raw, saved.saliency.raw)
    assert (loaded.saliency.grid, loaded.saliency.raw_grid) == (saved.saliency.grid, saved.saliency.raw_grid)
    assert loaded.saliency.normalisation == saved.saliency.normalisation
    assert np.array_equal(loaded.tissue.mask, saved.tissue.mask)
    assert loaded.tissue.grid == saved.tissue.grid
    um_per_px = saved.record.slide.um_per_px
    assert um_per_px is not None
    assert loaded.tissue.area_um2 == pytest.approx(loaded.tissue.area_px * um_per_px[0] * um_per_px[1])
    for region in (Box(60, 200, 80, 280), (130.0, 180.0), (5.0, 390.0)):
        assert loaded.query(region) == saved.query(region)


def test_what_was_rounded_cannot_be_saved_whole(folder, tmp_path):
    with pytest.raises(OutputError, match="half precision; run the slide again"):
        Prediction.load(folder).save(tmp_path / "whole.gigaclf", whole_features=True)
    assert not (tmp_path / "whole.gigaclf").exists()


def test_features_too_large_for_half_precision_stay_finite(predict, tmp_path):
    saved = predict()
    large = np.array(saved.store.features)
    large[0, 0] = 1e6
    loaded = Prediction.load(
        dataclasses.replace(saved, store=dataclasses.replace(saved.store, features=large)).save(tmp_path / "large")
    )
    assert loaded.store.features[:1][0, 0] == MAX_HALF


def test_loaded_once_more_saved_over_itself(folder):
    again = Prediction.load(folder)
    with pytest.raises(OutputError, match="exists already"):
        again.save(folder)
    expected = np.array(again.probability_map)
    again.save(folder, overwrite=True)
    assert np.array_equal(Prediction.load(folder).probability_map, expected, equal_nan=True)
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_no_tissue_round_trip(make_model, slide, tissue, tmp_path):
    from napari_gigaclf.slides.tissue import TissueMask

    nothing = TissueMask.from_array(np.zeros_like(tissue.mask), tissue.grid)
    saved = classify(slide, make_model(), tissue=nothing)
    loaded = Prediction.load(saved.save(tmp_path / "empty.gigaclf"))
    assert loaded.probabilities == {}
    assert loaded.saliency is None
    assert loaded.query((100.0, 100.0)).message == "no tissue"


def test_opening_a_result_needs_no_torch(folder):
    import subprocess
    import sys

    program = (
        "import sys, numpy as np; from napari_gigaclf import Prediction\n"
        f"p = Prediction.load({str(folder)!r}); np.asarray(p.probability_map); np.asarray(p.saliency.values)\n"
        "assert not {'torch', 'napari', 'qtpy'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def edit(file, **changes):
    raw = json.loads(file.read_text())
    raw.update(changes)
    file.write_text(json.dumps(raw))


def array_metadata(folder, name, **changes):
    edit(folder / name / "zarr.json", **changes)


DAMAGE = {
    "no result.json": lambda f: (f / "result.json").unlink(),
    "half a result.json": lambda f: (f / "result.json").write_text((f / "result.json").read_text()[:900]),
    "not an object": lambda f: (f / "result.json").write_text("[]"),
    "deep": lambda f: (f / "result.json").write_text("[" * 100_000),
    "not a number": lambda f: edit(f / "result.json", input_step=[float("nan"), 1.0]),
    "too large": lambda f: (f / "result.json").write_text(" " * (1 << 25)),
    "another format": lambda f: edit(f / "result.json", format="napari-gigaclf result 99"),
    "unknown key": lambda f: edit(f / "result.json", surprise=1),
    "huge map": lambda f: edit(f / "result.json", grid={"origin": [0, 0], "step": [1, 1], "shape": [1 << 20, 1 << 20]}),
    "empty map": lambda f: edit(f / "result.json", grid={"origin": [0, 0], "step": [1, 1], "shape": [0, 5]}),
    "backward step": lambda f: edit(f / "result.json", grid={"origin": [0, 0], "step": [-1, 1], "shape": [5, 5]}),
    "other classes": lambda f: edit(f / "result.json", classes=["a", "b", "c"]),
    "foreign probabilities": lambda f: edit(f / "result.json", probabilities={"a": 1.0}),
    "more cells than kept": lambda f: edit(f / "result.json", num_cells=100_000),
    "no model": lambda f: (f / "model.json").unlink(),
    "broken model": lambda f: (f / "model.json").write_text("{}"),
    "no array": lambda f: shutil.rmtree(f / "features"),
    "other shape": lambda f: array_metadata(f, "features", shape=[3, 3]),
    "terabytes": lambda f: array_metadata(f, "saliency_raw", shape=[1 << 22, 1 << 22]),
    "huge chunks": lambda f: array_metadata(
        f, "features", chunk_grid={"name": "regular", "configuration": {"chunk_shape": [1 << 30, 128]}}
    ),
    "zero chunks": lambda f: array_metadata(
        f, "features", chunk_grid={"name": "regular", "configuration": {"chunk_shape": [0, 128]}}
    ),
    "other codec": lambda f: array_metadata(f, "features", codecs=[{"name": "numcodecs.pickle", "configuration": {}}]),
    "no codecs": lambda f: array_metadata(f, "features", codecs=None),
    "linked file": lambda f: relink(f),
}


def relink(folder):
    other = folder.parent / "elsewhere.json"
    shutil.move(folder / "model.json", other)
    (folder / "model.json").symlink_to(other)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_results_are_refused(folder, damage):
    DAMAGE[damage](folder)
    with pytest.raises(ResultError) as caught:
        Prediction.load(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x28\xb5\x2f\xfd" + b"\x00" * 40])
def test_a_damaged_chunk_is_an_error_where_it_is_read(folder, content):
    for chunk in (folder / "features" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(content)
    loaded = Prediction.load(folder)
    with pytest.raises(ResultError, match="cannot be read"):
        loaded.query((130.0, 180.0))


@pytest.mark.parametrize("content", [b"", b"rubbish"])
def test_a_damaged_head_is_an_error_where_it_is_used(folder, content):
    (folder / "head.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="weights cannot be read"):
        Prediction.load(folder).query((130.0, 180.0))


def test_something_that_is_no_result(tmp_path):
    for path in (tmp_path, tmp_path / "absent.gigaclf"):
        with pytest.raises(ResultError, match="not a result folder"):
            Prediction.load(path)


def test_a_full_disk_leaves_nothing(predict, tmp_path, monkeypatch):
    prediction = predict()
    create = zarr.Group.create_array
    calls = []

    def fail_later(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return create(self, *args, **kwargs)

    monkeypatch.setattr(zarr.Group, "create_array", fail_later)
    with pytest.raises(OutputError, match="No space left on device"):
        prediction.save(tmp_path / "slide.gigaclf")
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder(predict, tmp_path):
    import os

    if os.geteuid() == 0:
        target = tmp_path / "file"
        target.write_text("in the way")
        with pytest.raises(OutputError):
            predict().save(target / "slide.gigaclf")
        return
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError):
        predict().save(tmp_path / "slide.gigaclf")


def test_errors_are_ours():
    assert issubclass(ResultError, GigaclfError)
