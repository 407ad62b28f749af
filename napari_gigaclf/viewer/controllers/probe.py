"""An answer wherever one clicks: the field around a place, or a drawn area, the same before and after a run.

Before a run the network looks at the field alone; after it the stored features answer. A press that moved is a drag (it
pans the slide) and never a question.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.wishes import Wishes
from napari_gigaclf.viewer.worker import Job, Worker

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_gigaclf.inference import Prediction, PreparedRun, RegionAnswer
    from napari_gigaclf.slides import Slide

DRAG_PIXELS = 4.0
"""A press that moves further on the screen is a drag."""
LEFT_BUTTON = 1
THUMBNAIL_PX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRow:
    """One row of the table of answers."""

    number: int
    slide_id: str
    kind: str
    """``"field"`` for a click, ``"area"`` for a drawn shape."""
    position: tuple[float, float]
    """Place of the click, or centroid of the area, (y, x), level-0 corner coordinates."""
    position_um: tuple[float, float] | None
    """The same in micrometres; None where the scale is unknown."""
    answer: "RegionAnswer"
    thumbnail: NDArray[np.uint8]
    """What the slide looks like there, (h, w, 3)."""


class ProbeView(Protocol):
    """What the controller asks of the table; all calls come on the GUI thread."""

    def add_row(self, slide: "Slide", row: ProbeRow) -> None:
        """Add an answer to the table and outline its field on the slide."""
        ...

    def show_problem(self, text: str) -> None:
        """Show one line that says why there is no answer."""
        ...

    def show_asking(self, num_waiting: int) -> None:
        """Show that answers are on their way."""
        ...


class ClickGesture:
    """Tells a click from a drag.

    Examples
    --------
    >>> gesture = ClickGesture()
    >>> gesture.press((10.0, 10.0), button=1)
    >>> gesture.move((11.0, 12.0))
    >>> gesture.release()
    True
    """

    def __init__(self) -> None:
        self._start: tuple[float, float] | None = None

    def press(self, position: tuple[float, float], button: int | None) -> None:
        """Begin with a press at a place on the screen (pixels)."""
        self._start = position if button in (None, LEFT_BUTTON) else None

    def move(self, position: tuple[float, float]) -> None:
        """Follow the mouse; too far, and it is no click any more."""
        if self._start is not None and math.dist(self._start, position) > DRAG_PIXELS:
            self._start = None

    def release(self) -> bool:
        """End; True if it was a click."""
        clicked = self._start is not None
        self._start = None
        return clicked


class ProbeController:
    """Answers clicks and drawn areas, in the order in which they were asked.

    Parameters
    ----------
    view
        The table, or a fake of it.
    worker
        The quick worker.
    """

    def __init__(self, view: ProbeView, *, worker: Worker, shelf: Shelf) -> None:
        self._view = view
        self._worker = worker
        self._shelf = shelf
        self._generation: dict[str, int] = {}
        self._jobs: dict[Job[ProbeRow], str] = {}
        self._num_rows = 0
        self._prepared: tuple[str, Wishes, PreparedRun] | None = None

    def click(
        self,
        slide: "Slide",
        wishes: Wishes,
        point: tuple[float, float],
        *,
        prepared: "PreparedRun | None" = None,
        prediction: "Prediction | None" = None,
    ) -> None:
        """Ask what the model says about the field around a point.

        Parameters
        ----------
        point
            (y, x), level-0 corner coordinates.
        prepared
            Plan for these wishes, if there is one already.
        prediction
            Result of a run with this model at this scale, if there is one; its stored features then answer.
        """
        height, width = slide.levels[0].height, slide.levels[0].width
        if not (0 <= point[0] < height and 0 <= point[1] < width):
            return  # beside the slide there is nothing to ask about
        self._ask(slide, "field", lambda: self._field(slide, wishes, point, prepared, prediction), point)

    def measure(self, slide: "Slide", area: "BaseGeometry", prediction: "Prediction") -> None:
        """Measure a drawn area (holes respected) in a result: size, mean, highest, share above one half."""
        centre = area.centroid
        self._ask(slide, "area", lambda: prediction.query(area), (centre.y, centre.x))

    def slide_gone(self, slide_id: str) -> None:
        """Drop the answers that are still on their way for a slide."""
        self._generation[slide_id] = self._generation.get(slide_id, 0) + 1
        for job, about in self._jobs.items():
            if about == slide_id:
                job.cancel()

    # --- on the worker ----------------------------------------------------------------------------------------------

    def _field(
        self,
        slide: "Slide",
        wishes: Wishes,
        point: tuple[float, float],
        prepared: "PreparedRun | None",
        prediction: "Prediction | None",
    ) -> "RegionAnswer":
        if prediction is not None:
            answer = prediction.query(point)
            if answer.probabilities is not None or prediction.complete:
                return answer
        return (prepared or self._plan(slide, wishes)).field(point)

    def _plan(self, slide: "Slide", wishes: Wishes) -> "PreparedRun":
        """Plan for a click which came before the widget's own plan was there."""
        if self._prepared is None or self._prepared[:2] != (slide.id, wishes):
            self._prepared = (slide.id, wishes, self._shelf.prepare(slide, wishes))
        return self._prepared[2]

    def _ask(self, slide: "Slide", kind: str, question: Any, position: tuple[float, float]) -> None:  # noqa: ANN401
        generation = self._generation.get(slide.id, 0)

        def work(_job: Job[ProbeRow]) -> ProbeRow:
            answer: RegionAnswer = question()
            unit = slide.um_per_px
            return ProbeRow(
                number=0,
                slide_id=slide.id,
                kind=kind,
                position=position,
                position_um=None if unit is None else (position[0] * unit[0], position[1] * unit[1]),
                answer=answer,
                thumbnail=thumbnail(slide, answer.outline),
            )

        job = self._worker.submit(
            work,
            done=lambda row: self._answered(slide, generation, row),
            failed=lambda text: self._failed(slide, generation, text),
            finished=lambda: self._finished(job),
        )
        self._jobs[job] = slide.id
        self._view.show_asking(len(self._jobs))

    # --- answers, on the GUI thread ---------------------------------------------------------------------------------

    def _answered(self, slide: "Slide", generation: int, row: ProbeRow) -> None:
        if generation != self._generation.get(slide.id, 0):
            return
        self._num_rows += 1
        self._view.add_row(slide, _numbered(row, self._num_rows))

    def _failed(self, slide: "Slide", generation: int, text: str) -> None:
        if text and generation == self._generation.get(slide.id, 0):
            self._view.show_problem(text)

    def _finished(self, job: Job[ProbeRow]) -> None:
        self._jobs.pop(job, None)
        self._view.show_asking(len(self._jobs))


