"""What the Hotspots widget draws over the slide of the result that it lists: rings, and the reader's own marks.

Without a result nothing is drawn. All methods belong to the GUI thread.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.canvas_keys import is_drawn_on
from napari_gigaclf.viewer.hotspot_marks import HotspotMarks
from napari_gigaclf.viewer.layers import Frame
from napari_gigaclf.viewer.own_marks import OwnMarks
from napari_gigaclf.viewer.reader import result_frame
from napari_gigaclf.viewer.result_watch import Result
from napari_gigaclf.viewer.viewpoint import Viewpoint

if TYPE_CHECKING:
    from napari_gigaclf.inference.findings.comparison import Place
    from napari_gigaclf.inference.findings.ranking import Entry


class ResultMarks:
    """Rings and marks of one result at a time.

    Parameters
    ----------
    canvas
        Where they are drawn.
    """

    def __init__(self, canvas: SlideCanvas) -> None:
        self._canvas = canvas
        self._rings, self._own = HotspotMarks(canvas), OwnMarks(canvas)
        self.opened: Result | None = None
        """The result that is listed."""

    @property
    def frame(self) -> Frame:
        """Where the result lies."""
        assert self.opened is not None
        slide = self.opened.slide
        return result_frame(self.opened.prediction) if slide is None else Frame.of_slide(slide)

    def close(self) -> None:
        """Empty the layer of rings; it goes once the map has gone too."""
        if self.opened is None:
            return
        if self._canvas.overlay(self.opened.slide_id, "probability") is None:
            self._rings.remove(self.opened.slide_id)
        else:
            self._rings.put(self.opened.slide_id, self.frame, [], [])
        self.opened = None

    # --- rings ------------------------------------------------------------------------------------------------------

    def put(self, entries: "Sequence[Entry]", shown: Sequence[int]) -> None:
        """Show the rings of a list in place of those that were there."""
        if self.opened is not None:
            self._rings.put(self.opened.slide_id, self.frame, entries, shown)

    def show(self, entries: "Sequence[Entry]", shown: Sequence[int]) -> None:
        """Draw other rings of the same list."""
        if self.opened is not None:
            self._rings.show(self.opened.slide_id, entries, shown)

    def number(self, entries: "Sequence[Entry]", shown: Sequence[int]) -> None:
        """Write numbers beside the rings that are shown."""
        if self.opened is not None:
            self._rings.number(self.opened.slide_id, entries, shown)

    def judge(self, entries: "Sequence[Entry]", shown: Sequence[int]) -> None:
        """Draw what was said."""
        if self.opened is not None:
            self._rings.judge(self.opened.slide_id, entries, shown)

    def point_out(self, entries: "Sequence[Entry]", current: int) -> None:
        """Draw the current place bold."""
        if self.opened is not None:
            self._rings.point_out(self.opened.slide_id, entries, current)

    def follow_zoom(self, entries: "Sequence[Entry]") -> None:
        """Keep the rings large enough to be seen."""
        if self.opened is not None:
            self._rings.follow_zoom(self.opened.slide_id, self.frame, entries)

    def go_to(self, entry: "Entry") -> None:
        """Look at a place."""
        if self.opened is not None:
            self._rings.go_to(self.frame, entry)
            self._select_map(self.opened.slide_id)

    # --- the reader's own marks -------------------------------------------------------------------------------------

    def begin_own(self) -> None:
        """Let places be clicked on the slide."""
        if self.opened is not None:
            self._own.begin(self.opened.slide_id, self.frame)

    def mark_middle(self) -> None:
        """Mark the middle of the view."""
        if self.opened is not None and self.opened.slide is not None:
            middle = Viewpoint(self._canvas.viewer).box(self.opened.slide).centre
            self._own.add(self.opened.slide_id, self.frame, middle)

    def own_places(self) -> "list[Place]":
        """Return the marks, (y, x), level-0 pixels, corner convention."""
        return [] if self.opened is None else self._own.places(self.opened.slide_id)

    def end_own(self, places: "Sequence[Place]") -> None:
        """Show the marks that were recorded, which cannot be moved any more."""
        if self.opened is not None:
            self._own.end(self.opened.slide_id, self.frame, places)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _select_map(self, slide_id: str) -> None:
        """Select the map in place of a layer that is drawn on, whose letters would mean something else."""
        active = self._canvas.viewer.layers.selection.active
        mode = str(getattr(active, "mode", "pan_zoom"))
        ours = active is not None and active.metadata.get("kind") is not None and not is_drawn_on(active)
        layer = self._canvas.overlay(slide_id, "probability")
        if layer is not None and not ours and mode == "pan_zoom":
            self._canvas.viewer.layers.selection.active = layer
