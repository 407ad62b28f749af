"""Where the files of tiles lie: in a folder, or in a tar archive that is read where it is. Nothing is unpacked."""

import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from napari_gigaclf.errors import CohortError
from napari_gigaclf.writing import reason_of

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
MAX_TILES = 5_000_000
MAX_FILE_BYTES = 64 * 2**20
"""A file larger than this is no tile."""


class TileFiles(Protocol):
    """Files of tiles by name."""

    path: Path
    """The folder or the archive."""
    names: tuple[str, ...]
    """Sorted; parts are joined by "/", from the folder on."""

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises
        ------
        OSError
            If it cannot be read.
        """

    def close(self) -> None:
        """Let go of what is open."""


class FolderFiles:
    """Files below a folder; hidden ones are passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found = []
        for folder, inner, files in os.walk(path):
            inner[:] = [name for name in inner if not name.startswith(".")]
            place = Path(folder).relative_to(path)
            found += [(place / name).as_posix() for name in files if _is_tile(name)]
            _check_number(path, len(found))
        self.names = tuple(sorted(found))

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with (self.path / name).open("rb") as file:
            size = os.fstat(file.fileno()).st_size  # Python makes room for as much as is asked for
            return file.read(min(size, MAX_FILE_BYTES) + 1)

    def close(self) -> None:
        """Nothing is open."""


class TarFiles:
    """Members of an uncompressed tar archive.

    Raises
    ------
    CohortError
        If it is compressed (tiles are read in random order, which a compressed archive cannot give), or no archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    if member.isfile() and not member.issparse() and _is_tile(member.name):
                        name = PurePosixPath(member.name).as_posix()  # without a leading "./"
                        self._places[name] = (member.offset_data, member.size)
                    _check_number(path, len(self._places))
        except (tarfile.TarError, OSError) as error:
            packed = _is_compressed(path)
            hint = "it is compressed: unpack it and give the folder" if packed else "give a folder or a tar archive"
            raise CohortError(f"{path}: not an archive that tiles can be read from; {hint}") from error
        self.names = tuple(sorted(self._places))
        self._file: BinaryIO = path.open("rb")

    def read(self, name: str) -> bytes:
        """Return the content of a member."""
        offset, size = self._places[name]
        self._file.seek(offset)
        data = self._file.read(min(size, MAX_FILE_BYTES + 1))
        if len(data) < min(size, MAX_FILE_BYTES + 1):
            raise OSError("the archive ends within it")
        return data

    def close(self) -> None:
        """Close the archive."""
        self._file.close()


def open_files(path: Path) -> TileFiles:
    """Find the tiles of a folder or an archive.

    Raises
    ------
    CohortError
        If there is nothing of this name, nothing in it, or it cannot be read.
    """
    try:
        if not path.exists():
            raise CohortError(f"{path}: there is no such folder, archive or table of tiles")
        files: TileFiles = FolderFiles(path) if path.is_dir() else TarFiles(path)
    except OSError as error:
        raise CohortError(f"{path}: cannot be read: {reason_of(error)}") from error
    if not files.names:
        files.close()
        kinds = ", ".join(IMAGE_SUFFIXES)
        raise CohortError(f"{path}: there are no tiles in it; expected are CLASS/NAME with one of the endings {kinds}")
    return files


def _is_tile(name: str) -> bool:
    base = name.rsplit("/", 1)[-1]
    return base.lower().endswith(IMAGE_SUFFIXES) and not base.startswith(".")


def _check_number(path: Path, number: int) -> None:
    if number > MAX_TILES:
        raise CohortError(f"{path}: more than {MAX_TILES} tiles; divide them")


def _is_compressed(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError:
        return False
    return start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd"))
