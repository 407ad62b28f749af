"""The table of an experiment on resolution."""

from pathlib import Path
from typing import Final

import numpy as np

from napari_gigaclf.training.evaluation import holm
from napari_gigaclf.training.experiments.comparing import ArmFigures, compared, figures_of_arm
from napari_gigaclf.training.experiments.drawing import draw_gazes_by_resolution, draw_resolutions, save
from napari_gigaclf.training.experiments.gaze_figures import GazeFigures, gaze_figures, gaze_table
from napari_gigaclf.training.experiments.ladder import RUNGS
from napari_gigaclf.training.experiments.looking import read_gazes
from napari_gigaclf.training.experiments.looking_by_resolution import gazes_paths, looked_at
from napari_gigaclf.training.experiments.results import Result, results_by_arm, tiles_of
from napari_gigaclf.training.mosaics.settings import LESION_TILES

FULL: Final = "full"
"""The network that the others are compared with."""


def resolution_section(folder: Path, docs: Path, name: str) -> str:
    """Return the table of an experiment, a row for each network and set of test slides; empty without results."""
    sets = {of: results_by_arm(folder, of) for of in (name, *(f"{name}, {lesion}" for lesion in LESION_TILES))}
    sets = {of: by_arm for of, by_arm in sets.items() if by_arm}
    if not sets:
        return ""
    figures = {(of, arm): figures_of_arm(results) for of, by_arm in sets.items() for arm, results in by_arm.items()}
    p = _against_full(sets)
    first = next(iter(next(iter(sets.values())).values()))[0]
    figure = "Spearman's rho" if first.test.is_regression else "AUC"
    save(docs / f"{name}.png", lambda axes: draw_resolutions(axes, figures, list(sets), figure))
    lines = [
        f"## {name}", "", f"{len(first.test.labels)} test slides of each kind; run on {first.date}.", "",
        f"| slides | network | {figure} before slides | by seed | mean (interval over twins) | p against full (Holm) |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    rows = [(of, rung) for of in sets for rung in RUNGS if (of, rung) in figures]
    lines += [_row(of, rung, figures, p.get((of, rung), "")) for of, rung in rows]
    lines += ["", f"![{figure} by resolution]({name}.png)", ""]
    return "\n".join([*lines, *_gaze_lines(folder, docs, name), *_tile_lines(folder, name)])


def _against_full(sets: dict[str, dict[str, list[Result]]]) -> dict[tuple[str, str], str]:
    """Return p and, corrected for all tests of all sets, Holm's p of networks against full resolution, as text."""
    p: dict[tuple[str, str], float] = {}
    for of, by_arm in sets.items():
        others = [results for arm, results in by_arm.items() if arm in RUNGS and arm != FULL]
        if FULL in by_arm:
            p |= {(of, arm): found[0] for arm, found in compared(by_arm[FULL], others).items()}
    corrected = holm({"|".join(key): value for key, value in p.items()})
    return {key: f"{value:.4f} ({corrected['|'.join(key)]:.4f})" for key, value in p.items()}


def _gaze_lines(folder: Path, docs: Path, name: str) -> list[str]:
    """Return the table of where networks look, over all seeds, and draw it; empty without results."""
    figures: dict[tuple[str, str], GazeFigures] = {}
    for of in looked_at(name):
        for rung in RUNGS:
            seeds = [read_gazes(path) for path in gazes_paths(folder, of, rung)]
            if seeds:
                figures[of, rung] = gaze_figures(seeds)
    if not figures:
        return []
    save(docs / f"{name}-looking.png", lambda axes: draw_gazes_by_resolution(axes, figures))
    table = gaze_table("test slides | network", {f"{of} | {rung}": one for (of, rung), one in figures.items()})
    return [*table, "", f"![Where networks look, by resolution]({name}-looking.png)", ""]


def _tile_lines(folder: Path, name: str) -> list[str]:
    """Return the table of what networks that have seen no slide say of single tiles that colour does not tell apart."""
    by_arm = results_by_arm(folder, tiles_of(name))
    if not by_arm:
        return []
    lines = [
        "Single test tiles, tumour and normal matched in colour, before slides:",
        "",
        "| network | AUC of pairs |",
        "|---|---|",
    ]
    for rung in (each for each in RUNGS if each in by_arm):
        found = figures_of_arm(by_arm[rung])
        lines.append(f"| {rung} | {found.by_seed[0]:.3f} ({found.twins.low:.3f} to {found.twins.high:.3f}) |")
    return [*lines, ""]


def _row(of: str, rung: str, figures: dict[tuple[str, str], ArmFigures], p: str) -> str:
    one, before = figures[of, rung], figures.get((of, f"{rung}, before"))
    start = "" if before is None else f"{before.by_seed[0]:.3f}"
    seeds = ", ".join(f"{value:.3f}" for value in one.by_seed)
    mean = f"{np.mean(one.by_seed):.3f} ({one.twins.low:.3f} to {one.twins.high:.3f})"
    return f"| {of} | {rung} | {start} | {seeds} | {mean} | {p} |"
