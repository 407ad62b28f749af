"""Files of a model folder, read with limits before anything is allocated. No torch in here."""

from pathlib import Path

from napari_gigaclf.errors import ModelError
from napari_gigaclf.models.config import ModelConfig, parse_config
from napari_gigaclf.models.records import ConfigError

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
MAX_CONFIG_BYTES = 1 << 20
MAX_WEIGHTS_BYTES = 1 << 30


def read_config(folder: Path) -> ModelConfig:
    """Read and parse a folder's ``config.json``.

    Raises
    ------
    ModelError
        If it is missing, too large, a link out of the folder, or wrong.
    """
    data = _read(folder, CONFIG_NAME, MAX_CONFIG_BYTES)
    try:
        return parse_config(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ModelError(f"{folder}: {CONFIG_NAME} is not UTF-8 text") from error
    except ConfigError as error:
        raise ModelError(f"{folder}: {CONFIG_NAME}: {error}") from error


def read_weights(folder: Path) -> bytes:
    """Return the bytes of a folder's ``model.safetensors`` (raises ModelError as ``read_config`` does)."""
    return _read(folder, WEIGHTS_NAME, MAX_WEIGHTS_BYTES)


def _read(folder: Path, name: str, max_bytes: int) -> bytes:
    file = folder / name
    try:
        if not file.is_file():
            raise ModelError(f"{folder}: not a model folder, it lacks {name}")
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ModelError(f"{folder}: {name} leads out of the model folder")
        size = file.stat().st_size
        if size > max_bytes:
            raise ModelError(f"{folder}: {name} has {size} bytes, more than the {max_bytes} allowed")
        with file.open("rb") as handle:
            return handle.read(max_bytes)
    except OSError as error:
        raise ModelError(f"{folder}: {name} cannot be read ({error.strerror})") from error
