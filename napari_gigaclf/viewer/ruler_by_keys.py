"""The ruler without a mouse: the middle of the view is brought to one end of what is measured, then to the other."""

from collections.abc import Callable
from typing import Any

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.viewpoint import Viewpoint

KEY = "Alt+E"
FIRST = f"Ruler: bring one end under the cross (arrows; with Shift a little), then press {KEY}"
SECOND = f"Ruler: bring the other end under the cross, then press {KEY}"
NO_SLIDE = "Ruler: open a slide first"


class RulerByKeys:
    """Measures in three steps: a cross appears, one end is taken, the other end is taken.

    Parameters
    ----------
    viewer
        A napari viewer.
    show
        Shows the line between two world positions, (y, x).
    mark
        Marks the middle of the view meanwhile: told whether to.
    said
        Told what is to be done next.
    """

    def __init__(
        self,
        viewer: Any,  # noqa: ANN401 - napari has no stubs
        show: Callable[[tuple[float, float], tuple[float, float]], None],
        mark: Callable[[bool], None],
        said: Callable[[str], None],
    ) -> None:
        self._viewer = viewer
        self._show, self._mark, self._said = show, mark, said
        self._begin: tuple[float, float] | None = None
        self._slide_id: str | None = None
        """The slide that is measured; None while nothing is."""
        self._unwatch = SlideCanvas(viewer).watch_view(self._moved)

    @property
    def on(self) -> bool:
        """Whether something is being measured."""
        return self._slide_id is not None

    def step(self) -> None:
        """Begin, take one end, or take the other and end."""
        slide = Viewpoint(self._viewer).slide()
        if slide is None or (self.on and slide.id != self._slide_id):
            self.end()
        if slide is None:
            self._said(NO_SLIDE)
        elif not self.on:
            self._slide_id = slide.id
            self._mark(True)
            self._said(FIRST)
        elif self._begin is None:
            self._begin = Viewpoint(self._viewer).world_centre
            self._said(SECOND)
        else:
            self._moved()
            self.end()

    def end(self) -> None:
        """Measure no more; the line that is there stays."""
        self._begin = self._slide_id = None
        self._mark(False)

    def stop(self) -> None:
        """Let go of the viewer."""
        self.end()
        self._unwatch()

    def _moved(self) -> None:
        """Draw the line from the end that was taken to the middle of the view."""
        slide, end = Viewpoint(self._viewer).slide(), Viewpoint(self._viewer).world_centre
        if slide is None or slide.id != self._slide_id:
            if self.on:
                self.end()
        elif self._begin is not None and end != self._begin:
            self._show(self._begin, end)
