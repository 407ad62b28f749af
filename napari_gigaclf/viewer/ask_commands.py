"""What one can ask by napari's command palette: about the view, its middle, the selected shape; and why.

Each command is a function of the viewer, as napari's palette calls it, and asks the "Classify slide" widget of that
viewer; where none is open, it is opened.
"""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import napari.viewer

PLUGIN = "napari-gigaclf"
WIDGET = "Classify slide"
OPENED = "Classify slide was opened: choose a model, then ask again"


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


_ASKERS: dict[int, "weakref.ref[Asker]"] = {}
"""Whom to ask, by the id of napari's viewer."""


def register(viewer: Any, asker: Asker) -> Callable[[], None]:  # noqa: ANN401 - napari has no stubs
    """Let commands of a viewer ask; returns what ends this."""
    key = _key(viewer)
    _ASKERS[key] = weakref.ref(asker)

    def forget() -> None:
        if key in _ASKERS and _ASKERS[key]() in (None, asker):
            del _ASKERS[key]

    return forget


def ask_middle(viewer: "napari.viewer.Viewer") -> None:
    """Ask about the field in the middle of the view."""
    _with(viewer, lambda asker: asker.ask_middle())


def ask_view(viewer: "napari.viewer.Viewer") -> None:
    """Ask about all that is in view."""
    _with(viewer, lambda asker: asker.ask_view())


def ask_shape(viewer: "napari.viewer.Viewer") -> None:
    """Ask about the selected shapes."""
    _with(viewer, lambda asker: asker.ask_shape())


def explain(viewer: "napari.viewer.Viewer") -> None:
    """Show why the chosen answer is as it is."""
    _with(viewer, lambda asker: asker.explain())


def _with(viewer: Any, act: Callable[[Asker], None]) -> None:  # noqa: ANN401
    """Ask the widget of a viewer, or open it."""
    found = _ASKERS.get(_key(viewer))
    asker = None if found is None else found()
    if asker is not None:
        act(asker)
        return
    from napari.utils.notifications import show_info

    viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    show_info(OPENED)


def _key(viewer: Any) -> int:  # noqa: ANN401
    """Return what tells one viewer from another; plugins and commands get a proxy of it."""
    return id(getattr(viewer, "__wrapped__", viewer))
