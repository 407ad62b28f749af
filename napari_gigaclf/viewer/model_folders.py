"""Folders of models that a person saved or added: remembered in the user's own folder, listed again in every window.

Only paths are kept. A folder is read anew, with the limits of any model folder, when models are listed; its weights are
not touched before the model is used.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.errors import ModelError, ResultError
from napari_gigaclf.viewer.worker import Worker

if TYPE_CHECKING:
    from napari_gigaclf.models import ModelConfig

FORMAT = "napari-gigaclf model folders 1"
MAX_BYTES = 1 << 18
MAX_FOLDERS = 30
"""Folders that are remembered, those that were used last."""
GONE = "the folder is not there"
_WRITING = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldersJson:
    """What stands in the file."""

    format: str
    folders: tuple[str, ...]
    """Absolute paths; the one that was used last at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedModels:
    """The models in the folders that are remembered."""

    models: "dict[str, ModelConfig]"
    """By folder."""
    missing: dict[str, str]
    """Why a folder's model cannot be used now, by folder."""


def folders_file() -> Path:
    """Return the file in which this user's folders of models are listed on this machine."""
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-gigaclf")) / "model-folders.json"


def remembered_folders() -> list[Path]:
    """Return the folders that are remembered, the one that was used last at the end.

    Raises
    ------
    ResultError
        The list is damaged, too large or of another version.
    """
    from napari_gigaclf.inference.stored_array import read_json
    from napari_gigaclf.models.records import ConfigError, parse

    path = folders_file()
    if not path.exists():
        return []
    raw = read_json(path, MAX_BYTES)
    if raw.get("format") != FORMAT:
        raise ResultError(f"{path}: format {str(raw.get('format'))[:60]!r}; this version reads {FORMAT!r}")
    try:
        found = parse(FoldersJson, raw, path.name)
    except ConfigError as error:
        raise ResultError(f"{path}: the list of your models cannot be understood: {error}") from error
    assert isinstance(found, FoldersJson)
    return [Path(each) for each in found.folders[-MAX_FOLDERS:] if Path(each).is_absolute()]


def remember(folder: Path) -> None:
    """Remember a folder of a model.

    Raises
    ------
    ResultError
        The list that is there cannot be read; it is left as it is.
    OutputError
        It cannot be written.
    """
    _change(folder.absolute(), listed=True)


def forget(folder: Path) -> None:
    """List a folder no longer in later windows; what is in it, if it is there, stays as it is.

    Raises
    ------
    ResultError
        The list that is there cannot be read; it is left as it is.
    OutputError
        It cannot be written.
    """
    _change(folder.absolute(), listed=False)


def _change(folder: Path, *, listed: bool) -> None:
    """Put a folder at the end of the list, or take it off."""
    import dataclasses
    import json

    from napari_gigaclf.writing import replacing

    with _WRITING:
        before = remembered_folders()
        others = [each for each in before if each != folder]
        after = [*others, folder][-MAX_FOLDERS:] if listed else others
        if after != before:
            kept = FoldersJson(format=FORMAT, folders=tuple(map(str, after)))
            with replacing(folders_file()) as path:
                path.write_text(json.dumps(dataclasses.asdict(kept), indent=1), encoding="utf-8")


def remember_soon(worker: Worker, folder: Path, problem: Callable[[str], None]) -> None:
    """Remember a folder of a model on a worker; ``problem`` is told why it cannot be."""
    worker.submit(lambda _job: remember(folder), lambda _done: None, problem)


def remembered_models() -> RememberedModels:
    """Return the models in the folders that are remembered; reads their configs alone. Imports no torch.

    Raises
    ------
    ResultError
        The list of folders cannot be read.
    """
    from napari_gigaclf.models.folder import read_config

    models: dict[str, ModelConfig] = {}
    missing: dict[str, str] = {}
    for folder in remembered_folders():
        try:
            if folder.is_dir():
                models[str(folder)] = read_config(folder)
            else:
                missing[str(folder)] = GONE
        except (ModelError, OSError) as error:
            missing[str(folder)] = str(error).removeprefix(f"{folder}: ")
    return RememberedModels(models=models, missing=missing)
