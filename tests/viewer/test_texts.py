"""What a person reads: sizes, times, warnings first, research use last."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer import texts


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown time"), (0.2, "under 1 s"), (59, "59 s"), (125, "2 min 5 s"), (7260, "2 h 1 min")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert texts.seconds_text(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(1, "1 tile"), (0, "0 tiles"), (12345, "12 345 tiles")])
def test_counts(count: int, text: str) -> None:
    assert texts.count_text(count, "tile") == text


def test_unknown_scale_is_said_and_unequal_axes_are_both_shown() -> None:
    assert texts.scale_text(None) == "µm/px unknown"
    assert texts.scale_text((0.5, 0.5)) == "0.5 µm/px"
    assert texts.scale_text((0.5, 0.25)) == "0.5 x 0.25 µm/px"


def test_progress_has_rate_and_remaining_time() -> None:
    text = texts.progress_text(Progress(done=30, total=90, unit="tile", phase="classifying", seconds=10.0))
    assert text == "classifying: 30 of 90 tiles, 3.0 tiles/s, 20 s left"
    assert "left" not in texts.progress_text(Progress(done=0, total=90, unit="tile", phase="x", seconds=0.0))


@dataclass
class Fake:
    """A result as far as the lines need it."""

    probabilities: dict[str, float]
    complete: bool = True
    message: str = ""
    record: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(warnings=("the stain is far off",)))
    head: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(
            config=SimpleNamespace(
                card=SimpleNamespace(slide_score="highest place, uncalibrated", research_use_only="Research use only.")
            )
        )
    )


def test_warnings_come_first_and_research_use_last() -> None:
    lines = texts.result_lines(Fake({"normal": 0.25, "tumour": 0.75}))
    assert lines == [
        "Warning: the stain is far off",
        "Slide: tumour 0.750, normal 0.250 (highest place, uncalibrated)",
        "Research use only.",
    ]


def test_a_partial_result_says_so_before_its_numbers() -> None:
    lines = texts.result_lines(Fake({"tumour": 1.0}, complete=False))
    assert lines[1].startswith("Partial")


def test_no_tissue_is_an_answer() -> None:
    lines = texts.result_lines(Fake({}, message="no tissue found"))
    assert "no tissue found" in lines
    assert not any(line.startswith("Slide") for line in lines)
