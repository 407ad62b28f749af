"""Keeps how slides were left in the user's own folder, one small JSON file per slide, read without trust.

As with verdicts (``inference.findings.review_file``), the name is a digest of the slide's fingerprint: the slide's own
folder may not be written to, and the file is found again wherever the slide is moved to. Shapes that a person drew lie
beside it as GeoJSON.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from napari_gigaclf.annotations import Annotation, read_geojson, write_geojson
from napari_gigaclf.errors import OutputError, ResultError
from napari_gigaclf.inference.own_file import OwnFile
from napari_gigaclf.inference.stored_array import read_json
from napari_gigaclf.models.records import parse
from napari_gigaclf.viewer.returning.state import SlideState
from napari_gigaclf.writing import reason_of

FORMAT = "napari-gigaclf slide state 1"
MAX_BYTES = 1 << 20
MAX_DRAWING_BYTES = 1 << 28
MAX_LISTED = 20_000
"""Files that are looked at for a list of slides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateJson:
    """What stands in the file."""

    format: str
    state: SlideState


def states_folder() -> Path:
    """Return the folder where this program keeps how slides were left, for this user on this machine."""
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-gigaclf")) / "slides"


def state_path(folder: Path, slide_id: str) -> Path:
    """Return where the state of a slide is kept."""
    return folder / f"{sha256(slide_id.encode()).hexdigest()[:40]}.json"


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

    def set_aside(self) -> None:
        """Move what could not be read out of the way, so that nothing of it is lost when the slide is left.

        Raises
        ------
        OutputError
            It cannot be moved.
        """
        _set_aside(self.path)
        self.set_drawings_aside()
        self._file.look()

    def set_drawings_aside(self) -> None:
        """Move the drawn shapes out of the way (raises OutputError as ``set_aside`` does)."""
        _set_aside(self.drawings)

    def save(self, state: SlideState, drawn: Sequence[Annotation] | None) -> None:
        """Write a state, and the drawn shapes in place of earlier ones; None leaves those as they are.

        Raises
        ------
        OutputError
            The folder cannot be written to, or another program has written there since.
        """
        self._file.write(StateJson(format=FORMAT, state=state))
        if drawn:
            write_geojson(self.drawings, drawn)
        elif drawn is not None:
            with contextlib.suppress(OSError):
                self.drawings.unlink(missing_ok=True)


def read_state(path: Path, slide_id: str | None = None) -> SlideState:
    """Read a state; see ``StateStore.load``. Without ``slide_id``, that of any slide.

    Raises
    ------
    ResultError
        It cannot be read, or is about another slide.
    """
    raw = read_json(path, MAX_BYTES)
    if raw.get("format") != FORMAT:
        raise ResultError(f"{path}: format {str(raw.get('format'))[:60]!r}; this version reads {FORMAT!r}")
    try:
        found = parse(StateJson, raw, path.name)
    except ValueError as error:  # ConfigError is one
        raise ResultError(f"{path}: cannot be understood: {error}") from error
    assert isinstance(found, StateJson)
    if slide_id is not None and found.state.slide_id != slide_id:
        raise ResultError(f"{path}: is about another slide")
    return found.state


def list_states(folder: Path) -> list[SlideState]:
    """Return the states that can be read, those written last first; a worker's work, since there may be thousands."""
    try:
        found = [path for path in folder.iterdir() if path.suffix == ".json"] if folder.is_dir() else []
        found.sort(key=lambda path: path.lstat().st_mtime_ns, reverse=True)
    except OSError:
        return []
    states = []
    for path in found[:MAX_LISTED]:
        with contextlib.suppress(ResultError):
            states.append(read_state(path))
    return states


def _set_aside(path: Path) -> None:
    try:
        path.replace(path.with_name(f"{path.name}.unread"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path}: cannot be moved: {reason_of(error)}") from error
