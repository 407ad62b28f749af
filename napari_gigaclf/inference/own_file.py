"""A JSON file of a person's work: whole or not at all, and never over what another window has written there.

It is written beside its place, flushed to the disk and renamed, so that a program that is killed leaves the last whole
one.
"""

import json
import os
from pathlib import Path

from napari_gigaclf.errors import ConflictError, OutputError
from napari_gigaclf.models.records import plain
from napari_gigaclf.writing import replacing


class OwnFile:
    """A file as this program last saw it; for one thread at a time.

    Parameters
    ----------
    path
        Where it lies, or will lie.
    conflict
        What to say if another program has written there since: what is lost, and what to do.
    """

    def __init__(self, path: Path, conflict: str) -> None:
        self.path = path
        self._conflict = conflict
        self._seen: tuple[int, int, int] | None = None

    def look(self) -> bool:
        """Take the file as it is now, and return whether there is one; call before reading it."""
        self._seen = self._state()
        return self._seen is not None

    def write(self, record: object) -> None:
        """Write a record in place of the one that was there.

        Raises
        ------
        ConflictError
            Another program has written there since.
        OutputError
            The folder cannot be written to.
        """
        if self._state() != self._seen:
            raise ConflictError(f"{self.path}: {self._conflict}")
        write_record(self.path, record)
        self._seen = self._state()

    def _state(self) -> tuple[int, int, int] | None:
        """Return what changes whenever a file is replaced; None without one."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be looked at: {error.strerror}") from error
        return found.st_ino, found.st_mtime_ns, found.st_size


def write_record(path: Path, record: object) -> None:
    """Write a record (a dataclass) as JSON.

    Raises
    ------
    OutputError
        It cannot be written; the one that stood there stays.
    """
    text = json.dumps(plain(record), allow_nan=False, indent=1) + "\n"
    with replacing(path) as beside, beside.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
