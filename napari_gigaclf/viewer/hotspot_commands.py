"""What one can do with the places of the Hotspots widget, by key, by napari's command palette and by its menu.

Each command is a function of the viewer, as napari's palette calls it, and speaks to the Hotspots widget of that
viewer; where none is open, it is opened.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from napari_gigaclf.viewer.addressee import Addressee
from napari_gigaclf.viewer.findings_texts import LOOK_FIRST, NO_CALL_ASKED

if TYPE_CHECKING:
    import napari.viewer

    from napari_gigaclf.viewer.controllers.findings import FindingsController
    from napari_gigaclf.viewer.result_marks import ResultMarks
    from napari_gigaclf.viewer.widgets.hotspot_list import HotspotList
    from napari_gigaclf.viewer.widgets.reader_panel import ReaderPanel


class Reviewer(Protocol):
    """What can be done."""

    @property
    def findings(self) -> "FindingsController":
        """Decides what happens."""
        ...

    @property
    def reader(self) -> "ReaderPanel":
        """The reader's own call."""
        ...

    @property
    def marks(self) -> "ResultMarks":
        """What is drawn of the places, and of the reader's own call."""
        ...

    @property
    def list(self) -> "HotspotList":
        """The places, and the fields for another class and a note."""
        ...

    def in_front(self) -> bool:
        """Whether a person sees the widget."""
        ...

    def come_forward(self) -> None:
        """Come into sight, whatever tab was in front."""
        ...

    def show_note(self, text: str) -> None:
        """Show one line."""
        ...

    def ask_where_to_export(self) -> None:
        """Ask for a folder and write hotspots and lesions into it."""
        ...


REVIEWERS: Addressee[Reviewer] = Addressee(
    "Hotspots", "Hotspots was opened: do that again once the places of a result are listed"
)


def hotspots_next(viewer: "napari.viewer.Viewer") -> None:
    """Go to the next place."""
    REVIEWERS.tell(viewer, lambda reviewer: reviewer.findings.step(1))


def hotspots_previous(viewer: "napari.viewer.Viewer") -> None:
    """Go to the previous place."""
    REVIEWERS.tell(viewer, lambda reviewer: reviewer.findings.step(-1))


def hotspots_accept(viewer: "napari.viewer.Viewer") -> None:
    """Say that the current place is what the model says."""
    REVIEWERS.tell(viewer, lambda reviewer: reviewer.findings.judge("accepted"))


def hotspots_reject(viewer: "napari.viewer.Viewer") -> None:
    """Say that the current place is not what the model says."""
    REVIEWERS.tell(viewer, lambda reviewer: reviewer.findings.judge("rejected"))


def hotspots_relabel(viewer: "napari.viewer.Viewer") -> None:
    """Say what the current place is instead."""
    REVIEWERS.tell(viewer, lambda reviewer: _in_sight(reviewer).begin_relabel())


def hotspots_note(viewer: "napari.viewer.Viewer") -> None:
    """Write a note to the current place."""
    REVIEWERS.tell(viewer, lambda reviewer: _in_sight(reviewer).begin_note())


def hotspots_undo(viewer: "napari.viewer.Viewer") -> None:
    """Take the last verdict or note back."""
    REVIEWERS.tell(viewer, lambda reviewer: reviewer.findings.undo())


def hotspots_reader_first(viewer: "napari.viewer.Viewer") -> None:
    """Hide what the model found until the reader has made a call, or never."""
    REVIEWERS.tell(viewer, lambda reviewer: reviewer.reader.switch.toggle())


def hotspots_mark(viewer: "napari.viewer.Viewer") -> None:
    """Let clicks mark the places of the reader's own call."""

    def mark(reviewer: Reviewer) -> None:
        if not _say_if_not_asked(reviewer):
            reviewer.reader.mark_button.click()

    REVIEWERS.tell(viewer, mark)


def hotspots_mark_middle(viewer: "napari.viewer.Viewer") -> None:
    """Mark the middle of the view in the reader's own call."""

    def mark(reviewer: Reviewer) -> None:
        if not _say_if_not_asked(reviewer):
            reviewer.marks.mark_middle()

    REVIEWERS.tell(viewer, mark)


def hotspots_record(viewer: "napari.viewer.Viewer") -> None:
    """Keep the reader's own call; in sight only, since it cannot be changed afterwards."""

    def record(reviewer: Reviewer) -> None:
        if _say_if_not_asked(reviewer):
            return
        if reviewer.in_front():
            reviewer.reader.record_button.click()
        else:
            reviewer.come_forward()
            reviewer.show_note(LOOK_FIRST)

    REVIEWERS.tell(viewer, record)


def hotspots_export(viewer: "napari.viewer.Viewer") -> None:
    """Ask for a folder and write hotspots and lesions into it."""
    REVIEWERS.tell(viewer, lambda reviewer: reviewer.ask_where_to_export())


def _say_if_not_asked(reviewer: Reviewer) -> bool:
    """Return whether no call of the reader's own is asked for now, which is said."""
    not_asked = bool(reviewer.reader.fields.isHidden())
    if not_asked:
        reviewer.show_note(NO_CALL_ASKED)
    return not_asked


def _in_sight(reviewer: Reviewer) -> "HotspotList":
    """Return the fields that are written in, where they can be seen; what has the focus gets it back afterwards."""
    reviewer.come_forward()
    return reviewer.list


KEYS = {
    "N": hotspots_next,
    "P": hotspots_previous,
    "A": hotspots_accept,
    "X": hotspots_reject,
    "R": hotspots_relabel,
    "M": hotspots_note,
    "U": hotspots_undo,
}


def key_actions(viewer: "napari.viewer.Viewer") -> dict[str, Callable[[], None]]:
    """Return what each key of the widget does."""
    return {key: partial(command, viewer) for key, command in KEYS.items()}
