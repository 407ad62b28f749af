"""What a model is that shall be taught on: its name, the digest of its weights, how many features it has. No torch."""

import hashlib
import json
import math

from napari_gigaclf.errors import ModelError
from napari_gigaclf.inference.teaching.lesson import BaseModel
from napari_gigaclf.models.folder import WEIGHTS_NAME, read_config, read_weights
from napari_gigaclf.models.registry import find_model

MAX_HEADER_BYTES = 1 << 24


def describe_base(source: str) -> BaseModel:
    """Return what features of a model are called.

    Parameters
    ----------
    source
        Name of a built-in model, or its folder.

    Raises
    ------
    ModelError
        There is no such model, it is damaged, or its head is not one linear layer.
    """
    folder = find_model(source)
    config, data = read_config(folder), read_weights(folder)
    heads = [shape for name, shape in _shapes(data).items() if name.startswith("head.") and len(shape) == 2]
    if len(heads) != 1:
        raise ModelError(f"{folder}: a head of {len(heads)} linear layers; only a model with one can be taught")
    return BaseModel(
        name=config.name,
        version=config.version,
        sha256=hashlib.sha256(data).hexdigest(),
        source=source,
        num_features=heads[0][1],
    )


def _shapes(data: bytes) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a safetensors file, from its header alone."""
    length = int.from_bytes(data[:8], "little")
    problem = ModelError(f"{WEIGHTS_NAME} is not a readable safetensors file")
    if len(data) < 8 or length > min(MAX_HEADER_BYTES, len(data) - 8):
        raise problem
    try:
        header = json.loads(data[8 : 8 + length])
        found = {name: tuple(each["shape"]) for name, each in header.items() if name != "__metadata__"}
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        raise problem from error
    if not all(isinstance(side, int) and 0 < side < 1 << 31 for shape in found.values() for side in shape if shape):
        raise problem
    return {name: shape for name, shape in found.items() if math.prod(shape)}
