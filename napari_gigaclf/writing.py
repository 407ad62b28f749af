"""A result file is either whole or not there: it is written beside its place and moved there when complete.

A full disk, a read-only folder or a stopped program then leaves the previous file as it was and nothing half written.
Weakness: between the two renames that replace a *folder* there is a moment in which neither stands in its place.
"""

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_gigaclf.errors import OutputError


@contextlib.contextmanager
def replacing(path: str | Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a path beside ``path`` to write a file or a folder to; move it into place when the block ends well.

    Parameters
    ----------
    path
        Where the result belongs. Missing parent folders are made.
    overwrite
        Whether something that stands there already may be replaced.

    Yields
    ------
    Path
        A path in the same folder that does not exist yet. The block creates a file or a folder there, and does no
        other input or output whose failure could be taken for a failed write.

    Raises
    ------
    OutputError
        The folder cannot be written to, the disk is full, or something stands there and ``overwrite`` is false.
    """
    target = Path(path)
    if not overwrite and target.exists():
        raise OutputError(f"{target}: exists already")
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        _move(beside, target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {reason_of(error)}") from error
    except OutputError as error:  # of something written inside: named as it would have been called
        raise OutputError(str(error).replace(str(beside), str(target))) from error
    finally:
        _remove(beside)


def write_chunks(array: Any, values: NDArray[Any], first: int = 0) -> None:  # noqa: ANN401 - a zarr.Array
    """Write values into a zarr array one chunk after the other.

    zarr writes several chunks at once and, where one fails, goes on with the others behind our back: into a folder that
    ``replacing`` is about to remove.

    Parameters
    ----------
    array
        The array.
    values
        Of its shape, but for the first axis.
    first
        Where they begin on the first axis, at the border of a chunk.
    """
    for corner in product(*(range(0, n, c) for n, c in zip(values.shape, array.chunks, strict=True))):
        part = tuple(slice(a, min(a + c, n)) for a, c, n in zip(corner, array.chunks, values.shape, strict=True))
        array[(slice(part[0].start + first, part[0].stop + first), *part[1:])] = values[part]


def check_writable(folder: str | Path) -> None:
    """Find out before hours of work that nothing can be written to a folder; it is made if it is missing.

    Raises
    ------
    OutputError
        Nothing can be written there.
    """
    place = Path(folder)
    probe = place / f".{uuid.uuid4().hex[:8]}.probe"
    try:
        place.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
    except OSError as error:
        raise OutputError(f"{place}: cannot be written to: {reason_of(error)}") from error
    finally:
        _remove(probe)


def reason_of(error: OSError) -> str:
    """Return what an operating system error says, without numbers and paths."""
    return error.strerror or str(error) or type(error).__name__


def _move(beside: Path, target: Path) -> None:
    """Move ``beside`` to ``target``, whatever stands there."""
    if not target.is_dir() or target.is_symlink():
        beside.replace(target)
        return
    old = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old")
    target.replace(old)
    try:
        beside.replace(target)
    except OSError:
        old.replace(target)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    """Remove a file or a folder if it is there; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
