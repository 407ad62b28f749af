"""The dock widget that commands of napari's palette and menu speak to, one per viewer; it is opened where none is."""

import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from napari_gigaclf.viewer.open_widget import open_widget
from napari_gigaclf.viewer.proxied import key_of

T = TypeVar("T")


class Addressee(Generic[T]):
    """Finds the widget of a viewer.

    Parameters
    ----------
    widget
        Name of the widget in the manifest.
    opened
        What to say where it had to be opened first.
    """

    def __init__(self, widget: str, opened: str) -> None:
        self._widget = widget
        self._opened = opened
        self._known: dict[int, weakref.ref[T]] = {}

    def register(self, viewer: Any, widget: T) -> Callable[[], None]:  # noqa: ANN401 - napari has no stubs
        """Let commands of a viewer speak to a widget; returns what ends this."""
        key = key_of(viewer)
        self._known[key] = weakref.ref(widget)

        def forget() -> None:
            if key in self._known and self._known[key]() in (None, widget):
                del self._known[key]

        return forget

    def tell(self, viewer: Any, act: Callable[[T], None]) -> None:  # noqa: ANN401
        """Do something with the widget of a viewer, or open it."""
        found = self._known.get(key_of(viewer))
        widget = None if found is None else found()
        if widget is not None:
            act(widget)
            return
        from napari.utils.notifications import show_info

        open_widget(viewer, self._widget)
        show_info(self._opened)
