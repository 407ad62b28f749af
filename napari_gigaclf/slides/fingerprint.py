"""A slide's fingerprint: a number that tells its content, whatever the file is called and wherever it lies.

SHA-256 over the length, the first and last MiB (header and, in nearly all files, the directory of tiles) and 32 blocks
of 16 KiB spread evenly between (a few tiles): 2.5 MiB are read of a file of any size. Two files that differ only
between the sampled blocks and have the same length get the same fingerprint; it names slides and is no proof against
tampering.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import SlideError

END_BYTES = 2**20
NUM_BLOCKS = 32
BLOCK_BYTES = 2**14
MAX_FILES = 4096
_WHOLE_ARRAY_BYTES = 2**26


def file_digest(path: Path) -> bytes:
    """Return the digest of one file from its length, both ends and a few blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        length = file.seek(0, 2)
        digest.update(length.to_bytes(8, "little"))
        if length <= 2 * END_BYTES + NUM_BLOCKS * BLOCK_BYTES:
            spans = [(0, length)]
        else:
            between = length - 2 * END_BYTES - BLOCK_BYTES
            spans = [(0, END_BYTES), (length - END_BYTES, END_BYTES)]
            spans += [(END_BYTES + between * i // (NUM_BLOCKS - 1), BLOCK_BYTES) for i in range(NUM_BLOCKS)]
        for start, size in spans:
            file.seek(start)
            digest.update(file.read(size))
    return digest.digest()


def file_fingerprint(path: Path) -> str:
    """Return the fingerprint of a slide in one file."""
    return hashlib.sha256(b"file" + file_digest(path)).hexdigest()


def files_fingerprint(paths: Iterable[Path]) -> str:
    """Return the fingerprint of a slide of several files, whatever their names and order."""
    listed = list(paths)
    if len(listed) > MAX_FILES:
        raise SlideError(listed[0].parent, f"more than {MAX_FILES} files in one slide")
    return hashlib.sha256(b"files" + b"".join(sorted(file_digest(path) for path in listed))).hexdigest()


def image_fingerprint(whole: str, scene: int, z: int) -> str:
    """Return the fingerprint of one scene and focal plane of a file; the first of both has the file's own."""
    if scene == 0 and z == 0:
        return whole
    return hashlib.sha256(f"{whole} scene {scene} z {z}".encode()).hexdigest()


def array_fingerprint(array: NDArray[Any]) -> str:
    """Return the fingerprint of an array: all of it up to 64 MiB, evenly spread rows of a larger one."""
    digest = hashlib.sha256(f"array {array.shape} {array.dtype.str}".encode())
    rows = max(1, int(_WHOLE_ARRAY_BYTES / max(1, array.nbytes / max(1, array.shape[0]))))
    step = max(1, -(-array.shape[0] // rows))
    for row in range(0, array.shape[0], step):
        digest.update(np.ascontiguousarray(array[row]).tobytes())
    return digest.hexdigest()
