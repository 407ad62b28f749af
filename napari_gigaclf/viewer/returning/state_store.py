"""Reads and writes the files of one slide: how it was left; shapes and points as GeoJSON; painted masks."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.annotations import Annotation, read_geojson, write_geojson
from napari_gigaclf.errors import OutputError
from napari_gigaclf.inference.own_file import OwnFile
from napari_gigaclf.viewer.returning.mask_file import MaskRecord, write_masks
from napari_gigaclf.viewer.returning.state import SlideState
from napari_gigaclf.viewer.returning.state_file import FORMAT, StateJson, read_state, state_path
from napari_gigaclf.writing import reason_of

MAX_DRAWING_BYTES = 1 << 28
MAX_ASIDE = 100
"""Files of one slide that could not be read and are kept."""


class StateStore:
    """The files of one slide, as this program last saw them; for one thread at a time.

    Parameters
    ----------
    folder
        Where states are kept.
    slide_id
        Fingerprint of the slide.
    """

    def __init__(self, folder: Path, slide_id: str) -> None:
        self.slide_id = slide_id
        self.path = state_path(folder, slide_id)
        self.drawings = self.path.with_suffix(".geojson")
        self.masks = self.path.with_suffix(".masks")
        self._file = OwnFile(
            self.path,
            "another window shows this slide and keeps how it is left; what is drawn in this one is not kept: save "
            "it, or close one of the two",
        )

    def load(self) -> SlideState | None:
        """Return how the slide was left; None if it never was.

        Raises
        ------
        ResultError
            The file is damaged, too large, of another version or about another slide.
        """
        return read_state(self.path, self.slide_id) if self._file.look() else None

    def load_drawings(self) -> list[Annotation]:
        """Return the shapes that were drawn on the slide.

        Raises
        ------
        AnnotationError
            They cannot be read.
        """
        return read_geojson(self.drawings, max_bytes=MAX_DRAWING_BYTES)

    def set_aside(self) -> Path | None:
        """Move a state that could not be read out of the way, and return where; what is drawn and painted stays.

        Raises
        ------
        OutputError
            It cannot be moved.
        """
        aside = _set_aside(self.path)
        self._file.look()
        return aside

    def set_drawings_aside(self) -> Path | None:
        """Move the drawn shapes out of the way (raises OutputError as ``set_aside`` does)."""
        return _set_aside(self.drawings)

    def set_masks_aside(self) -> Path | None:
        """Move the painted masks out of the way (raises OutputError as ``set_aside`` does)."""
        return _set_aside(self.masks)

    def save_masks(self, masks: Sequence[tuple[MaskRecord, NDArray[np.generic]]]) -> None:
        """Write painted masks in place of earlier ones.

        Raises
        ------
        OutputError
            They cannot be written.
        """
        if masks:
            write_masks(self.masks, masks)
        else:
            with contextlib.suppress(OSError):
                self.masks.unlink(missing_ok=True)

    def save(self, state: SlideState, drawn: Sequence[Annotation] | None) -> None:
        """Write a state, and the drawn shapes in place of earlier ones; None leaves those as they are.

        Raises
        ------
        ConflictError
            Another program has written there since.
        OutputError
            The folder cannot be written to.
        """
        self._file.write(StateJson(format=FORMAT, state=state))
        if drawn:
            write_geojson(self.drawings, drawn)
        elif drawn is not None:
            with contextlib.suppress(OSError):
                self.drawings.unlink(missing_ok=True)


def _set_aside(path: Path) -> Path | None:
    """Move a file to a name beside it that is free; None if it is gone."""
    names = (f"{path.name}.unread{number}" for number in ("", *(f"-{each}" for each in range(2, MAX_ASIDE))))
    aside = next((each for name in names if not (each := path.with_name(name)).exists()), None)
    if aside is None:
        raise OutputError(f"{path}: cannot be moved: there are {MAX_ASIDE} others beside it; delete some of them")
    try:
        path.replace(aside)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path}: cannot be moved: {reason_of(error)}") from error
    return aside
