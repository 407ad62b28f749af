"""The folder of an evaluation: everything as JSON, predictions as a table, plots, and one page to read and to send."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from napari_gigaclf.errors import OutputError
from napari_gigaclf.training.evaluation.evaluation import Evaluation, finite
from napari_gigaclf.training.evaluation.page import report_page
from napari_gigaclf.training.evaluation.plots import draw_plots
from napari_gigaclf.training.evaluation.predictions import Predictions, write_predictions
from napari_gigaclf.writing import replacing

FORMAT: Final = "napari-gigaclf evaluation 1"
JSON_NAME: Final = "evaluation.json"
PAGE_NAME: Final = "report.html"
PARTIAL_NAME: Final = "predictions.partial.csv"
"""What an evaluation that is still running, or was stopped, has so far."""
TABLES: Final = ("predictions.csv", "predictions-tune.csv", "predictions-compared.csv")
OURS: Final = frozenset(
    {JSON_NAME, PAGE_NAME, PARTIAL_NAME, *TABLES, "roc.png", "reliability.png", "confusion.png", "scatter.png"}
)
"""Every file such a folder may hold; with any other it is not replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A slide that could not be classified."""

    slide: str
    row: int
    """Row of the table."""
    reason: str


def write_report(
    folder: str | Path,
    evaluation: Evaluation,
    predictions: Predictions,
    *,
    tune: Predictions | None = None,
    other: Predictions | None = None,
    about: Mapping[str, str] | None = None,
    failures: Sequence[Failure] = (),
    overwrite: bool = False,
) -> Path:
    """Write an evaluation as a folder, whole or not at all, and return its path.

    Parameters
    ----------
    folder
        See ``check_free``.
    evaluation
        What was found.
    predictions, tune, other
        What it was found from; each becomes a table.
    about
        What ran, on what: names and values for a person.
    failures
        Slides that could not be classified.
    overwrite
        Whether an evaluation that stands there may be replaced.

    Raises
    ------
    OutputError
        Something is in the way, the folder cannot be written, or matplotlib or scikit-learn is missing.
    """
    target = Path(folder)
    check_free(target, overwrite=overwrite)
    plots = draw_plots(predictions)
    listed = [(failure.slide, failure.reason) for failure in failures]
    page = report_page(evaluation, predictions, about=about or {}, failures=listed, plots=plots)
    content = report_json(evaluation, about=about or {}, failures=failures)
    with replacing(target) as beside:
        beside.mkdir()
        (beside / JSON_NAME).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (beside / PAGE_NAME).write_text(page, encoding="utf-8")
        for name, png in plots.items():
            (beside / f"{name}.png").write_bytes(png)
        for name, table in zip(TABLES, (predictions, tune, other), strict=True):
            if table is not None:
                write_predictions(table, beside / name)
    return target


def report_json(
    evaluation: Evaluation, *, about: Mapping[str, str], failures: Sequence[Failure] = ()
) -> dict[str, Any]:
    """Return what ``evaluation.json`` holds."""
    failed = [asdict(failure) for failure in failures]
    content: dict[str, Any] = finite(
        {"format": FORMAT, "about": dict(about), **evaluation.as_json(), "failures": failed}
    )
    return content


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Find out whether a report may be written to a folder: it is not there, empty, or an evaluation to be replaced.

    Raises
    ------
    OutputError
        It may not.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder}: is in the way and not a folder")
    names = {child.name for child in folder.iterdir()}
    foreign = sorted(names - OURS)
    if foreign:
        raise OutputError(f"{folder}: holds {foreign[0]!r}, which is not of an evaluation; give a folder of its own")
    if names - {PARTIAL_NAME} and not overwrite:
        raise OutputError(f"{folder}: an evaluation is there already; --overwrite replaces it")
