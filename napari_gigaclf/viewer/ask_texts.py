"""The sentences of answers: what the model says of a place, its size, and how much of its tissue is the class."""

from typing import TYPE_CHECKING

from napari_gigaclf.viewer.texts import NO_TISSUE, pixels_text, probabilities_text

if TYPE_CHECKING:
    from napari_gigaclf.inference import PlaceGradient, RegionAnswer
    from napari_gigaclf.viewer.controllers.probe import ProbeRow

WHY_KEY = "W"


def row_text(row: "ProbeRow", class_name: str) -> str:
    """Return what stands in the table: of a click the probabilities, of an area its measurements, too.

    Of another canvas than napari's own, which may show another result, it and the model that answered stand first.
    """
    where = f"{row.where}\n" if row.where else ""
    if row.kind == "field":
        text = where + answer_text(row.answer)
        return text if row.answer.probabilities is None else f"{text}\n{size_and_share(row.answer, class_name)}"
    label = f"{row.question.label}: " if row.question.label else ""
    return where + label + area_text(row.answer, class_name)


def row_details(row: "ProbeRow", class_name: str) -> str:
    """Return the tooltip of a row: its text, and which model answered, from what, and how soon."""
    return f"{row_text(row, class_name)}\n{row.model}, from {row.source}, {row.seconds * 1000:.0f} ms"


def answer_text(answer: "RegionAnswer") -> str:
    """Return what was found at a place: probabilities, or why there are none."""
    if answer.probabilities is None:
        return answer.message or NO_TISSUE
    return probabilities_text(answer.probabilities)


def area_text(answer: "RegionAnswer", class_name: str) -> str:
    """Return the measurements of an area for one class."""
    if answer.probabilities is None:
        return f"area {_size(answer)}, {answer.message or NO_TISSUE}"
    lines = [
        answer_text(answer),
        f"area {size_and_share(answer, class_name)}",
        f"{class_name}: mean {answer.mean[class_name]:.3f}, highest {answer.maximum[class_name]:.3f}",
    ]
    if answer.num_missing:
        lines.append(f"{answer.num_missing} of its cells were not computed and do not count")
    return "\n".join(lines)


def size_and_share(answer: "RegionAnswer", class_name: str) -> str:
    """Return the size of a place and how much of its tissue is the class; of scores, the size."""
    if class_name not in answer.share_above:
        return _size(answer)
    share = answer.share_above[class_name]
    return f"{_size(answer)}; {share:.1%} of the tissue is {class_name} at or above {answer.threshold:g}"


def unexplained_text(row: "ProbeRow | None", slide_id: str | None) -> str:
    """Return why an answer cannot be explained where this slide is shown; empty if it can."""
    if row is None:
        return "ask about a place first: click on the slide with the tool on, or measure a shape"
    if row.slide_id != slide_id:
        return "the chosen answer is of another slide: choose that slide in the list"
    if row.wishes is None:
        return f"this answer is of the map on show, by {row.model}: choose that model and ask again"
    return f"nothing to explain: {row.answer.message}" if row.answer.probabilities is None else ""


def why_text(found: "PlaceGradient") -> str:
    """Return what the gradient on show is."""
    return f"{found.words}; logit {found.logit:.3g}"


def _size(answer: "RegionAnswer") -> str:
    return pixels_text(answer.area_px) if answer.area_um2 is None else f"{answer.area_um2 / 1e6:.4g} mm²"
