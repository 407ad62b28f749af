"""The one place where errors of image libraries become an error a person can read.

A damaged file makes the libraries below us raise almost anything. Measured over the damaged files of the test suites of
Pillow, libtiff, image-tiff, TwelveMonkeys, openslide, slideio, large_image and pydicom, the tuple below is what occurs;
programming errors of other types still come through.
"""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_gigaclf.errors import SlideError

LIBRARY_ERRORS: tuple[type[BaseException], ...] = (
    OSError,  # unreadable files; Pillow's UnidentifiedImageError
    ValueError,  # tifffile's TiffFileError, JSON, Unicode, zarr's errors
    LookupError,  # IndexError and KeyError from damaged directories
    TypeError,
    AttributeError,  # tags of an unexpected type
    ArithmeticError,  # ZeroDivisionError and OverflowError from zero or huge tags
    RuntimeError,  # imagecodecs' errors, NotImplementedError, RecursionError
    MemoryError,
    EOFError,
    AssertionError,
    SyntaxError,  # Pillow on broken PNG; xml.etree.ElementTree.ParseError
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
"""Types the decoding libraries raise for damaged files."""

DAMAGE: tuple[type[BaseException], ...] = (
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    AssertionError,
    SyntaxError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
"""Of these, what a library raises when it trips over bytes it did not expect: its words mean nothing to a person."""
DAMAGE_NAMES = ("TiffFileError", "UnidentifiedImageError")
"""Types that mean the same, of libraries which are not imported for this."""
DAMAGED = "it seems to be damaged or cut short; copy it again"
_MAX_REASON = 200


def _reason(error: BaseException, doing: str, path: str | Path) -> str:
    """Return one line that says what failed, and what to do where that is known."""
    if type(error) is FileNotFoundError and error.errno is not None:
        return "there is no such file or folder"
    if isinstance(error, PermissionError):
        return "reading is not permitted"
    if isinstance(error, MemoryError):
        return f"{doing}: not enough memory"
    text = " ".join(str(error).split())[:_MAX_REASON]
    kind = type(error).__name__
    if (isinstance(error, DAMAGE) or kind in DAMAGE_NAMES) and Path(path).exists():
        return f"{doing}: {DAMAGED} ({kind}: {text})" if text else f"{doing}: {DAMAGED} ({kind})"
    return f"{doing}: {text} ({kind})" if text else f"{doing}: {kind}"


@contextmanager
def slide_errors(path: str | Path, doing: str = "cannot be opened", *extra: type[Exception]) -> Iterator[None]:
    """Turn what a decoding library raises inside into one SlideError that names the file and the reason.

    Parameters
    ----------
    path
        File or folder, for the message.
    doing
        What failed, for a person.
    extra
        Types of an optional library which is only known once it is imported.
    """
    try:
        yield
    except (*LIBRARY_ERRORS, *extra) as error:
        raise SlideError(path, _reason(error, doing, path)) from error
