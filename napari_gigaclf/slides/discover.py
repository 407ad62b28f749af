"""Which slides a folder holds. A folder can be a slide itself: OME-Zarr, or the files of one DICOM slide."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides.suffixes import SLIDE_SUFFIXES

_ZARR_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zarray")


def find_slides(given: Iterable[Path]) -> list[Path]:
    """Return the slides that are meant, each once, folders replaced by the slides in them.

    Raises
    ------
    SlideError
        A folder holds no slide. A file that is not there is left to be found out when it is opened.
    """
    found: dict[Path, None] = {}
    for path in given:
        slides = slides_in(path) if path.is_dir() and not is_slide_folder(path) else [path]
        if not slides:
            raise SlideError(path, "there are no slides in this folder")
        found.update(dict.fromkeys(slides))
    return list(found)


def is_slide_folder(folder: Path, most: int | None = None) -> bool:
    """Return whether a folder is one slide: OME-Zarr, or DICOM files with no slide of another format among them.

    At most ``most`` of what lies in it is looked at; None: all.
    """
    if any((folder / name).is_file() for name in _ZARR_FILES):
        return True
    suffixes = {child.suffix.lower() for child in islice(folder.iterdir(), most) if not child.name.startswith(".")}
    dicom = ".dcm" in suffixes or (folder / "DICOMDIR").is_file()
    return dicom and not suffixes & (SLIDE_SUFFIXES - {".dcm"})


def slides_in(folder: Path, most: int | None = None) -> list[Path]:
    """Return the slides right inside a folder, by name; results and hidden files are none.

    Parameters
    ----------
    folder
        Where to look.
    most
        So many of its files and folders are looked at, and so many of those in each folder; None: all.
    """
    children = sorted(child for child in islice(folder.iterdir(), most) if not child.name.startswith("."))
    return [child for child in children if _looks_like_slide(child, most)]


def _looks_like_slide(path: Path, most: int | None) -> bool:
    if path.is_dir():
        return path.suffix.lower() != ".gigaclf" and is_slide_folder(path, most)
    name = path.name.lower()
    return path.suffix.lower() in SLIDE_SUFFIXES or name.endswith(".zarr.zip")


def stem(path: Path) -> str:
    """Return a slide's name without its endings: ``a`` for ``a.svs``, ``a.ome.tif``, ``a.ome.zarr``."""
    name = path.resolve().name
    for ending in (".zip", *sorted(SLIDE_SUFFIXES), ".ome"):
        if name.lower().endswith(ending) and len(name) > len(ending):
            name = name[: -len(ending)]
    return name
