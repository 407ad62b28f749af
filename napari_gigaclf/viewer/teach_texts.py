"""The sentences of the Teach widget."""

from typing import TYPE_CHECKING

from napari_gigaclf.inference.teaching.checking import Check, Contested
from napari_gigaclf.inference.teaching.lesson import MAX_CLASSES, BaseModel, Lesson
from napari_gigaclf.viewer.texts import count_text

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.controllers.teach_jobs import Opened

THERE = "The slide's features are there already: click."
BUSY = "A slide is being read already."
NOTHING_READ = "No slide is being read."
NO_LESSON = "There is no lesson yet: choose a model first."
NO_EXAMPLE = "Choose in the list below which example is to be removed; Undo takes the last one back."
NO_CELL = "There are no features here: glass, or a part of the slide that was not computed."
READING = "streaming the slide through the model..."
TOO_FEW = "Teach two classes first: click some examples of each."
SUGGESTION_KEY, UNDO_KEY = "S", "Z"
KEYS = {
    **{str(number + 1): f"class {number + 1} for the next clicks" for number in range(MAX_CLASSES)},
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
        return "Open a slide first."
    if base is None:
        return "Choose a model whose features are taught on."
    if opened is None:
        return f"The features of {base.name} on this slide are not there: read the slide once, then click."
    said = f"{count_text(len(opened.canvas.features), 'cell')}, features {opened.source}"
    if opened.level != "auto":
        said += f" (level {opened.level}: run a saved model at that level, too)"
    return said


def check_text(check: Check | None, num_examples: int, *, readable: bool = True, painted: bool = True) -> str:
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


def contested_text(contested: "Contested | None") -> str:
    """Say what the other examples make of one; empty where they agree."""
    return "" if contested is None else f"rather {contested.found.name}, {contested.probability:.0%}"


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
        f"Keys over the slide and here: 1 to {MAX_CLASSES} choose the class that a click gives, {SUGGESTION_KEY} goes "
        f"to the next suggestion, {UNDO_KEY} takes the last step back. They go before the tools of a selected layer "
        "unless one of those is on, or clicks teach nothing"
    )
