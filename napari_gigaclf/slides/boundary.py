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

_MAX_REASON = 200


def _reason(error: BaseException, doing: str) -> str:
    """Return one line that says what failed."""
    if type(error) is FileNotFoundError and error.errno is not None:
        return "there is no such file or folder"
    if isinstance(error, PermissionError):
        return "reading is not permitted"
    if isinstance(error, MemoryError):
        return f"{doing}: not enough memory"
    text = " ".join(str(error).split())[:_MAX_REASON]
    return f"{doing}: {text} ({type(error).__name__})" if text else f"{doing}: {type(error).__name__}"


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
        raise SlideError(path, _reason(error, doing)) from error
