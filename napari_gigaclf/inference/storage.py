"""Arrays that may be too large for memory: small ones are plain arrays, large ones lie in a temporary file."""

import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import OutputError
from napari_gigaclf.writing import reason_of

IN_MEMORY_BYTES = 1 << 30
"""Largest array that is held in memory."""


def zeros(shape: tuple[int, ...], dtype: type[np.generic], in_memory_bytes: int = IN_MEMORY_BYTES) -> NDArray[Any]:
    """Return an array of zeros, in a temporary file that vanishes with the array where it is large.

    Raises
    ------
    OutputError
        The temporary folder has no room for it.
    """
    num_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if num_bytes <= in_memory_bytes:
        return np.zeros(shape, dtype=dtype)
    try:
        with tempfile.TemporaryFile(prefix="napari-gigaclf-") as file:
            if hasattr(os, "posix_fallocate"):  # a full disk must be an error now, not a bus error while writing
                os.posix_fallocate(file.fileno(), 0, num_bytes)
            return np.memmap(file, dtype=dtype, mode="w+", shape=shape)
    except OSError as error:
        raise OutputError(
            f"{tempfile.gettempdir()}: no room for {num_bytes / 1e9:.1f} GB of temporary results: {reason_of(error)}"
        ) from error
