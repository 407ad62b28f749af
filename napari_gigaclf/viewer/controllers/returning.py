"""Lets slides return as they were left: looks when one is opened, and keeps how it is shown until it is closed.

No Qt here. All methods belong to the GUI thread; files are read and written by a worker. Nothing that goes wrong here
ever keeps a slide from being shown: it is said in one sentence, and the slide is shown as a new one is.
"""

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.controllers.returning_results import ResultKeeper
from napari_gigaclf.viewer.layers import FILE, RULER
from napari_gigaclf.viewer.returning import drawings, looks, pieces
from napari_gigaclf.viewer.returning.drawings import DIGEST
from napari_gigaclf.viewer.returning.laying_over import lay_over, lay_result_over
from napari_gigaclf.viewer.returning.looks import DRAWN_ON
from napari_gigaclf.viewer.returning.masks import MASK, TOO_LARGE, masks_on
from napari_gigaclf.viewer.returning.open_slide import OpenSlide
from napari_gigaclf.viewer.returning.state import ResultShown
from napari_gigaclf.viewer.returning.state_file import states_folder
from napari_gigaclf.viewer.returning.state_store import StateStore
from napari_gigaclf.viewer.ruler_on_canvas import add_ruler
from napari_gigaclf.viewer.slide_notes import notes_of
from napari_gigaclf.viewer.texts import copy_text
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.worker import Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.layers import LayerData

FLUSH_SECONDS = 3.0
"""Most that closing a window waits for what is still to be written; the rest is written while it is gone already."""


