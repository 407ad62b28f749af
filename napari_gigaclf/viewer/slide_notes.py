"""What the widgets of a window know of a slide, and which is there again when the slide, or the widget, is.

One book per viewer. Widgets write into it and read from it; what keeps slides (``returning``) does the same with the
slide's file. So neither needs to know whether the other is there. All methods belong to the GUI thread.
"""

import dataclasses
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_gigaclf.viewer.proxied import key_of, model_of

MAX_ASKED = 200
"""Places that were asked about which are kept of one slide; the latest."""
MAX_LETTERS = 400_000
"""Letters of all their outlines together."""
MAX_LABEL = 1000
MAX_COORDINATE = 1e9
"""Pixels of level 0; nothing that is kept lies farther out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPlace:
    """A place that was asked about: a point, a box or an area.

    Raises
    ------
    ValueError
        It is not one of the three, or lies nowhere.
    """

    point: tuple[float, float] | None = None
    """(y, x), level-0 corner coordinates: a click."""
    box: tuple[int, int, int, int] | None = None
    """y0, y1, x0, x1, level-0 pixels."""
    area: str | None = None
    """Well-known text, (x, y), level-0 corner coordinates."""
    threshold: float = 0.5
    """Probability from which tissue counted as the class."""
    label: str = ""
    """What the area is, for a person."""

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        if (self.point is None) + (self.box is None) + (self.area is None) != 2:
            raise ValueError("a place is a point, a box or an area")
        if not all(abs(value) <= MAX_COORDINATE for value in (*(self.point or ()), *(self.box or ()))):
            raise ValueError("a place lies on no slide")
        if self.box is not None and not (self.box[0] < self.box[1] and self.box[2] < self.box[3]):
            raise ValueError(f"the box {self.box} is empty")
        if not 0 <= self.threshold <= 1 or len(self.label) > MAX_LABEL:
            raise ValueError("a threshold lies from 0 to 1, and a label is short")


@dataclass(frozen=True, slots=True, kw_only=True)
class HotspotsShown:
    """Which hotspots were listed.

    Raises
    ------
    ValueError
        The threshold does not lie from 0 to 1, or the name is too long.
    """

    class_name: str
    threshold: float

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        if not 0 <= self.threshold <= 1 or len(self.class_name) > MAX_LABEL:
            raise ValueError(f"no list of hotspots begins at {self.threshold}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideNotes:
    """What is known of one slide.

    Raises
    ------
    ValueError
        There is more than is kept.
    """

    asked: tuple[AskedPlace, ...] = ()
    """In the order of the table."""
    hotspots: HotspotsShown | None = None

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        if len(self.asked) > MAX_ASKED or sum(len(each.area or "") for each in self.asked) > MAX_LETTERS:
            raise ValueError(f"more than {MAX_ASKED} places, or {MAX_LETTERS} letters of their outlines")


def latest(asked: tuple[AskedPlace, ...]) -> tuple[AskedPlace, ...]:
    """Return as many of the places as are kept, those that were asked last."""
    kept: list[AskedPlace] = []
    letters = 0
    for each in reversed(asked[-MAX_ASKED:]):
        letters += len(each.area or "")
        if letters > MAX_LETTERS:
            break
        kept.append(each)
    return tuple(reversed(kept))


class NoteBook:
    """The notes on the open slides of a viewer."""

    def __init__(self) -> None:
        self._notes: dict[str, SlideNotes] = {}
        self._watchers: list[Callable[[], None]] = []

    def of(self, slide_id: str) -> SlideNotes:
        """Return what is known of a slide."""
        return self._notes.get(slide_id, SlideNotes())

    def note_asked(self, slide_id: str, asked: tuple[AskedPlace, ...]) -> None:
        """Note which places were asked about; of too many the latest are kept."""
        self._note(slide_id, dataclasses.replace(self.of(slide_id), asked=latest(asked)))

    def note_hotspots(self, slide_id: str, shown: HotspotsShown) -> None:
        """Note which hotspots are listed."""
        self._note(slide_id, dataclasses.replace(self.of(slide_id), hotspots=shown))

    def take_up(self, slide_id: str, notes: SlideNotes) -> None:
        """Take what a slide brings with it; what was noted since it was opened comes after it."""
        now = self.of(slide_id)
        asked = latest((*notes.asked, *now.asked))
        self._notes[slide_id] = SlideNotes(asked=asked, hotspots=now.hotspots or notes.hotspots)

    def forget(self, slide_id: str) -> None:
        """Drop what is known of a slide that was closed."""
        self._notes.pop(slide_id, None)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call back when a widget has noted something; returns what ends this."""
        self._watchers.append(changed)
        return lambda: self._watchers.remove(changed)

    def _note(self, slide_id: str, notes: SlideNotes) -> None:
        if notes != self.of(slide_id):
            self._notes[slide_id] = notes
            for changed in list(self._watchers):
                changed()


_BOOKS: dict[int, NoteBook] = {}


def notes_of(viewer: Any) -> NoteBook:  # noqa: ANN401 - a napari viewer, or the proxy that plugins get
    """Return the book of a viewer, which goes with it."""
    key = key_of(viewer)
    if key not in _BOOKS:
        _BOOKS[key] = NoteBook()
        weakref.finalize(model_of(viewer), _BOOKS.pop, key, None)
    return _BOOKS[key]
