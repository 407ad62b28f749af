"""What one can ask by napari's command palette: about the view, its middle, the selected shape; and why.

Each command is a function of the viewer, as napari's palette calls it, and asks the "Classify slide" widget of that
viewer; where none is open, it is opened.
"""

from typing import TYPE_CHECKING, Protocol

from napari_gigaclf.viewer.addressee import Addressee

if TYPE_CHECKING:
    import napari.viewer


class Asker(Protocol):
    """What can be asked."""

    def ask_middle(self) -> None:
        """Ask about the field in the middle of the view."""
        ...

    def ask_view(self) -> None:
        """Ask about all that is in view."""
        ...

    def ask_shape(self) -> None:
        """Ask about the selected shapes."""
        ...

    def explain(self) -> None:
        """Show why the chosen answer is as it is."""
        ...


ASKERS: Addressee[Asker] = Addressee("Classify slide", "Classify slide was opened: choose a model, then ask again")


def ask_middle(viewer: "napari.viewer.Viewer") -> None:
    """Ask about the field in the middle of the view."""
    ASKERS.tell(viewer, lambda asker: asker.ask_middle())


def ask_view(viewer: "napari.viewer.Viewer") -> None:
    """Ask about all that is in view."""
    ASKERS.tell(viewer, lambda asker: asker.ask_view())


def ask_shape(viewer: "napari.viewer.Viewer") -> None:
    """Ask about the selected shapes."""
    ASKERS.tell(viewer, lambda asker: asker.ask_shape())


def explain(viewer: "napari.viewer.Viewer") -> None:
    """Show why the chosen answer is as it is."""
    ASKERS.tell(viewer, lambda asker: asker.explain())
