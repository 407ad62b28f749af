"""Opens a JSON file that may come from anywhere: plain or packed with gzip, limited in size and in depth."""

import gzip
import json
import zlib
from pathlib import Path
from typing import NoReturn

from napari_gigaclf.errors import AnnotationError

MAX_BYTES = 512 * 2**20
"""Unpacked size that is read at most; a million tiles with two measurements take about 350 MB."""

_GZIP_MAGIC = b"\x1f\x8b"


def load(path: Path, *, max_bytes: int = MAX_BYTES, strict: bool = False) -> object:
    """Return the parsed content of a JSON file.

    Parameters
    ----------
    path
        The file; gzip is recognised by its first bytes.
    max_bytes
        Limit of its size, unpacked.
    strict
        Refuse NaN and Infinity as bare words, names that occur twice in an object, and a byte-order mark.

    Raises
    ------
    AnnotationError
        It cannot be read, is too large, nested too deeply, or not JSON in UTF-8.
    """
    data = _bytes(path, max_bytes)
    try:
        text = data.decode("utf-8" if strict else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: not text in UTF-8 (byte {error.start})") from error
    del data
    try:
        if strict:
            return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
        return json.loads(text)
    except RecursionError as error:  # the parser's own limit, about a thousand; GeoJSON needs eight
        raise AnnotationError(f"{path}: nested too deeply") from error
    except ValueError as error:
        raise AnnotationError(f"{path}: not JSON: {error}") from error


def _bytes(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise AnnotationError(f"{path}: broken gzip: {error}") from error
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > max_bytes:
        raise AnnotationError(f"{path}: larger than the {max_bytes} bytes that are read")
    return data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found
