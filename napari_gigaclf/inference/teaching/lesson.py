"""What a person teaches: classes, and examples of them on one or several slides, as a list of steps that only grows.

It shrinks only by undoing the last step, so that everything can be taken back. Each example brings the features of its
cell with it, and each slide the mean and deviation of its features: what was taught can be learnt again without any
slide at hand. Records are frozen: a change gives a new lesson.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from napari_gigaclf.errors import TrainingError
from napari_gigaclf.inference.teaching.vectors import Vector, from_text

StepKind = Literal["example", "removal", "class", "rename", "drop"]
"""An example is given or taken back; a class is added, renamed (and coloured), or dropped with its examples."""
Colour = tuple[int, int, int]
Scale = tuple[float, float] | None
"""Micrometres per pixel of level 0, (y, x); None where they are unknown."""

MAX_STEPS = 20_000
MAX_EXAMPLES = 2000
"""Examples of one lesson; a head of this size learns nothing more from more."""
MAX_CLASSES = 9
"""Classes of one lesson: as many as there are keys."""
MAX_NAME = 100
MAX_SLIDES = 1000
COLOURS: tuple[Colour, ...] = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66),
    (0, 114, 178), (213, 94, 0), (153, 153, 153), (255, 255, 255),
)  # fmt: skip
"""Colours of new classes (Okabe and Ito 2008), which remain apart for people who do not see red or green."""

Identity = tuple[str, str, str]
"""Name, version and digest of a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaughtClass:
    """A class that is taught."""

    number: int
    """Tells it from the others, whatever it is called; never given twice."""
    name: str
    colour: Colour

    def __post_init__(self) -> None:
        """Check what a file or a field may have brought."""
        if not self.name.strip() or len(self.name) > MAX_NAME or not self.name.isprintable():
            raise ValueError(f"a class needs a name of one line, up to {MAX_NAME} letters")
        if not 0 <= min(self.colour) <= max(self.colour) <= 255:
            raise ValueError("a colour is three numbers from 0 to 255")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A place that a person has given a class."""

    slide_id: str
    place: tuple[float, float]
    """Centre of the cell, (y, x), level-0 pixels, corner convention."""
    class_number: int
    features: str
    """Features of the cell, float32; see ``vectors``."""
    um_per_px: Scale = None
    """The scale that the slide had when they were read."""

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        if not all(map(math.isfinite, self.place)):
            raise ValueError("a place must be two finite numbers")

    @property
    def key(self) -> tuple[str, tuple[float, float]]:
        """What tells one example from another: a cell has one class."""
        return self.slide_id, self.place

    def vector(self, num_features: int) -> Vector:
        """Return the features (F,)."""
        return from_text(self.features, num_features)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaughtSlide:
    """A slide on which examples were given, and how the features of all its cells are spread."""

    slide_id: str
    """Fingerprint of its content."""
    name: str
    num_cells: int
    mean: str
    """Mean of each feature over its cells, float32; see ``vectors``."""
    deviation: str
    """Standard deviation of each feature over its cells, float32."""
    um_per_px: Scale = None
    """The scale that it had then."""
    outdated: bool = False
    """Whether it was given another scale since, at which its features were not read yet."""

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        if self.num_cells < 1:
            raise ValueError("a slide has at least one cell")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """The model whose features are taught on."""

    name: str
    version: str
    sha256: str
    """Digest of its weights: features of other weights mean other things."""
    source: str
    """Name of a built-in model, or its folder."""
    num_features: int

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        if not 1 <= self.num_features <= 1 << 16:
            raise ValueError(f"num_features is {self.num_features}")

    @property
    def identity(self) -> Identity:
        """What makes two models the same, wherever they lie."""
        return self.name, self.version, self.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was done."""

    kind: StepKind
    taught: TaughtClass | None = None
    """Of "class" and "rename": the class as it is from now on."""
    class_number: int = -1
    """Of "drop": which class."""
    example: Example | None = None
    """Of "example" and "removal"."""

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        whole = {"example": self.example, "removal": self.example, "class": self.taught, "rename": self.taught}
        if whole.get(self.kind, "none needed") is None:
            raise ValueError(f"a step {self.kind!r} lacks what it is about")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """All that was taught under one name.

    Examples
    --------
    >>> base = BaseModel(name="m", version="1", sha256="", source="m", num_features=1)
    >>> lesson = Lesson(name="nuclei", base=base).with_class("dense").with_class("sparse")
    >>> given = lesson.with_example(Example(slide_id="s", place=(1.5, 2.5), class_number=0, features="AACAPw=="))
    >>> [each.name for each in given.classes], len(given.examples), len(given.undone().examples)
    (['dense', 'sparse'], 1, 0)
    """

    name: str
    base: BaseModel
    slides: tuple[TaughtSlide, ...] = ()
    steps: tuple[Step, ...] = ()
    fixed_steps: int = 0
    """So many steps at the beginning cannot be undone: the classes that a new lesson begins with."""

    def __post_init__(self) -> None:
        """Check what a file or a field may have brought."""
        if not self.name.strip() or len(self.name) > MAX_NAME or not self.name.isprintable():
            raise ValueError(f"a lesson needs a name of one line, up to {MAX_NAME} letters")
        if len(self.steps) > MAX_STEPS or len(self.slides) > MAX_SLIDES:
            raise ValueError(f"a lesson has up to {MAX_STEPS} steps and {MAX_SLIDES} slides")

    # --- what holds now ---------------------------------------------------------------------------------------------

    @property
    def classes(self) -> tuple[TaughtClass, ...]:
        """The classes there are, in the order in which they were added."""
        found: dict[int, TaughtClass] = {}
        for step in self.steps:
            if step.kind == "drop":
                found.pop(step.class_number, None)
            elif step.taught is not None and (step.kind == "class" or step.taught.number in found):
                found[step.taught.number] = step.taught
        return tuple(found.values())

    @property
    def examples(self) -> tuple[Example, ...]:
        """The examples there are, in the order in which they were given."""
        found: dict[tuple[str, tuple[float, float]], Example] = {}
        for step in self.steps:
            if step.kind == "drop":
                found = {key: each for key, each in found.items() if each.class_number != step.class_number}
            elif step.example is not None:
                found.pop(step.example.key, None)
                if step.kind == "example":
                    found[step.example.key] = step.example
        there = {each.number for each in self.classes}
        return tuple(each for each in found.values() if each.class_number in there)

    @property
    def used(self) -> tuple[Example, ...]:
        """The examples that are learnt from: those whose features are of the scale that their slide has now."""
        slides = {each.slide_id: each for each in self.slides}

        def holds(example: Example) -> bool:
            slide = slides.get(example.slide_id)
            return slide is None or (not slide.outdated and slide.um_per_px == example.um_per_px)

        return tuple(each for each in self.examples if holds(each))

    def counts(self) -> dict[int, int]:
        """Return how many examples each class has, by its number."""
        found = {each.number: 0 for each in self.classes}
        for example in self.examples:
            found[example.class_number] += 1
        return found

    @property
    def can_learn(self) -> bool:
        """Whether two classes have examples that are learnt from."""
        return len({each.class_number for each in self.used}) >= 2

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return len(self.steps) > self.fixed_steps

    # --- changes ----------------------------------------------------------------------------------------------------

    def with_class(self, name: str) -> "Lesson":
        """Return the lesson with one class more, in the first colour that is free."""
        there = self.classes
        if len(there) >= MAX_CLASSES:
            raise TrainingError(f"{MAX_CLASSES} classes are all that can be taught at once; remove one first")
        self._refuse_taken(name, -1)
        used = {each.colour for each in there}
        colour = next(colour for colour in COLOURS if colour not in used)
        number = 1 + max((step.taught.number for step in self.steps if step.taught is not None), default=-1)
        return self._adding(Step(kind="class", taught=TaughtClass(number=number, name=name.strip(), colour=colour)))

    def renamed(self, number: int, name: str) -> "Lesson":
        """Return the lesson with another name for a class; itself if that is its name."""
        before = self.class_of(number)
        if name.strip() == before.name:
            return self
        self._refuse_taken(name, number)
        return self._adding(Step(kind="rename", taught=dataclasses.replace(before, name=name.strip())))

    def without_class(self, number: int) -> "Lesson":
        """Return the lesson without a class and its examples."""
        return self._adding(Step(kind="drop", class_number=self.class_of(number).number))

    def with_example(self, example: Example) -> "Lesson":
        """Return the lesson with one example more; itself if that cell has this class already."""
        self.class_of(example.class_number)
        there = {each.key: each for each in self.examples}
        before = there.get(example.key)
        if before is not None and before.class_number == example.class_number:
            return self
        if len(there) >= MAX_EXAMPLES:
            raise TrainingError(f"{MAX_EXAMPLES} examples are all that one lesson takes; remove some, or begin another")
        return self._adding(Step(kind="example", example=example))

    def without_example(self, example: Example) -> "Lesson":
        """Return the lesson without an example; itself if it is not there."""
        there = {each.key for each in self.examples}
        return self._adding(Step(kind="removal", example=example)) if example.key in there else self

    def with_slide(self, slide: TaughtSlide) -> "Lesson":
        """Return the lesson with a slide; itself if it is known, since what was learnt must not change."""
        if slide.slide_id in {each.slide_id for each in self.slides}:
            return self
        return dataclasses.replace(self, slides=(*self.slides, slide))

    def undone(self) -> "Lesson":
        """Return the lesson without its last step; itself where there is none to undo."""
        return dataclasses.replace(self, steps=self.steps[:-1]) if self.can_undo else self

    def class_of(self, number: int) -> TaughtClass:
        """Return a class by its number.

        Raises
        ------
        TrainingError
            There is none.
        """
        for each in self.classes:
            if each.number == number:
                return each
        raise TrainingError("this class is not there any more; choose another one")

    def _refuse_taken(self, name: str, number: int) -> None:
        if name.strip() in {each.name for each in self.classes if each.number != number}:
            raise TrainingError(f"there is a class {name.strip()!r} already; give another name")

    def _adding(self, step: Step) -> "Lesson":
        if len(self.steps) >= MAX_STEPS:
            raise TrainingError(f"{MAX_STEPS} steps are all that one lesson keeps; begin another")
        return dataclasses.replace(self, steps=(*self.steps, step))


def new_lesson(name: str, base: BaseModel, classes: tuple[str, ...] = ("class 1", "class 2")) -> Lesson:
    """Return a lesson without examples that begins with some classes."""
    lesson = Lesson(name=name, base=base)
    for each in classes:
        lesson = lesson.with_class(each)
    return dataclasses.replace(lesson, fixed_steps=len(lesson.steps))
