"""The sentences of the worklist."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_gigaclf.viewer.texts import count_text

if TYPE_CHECKING:
    from napari_gigaclf.viewer.controllers.worklist_jobs import Known

NEW = "not opened"
OPENING = "opening..."
OPEN = "open"
UNREADABLE = "cannot be opened"
EMPTY = "Choose a folder of slides, or a table that names them (CSV, Parquet)."
LISTING = "listing..."
RUN_LOST = "a run on it is under way and would be stopped; what it has found so far would not be kept"
READING_LOST = "Teach is reading it and would be stopped; what has been read so far would not be kept"


def known_text(known: "Known | None", *, is_open: bool = False) -> str:
    """Return what is known of a slide, in a few words.

    Examples
    --------
    >>> from napari_gigaclf.viewer.controllers.worklist_jobs import Known
    >>> known_text(Known(opened="2026-01-31T10:00:00+00:00", model="tiny", num_drawn=0, num_judged=3))
    'result of tiny, 3 verdicts'
    >>> known_text(Known(opened="2026-01-31T10:00:00+00:00", model="", num_drawn=0, num_judged=0)), known_text(None)
    ('opened 2026-01-31', 'not opened')
    """
    if known is None:
        return OPEN if is_open else NEW
    parts = [OPEN] if is_open else []
    parts += [f"result of {known.model}"] if known.model else []
    parts += [count_text(known.num_judged, "verdict")] if known.num_judged else []
    parts += [f"{known.num_drawn} drawn"] if known.num_drawn else []
    parts += [f"same content as {known.copies[0]}"] if known.copies else []
    return ", ".join(parts) or f"opened {known.opened[:10]}"


def known_tip(known: "Known | None") -> str:
    """Return where what is known comes from."""
    if known is None:
        return "Never opened here by this program, or moved or changed since"
    text = f"Last open {known.opened[:16].replace('T', ' ')} UTC. It returns as it was left."
    if known.copies:
        text += f"\nThe same content as {', '.join(known.copies)}: what is drawn, found and said of one holds for both."
    return text


def list_text(current: int | None, known: Sequence["Known | None"], problems: Sequence[str], left_out: str) -> str:
    """Return where one is in the list, and how much of it is done."""
    opened = sum(each is not None for each in known)
    results = sum(each is not None and bool(each.model) for each in known)
    unreadable = sum(bool(problem) for problem in problems)
    total = count_text(len(known), "slide")
    text = total if current is None else f"{current + 1} of {total}"
    text += f": {opened} opened, {results} with a result"
    text += f", {unreadable} cannot be opened" if unreadable else ""
    return f"{text}; {left_out}" if left_out else text


def problem_status(problem: str, name: str) -> str:
    """Return why a slide cannot be opened, without the path that stands in the row already."""
    _, found, reason = problem.rpartition(f"{name}: ")
    reason = reason if found else problem
    return reason if reason.startswith(UNREADABLE) else f"{UNREADABLE}: {reason}"


def leaving_text(name: str, lost: Sequence[str], num_lost: int) -> str:
    """Return what would be lost if a slide were closed now; empty if nothing is.

    Parameters
    ----------
    name
        The slide.
    lost
        What the widgets would lose, each as half a sentence.
    num_lost
        Drawn shapes, points and masks that would not be there again.
    """
    parts = list(lost)
    if num_lost:
        what = f"{count_text(num_lost, 'drawing')} (shapes, points, masks)"
        parts.append(f"{what} would not be kept: save the layer first")
    return f"Close {name}?\n\n" + ", and ".join(parts) + "." if parts else ""


def marks_lost(number: int) -> list[str]:
    """Return what is lost of a reader's call that was not recorded, if anything."""
    return [f"{count_text(number, 'mark')} of your own call would not be kept: record the call first"][: number > 0]
