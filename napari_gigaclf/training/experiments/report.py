"""Tables and plots of the results in a folder: numbers only, never pixels of the tissue."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.evaluation.plots import check_libraries
from napari_gigaclf.training.experiments.arms import ARMS
from napari_gigaclf.training.experiments.comparing import ArmFigures, compared, figures_of_arm
from napari_gigaclf.training.experiments.configs import EXPERIMENTS, RESOLUTIONS
from napari_gigaclf.training.experiments.drawing import draw_aucs, draw_gazes, save
from napari_gigaclf.training.experiments.gaze_figures import gaze_figures, gaze_table
from napari_gigaclf.training.experiments.looking import looking_path, read_gazes
from napari_gigaclf.training.experiments.report_resolution import resolution_section
from napari_gigaclf.training.experiments.results import Result, results_by_arm
from napari_gigaclf.writing import replacing

FIRST: Final = "context"
"""The arm that the others are compared with."""
_HEAD: Final = "| | AUC by seed | mean (interval over rebuilt tiles) | interval over twins | p against context (Holm) |"


def write_report(folder: Path, docs: Path) -> Path:
    """Write ``results.md`` and its plots, and return the path of the text.

    Parameters
    ----------
    folder
        Output of experiments.
    docs
        Where the report goes.

    Raises
    ------
    CohortError
        There is no result yet.
    OutputError
        matplotlib is missing, or the report cannot be written.
    """
    check_libraries()
    sections = [text for name in EXPERIMENTS if (text := _section(folder, docs, name))]
    sections += [text for name in RESOLUTIONS if (text := resolution_section(folder, docs, name))]
    if not sections:
        raise CohortError(f"{folder}: no result of an experiment is there yet; run one")
    path = docs / "results.md"
    with replacing(path) as beside:
        beside.write_text("# Results of the experiments\n\n" + "\n".join(sections), encoding="utf-8")
    return path


def _section(folder: Path, docs: Path, name: str) -> str:
    """Return the tables of an experiment; empty where there is no result."""
    by_arm = results_by_arm(folder, name)
    if not by_arm:
        return ""
    arms = [arm for arm in ARMS if arm in by_arm]
    figures = [figures_of_arm(by_arm[arm]) for arm in arms]
    others = [by_arm[arm] for arm in arms if arm != FIRST]
    p = compared(by_arm[FIRST], others) if FIRST in by_arm else {}
    save(docs / f"{name}-auc.png", lambda axes: draw_aucs(axes, figures))
    lines = [f"## {name}", "", _facts(by_arm[arms[-1]]), "", _HEAD, "|---|---|---|---|---|"]
    lines += [_row(one, p.get(one.arm)) for one in figures]
    lines += ["", f"![AUC of each arm]({name}-auc.png)", ""]
    return "\n".join([*lines, *_gaze_lines(folder, docs, name)])


def _facts(results: Sequence[Result]) -> str:
    first = results[0]
    rebuilt = f"{len(first.rebuilt)} rebuilds of {len(first.rebuilt[0].labels)}" if first.rebuilt else "no rebuilds"
    seeds = ", ".join(str(result.seed) for result in results)
    return f"{len(first.test.labels)} test slides, {rebuilt}; seeds of training {seeds}; run on {first.date}."


def _row(one: ArmFigures, p: tuple[float, float] | None) -> str:
    seeds = ", ".join(f"{value:.3f}" for value in one.by_seed)
    interval = f" ({one.rebuilt.low:.3f} to {one.rebuilt.high:.3f})" if np.isfinite(one.rebuilt.low) else ""
    rebuilt = f"{one.rebuilt.value:.3f}{interval}"
    twins = f"{one.twins.low:.3f} to {one.twins.high:.3f}"
    return f"| {one.arm} | {seeds} | {rebuilt} | {twins} | {'' if p is None else f'{p[0]:.4f} ({p[1]:.4f})'} |"


def _gaze_lines(folder: Path, docs: Path, name: str) -> list[str]:
    """Return the table of where networks look, and draw it."""
    gazes = {arm: read_gazes(path) for arm in ARMS if (path := looking_path(folder, name, arm)).is_file()}
    if not gazes:
        return []
    save(docs / f"{name}-looking.png", lambda axes: draw_gazes(axes, gazes))
    table = gaze_table("", {arm: gaze_figures([found]) for arm, found in gazes.items()})
    return [*table, "", f"![Where networks look]({name}-looking.png)", ""]
