"""What a person says of hotspots: a list of verdicts that only grows, and shrinks only by undoing the last one.

The latest verdict on a place counts. Nothing is overwritten, so that every step can be undone, back to the first; who
said it and when stays with each. Records are frozen: a change gives a new log.
"""

import dataclasses
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from napari_gigaclf.errors import OutputError

Verdict = Literal["open", "accepted", "rejected", "relabelled"]
"""``"open"`` is a place with a note and no verdict yet."""

MAX_REVIEWS = 20_000
"""Verdicts on one slide; about 6 MB."""
MAX_TEXT = 2000
"""Letters of a note; names are shorter."""
MAX_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One verdict on one place.

    Raises
    ------
    ValueError
        A text is too long, a number is none, or the new class does not fit the verdict.
    """

    place: tuple[float, float]
    """(y, x), level-0 pixels, corner convention."""
    class_name: str
    """The class that was looked for."""
    probability: float
    """What the model gave it."""
    verdict: Verdict
    new_class: str = ""
    """What it is instead, of ``"relabelled"``; else empty."""
    note: str = ""
    who: str
    when: str
    """Date and time in UTC, ISO 8601."""

    def __post_init__(self) -> None:
        """Check what a file or a field may have brought."""
        for what, text, most in (
            ("class_name", self.class_name, MAX_NAME),
            ("new_class", self.new_class, MAX_NAME),
            ("note", self.note, MAX_TEXT),
            ("who", self.who, MAX_NAME),
        ):
            if len(text) > most:
                raise ValueError(f"{what} has {len(text)} letters; {most} are kept")
        if not all(map(math.isfinite, (*self.place, self.probability))):
            raise ValueError("place and probability must be finite numbers")
        if (self.verdict == "relabelled") != bool(self.new_class.strip()):
            raise ValueError(f"a place that is {self.verdict} has the new class {self.new_class!r}")
        if datetime.fromisoformat(self.when).tzinfo is None:
            raise ValueError(f"when is {self.when!r}, a time without its zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderCall:
    """What a reader said of a slide before seeing what the model found."""

    class_name: str
    places: tuple[tuple[float, float], ...] = ()
    """Where the reader saw it, (y, x), level-0 pixels."""
    who: str
    when: str

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        if max(len(self.class_name), len(self.who)) > MAX_NAME or not self.class_name.strip():
            raise ValueError(f"class_name and who are texts of up to {MAX_NAME} letters")
        if len(self.places) > MAX_REVIEWS or not all(math.isfinite(v) for place in self.places for v in place):
            raise ValueError(f"places must be up to {MAX_REVIEWS} pairs of finite numbers")
        if datetime.fromisoformat(self.when).tzinfo is None:
            raise ValueError(f"when is {self.when!r}, a time without its zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewKey:
    """What the verdicts are about: a slide and the model that found the places."""

    slide_id: str
    """Fingerprint of the slide's content."""
    model: str
    version: str
    sha256: str
    """Digest of the model's weights; empty for a model that was never saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewLog:
    """All verdicts on one slide and model, oldest first.

    Examples
    --------
    >>> key = ReviewKey(slide_id="ab", model="m", version="1", sha256="")
    >>> said = {"class_name": "tumour", "verdict": "rejected", "who": "me", "when": now()}
    >>> log = ReviewLog(key=key).adding(Review(place=(1.0, 2.0), probability=0.9, **said))
    >>> [each.verdict for each in log.current("tumour")], log.undone().reviews
    (['rejected'], ())
    """

    key: ReviewKey
    slide_name: str = ""
    reviews: tuple[Review, ...] = ()
    call: ReaderCall | None = None
    """What the reader said first, if that was asked for."""

    def adding(self, review: Review) -> "ReviewLog":
        """Return the log with one verdict more.

        Raises
        ------
        OutputError
            There are as many as are kept.
        """
        if len(self.reviews) >= MAX_REVIEWS:
            raise OutputError(f"{MAX_REVIEWS} verdicts on one slide are all that is kept; undo some, or export them")
        return dataclasses.replace(self, reviews=(*self.reviews, review))

    def undone(self) -> "ReviewLog":
        """Return the log without its last verdict; itself where there is none."""
        return dataclasses.replace(self, reviews=self.reviews[:-1])

    def called(self, call: ReaderCall) -> "ReviewLog":
        """Return the log with what the reader said; a call that was made stays (itself)."""
        return self if self.call is not None else dataclasses.replace(self, call=call)

    def current(self, class_name: str) -> list[Review]:
        """Return the verdict that counts on each place of a class, in the order in which they were given."""
        latest: dict[tuple[float, float], Review] = {}
        for review in self.reviews:
            if review.class_name == class_name:
                latest.pop(review.place, None)
                latest[review.place] = review
        return list(latest.values())


def now() -> str:
    """Return date and time in UTC as ISO 8601, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
