"""Reads a table as text, CSV or Parquet alike; what its cells mean is another file's business.

A table may come from anywhere: its size is looked at before it is read, and what is not plain text is refused with the
line it stands on.
"""

import csv
import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_gigaclf.errors import CohortError
from napari_gigaclf.writing import reason_of

MAX_ROWS = 1_000_000
MAX_BYTES = 256_000_000
MAX_COLUMNS = 1000
MAX_CELL_LETTERS = 32_768
"""No path and no list of classes is longer."""
MAX_PARQUET_BYTES = 1_000_000_000
"""Of a Parquet file unpacked, as it says itself."""
PARQUET_SUFFIXES = (".parquet", ".pq")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Spreadsheets put it before UTF-8."""
FIRST_ROW = 2
"""Number of the first row below the header, as a spreadsheet counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of texts."""

    path: Path
    sha256: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Cells without surrounding blanks; empty where there is nothing."""


def read_table(path: Path) -> Table:
    """Read a CSV (UTF-8, commas) or, by its ending, a Parquet file.

    Raises
    ------
    CohortError
        The file is missing, too large, or not such a table; for CSV with the line.
    """
    content = _content(path)
    sha256 = hashlib.sha256(content).hexdigest()
    if path.suffix.lower() in PARQUET_SUFFIXES:
        columns, rows = _parquet(path, content)
    else:
        columns, rows = _csv(path, content)
    return Table(path=path, sha256=sha256, columns=_header(path, columns), rows=tuple(rows))


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise CohortError(f"{path}: there is no such table; give a CSV or Parquet file")
        num_bytes = path.stat().st_size
        if num_bytes > MAX_BYTES:
            raise CohortError(f"{path}: the table has {num_bytes / 1e6:.0f} MB; at most {MAX_BYTES // 10**6} are read")
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise CohortError(f"{path}: the table cannot be read: {reason_of(error)}") from error


def _header(path: Path, columns: Sequence[str]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in columns)
    if len(names) > MAX_COLUMNS:
        raise CohortError(f"{path}: the table has {len(names)} columns; at most {MAX_COLUMNS} are read")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CohortError(f"{path}: line 1: column {twice[0]!r} is there twice")
    return names


def _csv(path: Path, content: bytes) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    text = _text(path, content)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    rows: list[tuple[str, ...]] = []
    try:
        for cells in reader:
            if header is None:
                header = cells
                continue
            if not cells:
                cells = [""] * len(header)  # an empty line: kept, so that the rows below keep their numbers
            if len(cells) != len(header):
                raise CohortError(f"{path}: line {reader.line_num}: {len(cells)} cells, but {len(header)} columns")
            if len(rows) == MAX_ROWS:
                raise CohortError(f"{path}: line {reader.line_num}: more than {MAX_ROWS} rows; divide the table")
            rows.append(tuple(_short(path, cell, f"line {reader.line_num}").strip() for cell in cells))
    except csv.Error as error:
        raise CohortError(f"{path}: line {reader.line_num}: not CSV: {error}") from error
    if header is None:
        raise CohortError(f"{path}: the table is empty; its first line names the columns: slide,label,split,group")
    return header, rows


def _text(path: Path, content: bytes) -> str:
    """Return the text of a CSV file; what is not plain UTF-8 is refused with its line."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CohortError(f"{path}: line 1: UTF-16; save the table as CSV in UTF-8")
    content = content.removeprefix(BYTE_ORDER_MARK)
    nul = content.find(b"\0")
    if nul >= 0:
        raise CohortError(f"{path}: line {_line_of(content, nul)}: a NUL byte; this is no CSV file")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = _line_of(content, error.start)
        raise CohortError(f"{path}: line {line}: not UTF-8; save the table as CSV in UTF-8") from error


def _line_of(content: bytes, place: int) -> int:
    return content.count(b"\n", 0, place) + 1


def _parquet(path: Path, content: bytes) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise CohortError(f'{path}: Parquet needs pyarrow: pip install "napari-gigaclf[train]"; or give CSV') from error
    try:
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
        unpacked = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if file.metadata.num_rows > MAX_ROWS or unpacked > MAX_PARQUET_BYTES:
            raise CohortError(
                f"{path}: {file.metadata.num_rows} rows, {unpacked / 1e6:.0f} MB unpacked; "
                f"at most {MAX_ROWS} rows and {MAX_PARQUET_BYTES // 10**6} MB are read"
            )
        columns = file.schema_arrow.names
        rows: list[tuple[str, ...]] = []
        for batch in file.iter_batches(batch_size=1024):
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                row = len(rows) + FIRST_ROW
                rows.append(tuple(_cell(path, value, row) for value in values))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CohortError(f"{path}: not a Parquet file that can be read: {reason}") from error
    return columns, rows


def _cell(path: Path, value: Any, row: int) -> str:  # noqa: ANN401 - whatever a Parquet column holds
    """Return a value of a Parquet table as a CSV file would have it."""
    if value is None:
        return ""
    if isinstance(value, str):
        if "\0" in value:
            raise CohortError(f"{path}: row {row}: a NUL byte")
        return _short(path, value, f"row {row}").strip()
    if isinstance(value, float) and value.is_integer() and math.fabs(value) < 2**53:
        return str(int(value))  # whole numbers with gaps come as floats: class "1" must not become "1.0"
    return str(value) if isinstance(value, bool | int | float) else _short(path, str(value), f"row {row}").strip()


def _short(path: Path, text: str, place: str) -> str:
    if len(text) > MAX_CELL_LETTERS:
        raise CohortError(f"{path}: {place}: a cell of {len(text)} letters; at most {MAX_CELL_LETTERS}")
    return text
