"""Decides what happens when a person chooses, previews, runs, cancels or closes: a state machine without a window.

    no slide -> preparing <-> ready / refused -> running -> (cancelling) -> ready

Every request has a generation. An answer of an older generation, or for a slide that was closed meanwhile, is dropped.
Two workers: a quick one for plans and previews, a long one for the run, so that a click is answered during a run.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gigaclf.models.map_scale import map_scale
from napari_gigaclf.progress import CancelToken, Progress
from napari_gigaclf.viewer.controllers.giving_way import GivingWay
from napari_gigaclf.viewer.controllers.mapping import LiveMap
from napari_gigaclf.viewer.controllers.run_view import RunView, State
from napari_gigaclf.viewer.controllers.seldom import seldom
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.wishes import Wishes
from napari_gigaclf.viewer.layers import (
    DEFAULT_THRESHOLD,
    Frame,
    LayerData,
    finding_layers,
    mask_layer,
    tissue_layer,
)
from napari_gigaclf.viewer.worker import Job, Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction, PreparedRun
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.slides.tissue import TissueMask

REFRESH_SECONDS = 0.25
"""Least time between two redraws of the overlay, and of the progress bar: on software OpenGL either composes the whole
window anew, for about 40 ms."""
REFRESH_SECONDS_MOVING = 1.0
"""The same while a person moves the view, whose own redraws come first."""


class RunController:
    """Runs one slide at a time for a widget.

    Parameters
    ----------
    view
        The widget, or a fake of it.
    quick, long
        Workers for plans and for runs.
    post
        Carries calls to the GUI thread.
    """

    def __init__(self, view: RunView, *, quick: Worker, long: Worker, post: Post, shelf: Shelf) -> None:
        self._view = view
        self._quick = quick
        self._long = long
        self._post = post
        self.shelf = shelf
        self.giving_way = GivingWay()
        self.slide: Slide | None = None
        self.wishes: Wishes | None = None
        self.prepared: PreparedRun | None = None
        self.results: dict[str, tuple[Prediction, LiveMap]] = {}
        """Result and map by slide id."""
        self._adopting: dict[str, Slide] = {}
        """Slides, by id, for which a result that was made elsewhere is being taken."""
        self._made_by: dict[str, tuple[str, str]] = {}
        """Model and level that made the result, by slide id."""
        self._state = State.NO_SLIDE
        self._plan_generation = 0
        self._plan_job: Job[PreparedRun] | None = None
        self._run_generation = 0
        self._run_job: Job[tuple[Prediction, list[LayerData]]] | None = None
        self._run_slide: Slide | None = None
        self._live: LiveMap | None = None
        self._last_refresh = 0.0

    @property
    def state(self) -> State:
        """What the controller is doing."""
        return self._state

    @property
    def running(self) -> bool:
        """True from Run to the answer, also while a cancel is under way."""
        return self._run_job is not None

    @property
    def running_on(self) -> str | None:
        """Fingerprint of the slide on which a run is under way."""
        return None if self._run_slide is None else self._run_slide.id

    # --- choosing ---------------------------------------------------------------------------------------------------

    def choose(self, slide: "Slide | None", wishes: Wishes | None) -> None:
        """Take what is chosen in the widget now, and plan the run in the background if it has changed."""
        if slide is self.slide and wishes == self.wishes and self._state is not State.REFUSED:
            return
        self.slide, self.wishes, self.prepared = slide, wishes, None
        self.plan()

    def plan(self) -> None:
        """Plan again: the wishes, the painted mask or the slide's scale have changed."""
        self.prepared = None
        self._plan_generation += 1
        generation, slide, wishes = self._plan_generation, self.slide, self.wishes
        if self._plan_job is not None:
            self._plan_job.cancel()
            self._plan_job = None
        if slide is None or wishes is None:
            self._enter(State.NO_SLIDE)
            return
        self._enter(State.PREPARING)
        self._plan_job = self._quick.submit(
            lambda _job: self.shelf.prepare(slide, wishes),
            done=lambda prepared: self._planned(generation, prepared),
            failed=lambda text: self._refused(generation, text),
        )

    def preview_tissue(self) -> None:
        """Find the tissue of the chosen slide and show it."""
        slide = self.slide
        if slide is None:
            return
        self._quick.submit(
            lambda _job: self._tissue_layers(slide),
            done=lambda layers: self._tissue_found(slide, layers),
            failed=self._view.show_problem,
        )

    def paint(self, slide: "Slide", mask: "TissueMask | None") -> None:
        """Use a painted mask for a slide from now on; None for the found one."""
        self.shelf.paint(slide.id, mask)
        if slide is self.slide and self.wishes is not None and self.wishes.uses_tissue:
            self.plan()

    # --- running ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Start the run that is planned; without a plan (yet) it is made first, in the same job."""
        if self.running or self.slide is None or self.wishes is None:
            return
        slide, wishes, prepared = self.slide, self.wishes, self.prepared
        self._run_generation += 1
        generation = self._run_generation
        self._run_slide = slide
        self._enter(State.RUNNING)
        self._run_job = self._long.submit(
            lambda job: self._work(job, generation, slide, wishes, prepared),
            done=lambda finding: self._ran(generation, slide, wishes, *finding),
            failed=lambda text: self._run_failed(generation, text),
        )

    def cancel(self) -> None:
        """Ask the run to stop; what it has found so far stays."""
        if self._run_job is not None:
            self._run_job.cancel()
            self._enter(State.CANCELLING)

    def look(self, class_name: str, threshold: float) -> None:
        """Show another class or threshold of the chosen slide's map."""
        if self.slide is None:
            return
        running = self._live if self._run_slide is self.slide else None
        live = running or (self.results[self.slide.id][1] if self.slide.id in self.results else None)
        if live is None or class_name not in live.classes:
            return
        live.look(class_name, threshold)
        self._view.show_look(self.slide, live)

    def adopt(
        self, slide: "Slide", prediction: "Prediction", class_name: str, threshold: float = DEFAULT_THRESHOLD
    ) -> None:
        """Take a result that was made elsewhere (loaded, or handed in by a script), and show it soon."""
        self._adopting[slide.id] = slide
        self._quick.submit(
            lambda _job: _adopted(prediction, Frame.of_slide(slide)),
            done=lambda finding: self._adopt(slide, class_name, threshold, *finding),
            failed=self._view.show_problem,
        )

    def _adopt(
        self,
        slide: "Slide",
        class_name: str,
        threshold: float,
        prediction: "Prediction",
        layers: Sequence[LayerData],
    ) -> None:
        if self._adopting.get(slide.id) is not slide:  # closed meanwhile: it would lie over what is open now
            return
        if self.running_on == slide.id:  # the run that began meanwhile draws on the map, and its result will answer
            self._view.show_problem(f"not shown, since a run on {slide.name} has begun: open the result again after it")
            return
        scale = map_scale(prediction.head.config)
        live = LiveMap(tuple(prediction.classes), prediction.grid, class_name, threshold, scale)
        live.fill(prediction.probability_map)
        self.results[slide.id] = (prediction, live)
        level = prediction.record.parameters.get("level", "auto")
        self._made_by[slide.id] = (prediction.record.model.name, level)
        self._view.show_result(slide, prediction, live, layers)
        _pool_ahead(self._quick, prediction)

    def found_on(self, slide: "Slide | None") -> "tuple[Prediction, LiveMap] | None":
        """Return the result of a slide and its map; None without one, and while a run on it is under way."""
        return None if slide is None or self.running_on == slide.id else self.results.get(slide.id)

    def fitting_result(self, slide: "Slide", wishes: Wishes) -> "Prediction | None":
        """Return the slide's result if these wishes' model and scale made it: its stored features answer a click."""
        if self._made_by.get(slide.id) != (wishes.model, str(wishes.level)):
            return None
        return self.results[slide.id][0]

    def model_changed(self, name: str) -> None:
        """Answer by a model whose folder was written to: what it made before is no longer its result."""
        self._made_by = {slide_id: made for slide_id, made in self._made_by.items() if made[0] != name}
        if self.wishes is not None and self.wishes.model == name:
            self.plan()

    # --- closing ----------------------------------------------------------------------------------------------------

    def slide_gone(self, slide_id: str) -> None:
        """Forget a slide whose layer was removed; its run is cancelled and its answers will be dropped."""
        self.forget_found(slide_id)
        self.shelf.forget(slide_id)

    def forget_found(self, slide_id: str) -> None:
        """Forget what was found on a slide, which may go on at another scale; its run is cancelled."""
        self.results.pop(slide_id, None)
        self._made_by.pop(slide_id, None)
        self._adopting.pop(slide_id, None)
        if self._run_slide is not None and self._run_slide.id == slide_id:
            self._drop_run()
        if self.slide is not None and self.slide.id == slide_id:
            self.choose(None, self.wishes)

    def close(self) -> bool:
        """Cancel everything and wait for the workers; True if they ended in time."""
        self._plan_generation += 1
        self._drop_run()
        self._quick.cancel_all()
        self._long.cancel_all()
        ended = self._quick.close()
        return self._long.close() and ended

    # --- on the worker ----------------------------------------------------------------------------------------------

    def _work(
        self, job: CancelToken, generation: int, slide: "Slide", wishes: Wishes, prepared: "PreparedRun | None"
    ) -> "tuple[Prediction, list[LayerData]]":
        """Run on the long worker; what happens on the way is posted to the window."""
        model = self.shelf.model(wishes.model, wishes.threads)
        plan = prepared if prepared is not None else self.shelf.prepare(slide, wishes)
        shown = model.card.positive_class or model.classes[-1]
        live = LiveMap(tuple(model.classes), plan.grid, shown, scale=map_scale(model.config))
        outline = [] if plan.tissue is None else [tissue_layer(plan.tissue, Frame.of_slide(slide))]
        self._post(lambda: self._started(generation, slide, live, outline))
        report = seldom(lambda progress: self._post(lambda: self._progressed(generation, progress)), self._interval)

        give_way = self.giving_way.waiter()

        def after_tile(progress: Progress) -> None:
            report(progress)
            give_way(job)

        prediction = plan.run(
            saliency=wishes.wanted_saliency,
            cancel=job,
            progress=after_tile,
            on_map=lambda update: self._post(lambda: self._map_changed(generation, slide, live, update)),
        )
        return prediction, finding_layers(prediction, Frame.of_slide(slide))

    def _tissue_layers(self, slide: "Slide") -> list[LayerData]:
        tissue, frame = self.shelf.tissue(slide), Frame.of_slide(slide)
        return [tissue_layer(tissue, frame), mask_layer(tissue, frame)]

    # --- answers, on the GUI thread ---------------------------------------------------------------------------------

    def _planned(self, generation: int, prepared: "PreparedRun") -> None:
        if generation != self._plan_generation:
            return
        self._plan_job = None
        self.prepared = prepared
        self._view.show_plan(prepared)
        self._enter(State.READY)

    def _refused(self, generation: int, text: str) -> None:
        if generation != self._plan_generation or not text:
            return
        self._plan_job = None
        self._view.show_problem(text)
        self._enter(State.REFUSED)

    def _tissue_found(self, slide: "Slide", layers: Sequence[LayerData]) -> None:
        if slide is self.slide:
            self._view.show_tissue(slide, layers)

    def _started(self, generation: int, slide: "Slide", live: LiveMap, layers: Sequence[LayerData]) -> None:
        if generation == self._run_generation:
            self._live = live
            self._view.show_map(slide, live, layers)

    def _progressed(self, generation: int, progress: Progress) -> None:
        if generation == self._run_generation:
            self._view.show_progress(progress)

    def _map_changed(self, generation: int, slide: "Slide", live: LiveMap, update: Any) -> None:  # noqa: ANN401
        if generation != self._run_generation:
            return
        live.update(update)
        now = time.monotonic()
        if now - self._last_refresh >= self._interval():
            self._last_refresh = now
            self._view.refresh_map(slide)

    def _interval(self) -> float:
        """Return the least seconds between two redraws for the run's sake."""
        return REFRESH_SECONDS_MOVING if self.giving_way.moving else REFRESH_SECONDS

    def _ran(
        self,
        generation: int,
        slide: "Slide",
        wishes: Wishes,
        prediction: "Prediction",
        layers: Sequence[LayerData],
    ) -> None:
        live = self._live
        if generation != self._run_generation or live is None:
            return
        live.fill(prediction.probability_map)
        self.results[slide.id] = (prediction, live)
        self._made_by[slide.id] = (wishes.model, str(wishes.level))
        self._end_run()
        self._view.refresh_map(slide)
        self._view.show_result(slide, prediction, live, layers)
        _pool_ahead(self._long, prediction)

    def _run_failed(self, generation: int, text: str) -> None:
        if generation != self._run_generation:
            return
        self._end_run()
        self._view.show_problem(text or "cancelled before anything was computed")

    def _end_run(self) -> None:
        self._run_job = None
        self._run_slide = None
        self._settle()

    def _drop_run(self) -> None:
        """Cancel the run and let none of its answers through."""
        if self._run_job is not None:
            self._run_job.cancel()
            self._run_generation += 1
            self._end_run()

    def _settle(self) -> None:
        """Go back to the state that the plan is in."""
        if self.slide is None:
            self._enter(State.NO_SLIDE)
        elif self.prepared is not None:
            self._enter(State.READY)
        else:
            self._enter(State.PREPARING if self._plan_job is not None else State.REFUSED)

    def _enter(self, state: State) -> None:
        """Tell the view the state; a run shows as one whatever is planned meanwhile."""
        if self._run_job is not None and state not in (State.RUNNING, State.CANCELLING):
            return
        self._state = state
        self._view.show_state(state)


def _adopted(prediction: "Prediction", frame: Frame) -> "tuple[Prediction, list[LayerData]]":
    """Return a result whose map is in memory, and the layers beside its map; reads the files of a loaded one."""
    whole = dataclasses.replace(prediction, probability_map=np.asarray(prediction.probability_map, dtype=np.float32))
    return whole, finding_layers(whole, frame)


def _pool_ahead(worker: Worker, prediction: "Prediction") -> None:
    """Let not even the first question about a large region wait; a question that comes sooner pools by itself."""
    worker.submit(lambda _job: prediction.pool_ahead(), lambda _none: None, lambda _text: None)
