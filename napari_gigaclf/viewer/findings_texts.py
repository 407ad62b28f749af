"""The sentences of the Hotspots widget: verdicts, counts and sizes as a person reads them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_gigaclf.viewer.texts import count_text, pixels_text

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.inference.findings.comparison import Comparison
    from napari_gigaclf.inference.findings.foci import Tally
    from napari_gigaclf.inference.findings.lesions import Lesion
    from napari_gigaclf.inference.findings.ranking import Entry
    from napari_gigaclf.inference.findings.reviews import ReaderCall

KEYS = {
    "N": "next place",
    "P": "previous place",
    "A": "accept",
    "X": "reject",
    "R": "relabel",
    "M": "note",
    "U": "undo",
}
"""Keys of the widget, and what they do."""
SMALL_AREA = 10.0
"""Areas below this, in mm² or millions of pixels, are said to two digits."""
NOTHING = "Classify a slide, or open a saved result: its most suspicious places are listed here."
ONLY_SCORES = "Hotspots are places of high probability. This model gives scores, which its map shows."

NO_CALL_ASKED = "Your own call is asked for while Reader first is on, a result is open, and no call is recorded yet."
LOOK_FIRST = "Look at the class above: a recorded call cannot be changed. If it is right, press Record my call."
BLIND = "Say what you see and record it: what the model found is hidden until then."


def keys_text() -> str:
    """Return what the keys do, in one line."""
    return ", ".join(f"{key} {what}" for key, what in KEYS.items())


def button_tip(what: str, key: str) -> str:
    """Return a tooltip that names the key."""
    return f"{what}: press {key}, here or over the slide (there unless a layer that is drawn on is selected)"


def verdict_text(entry: "Entry") -> str:
    """Return what was said of a place: empty if nothing was."""
    review = entry.review
    if review is None:
        return ""
    words = {"open": "", "relabelled": f"is {review.new_class}"}.get(review.verdict, review.verdict)
    return f"{words}: {review.note}" if words and review.note else words or review.note


def who_text(entry: "Entry") -> str:
    """Return who said so and when, for a tooltip."""
    review = entry.review
    if review is None:
        return f"{entry.class_name} {entry.probability:.3f}; nobody has looked at it"
    return f"{entry.class_name} {entry.probability:.3f}; {verdict_text(entry)} ({review.who}, {review.when})"


def tally_text(tally: "Tally", num_hotspots: int, class_name: str, *, complete: bool) -> str:
    """Return how much reaches the threshold."""
    area = pixels_text(tally.area_px) if tally.area_mm2 is None else f"{tally.area_mm2:.4g} mm²"
    foci = "1 focus" if tally.num_foci == 1 else f"{count_text(tally.num_foci, 'foci').removesuffix('s')}"
    text = f"{count_text(num_hotspots, 'hotspot')}, {foci}, {area} of {class_name} at {tally.threshold:.2f} or more"
    return text if complete else f"{text}; the run was stopped, this is a part"


def empty_text(highest: float | None, class_name: str, threshold: float) -> str:
    """Return why the list is empty."""
    if highest is None:
        return f"No place was found for {class_name}."
    return f"No place reaches {threshold:.2f}; the highest {class_name} is {highest:.2f}: lower the threshold."


def position_text(entries: "Sequence[Entry]", shown: "Sequence[int]", current: int | None) -> str:
    """Return where in the list one is, and how many have a verdict."""
    judged = sum(entries[index].verdict != "open" for index in shown)
    at = f"{shown.index(current) + 1} of {len(shown)}" if current in shown else count_text(len(shown), "place")
    return f"{at}, {judged} with a verdict"


def lesion_headers(*, in_mm: bool) -> tuple[str, ...]:
    """Return the titles of the columns of ``lesion_cells``, with the units that the cells have no room for."""
    area, length = ("mm²", "mm") if in_mm else ("Mpx", "px")
    return "", "piece", "foci", f"area\n{area}", f"longest\n{length}", "size"


def lesion_cells(lesion: "Lesion", number: int) -> list[str]:
    """Return one row of the table of lesions, as short as can be: it stands beside the slide on a small screen."""
    size = lesion.area_px / 1e6 if lesion.area_mm2 is None else lesion.area_mm2
    area = f"{size:.2g}" if size < SMALL_AREA else f"{size:.1f}"
    longest = f"{lesion.diameter_px:.4g}" if lesion.diameter_mm is None else f"{lesion.diameter_mm:.2f}"
    named = (lesion.size_class or "").removesuffix(" cells")
    return [str(number), str(lesion.section), str(lesion.num_foci), area, longest, named]


def lesion_text(lesion: "Lesion") -> str:
    """Return what a row says, in words: its tooltip."""
    area = pixels_text(lesion.area_px) if lesion.area_mm2 is None else f"{lesion.area_mm2:.3g} mm²"
    longest = f"{lesion.diameter_px:.4g} px" if lesion.diameter_mm is None else f"{lesion.diameter_mm:.2f} mm"
    foci = count_text(lesion.num_foci, "foci").removesuffix("s") if lesion.num_foci > 1 else "1 focus"
    text = f"piece {lesion.section} of the tissue, {foci}, {area}, longest distance {longest}"
    return f"{text}: {lesion.size_class}" if lesion.size_class else text


def lesions_text(lesions: "Sequence[Lesion]") -> str:
    """Return what the lesions come to, in one line."""
    if not lesions:
        return "No lesion at this threshold."
    longest = lesions[0]
    size = f"{longest.diameter_px:.4g} px" if longest.diameter_mm is None else f"{longest.diameter_mm:.2f} mm"
    sections = count_text(len({lesion.section for lesion in lesions}), "tissue section")
    text = f"{count_text(len(lesions), 'lesion')} in {sections}, the longest {size}"
    return f"{text}: {longest.size_class}" if longest.size_class else text


def comparison_rows(
    call: "ReaderCall", found: "Comparison", prediction: "Prediction", class_name: str
) -> list[tuple[str, str, str]]:
    """Return the reader's call beside the model's: what is compared, the reader, the model."""
    score = prediction.probabilities.get(class_name)
    model = "no tissue" if score is None else f"{class_name} {score:.3f}"
    lesions = len(found.both) + len(found.only_model)
    return [
        ("call", call.class_name, model),
        ("found", count_text(len(call.places), "place"), count_text(lesions, "lesion")),
        ("missed", missed_text(len(found.only_model), "lesion"), missed_text(len(found.only_reader), "place")),
    ]


def missed_text(count: int, noun: str) -> str:
    """Return how much one missed of what the other found."""
    return count_text(count, noun) if count else "nothing"
