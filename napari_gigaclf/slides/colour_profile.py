"""The ICC profile which a scanner wrote into its slide: what its red, green and blue look like.

It is read for the eye alone, on request. Levels never apply it: models have learnt from pixels as they lie in files.
"""

from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides.boundary import slide_errors

if TYPE_CHECKING:
    from napari_gigaclf.slides.slide import Slide

ICC_TAG = 34675
MAX_PROFILE_BYTES = 32 * 2**20
"""Scanners' profiles take from 500 bytes to 14 MB."""
LOOKED_AT = 256
"""Pages of a TIFF that are looked through for the finest level."""


def colour_profile(slide: "Slide") -> bytes | None:
    """Return the ICC profile of a slide's finest level; None if the file has none, or none that is read here.

    TIFF files of all makers are read, and with ``openslide-python`` installed what OpenSlide knows.

    Raises
    ------
    SlideError
        The profile is larger than any real one, or the file cannot be read any more.
    """
    path = slide.path
    if path is None or not path.is_file():
        return None
    finest = slide.levels[0]
    profile = _of_tiff(path, (finest.height, finest.width)) or _of_openslide(path)
    if profile is not None and len(profile) > MAX_PROFILE_BYTES:
        raise _too_large(path, len(profile))
    return profile


def _of_tiff(path: Path, shape: tuple[int, int]) -> bytes | None:
    import tifffile

    with slide_errors(path, "its colour profile cannot be read"):
        try:
            file = tifffile.TiffFile(path)
        except tifffile.TiffFileError:  # another kind of file
            return None
        with file:
            for page in islice(file.pages, LOOKED_AT):
                tags = getattr(page, "tags", None)
                tag = None if tags is None else tags.get(ICC_TAG)
                if tag is None or (page.imagelength, page.imagewidth) != shape:
                    continue
                if tag.count > MAX_PROFILE_BYTES:
                    raise _too_large(path, tag.count)
                return bytes(tag.value)
    return None


def _of_openslide(path: Path) -> bytes | None:
    with suppress(ImportError):
        import openslide

        with suppress(openslide.OpenSlideError), openslide.OpenSlide(str(path)) as handle:
            found = handle.color_profile
            return None if found is None else bytes(found.tobytes())
    return None


def _too_large(path: Path, num_bytes: int) -> SlideError:
    return SlideError(
        path, f"its colour profile says it has {num_bytes} bytes; more than {MAX_PROFILE_BYTES} are not read"
    )
