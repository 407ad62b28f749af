"""A file of painted masks: a zip of what each is (JSON) and the labels in the box that is painted, deflated.

The file is read without trust: how many masks there are, how large each is and what lies in it is checked before
anything is unpacked, and no more is unpacked than that.
"""

import json
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import OutputError, ResultError
from napari_gigaclf.models.records import parse, plain
from napari_gigaclf.viewer.slide_notes import MAX_COORDINATE
from napari_gigaclf.writing import replacing

FORMAT = "napari-gigaclf masks 1"
INDEX = "masks.json"
MAX_INDEX_BYTES = 1 << 18
MAX_MASKS = 20
"""Masks that are kept of one slide."""
MAX_PIXELS = 1 << 28
"""Pixels of one mask: a side of 16 384, what graphics cards draw at most."""
MAX_BYTES = 1 << 29
"""Bytes of the painted boxes of all masks, unpacked."""
MAX_SHOWN_BYTES = 1 << 32
"""Bytes of all masks as they are shown, whole."""
MAX_NAME = 1000
DTYPES = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
BROKEN = (OSError, ValueError, KeyError, EOFError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile)
"""What zipfile raises for files that are damaged, encrypted or packed in a way it does not know."""
LEVEL = 1
"""zlib's fastest: masks are large areas of one number."""


class MasksTooLarge(OutputError):
    """Masks are more than what is kept, wherever they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRecord:
    """What a mask is.

    Raises
    ------
    ValueError
        It is larger than what is kept, or lies nowhere.
    """

    name: str
    """The layer's name."""
    kind: str
    """``"mask"`` for the tissue mask of this program, ``"drawn"`` for a layer of the person's own."""
    dtype: str
    shape: tuple[int, int]
    """Rows and columns."""
    step: tuple[float, float]
    """Side of a pixel, (y, x), level-0 pixels."""
    origin: tuple[float, float]
    """Its first corner, (y, x), level-0 pixels."""
    box: tuple[int, int, int, int]
    """y0, y1, x0, x1 in its own pixels: outside all is 0."""
    stored: str
    """Type of the numbers in the file, as small as they allow."""

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        y0, y1, x0, x1 = self.box
        if min(self.shape) < 1 or math.prod(self.shape) > MAX_PIXELS:
            raise ValueError(f"a mask of {self.shape[0]} x {self.shape[1]} pixels is larger than what is kept")
        if not (0 <= y0 <= y1 <= self.shape[0] and 0 <= x0 <= x1 <= self.shape[1]):
            raise ValueError(f"the box {self.box} does not lie in {self.shape}")
        if not {self.dtype, self.stored} <= set(DTYPES) or len(self.name) > MAX_NAME or len(self.kind) > MAX_NAME:
            raise ValueError(f"no mask is of type {self.dtype!r}, or its name is too long")
        if not all(0 < each <= MAX_COORDINATE for each in self.step):
            raise ValueError(f"no pixel is {self.step} wide")
        if not all(abs(each) <= MAX_COORDINATE for each in self.origin):
            raise ValueError(f"no mask begins at {self.origin}")

    @property
    def num_bytes(self) -> int:
        """Bytes of its box, unpacked."""
        y0, y1, x0, x1 = self.box
        return (y1 - y0) * (x1 - x0) * np.dtype(self.stored).itemsize

    @property
    def num_shown_bytes(self) -> int:
        """Bytes of the whole of it, as it was painted on."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskIndex:
    """What lies in the file.

    Raises
    ------
    ValueError
        It is more than what is kept.
    """

    format: str
    masks: tuple[MaskRecord, ...]

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        if self.format != FORMAT or len(self.masks) > MAX_MASKS:
            raise ValueError(f"not {FORMAT!r}, or more than {MAX_MASKS} masks")
        if sum(record.num_bytes for record in self.masks) > MAX_BYTES:
            raise ValueError(f"what is painted takes more than the {MAX_BYTES >> 20} MiB that are kept")
        if sum(record.num_shown_bytes for record in self.masks) > MAX_SHOWN_BYTES:
            raise ValueError(f"the masks take more than the {MAX_SHOWN_BYTES >> 20} MiB that are kept")


def write_masks(path: Path, masks: Sequence[tuple[MaskRecord, NDArray[np.generic]]]) -> None:
    """Write masks, each with the labels in its box, in place of those that were there.

    Raises
    ------
    MasksTooLarge
        They are more than what is kept; those that were there stay.
    OutputError
        They cannot be written; those that were there stay.
    """
    try:
        index = MaskIndex(format=FORMAT, masks=tuple(record for record, _ in masks))
    except ValueError as error:
        raise MasksTooLarge(f"{error}: save their layers") from error
    with replacing(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as file:
        file.writestr(INDEX, json.dumps(plain(index)))
        for number, (record, labels) in enumerate(masks):
            with file.open(str(number), "w", force_zip64=True) as entry:
                for row in range(0, len(labels), 1024):
                    entry.write(np.ascontiguousarray(labels[row : row + 1024], dtype=record.stored).tobytes())


def read_masks(path: Path) -> list[tuple[MaskRecord, NDArray[np.generic]]]:
    """Read masks, each as large as it was.

    Raises
    ------
    ResultError
        The file is missing or damaged, or holds more than is kept.
    """
    try:
        with zipfile.ZipFile(path) as file:
            index = _index(_entry(file, INDEX, MAX_INDEX_BYTES), path)
            return [(record, _labels(file, number, record)) for number, record in enumerate(index.masks)]
    except BROKEN as error:
        raise ResultError(f"{path}: the painted masks cannot be read: {error}") from error


def _index(text: bytes, path: Path) -> MaskIndex:
    try:
        index = parse(MaskIndex, json.loads(text), path.name)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    assert isinstance(index, MaskIndex)
    return index


def _labels(file: zipfile.ZipFile, number: int, record: MaskRecord) -> NDArray[np.generic]:
    raw = _entry(file, str(number), record.num_bytes)
    if len(raw) != record.num_bytes:
        raise ValueError(f"mask {number} has {len(raw)} bytes, must have {record.num_bytes}")
    y0, y1, x0, x1 = record.box
    labels = np.zeros(record.shape, dtype=record.dtype)
    labels[y0:y1, x0:x1] = np.frombuffer(raw, dtype=record.stored).reshape(y1 - y0, x1 - x0)
    return labels


def _entry(file: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    """Unpack an entry; never more than is allowed, whatever it says of itself."""
    with file.open(name) as entry:
        data = entry.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"{name} is larger than the {max_bytes} bytes allowed")
    return data
