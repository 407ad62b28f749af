"""Model folders: what is written comes back, and whatever is wrong in one ends in one line."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_gigaclf.errors import ModelError, OutputError
from napari_gigaclf.models import load_model, save_model
from napari_gigaclf.models.golden import golden_difference


def _edit_config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    raw = json.loads(file.read_text())
    raw.update(changes)
    file.write_text(json.dumps({key: value for key, value in raw.items() if value != "DELETE"}))


def _edit_weights(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def _refused(folder: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_round_trip(tmp_path, make_model):
    model = make_model()
    save_model(model, tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    image = torch.rand(1, 3, 100, 70)
    with torch.no_grad():
        assert torch.equal(loaded(image), model(image))
    assert loaded.config == model.config
    assert loaded.sha256 == model.sha256
    assert len(loaded.sha256) == 64
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert golden_difference(loaded) < 1e-5


def test_golden_outputs_notice_a_changed_weight(model_folder):
    model = load_model(model_folder)
    model.head[1].weight[0, :8] += 0.5
    assert golden_difference(model) > 1e-3


def test_saving_replaces_the_folder(model_folder, make_model):
    other = make_model(version="2.0")
    save_model(other, model_folder)
    assert load_model(model_folder).version == "2.0"
    assert sorted(p.name for p in model_folder.iterdir()) == ["config.json", "model.safetensors"]
    assert [p.name for p in model_folder.parent.iterdir()] == ["model"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path, make_model):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError):
        save_model(make_model(), tmp_path / "m")


def test_a_file_in_the_way_of_the_parent_folder(tmp_path, make_model):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        save_model(make_model(), tmp_path / "file" / "m")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file(model_folder, name):
    (model_folder / name).unlink()
    _refused(model_folder, f"not a model folder, it lacks {name}")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"extra": 1}, "config has the unknown key 'extra'"),
        ({"classes": "DELETE"}, "config lacks the key 'classes'"),
        ({"classes": "tumour"}, "config.classes must be a list"),
        ({"classes": ["a", "a"]}, "different names"),
        ({"classes": []}, "different names"),
        ({"network": "vgg"}, "config.network is 'vgg'; known are cell-net"),
        ({"network": ["cell-net"]}, "config.network is"),
        ({"um_per_px": True}, "config.um_per_px must be of type float, not bool"),
        ({"um_per_px": -1}, "between 0.01 and 1000"),
        ({"um_per_px": 10**400}, "finite"),
        ({"spread": [0.2, 0.2]}, "three positive"),
        ({"name": "../../etc"}, "may hold letters"),
        ({"format": "napari-gigaclf model 9"}, "this version reads"),
        ({"card": {}}, "config.card lacks the key"),
        ({"card": 3}, "config.card must be an object"),
        ({"golden": [{"pattern": 0, "side_px": 10**9, "logits": [0, 0]}]}, "side_px must be"),
        ({"golden": [{"pattern": 0, "side_px": 96, "logits": [0]}]}, "one logit per class"),
    ],
    ids=str,
)
def test_wrong_config(model_folder, changes, match):
    _edit_config(model_folder, **changes)
    _refused(model_folder, match)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "must be an object"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 200_000, "not valid JSON"),
        (b'{"name": NaN}', "lacks the key"),
        (b" " * ((1 << 20) + 1), "more than the 1048576 allowed"),
    ],
    ids=["cut", "list", "bytes", "deep", "nan", "large"],
)
def test_broken_config(model_folder, text, match):
    (model_folder / "config.json").write_bytes(text)
    _refused(model_folder, match)


def test_wrong_shape(model_folder):
    _edit_weights(model_folder, lambda t: t.update({"head.1.bias": torch.zeros(3)}))
    _refused(model_folder, r"head.1.bias is \(3,\) float32 in model.safetensors, the network needs \(2,\) float32")


def test_wrong_type(model_folder):
    _edit_weights(model_folder, lambda t: t.update({"head.1.bias": torch.zeros(2, dtype=torch.int64)}))
    _refused(model_folder, "int64")


def test_not_a_number(model_folder):
    _edit_weights(model_folder, lambda t: t.update({"head.1.bias": torch.tensor([0.0, float("nan")])}))
    _refused(model_folder, "head.1.bias in model.safetensors holds values that are not finite")


def test_missing_and_unknown_tensor(model_folder):
    _edit_weights(model_folder, lambda t: t.update({"bonus": torch.zeros(2)}))
    _refused(model_folder, "unknown tensor bonus")
    _edit_weights(model_folder, lambda t: (t.pop("bonus"), t.pop("head.1.bias")))
    _refused(model_folder, "lacks head.1.bias")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80\x04K\x01.", b"\xff" * 64, (1 << 62).to_bytes(8, "little") + b"{}"],
    ids=["empty", "pickle", "noise", "huge header"],
)
def test_weights_that_are_not_safetensors(model_folder, data):
    (model_folder / "model.safetensors").write_bytes(data)
    _refused(model_folder, "not a readable safetensors file")


def test_truncated_weights(model_folder):
    file = model_folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    _refused(model_folder, "not a readable safetensors file")


def test_too_large_weights_are_not_read(model_folder):
    with (model_folder / "model.safetensors").open("r+b") as handle:
        handle.truncate((1 << 30) + 1)  # sparse
    _refused(model_folder, "more than the 1073741824 allowed")


def test_a_link_out_of_the_folder(model_folder, tmp_path):
    outside = tmp_path / "outside.json"
    (model_folder / "config.json").rename(outside)
    (model_folder / "config.json").symlink_to(outside)
    _refused(model_folder, "leads out of the model folder")
