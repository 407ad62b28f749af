"""Which models there are, and loading one by name or folder. Listing them needs no torch."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.errors import ModelError
from napari_gigaclf.models.config import ModelConfig
from napari_gigaclf.models.folder import CONFIG_NAME, read_config

if TYPE_CHECKING:
    from napari_gigaclf.models.classifier import Classifier

BUILTIN_FOLDER = Path(__file__).parent / "builtin"
"""One folder per built-in model."""
MAX_SHOWN = 200
"""Letters of a wrong name that are shown."""


def list_models() -> tuple[ModelConfig, ...]:
    """Return the configs (name, classes, scale, card) of the built-in models, by name."""
    folders = sorted(folder for folder in BUILTIN_FOLDER.glob("*") if (folder / CONFIG_NAME).is_file())
    return tuple(read_config(folder) for folder in folders)


def model_config(name_or_path: str | Path) -> ModelConfig:
    """Return the config of a built-in model by its name, or of a model folder; needs no torch.

    Raises
    ------
    ModelError
        If there is no such model (the text names those there are), or its config is wrong.
    """
    return read_config(find_model(name_or_path))


def load_model(name_or_path: str | Path) -> "Classifier":
    """Load a built-in model by its name, or a model folder.

    Returns
    -------
    Classifier
        In eval mode, on the CPU.

    Raises
    ------
    ModelError
        If there is no such model (the text names those there are), or its folder is wrong.
    """
    folder = find_model(name_or_path)
    from napari_gigaclf.models.checkpoint import load_folder

    return load_folder(folder)


def find_model(name_or_path: str | Path) -> Path:
    """Return the folder of a built-in model by its name, or of a model folder; nothing in it is read.

    Raises
    ------
    ModelError
        If there is no such model (the text names those there are).
    """
    folder = BUILTIN_FOLDER / name_or_path if _is_builtin(name_or_path) else Path(name_or_path)
    if not _is_folder(folder):
        known = ", ".join(config.name for config in list_models())
        raise ModelError(
            f"no model {str(name_or_path)[:MAX_SHOWN]!r}: neither a model folder nor a built-in model ({known})"
        )
    return folder


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name too long for a file, or with a zero byte
        return False


def _is_builtin(name: str | Path) -> bool:
    return isinstance(name, str) and name in {folder.name for folder in BUILTIN_FOLDER.glob("*")}
