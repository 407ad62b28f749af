"""The sentences of the widget: sizes, times, probabilities and warnings as a person reads them."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari_gigaclf.progress import Progress

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction, RunEstimate
    from napari_gigaclf.models import ModelConfig
    from napari_gigaclf.slides import Level, Slide

KIB = 1024.0
MINUTE = 60.0
HOUR = 3600.0
RESEARCH_USE = "Research use only, not for diagnosis."
NO_TISSUE = "no tissue"
_IN_THE_WINDOW = (
    (r" \((?:command line: --[a-z-]+|level=N, --level N)\)", ""),
    (r"open it with um_per_px=\.\.\.", "give it above and press Set scale"),
    (
        r"to enlarge it all the same give um_per_px=[0-9.e+-]+, or choose a level",
        "choose a level to run it all the same",
    ),
    (r"give memory=\.\.\. or another device", "allow more memory in the settings, or choose another device"),
    (r"\bum/px\b", "µm/px"),
    (r"give another --output", "choose another output folder"),
    (r"go on with it \(--resume\) or give another folder", "press Resume, or choose another folder"),
    (r"; a check lists them all", ""),
)
"""What errors advise, and what the same is called in the window."""


def seconds_text(seconds: float | None) -> str:
    """Return a duration in words.

    Examples
    --------
    >>> seconds_text(75), seconds_text(3.2), seconds_text(None)
    ('1 min 15 s', '3 s', 'unknown time')
    """
    if seconds is None:
        return "unknown time"
    if seconds < 1:
        return "under 1 s"
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min {int(seconds % MINUTE)} s"
    return f"{int(seconds // HOUR)} h {int(seconds % HOUR // MINUTE)} min"


def bytes_text(num_bytes: float) -> str:
    """Return a number of bytes with its unit.

    Examples
    --------
    >>> bytes_text(1_500_000_000)
    '1.4 GB'
    """
    value = float(num_bytes)
    for unit in ("B", "kB", "MB"):
        if value < KIB:
            return f"{value:.0f} {unit}"
        value /= KIB
    return f"{value:.1f} GB"


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun in singular or plural, thousands apart."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}".replace(",", " ")


def pixels_text(area: float) -> str:
    """Return an area in level-0 pixels, thousands apart: what is said where the scale is unknown."""
    return f"{area:,.0f} px²".replace(",", " ")


def scale_text(um_per_px: tuple[float, float] | None) -> str:
    """Return micrometres per pixel, one number where both axes agree to three digits."""
    if um_per_px is None:
        return "µm/px unknown"
    y, x = (f"{value:.4g}" for value in um_per_px)
    return f"{x} µm/px" if x == y else f"{y} x {x} µm/px"


def outdated_text(um_per_px: tuple[float, float] | None, num_asked: int) -> str:
    """Return what is said of a slide whose results have gone with the scale that it had before.

    Examples
    --------
    >>> outdated_text((0.5, 0.5), 2)
    'What was found at 0.5 µm/px has gone: run again. 2 places you asked about are asked again then.'
    """
    again = f" {count_text(num_asked, 'place')} you asked about {_are(num_asked)} asked again then."
    return f"What was found at {scale_text(um_per_px)} has gone: run again.{again if num_asked else ''}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def slide_text(slide: "Slide") -> str:
    """Return what a slide is, in one line."""
    finest = slide.levels[0]
    return f"{slide.format}, {finest.width} x {finest.height} px, {scale_text(slide.um_per_px)}" + (
        f" ({slide.um_per_px_source})" if slide.um_per_px else ""
    )


def level_text(number: int, level: "Level") -> str:
    """Return one entry of the list of levels."""
    return f"level {number}: {scale_text(level.um_per_px)}, {level.width} x {level.height} px"


def auto_level_text(model: "ModelConfig | None") -> str:
    """Return the entry of the list of levels that leaves the choice to the model."""
    if model is None or model.um_per_px is None:
        return "auto"
    return f"auto: {model.um_per_px:g} µm/px, the model's own"


def model_title(model: "ModelConfig", key: str) -> str:
    """Return the entry of the list of models; those from folders with their name, since runs may share a title."""
    if not model.card.title or key == model.name:
        return model.card.title or model.name
    return model.card.title if model.name in model.card.title else f"{model.card.title}: {model.name}"


def model_text(model: "ModelConfig") -> str:
    """Return what a model is for, and the line on research use."""
    card = model.card
    return f"For {card.intended_tissue} ({card.stain}). {card.research_use_only or RESEARCH_USE}"


def estimate_text(estimate: "RunEstimate", *, saliency: bool = False) -> str:
    """Return what a run will take; with saliency, the most that this adds."""
    scale = "" if estimate.um_per_px is None else f" at {scale_text(estimate.um_per_px)}"
    seconds = seconds_text(estimate.seconds)
    about = f"about {seconds}" if estimate.seconds is not None and estimate.seconds >= 1 else seconds
    more = seconds_text(estimate.saliency_seconds)
    upto = f"up to {more}" if estimate.saliency_seconds is not None and estimate.saliency_seconds >= 1 else more
    added = f" and {upto} for saliency" if saliency else ""
    memory = estimate.memory_bytes + (estimate.saliency_memory_bytes if saliency else 0)
    return f"{count_text(estimate.tiles, 'tile')}{scale}, {about}{added}, {bytes_text(memory)} of memory"


def progress_text(progress: Progress) -> str:
    """Return how far a run is, with its rate and the time that remains."""
    text = f"{progress.phase}: {progress.done} of {count_text(progress.total, progress.unit)}"
    if progress.rate is not None:
        text += f", {progress.rate:.1f} {progress.unit}s/s, {seconds_text(progress.remaining_seconds)} left"
    return f"{text}; {progress.note}" if progress.note else text


def probabilities_text(probabilities: Mapping[str, float]) -> str:
    """Return class probabilities, the most probable first."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {value:.3f}" for name, value in ranked)


def problem_text(text: str) -> str:
    """Return an error in the words of the window: what to press instead of options of Python and the command line."""
    for pattern, words in _IN_THE_WINDOW:
        text = re.sub(pattern, words, text)
    return text


def warning_line(warning: str) -> str:
    """Return a warning as it is shown, before a run and with its result."""
    return f"Warning: {warning}"


def result_lines(prediction: "Prediction") -> list[str]:
    """Return the result of a run, warnings first, the numbers next, the line on research use last."""
    card = prediction.head.config.card
    lines = [warning_line(warning) for warning in prediction.record.warnings]
    if not prediction.complete:
        found = prediction.message.removeprefix("partial result: ") or "the run was stopped"
        lines.append(f"Partial: {found}; the numbers speak of the part that ran.")
    elif prediction.message:
        lines.append(prediction.message)
    if prediction.probabilities:
        qualifier = f" ({card.slide_score})" if card.slide_score else ""
        place = "Region" if prediction.record.input.region else "Slide"
        lines.append(f"{place}: {probabilities_text(prediction.probabilities)}{qualifier}")
    lines.append(card.research_use_only or RESEARCH_USE)
    return lines


def copy_text(name: str, other: str) -> str:
    """Say that a slide which is opened has the same content as another file."""
    return (
        f"{name} has the same content as {other}: to this program they are one slide, and what is drawn, found and "
        "said of one is shown on the other. If they should be different slides, one of the files was copied wrongly."
    )