class ReturningController:
    """The open slides of a viewer, as they will return.

    Parameters
    ----------
    canvas
        Where the layers are.
    worker, keeper
        For small files, and for results.
    post
        Carries calls to the GUI thread.
    notify
        Tells a person one sentence.
    folder, results
        Where states and results are kept; None takes the user's own.
    """

    def __init__(
        self,
        canvas: SlideCanvas,
        *,
        worker: Worker,
        keeper: Worker,
        post: Post,
        notify: Callable[[str], None],
        folder: Path | None = None,
        results: Path | None = None,
    ) -> None:
        self._canvas = canvas
        self._worker = worker
        self._keeper = keeper
        self._notes = notes_of(canvas.viewer)
        self._post = post
        self._notify = notify
        self._folder = folder or states_folder()
        self._results = ResultKeeper(
            canvas, keeper=keeper, notify=notify, folder=results or pieces.results_folder(), look=self.look
        )
        self._results.late = self._add_result
        self._open: dict[str, OpenSlide] = {}
        self._stores: dict[str, StateStore] = {}
        """For the worker."""
        self._applied: dict[str, pieces.Applied] = {}
        """Results that were made of slides which are just being opened, by slide id."""
        self._seen: set[Any] = set()
        self._shows: dict[Any, str] = {}
        """Which slide each layer of a slide shows; one slide may be open several times."""
        self.saved: Callable[[], None] = _nobody
        """Called whenever something was written."""
        self._going = False
        """Layers are being taken away in this turn: what is left of them is not how the slide was shown."""

    # --- what happens in the viewer ---------------------------------------------------------------------------------

    def layers_changed(self) -> None:
        """Look whether a slide was opened, and whose shapes a new layer holds."""
        for layer in list(self._canvas.viewer.layers):
            if layer.unique_id in self._seen:
                continue
            self._seen.add(layer.unique_id)
            slide = layer.metadata.get("slide")
            if slide is not None:
                self._begin(layer, slide)
            elif layer.metadata.get(FILE) and type(layer).__name__ in (drawings.SHAPES, drawings.POINTS):
                layer.metadata[DIGEST] = drawings.digest_of(layer)  # how the file has it, so that changes are noticed
        self._claim_shapes()

    def shapes_changed(self) -> None:
        """Take drawn shapes anew when the view is looked at next."""
        for each in self._open.values():
            each.drawn_changed = True

    def masks_changed(self) -> None:
        """Write painted masks anew when the view is looked at next."""
        for each in self._open.values():
            each.masks_changed = True

    def removing(self) -> None:
        """Look at everything a last time before the first of some layers goes."""
        if not self._going:
            self.look()
            self._going = True
            self._post(self._gone)

    def layer_removed(self, layer: Any) -> None:  # noqa: ANN401 - a napari layer
        """Keep how a slide was left whose last layer has gone."""
        self._seen.discard(layer.unique_id)
        self._shows.pop(layer.unique_id, None)
        slide = layer.metadata.get("slide")
        if slide is None or slide.id not in self._open or self._canvas.layer_of(slide.id) is not None:
            return
        left = self._open.pop(slide.id)
        self._save(left)
        self._notes.forget(slide.id)

    def look(self) -> None:
        """Look how the open slides are shown, and keep what has changed."""
        if self._going:
            return
        for slide_id, each in self._open.items():
            layer = self._canvas.layer_of(slide_id)
            if each.ready and layer is not None:
                self._look_at(each, layer.metadata["slide"])
                self._save(each)

    def close(self) -> bool:
        """Keep everything and end the workers; True if all was written in time, else it is soon."""
        self.look()
        self._open = {}
        return all([self._worker.finish(FLUSH_SECONDS), self._keeper.close()])

    def take_result(self, applied: pieces.Applied) -> None:
        """Take a result that was made of a slide, open or not: it is on show from now on, over the one before."""
        if applied.slide_id in self._open:
            self._show_applied(applied)
            return
        folder, stores = self._folder, self._stores

        def noted(outcome: pieces.Saved) -> None:
            if outcome.problem:
                self._notify(outcome.problem)
            elif applied.slide_id in self._open:  # it was opened meanwhile
                self._show_applied(applied)
            self.saved()

        self._worker.submit(lambda _job: pieces.note_result(stores, folder, applied), noted, self._not_saved)

    def flush(self) -> bool:
        """Wait a little until what is to be written is written; True if it was."""
        written = threading.Event()
        job = self._worker.submit(lambda _job: written.set(), lambda _done: None, lambda _text: None)
        return job.is_set() or written.wait(FLUSH_SECONDS)

    def keeps_shapes(self, slide_id: str) -> bool:
        """Return whether what is drawn on a slide is there again when it is opened again."""
        each = self._open.get(slide_id)
        return each is not None and each.ready and not each.lost and not each.unwritten

    def not_kept(self, slide_id: str) -> int:
        """Return how many masks on a slide that is kept are not kept with it: they are too large."""
        layer = self._canvas.layer_of(slide_id)
        return 0 if layer is None else len(masks_on(self._canvas, layer.metadata["slide"]).left_out)

    # --- coming back ------------------------------------------------------------------------------------------------

    def _begin(self, layer: Any, slide: "Slide") -> None:  # noqa: ANN401 - a napari layer
        folder, stores, uid = self._folder, self._stores, layer.unique_id
        cameras: list[tuple[float, ...]] = []
        self._post(lambda: cameras.append(looks.camera_of(self._canvas)))  # once napari has fitted its view

        def found(what: pieces.Found) -> None:
            self._found(uid, what, cameras)

        self._worker.submit(lambda _job: pieces.find_state(folder, slide, stores), found, lambda _text: None)

    def _found(self, uid: Any, found: pieces.Found, cameras: list[tuple[float, ...]]) -> None:  # noqa: ANN401
        slide_id = found.store.slide_id
        layer = next((each for each in self._canvas.viewer.layers if each.unique_id == uid), None)
        if layer is None:
            return
        self._shows[uid] = slide_id
        slide, state = layer.metadata["slide"], found.state
        if slide_id in self._open:
            there = self._open[slide_id].file
            if there is not None and found.file is not None and there.path != found.file.path:
                self._notify(copy_text(slide.name, there.path))
            return
        each = OpenSlide(store=found.store, file=found.file, name=slide.name, saved=state, copies=found.copies)
        self._open[slide_id] = each
        if found.problem:
            self._notify(found.problem)
        if pieces.is_new_copy(found):
            self._notify(copy_text(slide.name, found.copies[0].path))
        if state is None:
            self._arrived(slide_id, each)
            return
        moved = bool(cameras) and cameras[0] != looks.camera_of(self._canvas)
        if state.view is not None and not moved and len(self._canvas.slide_layers()) == 1:
            looks.apply_view(self._canvas, slide, state.view)
        looks.apply_looks(self._canvas, slide_id, state.layers)
        self._notes.take_up(slide_id, state.notes)
        each.state = state
        self._worker.submit(
            lambda _job: pieces.reopen(found.store, state, slide),
            lambda reopened: self._reopened(slide_id, each, reopened),
            lambda text: self._failed(slide_id, each, text),
        )

    def _reopened(self, slide_id: str, each: OpenSlide, reopened: pieces.Reopened) -> None:
        if self._open.get(slide_id) is not each:
            return
        for problem in reopened.problems:
            self._notify(problem)
        layers = self._canvas.viewer.layers
        there = {layer.name for layer in layers if layer.metadata.get(DRAWN_ON) == slide_id}
        has_result = self._canvas.overlay(slide_id, "probability") is not None
        has_mask = self._canvas.overlay(slide_id, MASK) is not None
        for data in () if has_result else reopened.under:
            lay_over(self._canvas, slide_id, data)
        for data, kwargs, kind in reopened.layers:
            metadata = kwargs["metadata"]
            if DRAWN_ON in metadata:
                if kwargs["name"] not in there:
                    getattr(self._canvas.viewer, f"add_{kind}")(data, **kwargs)
            elif metadata["kind"] == RULER:
                if self._canvas.overlay(slide_id, RULER) is None:
                    add_ruler(self._canvas.viewer, data, kwargs)
            elif metadata["kind"] == "probability" and not has_result:
                lay_over(self._canvas, slide_id, (data, kwargs, kind))
            elif not (has_mask if metadata["kind"] == MASK else has_result):
                self._canvas.put(slide_id, (data, kwargs, kind))
        if each.state is not None:
            looks.apply_order(self._canvas, slide_id, each.state.layers)
        self._arrived(slide_id, each)

    def _failed(self, slide_id: str, each: OpenSlide, text: str) -> None:
        if text and self._open.get(slide_id) is each:
            self._notify(f"{each.name} is not shown as it was left: {text}")
            self._arrived(slide_id, each)

    def _arrived(self, slide_id: str, each: OpenSlide) -> None:
        each.ready = True
        if len(self._canvas.slide_layers()) == 1:
            drawings.claim(self._canvas, slide_id)
        self.look()
        if slide_id in self._applied:
            self._show_applied(self._applied.pop(slide_id))

    def _show_applied(self, applied: pieces.Applied) -> None:
        """Lay a result over a slide that is open, once all that it had has returned."""
        slide_id, shown = applied.slide_id, applied.shown
        layer = self._canvas.layer_of(slide_id)
        if not self._open[slide_id].ready or layer is None:
            self._applied[slide_id] = applied
            return
        slide = layer.metadata["slide"]

        def read(layers: "list[LayerData]") -> None:
            if self._canvas.layer_of(slide_id) is not None:
                lay_result_over(self._canvas, slide_id, layers[0])
                self.look()
            else:
                self.take_result(applied)

        self._worker.submit(
            lambda _job: pieces.result_layers(Path(shown.path), slide, shown.class_name, shown.threshold),
            read,
            self._not_saved,
        )

    def _claim_shapes(self) -> None:
        """Let new layers of shapes belong to the slide on top."""
        top = Viewpoint(self._canvas.viewer).layer()
        slide_id = None if top is None else self._shows.get(top.unique_id)
        if slide_id in self._open and self._open[slide_id].ready:
            drawings.claim(self._canvas, slide_id)

    # --- being kept -------------------------------------------------------------------------------------------------

    def _look_at(self, each: OpenSlide, slide: "Slide") -> None:
        """Take how a slide is shown now, and say what cannot be kept."""
        told = each.masks.left_out
        each.look(
            self._canvas,
            slide,
            self._results.shown(each, slide.id),
            self._results.under(slide.id),
            self._notes.of(slide.id),
        )
        for name in each.masks.left_out:
            if name not in told:
                self._notify(f"{name} will not be there when {each.name} is opened again: {TOO_LARGE}")

    def _save(self, each: OpenSlide) -> None:
        """Write how a slide is shown, if that has changed since."""
        unsaved = each.unsaved()
        if unsaved is None:
            return
        state, drawn, masks = unsaved
        store, painted = each.store, None if masks is None else masks.kept

        def saved(outcome: pieces.Saved) -> None:
            known = (outcome.conflict and each.lost) or (outcome.again and each.unwritten)
            each.lost, each.unwritten = outcome.conflict, outcome.again
            if outcome.problem and not known:
                self._notify(outcome.problem)
            self.saved()

        self._worker.submit(lambda _job: pieces.save(store, state, drawn, painted), saved, self._not_saved)

    def _not_saved(self, text: str) -> None:
        """Say what went wrong inside; an empty text was cancelled at the end."""
        if text:
            self._notify(text)

    def _add_result(self, each: OpenSlide, shown: ResultShown) -> None:
        """Remember a result that was still being written when its slide went, unless the slide is open once more."""
        state = each.state
        if state is not None and each.store.slide_id not in self._open and state.result is None:
            each.state = dataclasses.replace(state, result=shown)
            self._save(each)

    def _gone(self) -> None:
        self._going = False
        self.shapes_changed()


def _nobody() -> None:
    """Stand for whoever wants to know of what was written."""
