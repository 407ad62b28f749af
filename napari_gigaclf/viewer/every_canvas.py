"""Mouse tools and keys on napari's canvas and on each that stands beside it."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from napari_gigaclf.viewer.companions import companions, watch_companions
from napari_gigaclf.viewer.mouse_tool import MouseTool
from napari_gigaclf.viewer.proxied import key_of


class Ending(Protocol):
    """Something that lets go of its viewer in the end."""

    def stop(self) -> None:
        """Let go of the viewer."""
        ...


T = TypeVar("T", bound=Ending)


class EveryCanvas(Generic[T]):
    """One of a thing for a viewer, and one for each companion of it, as long as that is there.

    Parameters
    ----------
    viewer
        A napari viewer.
    make
        Makes one for a viewer.
    """

    def __init__(self, viewer: Any, make: Callable[[Any], T]) -> None:  # noqa: ANN401 - napari has no stubs
        self._make = make
        self.first = make(viewer)
        """The one of the viewer itself."""
        self._beside: dict[int, T] = {key_of(each): make(each) for each in companions(viewer)}
        self._forget = watch_companions(viewer, self._came, self._went)

    def all(self) -> list[T]:
        """Return all of them."""
        return [self.first, *self._beside.values()]

    def stop(self) -> None:
        """End all of them."""
        self._forget()
        for each in self.all():
            each.stop()
        self._beside = {}

    def _came(self, companion: Any) -> None:  # noqa: ANN401
        self._beside[key_of(companion)] = self._make(companion)

    def _went(self, companion: Any) -> None:  # noqa: ANN401
        found = self._beside.pop(key_of(companion), None)
        if found is not None:
            found.stop()


class ToolOnCanvases:
    """A mouse tool that is on, or off, on every canvas.

    Parameters
    ----------
    viewer
        A napari viewer.
    make
        Makes the tool of a viewer.
    """

    def __init__(self, viewer: Any, make: Callable[[Any], MouseTool]) -> None:  # noqa: ANN401 - napari has no stubs
        self._on = False
        self._tools = EveryCanvas(viewer, lambda each: self._switched(make(each)))

    @property
    def on(self) -> bool:
        """True while the mouse is followed."""
        return self._on

    def switch(self, on: bool) -> None:
        """Switch the tool on or off."""
        self._on = on
        for each in self._tools.all():
            each.switch(on)

    def stop(self) -> None:
        """Switch it off for good."""
        self.switch(False)
        self._tools.stop()

    def _switched(self, tool: MouseTool) -> MouseTool:
        tool.switch(self._on)
        return tool
