"""What a person reads: sizes, times, warnings first, research use last."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from napari_gigaclf.errors import ScaleError
from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference import RunEstimate
from napari_gigaclf.inference.scale import plan_scale
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
    record: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(warnings=("the stain is far off",), input=SimpleNamespace(region=""))
    )
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


def test_the_answer_of_a_region_is_not_called_the_slides() -> None:
    result = Fake({"tumour": 1.0})
    result.record.input.region = "POLYGON ((0 0, 1 0, 1 1, 0 0))"
    assert texts.result_lines(result)[1].startswith("Region: tumour 1.000")


def test_a_partial_result_says_how_far_it_came_once() -> None:
    lines = texts.result_lines(
        Fake({"tumour": 1.0}, complete=False, message="partial result: stopped after 3 of 9 cells")
    )
    assert [line for line in lines if "stopped" in line] == [
        "Partial: stopped after 3 of 9 cells; the numbers speak of the part that ran."
    ]


def test_short_estimates_are_no_double_talk() -> None:
    estimate = RunEstimate(
        tiles=2, tiles_flat=0, cells=9, seconds=0.2, saliency_seconds=0.4, memory_bytes=100 << 20,
        saliency_memory_bytes=400 << 20, level=0, um_per_px=None,
    )  # fmt: skip
    assert "under 1 s and under 1 s for saliency" in texts.estimate_text(estimate, saliency=True)
    assert "100 MB of memory" in texts.estimate_text(estimate)
    assert "500 MB of memory" in texts.estimate_text(estimate, saliency=True)


@pytest.mark.parametrize("slide_um_per_px", [None, (29.0, 29.0)])
def test_refusals_speak_of_the_window(slide_um_per_px) -> None:
    """Errors advise options of Python and the command line, which nobody can press."""
    levels = (SimpleNamespace(grid=PixelGrid(origin=(0.0, 0.0), step=(1.0, 1.0), shape=(100, 100))),)
    with pytest.raises(ScaleError) as caught:
        plan_scale(levels, slide_um_per_px, 0.97)
    text = texts.problem_text(str(caught.value))
    assert "choose a level" in text
    assert "µm/px" in text
    assert not any(part in text for part in ("--", "=", "command line", "um/px"))
