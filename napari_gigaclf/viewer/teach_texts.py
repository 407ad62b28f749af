"""The sentences of the Teach widget."""

from typing import TYPE_CHECKING

from napari_gigaclf.inference.teaching.checking import Check, Contested
from napari_gigaclf.inference.teaching.lesson import MAX_CLASSES, BaseModel, Lesson
from napari_gigaclf.viewer.texts import count_text, seconds_text

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.controllers.teach_jobs import Opened
    from napari_gigaclf.viewer.controllers.teach_list_jobs import ListOutcome, ListProgress

THERE = "The slide's features are there already: click."
NO_SLIDE = "Open a slide first."
BUSY = "A slide is being read already."
NOTHING_READ = "No slide is being read."
NO_LESSON = "There is no lesson yet: choose a model first."
NO_EXAMPLE = "Choose in the list below which example is to be removed; Undo takes the last one back."
NO_CELL = "There are no features here: glass, or a part of the slide that was not computed."
NO_WORKLIST = "There is no worklist: open Worklist, choose a folder or a table of slides, and press this again."
NOT_RETURNING = (
    "Slides do not return as they were left (File > Preferences > Plugins > napari-gigaclf), so what is applied to a "
    "slide would not be there when it is opened: switch that on first."
)
APPLYING = "The worklist is being gone through already; Stop keeps what is done."
PREPARING = "making the taught model..."
MAX_FAILURES = 5
"""Slides that are named with why nothing was applied to them."""
READING = "streaming the slide through the model..."
TOO_FEW = "Teach two classes first: click some examples of each."
EXAMPLE_KEY, SUGGESTION_KEY, UNDO_KEY = "E", "S", "Z"
KEYS = {
    **{str(number + 1): f"class {number + 1} for the next clicks" for number in range(MAX_CLASSES)},
    EXAMPLE_KEY: "the middle of the view shows the chosen class",
    SUGGESTION_KEY: "next suggestion",
    UNDO_KEY: "undo the last click or change",
}
"""Keys of the widget, and what they do."""
MAP_HIDDEN = (
    "The taught map is hidden: in Hotspots, Reader first is ticked, and your own call on this slide is not recorded. "
    "Record it there, or untick Reader first."
)
FEW = "Click examples of two classes: the map follows at once."


def features_text(slide: "Slide | None", base: "BaseModel | None", opened: "Opened | None") -> str:
    """Say whether the slide's features are there."""
    if slide is None:
        return NO_SLIDE
    if base is None:
        return "Choose a model whose features are taught on."
    if opened is None:
        return f"The features of {base.name} on this slide are not there: read the slide once, then click."
    said = f"{count_text(len(opened.canvas.features), 'cell')}, features {opened.source}"
    if opened.level != "auto":
        said += f" (level {opened.level}: run a saved model at that level, too)"
    return said


def rescaled_text(num_again: int, num_left_out: int) -> str:
    """Say what became of the examples on a slide that was given another scale; nothing where it had none."""
    lines = [f"Read again at the slide's new scale: {count_text(num_again, 'example')}."] if num_again else []
    if num_left_out:
        lines.append(
            f"{count_text(num_left_out, 'example')} of another scale than the slide has now: left out of what is "
            "learnt until the slide is read, or where it has no features any more."
        )
    return " ".join(lines)


def check_text(
    check: Check | None, num_examples: int, *, num_left_out: int = 0, readable: bool = True, painted: bool = True
) -> str:
    """Say how the examples agree, with their number, and how many are left out since they are of another scale."""
    text = _check_text(check, num_examples, readable=readable, painted=painted)
    return f"{text}; {num_left_out} of another scale left out" if num_left_out else text


def _check_text(check: Check | None, num_examples: int, *, readable: bool, painted: bool) -> str:
    """Say how the examples agree, with their number.

    Parameters
    ----------
    check
        None while it is not known.
    readable
        Whether the features of the slide on top are there.
    painted
        Whether that slide has its map.
    """
    if num_examples == 0:
        return FEW
    examples = count_text(num_examples, "example")
    if check is None:
        if not readable:
            return f"{examples}; the map is made as soon as this slide's features are there"
        return f"{examples}; {'' if painted else 'making the map, then '}checking..."
    if check.accuracy is None:
        return f"{examples}: too few of two classes to say how they agree"
    how = "each left out once" if check.folds == check.num_asked else f"{check.folds} parts, each left out once"
    left = num_examples - check.num_asked
    alone = f"; {left} alone in {'its class' if left == 1 else 'their classes'}, not asked" if left else ""
    return (
        f"Cross-validated: {check.num_right} of {count_text(check.num_asked, 'example')} right, "
        f"{check.accuracy:.0%} ({how}{alone})"
    )


OTHER_SCALE = "left out: of another scale"


def contested_text(contested: "Contested | None") -> str:
    """Say what the other examples make of one; empty where they agree."""
    return "" if contested is None else f"rather {contested.found.name}, {contested.probability:.0%}"


def list_progress_text(progress: "ListProgress") -> str:
    """Say how far the worklist is, and how long the rest will take."""
    if progress.done >= progress.total:
        return f"{count_text(progress.total, 'slide')} done"
    text = f"{progress.done + 1} of {count_text(progress.total, 'slide')}: {progress.name}"
    if progress.reading is not None:
        reading = progress.reading
        text += f", {reading.phase} {reading.done} of {count_text(reading.total, reading.unit)}"
    if progress.remaining_seconds is not None:
        text += f"; about {seconds_text(progress.remaining_seconds)} left"
    return text


def list_outcome_text(outcome: "ListOutcome") -> str:
    """Say what became of the worklist; slides that failed are named, each with why."""
    text = f"Applied to {outcome.applied} of {count_text(outcome.total, 'slide')}"
    if outcome.stopped:
        text += "; stopped, what is done stays"
    lines = [f"{name}: {reason}" for name, reason in outcome.failures[:MAX_FAILURES]]
    more = len(outcome.failures) - len(lines)
    lines += [f"and {count_text(more, 'slide')} more"] if more else []
    return "\n".join([f"{text}; {len(outcome.failures)} failed:" if lines else f"{text}.", *lines])


def undone_text(lesson: Lesson) -> str:
    """Say which step was taken back."""
    step = lesson.steps[-1]
    names = {each.number: each.name for each in lesson.classes}
    if step.example is not None:
        name = names.get(step.example.class_number, "a class")
        return f"Undone: an example of {name} is {'gone' if step.kind == 'example' else 'back'}."
    if step.kind == "drop":
        return "Undone: the class is back with its examples."
    assert step.taught is not None
    return f"Undone: {'the class' if step.kind == 'class' else 'the name'} {step.taught.name} is gone."


def not_taught_there_text(slide: "Slide") -> str:
    """Say why a click on another canvas than napari's own taught nothing, and what to do."""
    return (
        f"Nothing was taught: the second canvas shows another slide than {slide.name}, which is taught on. Choose that "
        "one in the list above the second canvas, or the other one under Slide here."
    )


def keys_text() -> str:
    """List the keys."""
    return (
        f"Keys over the slide and here: 1 to {MAX_CLASSES} choose the class that a click gives, {EXAMPLE_KEY} gives "
        f"it to the middle of the view, {SUGGESTION_KEY} goes to the next suggestion, {UNDO_KEY} takes the last step "
        "back. They go before the tools of a selected layer unless one of those is on, or clicks teach nothing"
    )
