"""Opens the formats of other scanners (Ventana BIF, 3DHISTECH MRXS, Hamamatsu VMS and more) through OpenSlide.

OpenSlide is optional. It stitches Ventana's overlapping tiles, which is why BIF comes here first although it is a TIFF.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import MissingDependencyError, SlideError
from napari_gigaclf.geometry import Box
from napari_gigaclf.slides.array import ArraySlide, SlideFacts
from napari_gigaclf.slides.boundary import slide_errors
from napari_gigaclf.slides.colour import UINT8, over_white
from napari_gigaclf.slides.fingerprint import MAX_FILES, file_fingerprint, files_fingerprint
from napari_gigaclf.slides.kinds import kind_from_samples, middle
from napari_gigaclf.slides.level import LevelSource, level_step, same_picture
from napari_gigaclf.slides.limits import MAX_ASSOCIATED_BYTES, MAX_SIDE
from napari_gigaclf.slides.resolution import number, plausible
from napari_gigaclf.slides.slide import UNKNOWN_SCALE
from napari_gigaclf.slides.suffixes import KNOWN

HINT = 'pip install "napari-gigaclf[openslide]"'
SUFFIXES = (".bif", ".mrxs", ".vms", ".vmu", ".svslide", ".czi")
_DEFAULT_TILE = 512
_MAX_TILE = 4096


def open_with_openslide(path: Path) -> ArraySlide:
    """Open a slide through OpenSlide.

    Raises
    ------
    MissingDependencyError
        If OpenSlide is not installed; the text names the command that installs it.
    SlideError
        If OpenSlide cannot open the file.
    """
    try:
        import openslide
    except (ImportError, OSError) as error:  # OSError: the package is there, its shared library is not
        raise MissingDependencyError(path, f"this format is read through OpenSlide: {HINT}") from error
    with slide_errors(path, "OpenSlide cannot open it", openslide.OpenSlideError):
        if openslide.OpenSlide.detect_format(str(path)) is None:
            raise SlideError(path, f"this is no slide format known here: {KNOWN}")
        handle = openslide.OpenSlide(str(path))
        try:
            return _open(path, handle, (openslide.OpenSlideError,))
        except BaseException:
            handle.close()
            raise


def _open(path: Path, handle: Any, errors: tuple[type[Exception], ...]) -> ArraySlide:  # noqa: ANN401 - openslide
    """Build the slide over an open handle."""
    properties = handle.properties
    vendor = str(properties.get("openslide.vendor", "unknown"))
    found = (number(properties.get("openslide.mpp-y")), number(properties.get("openslide.mpp-x")))
    um_per_px: tuple[float, float] | None = None
    if found[0] is not None and found[1] is not None and plausible((found[0], found[1])):
        um_per_px = (found[0], found[1])
    sources = _sources(path, handle)
    coarsest = sources[-1]
    return ArraySlide(
        SlideFacts(
            name=path.name,
            path=path,
            format=f"{vendor.capitalize()} (OpenSlide)",
            dtype=UINT8,
            num_channels=3,
            um_per_px=um_per_px,
            um_per_px_source=UNKNOWN_SCALE if um_per_px is None else "OpenSlide (openslide.mpp-x)",
            properties=_technical(properties),
            associated=tuple(handle.associated_images),
        ),
        sources,
        kind=lambda: kind_from_samples(coarsest.fetch, [middle(coarsest.shape)], errors),
        fingerprint=lambda: _fingerprint(path),
        read_associated=lambda name: _associated(path, handle, name),
        on_close=handle.close,
        library_errors=errors,
    )


def _technical(properties: Any) -> dict[str, str]:  # noqa: ANN401 - openslide's mapping
    """Return the magnification, and where the scanned part begins: QuPath crops the slide to it (see annotations)."""
    names = {"openslide.objective-power": "objective magnification"}
    names |= {f"openslide.bounds-{axis}": f"openslide.bounds-{axis}" for axis in "xy"}
    found = {shown: number(properties.get(name)) for name, shown in names.items()}
    return {shown: f"{value:.10g}" for shown, value in found.items() if value is not None}


def _sources(path: Path, handle: Any) -> list[LevelSource]:  # noqa: ANN401 - openslide
    """Return the levels whose size falls and whose aspect holds."""
    sizes = [(int(height), int(width)) for width, height in handle.level_dimensions]
    if not sizes or min(sizes[0]) < 1 or max(sizes[0]) > MAX_SIDE:
        raise SlideError(path, f"its levels have the sizes {sizes[:4]}")
    sources: list[LevelSource] = []
    for level, size in enumerate(sizes):
        if sources and not (same_picture(sizes[0], size) and same_picture(sources[-1].shape, size)):
            continue
        sides = [
            number(handle.properties.get(f"openslide.level[{level}].tile-{side}")) or _DEFAULT_TILE
            for side in ("height", "width")
        ]
        tile = [int(side) if side <= _MAX_TILE else _DEFAULT_TILE for side in sides]
        sources.append(
            LevelSource(
                shape=size,
                chunks=(min(tile[0], size[0]), min(tile[1], size[1])),
                fetch=_fetch(handle, level, level_step(sizes[0], size)),
            )
        )
    return sources


def _fetch(handle: Any, level: int, step: tuple[float, float]) -> Callable[[Box], NDArray[Any]]:  # noqa: ANN401
    """Return the function that reads a level; what OpenSlide gives as transparent (no tile) becomes white."""

    def fetch(box: Box) -> NDArray[Any]:
        corner = (round(box.x0 * step[1]), round(box.y0 * step[0]))
        image = handle.read_region(corner, level, (box.shape[1], box.shape[0]))
        return over_white(np.asarray(image))

    return fetch


def _associated(path: Path, handle: Any, name: str) -> NDArray[Any]:  # noqa: ANN401 - openslide
    """Read a label, macro or thumbnail over white."""
    image = handle.associated_images[name]
    if image.size[0] * image.size[1] * 4 > MAX_ASSOCIATED_BYTES:
        raise SlideError(path, f"the associated image {name!r} is too large")
    return over_white(np.asarray(image.convert("RGBA")))


def _fingerprint(path: Path) -> str:
    """Return the fingerprint of the file and, for MRXS, of the folder of the same name beside it."""
    folder = path.with_suffix("")
    if not folder.is_dir():
        return file_fingerprint(path)
    inside = sorted(file for file in folder.iterdir() if file.is_file())
    return files_fingerprint([path, *inside[: MAX_FILES - 1]])
