"""Goes through a list of slides: one is open at a time, the one before is closed with everything that lies over it.

No Qt here. All methods belong to the GUI thread; folders, tables and slides are read by a worker. A slide that cannot
be opened keeps its reason in the list, the one before stays open, and the next step goes on behind it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.controllers.worklist_jobs import Known, KnownFiles, Worklist, open_item, read_worklist
from napari_gigaclf.viewer.reader import start_overviews
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.worker import Job, Worker
from napari_gigaclf.viewer.worklist_texts import LISTING

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.layers import LayerData


class WorklistView(Protocol):
    """What the controller asks of the widget."""

    def show_list(self, worklist: Worklist) -> None:
        """List slides anew."""
        ...

    def show_rows(self) -> None:
        """Show what is known of the slides, and which is open, anew."""
        ...

    def show_note(self, text: str) -> None:
        """Show one line; empty for none."""
        ...

    def may_leave(self, slide: "Slide") -> bool:
        """Return whether a slide may be closed; asks a person if something would be lost."""
        ...

    def slide_shown(self) -> None:
        """Let a slide that was just added return as it was left."""
        ...


class WorklistController:
    """A worklist in a viewer.

    Parameters
    ----------
    view
        The widget, or a fake of it.
    canvas
        Where the layers are.
    worker
        For what touches files.
    known
        What this program keeps of slides.
    """

    def __init__(self, view: WorklistView, canvas: SlideCanvas, *, worker: Worker, known: KnownFiles) -> None:
        self._view = view
        self._canvas = canvas
        self._worker = worker
        self._files = known
        self.worklist: Worklist | None = None
        self.known: list[Known | None] = []
        self.problems: list[str] = []
        self.current: int | None = None
        """The row one is at: open, being opened, or one that cannot be."""
        self.opening = False
        self._slide_id: str | None = None
        """The slide that this list has opened."""
        self._generation = 0
        self._job: Job[tuple[Slide, list[LayerData]]] | None = None

    @property
    def open_row(self) -> int | None:
        """The row whose slide is open."""
        slide = self._open_slide()
        if slide is None or self.worklist is None:
            return None
        rows = [row for row, item in enumerate(self.worklist.items) if item.path == slide.path]
        return self.current if self.current in rows else next(iter(rows), None)

    # --- the list ---------------------------------------------------------------------------------------------------

    def choose(self, source: Path) -> None:
        """List the slides of a folder or a table; what is open stays open."""
        self._generation += 1
        generation = self._generation
        self._view.show_note(LISTING)

        def work(_job: object) -> tuple[Worklist, list[Known | None]]:
            worklist = read_worklist(source)
            return worklist, self._files.look(worklist.items)

        def done(found: tuple[Worklist, list[Known | None]]) -> None:
            if generation == self._generation:
                self._listed(*found)

        def failed(text: str) -> None:
            if generation == self._generation:
                self._view.show_note(text)

        self._worker.submit(work, done, failed)

    def _listed(self, worklist: Worklist, known: Sequence[Known | None]) -> None:
        self.worklist, self.known = worklist, list(known)
        self.problems = [item.problem for item in worklist.items]
        self.current, self.opening = None, False
        self.current = self.open_row
        self._view.show_note("")
        self._view.show_list(worklist)
        self._view.show_rows()

    def look_again(self) -> None:
        """Find out anew what is known of the slides."""
        worklist = self.worklist
        if worklist is None:
            return

        def done(known: list[Known | None]) -> None:
            if worklist is self.worklist:
                self.known = known
                self._view.show_rows()

        self._worker.submit(lambda _job: self._files.look(worklist.items), done, self._view.show_note)

    # --- going through it -------------------------------------------------------------------------------------------

    def step(self, by: int) -> None:
        """Open the next (1) or the previous (-1) slide; at either end it is said."""
        if self.worklist is None:
            self._view.show_note("no worklist is chosen")
            return
        row = (-1 if by > 0 else len(self.worklist.items)) if self.current is None else self.current
        if not 0 <= row + by < len(self.worklist.items):
            self._view.show_note("this is the last slide" if by > 0 else "this is the first slide")
            return
        self.open(row + by)

    def open(self, row: int) -> None:
        """Open the slide of a row in place of the one that is open; a later wish wins."""
        assert self.worklist is not None
        if row == self.current and (self.opening or row == self.open_row):
            return
        if not all(self._view.may_leave(each) for each in self._to_be_closed()):
            return
        item = self.worklist.items[row]
        self._generation += 1
        generation = self._generation
        if self._job is not None:
            self._job.cancel()
        self.current, self.opening, self.problems[row] = row, True, ""
        self._view.show_note("")
        self._view.show_rows()

        def opened(found: "tuple[Slide, list[LayerData]]") -> None:
            if generation == self._generation:
                self._opened(*found)
            else:
                found[0].close()

        def failed(text: str) -> None:
            if generation == self._generation:
                self.opening = False
                self.problems[row] = text
                self._view.show_rows()
                self._view.show_note(text)

        self._job = self._worker.submit(lambda _job: open_item(item), opened, failed)

    def _opened(self, slide: "Slide", layers: "list[LayerData]") -> None:
        self.opening, self._job = False, None
        there = self._canvas.layer_of(slide.id)
        if there is not None and slide.id != self._slide_id:  # a person has opened it already
            slide.close()
            self._leave()
            slide = there.metadata["slide"]
            self._canvas.bring_forward(slide)
        else:
            self._leave()
            self._canvas.add_slide(layers)
            point = Viewpoint(self._canvas.viewer)
            point.upright()
            point.fit(slide)
            start_overviews(layers)
        self._slide_id = slide.id
        self._view.slide_shown()
        self._view.show_rows()
        self.look_again()

    def _leave(self) -> None:
        """Close the slide that the list has opened, and the other scenes and planes of its file."""
        for each in self._to_be_closed():
            self._canvas.close_slide(each.id)

    def _to_be_closed(self) -> "list[Slide]":
        """Return what closes when another slide of the list is opened."""
        slide = self._open_slide()
        if slide is None:
            return []
        there = [layer.metadata.get("slide") for layer in self._canvas.slide_layers()]
        return [each for each in there if each is not None and each.path == slide.path]

    def _open_slide(self) -> "Slide | None":
        layer = None if self._slide_id is None else self._canvas.layer_of(self._slide_id)
        return None if layer is None else layer.metadata["slide"]
