"""Keeps book of the slides that are open: makes slides of plain images, takes loaded results, corrects scales.

No Qt here. All methods belong to the GUI thread; what reads files or pixels goes to the quick worker.
"""

from typing import TYPE_CHECKING, Any, Protocol

from napari_gigaclf.viewer.another_scale import remove_found, rescale
from napari_gigaclf.viewer.canvas import SlideCanvas, layer_key
from napari_gigaclf.viewer.controllers.jobs import adopt_layer, open_place, slide_with_scale
from napari_gigaclf.viewer.controllers.probe import ProbeController
from napari_gigaclf.viewer.controllers.run import RunController
from napari_gigaclf.viewer.layers import DEFAULT_THRESHOLD
from napari_gigaclf.viewer.reader import start_overviews
from napari_gigaclf.viewer.slide_notes import notes_of
from napari_gigaclf.viewer.texts import outdated_text
from napari_gigaclf.viewer.worker import Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.inference.record import RunRecord
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.layers import LayerData

OPENED_DURING_RUN = "a run on this slide is under way: the result that was opened lies under its map, to be compared"


class SlideBookView(Protocol):
    """What the book asks of the widget."""

    def show_slides(self) -> None:
        """List the open slides anew."""
        ...

    def plan_again(self) -> None:
        """Plan with what is chosen now: a slide is there, or has another scale."""
        ...

    def choose_slide(self, slide_id: str) -> None:
        """Choose one of the open slides."""
        ...

    def show_chosen(self) -> None:
        """Show what the chosen slide is, in place of what was wished for."""
        ...

    def show_prediction(self, slide: "Slide", prediction: "Prediction", class_name: str, threshold: float) -> None:
        """Show a result that was opened from a file."""
        ...

    def take_mask(self, slide: "Slide", layer: Any) -> None:  # noqa: ANN401 - a napari layer
        """Use a mask that was painted before, and let it be painted on."""
        ...

    def drop_rows(self, slide_id: str) -> None:
        """Forget the answers for a slide."""
        ...

    def show_problem(self, text: str) -> None:
        """Show one line that says why something cannot be done."""
        ...


