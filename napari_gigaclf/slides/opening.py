"""Opens a slide, whatever its format: the file's first bytes say which reader takes it."""

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides import image, openslide_formats
from napari_gigaclf.slides.array import ArraySlide
from napari_gigaclf.slides.boundary import slide_errors
from napari_gigaclf.slides.choice import choose_scene, choose_z
from napari_gigaclf.slides.memory import open_array
from napari_gigaclf.slides.slide import GIVEN_BY_USER
from napari_gigaclf.slides.suffixes import SLIDE_SUFFIXES

MAX_UM_PER_PX = 1000.0
_HEAD_BYTES = 132
_ZIP_MAGIC = b"PK\3\4"
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_slide(
    source: str | os.PathLike[str] | Any,  # noqa: ANN401 - a path or an array
    um_per_px: float | tuple[float, float] | None = None,
    *,
    scene: int | str | None = None,
    z: int | None = None,
) -> ArraySlide:
    """Open a slide lazily: its header is read, its pixels are not.

    Parameters
    ----------
    source
        A file or folder, an array (y, x) or (y, x, channel), or a sequence of arrays from fine to coarse.
    um_per_px
        Micrometres per pixel of level 0, one number or (y, x). It wins over what the file says, for all levels.
    scene
        Which scene of a file with several: its number or name; the first by default.
    z
        Which focal plane, counted from 0; the middle one by default.

    Returns
    -------
    Slide
        Levels from fine to coarse. Close it when done, or use it as a context manager.

    Raises
    ------
    SlideError
        If the file cannot be opened, or has no such scene or plane: one line that names the file and the reason.
    """
    given = _parse_scale(source, um_per_px)
    if isinstance(source, (str, os.PathLike)):
        path = Path(os.fspath(source))
        with slide_errors(path):
            slide = _open_path(path, scene, z)
    else:
        with slide_errors("array"):
            slide = open_array(source)
    _check_chosen(slide, scene, z)
    return slide if given is None else with_scale(slide, given, GIVEN_BY_USER)


def _check_chosen(slide: ArraySlide, scene: int | str | None, z: int | None) -> None:
    """Refuse a scene or plane that is not there, also for formats whose readers know of one only and do not look."""
    label = slide.path or slide.name
    try:
        choose_scene(label, slide.scenes, scene)
        choose_z(label, slide.num_z, z)
    except SlideError:
        slide.close()
        raise


def with_scale(slide: ArraySlide, um_per_px: tuple[float, float], source: str) -> ArraySlide:
    """Return the slide with other micrometres per pixel of level 0, (y, x), for all its levels."""
    return slide.replaced(dataclasses.replace(slide.facts, um_per_px=um_per_px, um_per_px_source=source))


def _parse_scale(source: Any, um_per_px: float | tuple[float, float] | None) -> tuple[float, float] | None:  # noqa: ANN401
    """Return (y, x) micrometres per pixel; SlideError if they cannot be true."""
    if um_per_px is None:
        return None
    label = source if isinstance(source, (str, os.PathLike)) else "array"
    pair = (um_per_px, um_per_px) if isinstance(um_per_px, (int, float)) else tuple(um_per_px)
    if len(pair) != 2 or not all(math.isfinite(v) and 0 < v <= MAX_UM_PER_PX for v in pair):
        raise SlideError(
            os.fspath(label),
            f"micrometres per pixel must be one or two numbers in (0, {MAX_UM_PER_PX:g}], not {um_per_px!r}",
        )
    return (float(pair[0]), float(pair[1]))


def _open_path(path: Path, scene: int | str | None, z: int | None) -> ArraySlide:
    """Choose the reader by what the file holds; formats whose first bytes mislead go by their suffix."""
    if path.is_dir():
        return _open_folder(path, scene, z)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if path.suffix.lower() in openslide_formats.SUFFIXES:
        return openslide_formats.open_with_openslide(path)
    if head[:4] in _TIFF_MAGIC:
        from napari_gigaclf.slides.tiff import open_tiff

        return open_tiff(path, scene=scene, z=z)
    return _open_other(path, head, scene, z)


def _open_other(path: Path, head: bytes, scene: int | str | None, z: int | None) -> ArraySlide:
    """Open a file that is no TIFF; its readers are imported here, so that the first TIFF does not wait for them."""
    from napari_gigaclf.slides import dicom, ome_zarr

    if head[dicom.MAGIC_OFFSET :].startswith(dicom.MAGIC):
        return dicom.open_dicom(path, z=z)
    if head.startswith(_ZIP_MAGIC):
        return ome_zarr.open_ome_zarr(path, scene=scene, z=z)
    if head.startswith(image.MAGIC):
        return image.open_image(path)
    if not head:
        raise SlideError(path, "the file is empty")
    return openslide_formats.open_with_openslide(path)


def _open_folder(path: Path, scene: int | str | None, z: int | None) -> ArraySlide:
    """Open a folder: OME-Zarr or DICOM."""
    from napari_gigaclf.slides import dicom, ome_zarr

    if ome_zarr.is_zarr_folder(path):
        return ome_zarr.open_ome_zarr(path, scene=scene, z=z)
    others = [file.name for file in sorted(path.iterdir()) if file.suffix.lower() in SLIDE_SUFFIXES - {".dcm"}]
    if others:
        raise SlideError(path, f"a folder of slides, not one slide; open one of them, such as {others[0]}")
    if any(file.is_file() and dicom.is_dicom(file) for file in sorted(path.iterdir())[: dicom.MAX_FILES]):
        return dicom.open_dicom(path, z=z)
    raise SlideError(path, "a folder that holds neither OME-Zarr nor DICOM files")
