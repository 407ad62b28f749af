"""Arrays of a result file, opened without being trusted and read where they are used.

The metadata of an array is read and checked by us before zarr sees it: the shape must be the expected one, chunks be
small, and only plain bytes and zstd are decoded, so that a folder from elsewhere cannot ask for terabytes or for code.
"""

import json
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import ResultError
from napari_gigaclf.slides.zarr_guard import guarded, local_store

MAX_METADATA_BYTES = 1 << 16
MAX_CHUNK_BYTES = 1 << 27
HOT_BYTES = 1 << 29
"""Arrays up to this size stay in memory once they were read as a whole or often."""
CODECS = frozenset({"bytes", "zstd"})


class StoredArray:
    """An array on disk that reads what is indexed; a damaged chunk is a ``ResultError``.

    Parameters
    ----------
    folder
        The zarr array.
    shape, dtype
        What it must be.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        import zarr

        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.ndim = len(shape)
        self.size = math.prod(shape)
        self.nbytes = self.size * self.dtype.itemsize
        self._folder = folder
        self._hot: NDArray[Any] | None = None
        self._lock = threading.Lock()
        self.chunks = _checked_chunks(folder, shape, self.dtype)
        try:
            self._array = guarded(zarr.open_array(local_store(folder), mode="r", zarr_format=3))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ResultError(f"{folder}: not a readable array ({_one_line(error)})") from error

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:  # noqa: ANN401 - what numpy allows
        """Read a part; small arrays are read once and kept."""
        with self._lock:
            if self._hot is None and self.nbytes <= HOT_BYTES:
                self._hot = self._read(...)
            hot = self._hot
        return self._read(index) if hot is None else np.asarray(hot[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ANN401 - numpy's own
        """Read all of it."""
        values = self[...]
        return np.array(values, dtype=dtype) if copy or dtype not in (None, values.dtype) else values

    def _read(self, index: Any) -> NDArray[Any]:  # noqa: ANN401
        try:
            return np.asarray(self._array[index])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, BufferError) as error:
            raise ResultError(f"{self._folder}: cannot be read ({_one_line(error)})") from error


def _checked_chunks(folder: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the chunk shape of an array whose metadata are what they must be."""
    meta = read_json(folder / "zarr.json", MAX_METADATA_BYTES)
    try:
        found = tuple(meta["shape"]), meta["data_type"], {codec["name"] for codec in meta["codecs"]}
        chunks = tuple(int(side) for side in meta["chunk_grid"]["configuration"]["chunk_shape"])
        extra = meta.get("storage_transformers")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultError(f"{folder}: not the metadata of an array") from error
    if found[0] != shape or found[1] != dtype.name:
        raise ResultError(f"{folder}: holds {found[1]} {found[0]}, must hold {dtype.name} {shape}")
    if not found[2] <= CODECS or extra:
        raise ResultError(f"{folder}: is coded with {', '.join(sorted(map(str, found[2])))}; only zstd is read")
    if min(chunks, default=0) < 1 or math.prod(chunks) * dtype.itemsize > MAX_CHUNK_BYTES:
        raise ResultError(f"{folder}: chunks of {chunks} are too large or empty")
    return chunks


def read_json(file: Path, max_bytes: int) -> dict[str, Any]:
    """Read a JSON object of limited size.

    Raises
    ------
    ResultError
        It is missing, too large, or not a JSON object.
    """
    text = read_bytes(file, max_bytes)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{file}: not valid JSON") from error
    if not isinstance(value, dict):
        raise ResultError(f"{file}: not a JSON object")
    return value


def read_bytes(file: Path, max_bytes: int) -> bytes:
    """Read a file of limited size that does not lead out of its folder.

    Raises
    ------
    ResultError
        It is missing, too large, a link, or cannot be read.
    """
    try:
        if file.is_symlink() or not file.is_file():
            raise ResultError(f"{file}: missing; the result is not complete")
        if file.stat().st_size > max_bytes:
            raise ResultError(f"{file}: larger than the {max_bytes} bytes allowed")
        return file.read_bytes()
    except OSError as error:
        raise ResultError(f"{file}: cannot be read ({error.strerror})") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