def thumbnail(slide: "Slide", outline: "BaseGeometry", side: int = THUMBNAIL_PX) -> NDArray[np.uint8]:
    """Return what the slide looks like within an outline, about ``side`` pixels wide, (h, w, 3) uint8."""
    x0, y0, x1, y1 = outline.bounds
    extent = max(x1 - x0, y1 - y0, 1.0)
    wanted = extent / side
    fitting = [index for index, level in enumerate(slide.levels) if level.downsample <= max(1.0, wanted)]
    index = fitting[-1] if fitting else 0
    step = slide.levels[index].step
    centre = ((y0 + y1) / 2 / step[0], (x0 + x1) / 2 / step[1])
    half = max(1, round(min(extent / min(step), 4 * side) / 2))
    y, x = round(centre[0]), round(centre[1])
    pixels = slide.read(index, y - half, y + half, x - half, x + half)
    stride = max(1, (2 * half) // side)
    return np.ascontiguousarray(as_rgb(pixels)[::stride, ::stride])


def as_rgb(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pixels of any kind, (h, w, c) or (h, w), for the eye; of other kinds than colour the first channel."""
    planes = pixels if pixels.ndim == 3 else pixels[..., None]
    if planes.dtype == np.uint8 and planes.shape[-1] == 3:
        return planes
    first = planes[..., 0].astype(np.float64)
    top = float(first.max()) or 1.0
    return np.repeat((first / top * 255).astype(np.uint8)[..., None], 3, axis=2)


def _numbered(row: ProbeRow, number: int) -> ProbeRow:
    return dataclasses.replace(row, number=number)
