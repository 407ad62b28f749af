"""How a slide was looked at: camera, looks of its layers, which files lay over it, what was asked about.

It holds no pixel and no drawn shape: those have files of their own.

The records are read from files that may come from anywhere, so each checks what it is given.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from napari_gigaclf.slides.opening import MAX_UM_PER_PX
from napari_gigaclf.viewer.returning.label_colours import PATTERN as COLOURS
from napari_gigaclf.viewer.slide_notes import MAX_COORDINATE, SlideNotes

NO_NOTES = SlideNotes()
MAX_LAYERS = 200
MAX_COPIES = 20
"""Files with the same content that are remembered."""
MAX_FILES = 50
MAX_UNDER = 8
"""Results under the one on show that return."""
MAX_TEXT = 4000
"""Letters of a path."""
MAX_ZOOM = 1e6
MAX_WIDTH = 1e6
"""Of a line, level-0 pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenView:
    """Where the camera was.

    Raises
    ------
    ValueError
        A number is out of bounds.
    """

    centre: tuple[float, float]
    """(y, x), level-0 corner coordinates."""
    zoom: float
    """Pixels of the screen per pixel of level 0."""
    exchanged: bool
    """Whether the slide's rows run across the screen."""
    vertical: Literal["down", "up"]
    horizontal: Literal["right", "left"]

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        if not all(abs(value) <= MAX_COORDINATE for value in self.centre) or not 1 / MAX_ZOOM <= self.zoom <= MAX_ZOOM:
            raise ValueError(f"the camera cannot be at {self.centre} with zoom {self.zoom}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLook:
    """How one layer was shown.

    Raises
    ------
    ValueError
        A number is out of bounds, or a text too long.
    """

    kind: str
    """``"slide"``, or what lies over it."""
    name: str
    """Tells layers of one kind apart, such as the channels of a slide."""
    visible: bool
    opacity: float
    limits: tuple[float, float] | None = None
    """Contrast limits of an image that is not in colour."""
    colormap: str | None = None
    """Name of its colours."""
    colours: str | None = None
    """Colours of labels that were shuffled, see ``label_colours``; None: the usual ones."""

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        if not 0 <= self.opacity <= 1:
            raise ValueError(f"opacity is {self.opacity}, which is not between 0 and 1")
        if self.limits is not None and not self.limits[0] < self.limits[1]:
            raise ValueError(f"the contrast cannot reach from {self.limits[0]} to {self.limits[1]}")
        if max(map(len, (self.kind, self.name, self.colormap or ""))) > MAX_TEXT:
            raise ValueError(f"a name has more than {MAX_TEXT} letters")
        if self.colours is not None and not COLOURS.fullmatch(self.colours):
            raise ValueError("the colours of labels are no list of colours")


@dataclass(frozen=True, slots=True, kw_only=True)
class RulerLine:
    """The line of the ruler.

    Raises
    ------
    ValueError
        A number is out of bounds.
    """

    begin: tuple[float, float]
    """(y, x), level-0 corner coordinates."""
    end: tuple[float, float]
    width: float
    """Level-0 pixels."""

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        if (
            not all(abs(value) <= MAX_COORDINATE for value in (*self.begin, *self.end))
            or not 0 < self.width <= MAX_WIDTH
        ):
            raise ValueError(f"no ruler reaches from {self.begin} to {self.end} with a width of {self.width}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultShown:
    """The result whose map lay over the slide."""

    path: str
    """The ``.gigaclf`` folder that holds it."""
    class_name: str
    """The class on show."""
    model: str
    """Name of the model, for a list."""
    threshold: float | None = None
    """Probability or score below which the map was transparent; None: all of it was shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """What lay over the slide of a file of annotations: its shapes, or its points."""

    path: str
    part: Literal["shapes", "points"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFile:
    """The file of a slide, by what tells without reading it that it is still the same."""

    path: str
    num_bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideState:
    """How a slide was left.

    Raises
    ------
    ValueError
        There are more layers or files than are kept.
    """

    slide_id: str
    """Fingerprint of its content."""
    slide_name: str
    file: SlideFile | None
    """None for a slide that lies in no file."""
    when: str
    """When it was left, UTC, ISO 8601."""
    view: SeenView | None
    given_um_per_px: tuple[float, float] | None = None
    """Micrometres per pixel of level 0, (y, x), if a person gave them."""
    layers: tuple[LayerLook, ...] = ()
    """From the lowest to the highest."""
    result: ResultShown | None = None
    under: tuple[ResultShown, ...] = ()
    """Results whose maps lay under that one, from the lowest; they return hidden."""
    annotations: tuple[str, ...] = ()
    """Files of annotations that were shown, unchanged."""
    parts: tuple[FilePart, ...] = ()
    """What of these files was shown; all of those that are not named here."""
    num_drawn: int = 0
    """Shapes and points in the file of drawings that lies beside this one."""
    num_masks: int = 0
    """Painted masks in the file of masks that lies beside this one."""
    ruler: RulerLine | None = None
    """What was measured last."""
    notes: SlideNotes = NO_NOTES
    """What widgets knew of the slide."""
    copies: tuple[SlideFile, ...] = ()
    """Other files with the same content from which it was opened; they share all of this."""

    def __post_init__(self) -> None:
        """Check what a file may have brought."""
        if len(self.layers) > MAX_LAYERS or max(len(self.annotations), len(self.parts) // 2) > MAX_FILES:
            raise ValueError(f"more than {MAX_LAYERS} layers or {MAX_FILES} files of annotations")
        if len(self.copies) > MAX_COPIES:
            raise ValueError(f"more than {MAX_COPIES} files with the same content")
        if len(self.under) > MAX_UNDER:
            raise ValueError(f"more than {MAX_UNDER} results under the one on show")
        named = (*self.annotations, *(each.path for each in self.parts))
        paths = (*named, *(each.path for each in (self.result, *self.under) if each is not None))
        if any(len(path) > MAX_TEXT for path in paths):
            raise ValueError(f"a path has more than {MAX_TEXT} letters")
        if self.given_um_per_px is not None and not all(0 < value <= MAX_UM_PER_PX for value in self.given_um_per_px):
            raise ValueError(f"no slide has {self.given_um_per_px} micrometres per pixel")

    def with_result(self, shown: ResultShown) -> "SlideState":
        """Return the state with another result on show: the one before lies under it, hidden with its saliency.

        An earlier result of the same name goes: it is of the same lesson before more was taught.
        """
        before = [*self.under, *(() if self.result is None else (self.result,))]
        others = tuple(each for each in before if each.model != shown.model and each.path != shown.path)
        looks = [each for each in self.layers if each.kind != "probability"]
        return dataclasses.replace(
            self,
            result=shown,
            under=others[-MAX_UNDER:],
            layers=tuple(dataclasses.replace(e, visible=False) if e.kind == "saliency" else e for e in looks),
        )

    def without_time(self) -> tuple[object, ...]:
        """Return all but when it was left, to tell whether anything has changed."""
        return tuple(getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "when")


def finite(pair: tuple[float, float]) -> bool:
    """Return whether both numbers are finite."""
    return all(map(math.isfinite, pair))
