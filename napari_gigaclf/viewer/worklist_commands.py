"""Next and previous slide of the worklist, by key and by napari's command palette."""

from typing import TYPE_CHECKING, Protocol

from napari_gigaclf.viewer.addressee import Addressee

if TYPE_CHECKING:
    import napari.viewer

WIDGET = "Worklist"
OPENED = "Worklist was opened: choose a folder or a table of slides"
NEXT_KEY, PREVIOUS_KEY = "PageDown", "PageUp"


class Stepper(Protocol):
    """What goes through a list."""

    def step(self, by: int) -> None:
        """Open the next (1) or previous (-1) slide."""
        ...

    def list_again(self) -> None:
        """Read the folder or the table once more."""
        ...


STEPPERS: Addressee[Stepper] = Addressee(WIDGET, OPENED)
"""The worklist of each viewer."""


def next_slide(viewer: "napari.viewer.Viewer") -> None:
    """Open the next slide of the worklist."""
    STEPPERS.tell(viewer, lambda stepper: stepper.step(1))


def previous_slide(viewer: "napari.viewer.Viewer") -> None:
    """Open the previous slide of the worklist."""
    STEPPERS.tell(viewer, lambda stepper: stepper.step(-1))


def list_again(viewer: "napari.viewer.Viewer") -> None:
    """Read the folder or the table of the worklist once more."""
    STEPPERS.tell(viewer, lambda stepper: stepper.list_again())
