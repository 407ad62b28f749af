"""Lets slides return as they were left: looks when one is opened, and keeps how it is shown until it is closed.

No Qt here. All methods belong to the GUI thread; files are read and written by a worker. Nothing that goes wrong here
ever keeps a slide from being shown: it is said in one sentence, and the slide is shown as a new one is.
"""

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gigaclf.inference.findings.reviews import now
from napari_gigaclf.slides.slide import GIVEN_BY_USER
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.returning import drawings, looks, pieces
from napari_gigaclf.viewer.returning.drawings import DIGEST, FILE, Drawings
from napari_gigaclf.viewer.returning.looks import DRAWN_ON
from napari_gigaclf.viewer.returning.state import MAX_FILES, ResultShown, SlideFile, SlideState
from napari_gigaclf.viewer.returning.state_file import states_folder
from napari_gigaclf.viewer.returning.state_store import StateStore
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.worker import Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.inference.record import RunRecord
    from napari_gigaclf.slides import Slide

FLUSH_SECONDS = 3.0
"""Most that closing a window waits for what is still to be written."""


@dataclass(slots=True)
class _Open:
    """A slide that is open."""

    store: StateStore
    file: SlideFile | None
    name: str
    ready: bool = False
    """Everything has returned: from now on what is shown is kept."""
    state: SlideState | None = None
    """How it was shown when it was last looked at."""
    saved: SlideState | None = None
    drawn: Drawings | None = None
    drawn_changed: bool = True
    drawn_saved: Drawings | None = None
    result: "tuple[RunRecord, str] | None" = None
    """Record of the result on show, and where it is kept; an empty text while it is being written, or cannot be."""
    class_name: str = ""
    """The class on show."""
    lost: bool = False
    """Another window keeps this slide."""


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
        self._post = post
        self._notify = notify
        self._folder = folder or states_folder()
        self._results = results or pieces.results_folder()
        self._open: dict[str, _Open] = {}
        self._stores: dict[str, StateStore] = {}
        """For the worker."""
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
            elif layer.metadata.get(FILE) and type(layer).__name__ == "Shapes":
                layer.metadata[DIGEST] = drawings.digest_of(layer)  # how the file has it, so that changes are noticed
        self._claim_shapes()

    def shapes_changed(self) -> None:
        """Take drawn shapes anew when the view is looked at next."""
        for each in self._open.values():
            each.drawn_changed = True

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
        """Keep everything and end the workers; True if all was written in time."""
        self.look()
        self._open = {}
        in_time = self.flush()
        return all([self._worker.close(), self._keeper.close(), in_time])

    def flush(self) -> bool:
        """Wait a little until what is to be written is written; True if it was."""
        written = threading.Event()
        job = self._worker.submit(lambda _job: written.set(), lambda _done: None, lambda _text: None)
        return job.is_set() or written.wait(FLUSH_SECONDS)

    def keeps_shapes(self, slide_id: str) -> bool:
        """Return whether what is drawn on a slide is there again when it is opened again."""
        each = self._open.get(slide_id)
        return each is not None and each.ready and not each.lost

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
        if slide_id in self._open:
            return
        slide, state = layer.metadata["slide"], found.state
        each = self._open[slide_id] = _Open(store=found.store, file=found.file, name=slide.name, saved=state)
        if found.problem:
            self._notify(found.problem)
        if state is None:
            self._arrived(slide_id, each)
            return
        moved = bool(cameras) and cameras[0] != looks.camera_of(self._canvas)
        if state.view is not None and not moved and len(self._canvas.slide_layers()) == 1:
            looks.apply_view(self._canvas, slide, state.view)
        looks.apply_looks(self._canvas, slide_id, state.layers)
        each.state = state
        self._worker.submit(
            lambda _job: pieces.reopen(found.store, state, slide),
            lambda reopened: self._reopened(slide_id, each, reopened),
            lambda text: self._failed(slide_id, each, text),
        )

    def _reopened(self, slide_id: str, each: _Open, reopened: pieces.Reopened) -> None:
        if self._open.get(slide_id) is not each:
            return
        for problem in reopened.problems:
            self._notify(problem)
        layers = self._canvas.viewer.layers
        there = {layer.name for layer in layers if layer.metadata.get(DRAWN_ON) == slide_id}
        has_result = self._canvas.overlay(slide_id, "probability") is not None
        for data, kwargs, kind in reopened.layers:
            metadata = kwargs["metadata"]
            if DRAWN_ON in metadata:
                if kwargs["name"] not in there:
                    getattr(self._canvas.viewer, f"add_{kind}")(data, **kwargs)
            elif not has_result:
                self._canvas.put(slide_id, (data, kwargs, kind))
        self._arrived(slide_id, each)

    def _failed(self, slide_id: str, each: _Open, text: str) -> None:
        if text and self._open.get(slide_id) is each:
            self._notify(f"{each.name} is not shown as it was left: {text}")
            self._arrived(slide_id, each)

    def _arrived(self, slide_id: str, each: _Open) -> None:
        each.ready = True
        if len(self._canvas.slide_layers()) == 1:
            drawings.claim(self._canvas, slide_id)
        self.look()

    def _claim_shapes(self) -> None:
        """Let new layers of shapes belong to the slide on top."""
        top = Viewpoint(self._canvas.viewer).layer()
        slide_id = None if top is None else self._shows.get(top.unique_id)
        if slide_id in self._open and self._open[slide_id].ready:
            drawings.claim(self._canvas, slide_id)

    # --- being kept -------------------------------------------------------------------------------------------------

    def _look_at(self, each: _Open, slide: "Slide") -> None:
        """Take how a slide is shown now."""
        if each.drawn_changed:
            each.drawn, each.drawn_changed = drawings.drawings_on(self._canvas, slide), False
        drawn = each.drawn
        assert drawn is not None
        point = Viewpoint(self._canvas.viewer)
        on_top = (top := point.slide()) is not None and top.id == slide.id
        before = None if each.state is None else each.state.view
        each.state = SlideState(
            slide_id=slide.id,
            slide_name=slide.name[:1000],
            file=each.file,
            when=now(),
            view=looks.view_of(self._canvas, slide) if on_top else before,
            given_um_per_px=slide.um_per_px if slide.um_per_px_source == GIVEN_BY_USER else None,
            layers=looks.look_of(self._canvas, slide.id),
            result=self._result(each, slide.id),
            annotations=drawn.files[:MAX_FILES],
            num_drawn=len(drawn.shapes),
        )

    def _result(self, each: _Open, slide_id: str) -> ResultShown | None:
        """Return where the result on show is kept; one that nobody saved is kept now, and known soon."""
        layer = self._canvas.overlay(slide_id, "probability")
        if layer is None:
            each.result = None
            return None
        prediction = layer.metadata.get("prediction")
        if prediction is not None:  # else a run is under way: until it ends, the result before it is what returns
            self._take_result(each, layer, prediction)
        if each.result is None or not each.result[1]:
            return None
        record, path = each.result
        return ResultShown(path=path, class_name=each.class_name, model=record.model.name)

    def _take_result(self, each: _Open, layer: Any, prediction: Any) -> None:  # noqa: ANN401 - a layer, a Prediction
        """Note the result on show; one that nobody saved is kept."""
        each.class_name = str(layer.metadata["class_name"])
        if each.result is not None and each.result[0] is prediction.record:
            return
        path = str(layer.metadata.get(FILE, ""))
        each.result = (prediction.record, path)
        if not path and prediction.store.whole:
            self._keep(each, prediction)

    def _keep(self, each: _Open, prediction: Any) -> None:  # noqa: ANN401 - a Prediction
        """Keep a result in the background."""

        def kept(path: Path) -> None:
            if each.result is not None and each.result[0] is prediction.record:
                each.result = (prediction.record, str(path))
                self.look()
                self._add_result(each, path, prediction)

        def failed(text: str) -> None:
            if text:
                self._notify(f"The result of {each.name} will not be there when it is opened again: {text}")

        folder = self._results
        self._keeper.submit(lambda _job: pieces.keep_result(prediction, folder), kept, failed)

    def _add_result(self, each: _Open, path: Path, prediction: Any) -> None:  # noqa: ANN401 - a Prediction
        """Remember a result that was still being written when its slide went, unless the slide is open once more."""
        slide_id, state = each.store.slide_id, each.state
        if state is None or slide_id in self._open or state.result is not None:
            return
        shown = ResultShown(path=str(path), class_name=each.class_name, model=prediction.record.model.name)
        each.state = dataclasses.replace(state, result=shown)
        self._save(each)

    def _save(self, each: _Open) -> None:
        """Write how a slide is shown, if that has changed since."""
        state, drawn = each.state, each.drawn
        if state is None or not each.ready or each.lost:
            return
        same = each.saved is not None and each.saved.without_time() == state.without_time()
        some = state.num_drawn or (each.saved is not None and each.saved.num_drawn)
        new_shapes = drawn if some and drawn is not each.drawn_saved else None
        if same and new_shapes is None:
            return
        each.saved, each.drawn_saved = state, drawn
        store = each.store

        def failed(text: str) -> None:
            if text and not each.lost:
                each.lost = True
                self._notify(text)

        self._worker.submit(lambda _job: pieces.save(store, state, new_shapes), lambda _none: self.saved(), failed)

    def _gone(self) -> None:
        self._going = False
        self.shapes_changed()


def _nobody() -> None:
    """Stand for whoever wants to know of what was written."""
