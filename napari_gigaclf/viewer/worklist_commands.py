"""Next and previous slide of the worklist, by key and by napari's command palette."""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from napari_gigaclf.viewer.preferences import PLUGIN

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


_STEPPERS: dict[int, "weakref.ref[Stepper]"] = {}
"""The worklist, by the id of napari's viewer."""


def register(viewer: Any, stepper: Stepper) -> Callable[[], None]:  # noqa: ANN401 - napari has no stubs
    """Let commands of a viewer step; returns what ends this."""
    key = _key(viewer)
    _STEPPERS[key] = weakref.ref(stepper)

    def forget() -> None:
        if key in _STEPPERS and _STEPPERS[key]() in (None, stepper):
            del _STEPPERS[key]

    return forget


def next_slide(viewer: "napari.viewer.Viewer") -> None:
    """Open the next slide of the worklist."""
    _step(viewer, 1)


def previous_slide(viewer: "napari.viewer.Viewer") -> None:
    """Open the previous slide of the worklist."""
    _step(viewer, -1)


def _step(viewer: Any, by: int) -> None:  # noqa: ANN401
    """Step in the worklist of a viewer, or open it."""
    found = _STEPPERS.get(_key(viewer))
    stepper = None if found is None else found()
    if stepper is not None:
        stepper.step(by)
        return
    from napari.utils.notifications import show_info

    viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    show_info(OPENED)


def _key(viewer: Any) -> int:  # noqa: ANN401
    """Return what tells one viewer from another; plugins and commands get a proxy of it."""
    return id(getattr(viewer, "__wrapped__", viewer))
