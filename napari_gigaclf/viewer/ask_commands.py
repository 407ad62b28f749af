"""What one can ask by napari's command palette: about the view, its middle, the selected shape; and why.

Each command is a function of the viewer, as napari's palette calls it, and asks the "Classify slide" widget of that
viewer, which comes into sight, for the answer stands there; where none is open, it is opened.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_gigaclf.viewer.run_commands import press

if TYPE_CHECKING:
    import napari.viewer

    from napari_gigaclf.viewer.widgets.asking import AskSection


def ask_middle(viewer: "napari.viewer.Viewer") -> None:
    """Ask about the field in the middle of the view."""
    _ask(viewer, lambda asking: asking.ask_middle())


def ask_view(viewer: "napari.viewer.Viewer") -> None:
    """Ask about all that is in view."""
    _ask(viewer, lambda asking: asking.ask_view())


def ask_shape(viewer: "napari.viewer.Viewer") -> None:
    """Ask about the selected shapes."""
    _ask(viewer, lambda asking: asking.ask_shape())


def explain(viewer: "napari.viewer.Viewer") -> None:
    """Show why the chosen answer is as it is."""
    _ask(viewer, lambda asking: asking.explain())


def _ask(viewer: "napari.viewer.Viewer", act: "Callable[[AskSection], None]") -> None:
    press(viewer, lambda classifier: act(classifier.asking))
