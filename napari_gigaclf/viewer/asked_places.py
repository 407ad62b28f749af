"""Remembers which places were asked about on a slide, and asks again about those that returned with it.

A place whose answer is not there (yet) stays noted: the result that covers it may still come.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.geometry import Box
from napari_gigaclf.viewer.controllers.probe import Question
from napari_gigaclf.viewer.slide_notes import MAX_LABEL, MAX_LETTERS, AskedPlace, NoteBook

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

DECIMALS = 3
"""Of outlines, in level-0 pixels."""


class AskedPlaces:
    """The places of the rows in the table of answers, and those that wait for one; all on the GUI thread.

    Parameters
    ----------
    notes
        Where they are noted.
    ask
        Asks a question that returned; the answer comes to ``answered``, or ``unanswered`` is called.
    """

    def __init__(self, notes: NoteBook, ask: "Callable[[Slide, Question], None]") -> None:
        self._notes = notes
        self._ask = ask
        self._answered: dict[str, list[AskedPlace]] = {}
        self._asking: set[tuple[str, AskedPlace]] = set()

    def answered(self, slide_id: str, question: Question) -> bool:
        """Note a question that was answered; False if it is too large to be kept."""
        place = question.returned or place_of(question)
        if place is None:
            return False
        waiting = self._waiting(slide_id)
        self._answered.setdefault(slide_id, []).append(place)
        self._asking.discard((slide_id, place))
        still = [each for each in waiting if each != place]
        self._notes.note_asked(slide_id, (*still, *self._answered[slide_id]))
        return True

    def unanswered(self, slide_id: str, question: Question) -> None:
        """Let a question that returned wait for another result."""
        if question.returned is not None:
            self._asking.discard((slide_id, question.returned))

    def ask_again(self, slide: "Slide") -> None:
        """Ask about the places that returned with a slide and have no answer in the table."""
        for place in self._waiting(slide.id):
            question = question_of(place)
            if question is not None and (slide.id, place) not in self._asking:
                self._asking.add((slide.id, place))
                self._ask(slide, question)

    def clear(self, slide_id: str) -> None:
        """Forget the places on a slide: a person has taken them away."""
        self.let_go(slide_id)
        self._notes.note_asked(slide_id, ())

    def let_go(self, slide_id: str) -> None:
        """Forget the answers on a slide that was closed, or has another scale; its places stay noted."""
        self._answered.pop(slide_id, None)
        self._asking = {each for each in self._asking if each[0] != slide_id}

    def _waiting(self, slide_id: str) -> list[AskedPlace]:
        answered = self._answered.get(slide_id, [])
        return [each for each in self._notes.of(slide_id).asked if each not in answered]


def place_of(question: Question) -> AskedPlace | None:
    """Return what is noted of a question; None if its outline has more corners than are kept."""
    threshold, label = question.threshold, question.label[:MAX_LABEL]
    place = question.place
    if isinstance(place, Box):
        return AskedPlace(box=(place.y0, place.y1, place.x0, place.x1), threshold=threshold, label=label)
    if isinstance(place, BaseGeometry):
        text = shapely.to_wkt(place, rounding_precision=DECIMALS)
        return None if len(text) > MAX_LETTERS else AskedPlace(area=text, threshold=threshold, label=label)
    y, x = question.position
    return AskedPlace(point=(y, x), threshold=threshold, label=label)


def question_of(place: AskedPlace) -> Question | None:
    """Return the question about a place; None if a file has brought what is no place."""
    if place.point is not None:
        return Question(
            kind="field", place=place.point, position=place.point, threshold=place.threshold, returned=place
        )
    found = _area_of(place.area) if place.box is None else Box(*place.box)
    if found is None:
        return None
    if isinstance(found, Box):
        position = ((found.y0 + found.y1) / 2, (found.x0 + found.x1) / 2)
    else:
        position = (found.centroid.y, found.centroid.x)
    return Question(
        kind="area", place=found, position=position, threshold=place.threshold, label=place.label, returned=place
    )


def _area_of(text: str | None) -> BaseGeometry | None:
    """Return the area that a text from anywhere describes; None if it describes none."""
    try:
        area = shapely.from_wkt(text)
    except (shapely.errors.ShapelyError, ValueError, TypeError):
        return None
    if area is None or area.geom_type not in ("Polygon", "MultiPolygon") or area.is_empty:
        return None
    return area if np.isfinite(area.bounds).all() and area.is_valid else None
