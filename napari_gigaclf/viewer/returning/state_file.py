"""Keeps how slides were left in the user's own folder, one small JSON file per slide, read without trust.

As with verdicts (``inference.findings.review_file``), the name is a digest of the slide's fingerprint: the slide's own
folder may not be written to, and the file is found again wherever the slide is moved to. Reading imports nothing that
the first slide would wait for; writing is ``state_store``.
"""

import contextlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from napari_gigaclf.errors import ResultError
from napari_gigaclf.inference.stored_array import read_json
from napari_gigaclf.models.records import parse
from napari_gigaclf.viewer.returning.state import SlideState

FORMAT = "napari-gigaclf slide state 1"
MAX_BYTES = 1 << 20
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
