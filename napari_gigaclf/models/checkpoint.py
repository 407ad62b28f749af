"""Model folders: ``config.json`` and ``model.safetensors``, read with limits and written whole or not at all.

Nothing in a model folder is executed: no pickle, no code, no path that leads out of the folder.
"""

import dataclasses
import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from napari_gigaclf.errors import ModelError
from napari_gigaclf.models.build import build_classifier
from napari_gigaclf.models.classifier import Classifier
from napari_gigaclf.models.config import dump_config
from napari_gigaclf.models.folder import CONFIG_NAME, WEIGHTS_NAME, read_config, read_weights
from napari_gigaclf.models.golden import golden_outputs
from napari_gigaclf.writing import replacing


def load_folder(folder: Path) -> Classifier:
    """Read a model folder.

    Returns
    -------
    Classifier
        In eval mode, on the CPU, in float32, needing no gradient.

    Raises
    ------
    ModelError
        One line: which folder, and what is missing, too large, unknown or not a number in it.
    """
    config = read_config(folder)
    data = read_weights(folder)
    try:
        tensors = load_tensors(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{folder}: {WEIGHTS_NAME} is not a readable safetensors file ({_one_line(error)})") from error
    model = build_classifier(config)
    _check(folder, model.state_dict(), tensors)
    model.load_state_dict(tensors)
    model.sha256 = hashlib.sha256(data).hexdigest()
    return model.eval().requires_grad_(requires_grad=False)


def save_model(model: Classifier, folder: str | Path) -> None:
    """Write a model folder, replacing one that stands there; golden outputs are measured anew.

    Raises
    ------
    OutputError
        If the folder cannot be written; what stood there then stays.
    """
    config = dataclasses.replace(model.config, golden=golden_outputs(model))
    data = _weights_file(model)
    with replacing(folder) as beside:
        beside.mkdir()
        (beside / CONFIG_NAME).write_text(dump_config(config), encoding="utf-8")
        (beside / WEIGHTS_NAME).write_bytes(data)
    model.config = config
    model.sha256 = hashlib.sha256(data).hexdigest()


def weights_digest(model: Classifier) -> str:
    """Return the digest that a model's weights have once it is saved, without saving it."""
    return hashlib.sha256(_weights_file(model)).hexdigest()


def _weights_file(model: Classifier) -> bytes:
    data: bytes = save_tensors({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()})
    return data


def _check(folder: Path, expected: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    missing, unknown = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or unknown:
        what = f"lacks {missing[0]}" if missing else f"holds the unknown tensor {unknown[0][:100]}"
        raise ModelError(f"{folder}: {WEIGHTS_NAME} {what}; it does not belong to the network of {CONFIG_NAME}")
    for name, tensor in found.items():
        want = expected[name]
        if tensor.shape != want.shape or tensor.dtype != want.dtype:
            raise ModelError(
                f"{folder}: {name} is {_describe(tensor)} in {WEIGHTS_NAME}, the network needs {_describe(want)}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{folder}: {name} in {WEIGHTS_NAME} holds values that are not finite")


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
