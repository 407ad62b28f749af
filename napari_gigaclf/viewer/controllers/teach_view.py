"""What the controller of teaching asks of its widget."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_gigaclf.inference.teaching.checking import Check, Contested
from napari_gigaclf.inference.teaching.lesson import Lesson
from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer.controllers.mapping import LiveMap

if TYPE_CHECKING:
    from napari_gigaclf.geometry import Box
    from napari_gigaclf.slides import Slide


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What there is to see of a lesson."""

    lesson: Lesson
    current_class: int
    """Number of the class that a click gives."""
    contested: dict[tuple[str, tuple[float, float]], Contested]
    """Examples that the others speak against, by their key."""


class TeachView(Protocol):
    """What the controller asks of the widget; all calls come on the GUI thread."""

    def show_lessons(self, lessons: Sequence[tuple[str, Path | None]], chosen: Path | None) -> None:
        """List the lessons (name, file) of the chosen model; one without a file is new."""
        ...

    def show_lesson(self, shown: Shown | None) -> None:
        """Show classes and examples anew; None without a lesson."""
        ...

    def show_features(self, text: str, *, ready: bool, readable: bool, reading: bool) -> None:
        """Say whether the slide's features are there, and whether it can be read for them."""
        ...

    def show_progress(self, progress: Progress) -> None:
        """Show how far the reading of a slide is."""
        ...

    def show_map(self, slide: "Slide", live: LiveMap) -> None:
        """Show a map over its slide."""
        ...

    def refresh_map(self, slide: "Slide") -> None:
        """Redraw a map, whose array has changed."""
        ...

    def hide_map(self, slide_id: str) -> None:
        """Take a map away: there is nothing to be learnt from."""
        ...

    def show_check(self, check: Check | None) -> None:
        """Show how the examples agree; None while it is not known."""
        ...

    def show_suggestions(
        self, slide: "Slide | None", places: Sequence[tuple[float, float]], current: tuple[float, float] | None = None
    ) -> None:
        """Show where to click next, (y, x) level-0 pixels, and the suggestion that a person has gone to."""
        ...

    def seen_box(self, slide: "Slide") -> "Box | None":
        """Return what is visible of a slide, level-0 pixels; None if it cannot be said."""
        ...

    def go_to(self, slide_id: str, place: tuple[float, float]) -> bool:
        """Look at a place, (y, x) level-0 pixels; False if that slide is not open."""
        ...

    def show_model(self, folder: Path) -> None:
        """Say that a model was saved, and list it where models are listed."""
        ...

    def show_note(self, text: str) -> None:
        """Show one line: what was done, or why it cannot be."""
        ...

    def show_saved(self) -> None:
        """Say that what was taught is on the disk."""
        ...
