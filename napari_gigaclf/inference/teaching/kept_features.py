"""Keeps the features of slides with the model that made them, to be found again when a slide is opened once more.

They lie in the user's cache folder as ordinary results (``.gigaclf``) with whole features, one per slide and model, and
can be deleted at any time: a run makes them again. All together have a size that is not exceeded; those that were not
used for the longest time go first.
"""

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.errors import OutputError
from napari_gigaclf.inference.teaching.lesson import Identity
from napari_gigaclf.writing import reason_of

if TYPE_CHECKING:
    from napari_gigaclf.inference.prediction import Prediction

MAX_BYTES = 20 * 2**30
"""Most that all kept features take; a million cells of 128 features take half a gigabyte."""
SUFFIX = ".gigaclf"
STALE_SECONDS = 24 * 3600
"""What a program that was killed left half written is removed after a day: another one may be writing now."""


def features_folder() -> Path:
    """Return the folder where features are kept on this machine."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("napari-gigaclf")) / "features"


class KeptFeatures:
    """A folder of results with whole features, limited in size.

    Several threads and programs may use it. A result that is replaced or deleted while it is read is a ``ResultError``.

    Parameters
    ----------
    folder
        Where they lie; None takes the user's own.
    max_bytes
        Most that all of them take.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self.max_bytes = max_bytes

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return features_folder() if self._folder is None else self._folder

    def path(self, slide_id: str, model: Identity) -> Path:
        """Return where the features of a slide by a model lie, or would lie."""
        name = "\n".join((slide_id, *model))
        return self.folder / f"{sha256(name.encode()).hexdigest()[:40]}{SUFFIX}"

    def find(self, slide_id: str, model: Identity) -> "Prediction | None":
        """Return the result whose features are kept; None where none are, or they do not belong there.

        Raises
        ------
        ResultError
            They are damaged; ``forget`` removes them.
        """
        from napari_gigaclf.inference.files import read_prediction

        path = self.path(slide_id, model)
        if not path.is_dir():
            return None
        found = read_prediction(path)
        made_by = found.record.model
        if found.record.slide.id != slide_id or (made_by.name, made_by.version, made_by.sha256) != model:
            return None
        if not found.store.whole:
            return None
        with contextlib.suppress(OSError):  # a folder that cannot be written to is still of use
            os.utime(path)
        return found

    def keep(self, prediction: "Prediction", spare: Collection[Path] = ()) -> Path:
        """Keep the features of a result in place of earlier ones of the same slide and model.

        Parameters
        ----------
        prediction
            The result.
        spare
            Those that are not deleted to make room for it, as others are that were not used for long.

        Raises
        ------
        OutputError
            They cannot be written, are larger than all that may be kept beside ``spare``, or are not whole.
        """
        model = prediction.record.model
        path = self.path(prediction.record.slide.id, (model.name, model.version, model.sha256))
        features = prediction.store.features
        size = int(features.shape[0]) * int(features.shape[1]) * 4
        if size > self.max_bytes:
            raise OutputError(
                f"{path}: these features take {size / 1e9:.1f} GB, more than the {self.max_bytes / 1e9:.1f} GB that "
                "are kept; the slide has to be read again when it is opened again"
            )
        spared = {path, *spare}
        if size + sum(_size(each) for each in spared - {path}) > self.max_bytes:
            raise OutputError(
                f"{path}: there is no room: all that is kept here may take {self.max_bytes / 1e9:.1f} GB, and what was "
                "kept together with it would have to go"
            )
        self._make_room(size, path, spared)
        prediction.save(path, overwrite=True, whole_features=True)
        self._make_room(0, path, spared)
        return path

    def forget(self, slide_id: str, model: Identity) -> int:
        """Delete the features of a slide by a model, and return how many bytes they took."""
        return self._remove(self.path(slide_id, model))

    def forget_all(self) -> int:
        """Delete all that is kept, and return how many bytes it took."""
        return sum(self._remove(path) for path in self._kept())

    def size(self) -> int:
        """Return how many bytes all that is kept takes."""
        return sum(_size(path) for path in self._kept())

    def _make_room(self, wanted: int, own: Path, spared: Collection[Path]) -> None:
        """Delete what was not used for the longest time until so many bytes are free."""
        self._remove_leftovers()
        others = sorted((path for path in self._kept() if path not in spared), key=_used)
        total = sum(_size(path) for path in self._kept() if not wanted or path != own)
        for path in others:
            if total + wanted <= self.max_bytes:
                return
            total -= self._remove(path)

    def _kept(self) -> list[Path]:
        try:
            return [path for path in self.folder.iterdir() if path.suffix == SUFFIX and not path.name.startswith(".")]
        except OSError:
            return []

    def _remove_leftovers(self) -> None:
        """Remove what was never finished."""
        try:
            hidden = [path for path in self.folder.iterdir() if path.name.startswith(".")]
        except OSError:
            return
        for path in hidden:
            if path.suffix in (".partial", ".old") and time.time() - _used(path) > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)

    def _remove(self, path: Path) -> int:
        """Delete one, and return how many bytes it took.

        First it is put out of sight, so that nobody finds half of it, under a name that nobody else uses: a folder
        that was left over is in the way of none, and of two who delete, one finds nothing any more.
        """
        size = _size(path)
        hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex}.old")
        try:
            path.replace(hidden)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise OutputError(f"{path}: cannot be deleted: {reason_of(error)}") from error
        shutil.rmtree(hidden, ignore_errors=True)
        return size


def _size(path: Path) -> int:
    """Return the bytes of the files in a folder."""
    total = 0
    for file in path.rglob("*"):
        with contextlib.suppress(OSError):
            total += file.lstat().st_size if file.is_file() else 0
    return total


def _used(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