class SlideBook:
    """The open slides of a viewer.

    Parameters
    ----------
    view
        The widget, or a fake of it.
    canvas
        Where the layers are.
    worker
        For work that must not hold up the window.
    post
        Carries calls to the GUI thread.
    runs, asks
        Told when a slide is gone.
    """

    def __init__(
        self,
        view: SlideBookView,
        canvas: SlideCanvas,
        *,
        worker: Worker,
        post: Post,
        runs: RunController,
        asks: ProbeController,
    ) -> None:
        self._view = view
        self._canvas = canvas
        self._worker = worker
        self._post = post
        self._runs = runs
        self._asks = asks
        self._adopting: set[int] = set()
        self._taken: dict[str, RunRecord] = {}
        """The result that was opened from a file and taken last, by slide id."""
        self._masks: set[Any] = set()
        """Layers of painted masks that the widget knows."""
        self._outdated: dict[str, str] = {}
        """What is said of slides, by id, whose results have gone with their scale."""
        self._place_generation = 0

    def entries(self) -> list[tuple[str, str]]:
        """Return name and key of each open slide; results that lie over one are taken soon."""
        entries = [(layer.name, layer_key(layer)) for layer in self._canvas.slide_layers()]
        if entries:
            self._post(self._take_results)
        return entries

    def slide(self, key: object) -> "Slide | None":
        """Return the slide of a key; None if it is gone, or while a plain layer is still being made one."""
        layer = next((layer for layer in self._canvas.slide_layers() if layer_key(layer) == key), None)
        if layer is None:
            return None
        slide: Slide | None = layer.metadata.get("slide")
        if slide is None:
            self._adopt(layer)
        return slide

    def layer_removed(self, layer: Any) -> None:  # noqa: ANN401 - a napari layer
        """Forget a slide whose last layer has gone."""
        self._masks.discard(layer.unique_id)
        slide = layer.metadata.get("slide")
        if slide is not None and self._canvas.layer_of(slide.id) is None:
            self._taken.pop(slide.id, None)
            self._outdated.pop(slide.id, None)
            self._runs.slide_gone(slide.id)
            self._drop_answers(slide.id)
        self._view.show_slides()

    def give_scale(self, slide: "Slide", um_per_px: float) -> None:
        """Give a slide another scale; what was found at the old one is wrong and goes, what a person made stays."""

        def rescaled(scaled: "Slide") -> None:
            if slide.um_per_px is not None:
                self._drop_found(slide)
            rescale(self._canvas, scaled)
            self._runs.shelf.rescale(scaled)
            self._view.plan_again()

        self._worker.submit(lambda _job: slide_with_scale(slide, um_per_px), rescaled, self._view.show_problem)

    def outdated(self, slide: "Slide | None") -> str:
        """Return the sentence that a slide's results have gone with its scale; empty where none has."""
        return "" if slide is None else self._outdated.get(slide.id, "")

    def open_place(self, slide: "Slide", scene: int, z: int | None) -> None:
        """Choose another scene or focal plane of a slide's file; one that is not open is opened beside this one.

        Without ``z``: a plane of the scene that is open, else the one that comes by default. A later wish wins.
        """
        self._place_generation += 1
        generation = self._place_generation
        there = self._open_already(slide, scene, z)
        if there is not None:
            self._bring_forward(there)
            return

        def opened(found: "tuple[Slide, list[LayerData]]") -> None:
            new, layers = found
            if generation != self._place_generation or self._canvas.layer_of(slide.id) is None:
                new.close()
                return
            layer = self._canvas.layer_of(new.id)
            if layer is not None:
                new.close()
                self._bring_forward(layer.metadata["slide"])
                return
            self._canvas.add_slide(layers)
            self._bring_forward(new)
            start_overviews(layers)

        def failed(text: str) -> None:
            if generation == self._place_generation:
                self._view.show_chosen()
                self._view.show_problem(text)

        self._worker.submit(lambda _job: open_place(slide, scene, z), opened, failed)

    def _open_already(self, slide: "Slide", scene: int, z: int | None) -> "Slide | None":
        """Return the open slide that shows this scene and plane (any plane without ``z``) of the same file."""
        for layer in self._canvas.slide_layers():
            other: Slide | None = layer.metadata.get("slide")
            if other is not None and (other.path, other.scene) == (slide.path, scene) and z in (None, other.z):
                return other
        return None

    def _bring_forward(self, slide: "Slide") -> None:
        self._canvas.bring_forward(slide)
        self._view.choose_slide(slide.id)

    def _drop_found(self, slide: "Slide") -> None:
        """Take away what was found on a slide at the scale that it had, and note what to say of it."""
        running = self._runs.running_on == slide.id
        self._runs.forget_found(slide.id)
        self._drop_answers(slide.id)
        if remove_found(self._canvas, slide.id) or running:
            asked = len(notes_of(self._canvas.viewer).of(slide.id).asked)
            self._outdated[slide.id] = outdated_text(slide.um_per_px, asked)

    def _drop_answers(self, slide_id: str) -> None:
        """Let no answer through that is on its way for a slide, and forget those that are there."""
        self._asks.slide_gone(slide_id)
        self._view.drop_rows(slide_id)

    def _adopt(self, layer: Any) -> None:  # noqa: ANN401 - a napari layer
        """Make a slide of a colour image that our reader did not open."""
        if id(layer) in self._adopting:
            return
        self._adopting.add(id(layer))

        def adopted(slide: "Slide") -> None:
            self._canvas.adopt(layer, slide)
            self._view.show_slides()
            self._view.plan_again()

        levels, um_per_px = self._canvas.arrays_of(layer)
        self._worker.submit(lambda _job: adopt_layer(levels, um_per_px, layer.name), adopted, self._view.show_problem)

    def _take_results(self) -> None:
        """Take results that were opened from files for the slides they speak of, once both are there; and masks."""
        self._take_masks()
        for layer in self._canvas.loaded_results():
            slide_id, prediction = layer.metadata["slide_id"], layer.metadata["prediction"]
            slide_layer, on_top = self._canvas.layer_of(slide_id), self._canvas.overlay(slide_id, "probability")
            if slide_layer is None or on_top is None or layer.unique_id != on_top.unique_id:
                continue  # of several results the one on top answers
            if self._runs.running_on == slide_id:
                self._put_aside(layer, slide_id)
                continue
            made_here = self._runs.results.get(slide_id)
            known = (self._taken.get(slide_id), None if made_here is None else made_here[0].record)
            if not any(prediction.record is each for each in known):
                self._taken[slide_id] = prediction.record
                class_name, threshold = layer.metadata["class_name"], layer.metadata.get("threshold", DEFAULT_THRESHOLD)
                self._view.show_prediction(slide_layer.metadata["slide"], prediction, class_name, threshold)

    def _put_aside(self, layer: Any, slide_id: str) -> None:  # noqa: ANN401 - a napari layer
        """Lay a result that was opened while a run goes on under the run's map: that is drawn on until the run ends."""
        growing = [
            each for each in self._canvas.overlays(slide_id, "probability") if each.metadata["prediction"] is None
        ]
        if growing:  # else the run has not begun to draw; it takes the place of what lies there then
            self._canvas.put_under(layer, growing[-1])
            self._view.show_problem(OPENED_DURING_RUN)

    def mask_shown(self, slide_id: str) -> None:
        """Note that a mask is painted on in this widget: it need not be taken later."""
        self._masks |= {layer.unique_id for layer in self._canvas.overlays(slide_id, "mask")}

    def _take_masks(self) -> None:
        """Take masks that were painted before their slide, or this widget, was opened."""
        for layer in self._canvas.painted_masks():
            slide_layer = self._canvas.layer_of(layer.metadata["slide_id"])
            if slide_layer is not None and layer.unique_id not in self._masks:
                self._masks.add(layer.unique_id)
                self._view.take_mask(slide_layer.metadata["slide"], layer)
