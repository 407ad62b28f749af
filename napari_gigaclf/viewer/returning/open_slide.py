"""A slide that is open, as it will return: what was last seen of it, and what of that is on the disk."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_gigaclf.inference.findings.reviews import now
from napari_gigaclf.slides.slide import GIVEN_BY_USER
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.returning import drawings, looks
from napari_gigaclf.viewer.returning.drawings import Drawings
from napari_gigaclf.viewer.returning.masks import PaintedMasks, masks_on
from napari_gigaclf.viewer.returning.ruler_lines import line_on
from napari_gigaclf.viewer.returning.state import MAX_FILES, MAX_UNDER, ResultShown, SlideFile, SlideState
from napari_gigaclf.viewer.returning.state_store import StateStore
from napari_gigaclf.viewer.slide_notes import SlideNotes
from napari_gigaclf.viewer.viewpoint import Viewpoint

if TYPE_CHECKING:
    from napari_gigaclf.inference.record import RunRecord
    from napari_gigaclf.slides import Slide


@dataclass(slots=True)
class OpenSlide:
    """A slide that is open. All methods belong to the GUI thread."""

    store: StateStore
    file: SlideFile | None
    name: str
    copies: tuple[SlideFile, ...] = ()
    """Other files with the same content that it was opened from."""
    ready: bool = False
    """Everything has returned: from now on what is shown is kept."""
    state: SlideState | None = None
    """How it was shown when it was last looked at."""
    saved: SlideState | None = None
    drawn: Drawings | None = None
    drawn_changed: bool = True
    drawn_saved: Drawings | None = None
    masks: PaintedMasks = field(default_factory=PaintedMasks)
    masks_changed: bool = False
    """Something was painted, or a mask has come or gone, since they were written."""
    result: "tuple[RunRecord, str] | None" = None
    """Record of the result on show, and where it is kept; an empty text while it is being written, or cannot be."""
    class_name: str = ""
    """The class on show."""
    threshold: float | None = None
    """Probability or score below which the map is transparent; None: all of it is shown."""
    lost: bool = False
    """Another window keeps this slide."""
    unwritten: bool = False
    """The last writing has failed: what is on the disk may be older than ``saved``, ``drawn_saved`` and the masks."""

    def look(
        self,
        canvas: SlideCanvas,
        slide: "Slide",
        result: ResultShown | None,
        under: tuple[ResultShown, ...],
        notes: SlideNotes,
    ) -> None:
        """Take how the slide is shown now."""
        if self.drawn_changed:
            self.drawn, self.drawn_changed = drawings.drawings_on(canvas, slide), False
        drawn = self.drawn
        assert drawn is not None
        self._look_at_masks(masks_on(canvas, slide))
        on_top = (top := Viewpoint(canvas.viewer).slide()) is not None and top.id == slide.id
        before = None if self.state is None else self.state.view
        paths = list(dict.fromkeys(each.path for each in drawn.files))[:MAX_FILES]
        self.state = SlideState(
            slide_id=slide.id,
            slide_name=slide.name[:1000],
            file=self.file,
            when=now(),
            view=looks.view_of(canvas, slide) if on_top else before,
            given_um_per_px=slide.um_per_px if slide.um_per_px_source == GIVEN_BY_USER else None,
            layers=looks.look_of(canvas, slide.id),
            result=result,
            under=under[-MAX_UNDER:],
            annotations=tuple(paths),
            parts=tuple(each for each in dict.fromkeys(drawn.files) if each.path in paths),
            num_drawn=len(drawn),
            num_masks=len(self.masks.kept),
            ruler=line_on(canvas, slide.id),
            notes=notes,
            copies=self.copies,
        )

    def unsaved(self) -> "tuple[SlideState, Drawings | None, PaintedMasks | None] | None":
        """Return what is to be written now, and count it as written: state, drawings and masks that have changed."""
        state, drawn = self.state, self.drawn
        if state is None or not self.ready or self.lost:
            return None
        before = self.saved
        same = before is not None and before.without_time() == state.without_time()
        some = state.num_drawn or (before is not None and before.num_drawn)
        new_drawn = drawn if self.unwritten or (some and drawn is not self.drawn_saved) else None
        new_masks = self.masks if self.unwritten or self.masks_changed else None
        if same and new_drawn is None and new_masks is None:
            return None
        self.saved, self.drawn_saved, self.masks_changed = state, drawn, False
        return state, new_drawn, new_masks

    def _look_at_masks(self, masks: PaintedMasks) -> None:
        if _identity(masks) != _identity(self.masks):
            self.masks_changed = True
        self.masks = masks


def _identity(masks: PaintedMasks) -> list[tuple[Any, ...]]:
    """Return what tells whether masks are the same layers at the same place, whatever is painted on them."""
    return [(id(each.labels), each.name, each.grid) for each in masks.kept]
