"""Plots of results: numbers only, never pixels of the tissue."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_gigaclf.training.evaluation import Interval
from napari_gigaclf.training.experiments.comparing import ArmFigures
from napari_gigaclf.training.experiments.gaze_figures import GazeFigures
from napari_gigaclf.training.experiments.ladder import RUNGS
from napari_gigaclf.training.experiments.looking import Gaze
from napari_gigaclf.training.experiments.looking_by_resolution import SHAM_SET
from napari_gigaclf.writing import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOTS_PER_INCH: Final = 110
INCHES: Final = (6.4, 3.2)


def draw_aucs(axes: "Axes", figures: Sequence[ArmFigures]) -> None:
    """Draw the AUC of every arm and seed, with intervals."""
    for place, one in enumerate(reversed(figures)):
        axes.plot([one.rebuilt.low, one.rebuilt.high], [place, place], color="0.6", lw=2)
        axes.plot(one.by_seed, [place] * len(one.by_seed), "o", color="C0", ms=4)
    axes.set_yticks(range(len(figures)), [one.arm for one in reversed(figures)])
    axes.axvline(0.5, color="0.8", lw=1)
    axes.set(xlabel="AUC of test slides (dots: seeds; bars: 95 % over rebuilt tiles)", xlim=(0.2, 1.01))


def draw_resolutions(
    axes: "Axes", figures: dict[tuple[str, str], ArmFigures], sets: Sequence[str], figure: str
) -> None:  # fmt: skip
    """Draw ``figure`` over resolution, a line for each set of test slides; ``figures`` by set and rung."""
    rungs = [rung for rung in RUNGS if "," not in rung]
    for number, of in enumerate(sets):
        there = [(place, figures[of, rung]) for place, rung in enumerate(rungs) if (of, rung) in figures]
        shift = 0.04 * number
        places = [place + shift for place, _ in there]
        axes.plot(places, [np.mean(one.by_seed) for _, one in there], "-o", ms=4, label=of)
        for place, one in there:
            axes.plot([place + shift] * 2, [one.twins.low, one.twins.high], color=f"C{number}", lw=1)
    axes.set_xticks(range(len(rungs)), rungs)
    axes.set(xlabel="resolution (bars: 95 % over twins)", ylabel=figure)
    axes.legend(fontsize="small")


def draw_gazes(axes: "Axes", gazes: dict[str, list[Gaze]]) -> None:
    """Draw where arms look, a dot for each slide."""
    labels: list[str] = []
    for arm, found in gazes.items():
        for what in ("probability", "saliency"):
            values = [getattr(gaze, what) for gaze in found]
            axes.plot(values, np.full(len(values), len(labels)), "o", ms=4, alpha=0.5, color="C0")
            axes.plot(np.mean(values), len(labels), "|", ms=18, color="C3")
            labels.append(f"{arm}\n{what}")
    chance = float(np.mean([gaze.chance for found in gazes.values() for gaze in found]))
    axes.axvline(chance, color="0.6", ls=":")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="share of the top 1 % of cells inside the lesion (dotted: chance)", xlim=(-0.02, 1.02))


def draw_gazes_by_resolution(axes: "Axes", figures: dict[tuple[str, str], GazeFigures]) -> None:
    """Draw where networks look over resolution: saliency and chance of each set; ``figures`` as above."""
    sets = list(dict.fromkeys(of for of, _ in figures))
    for number, of in enumerate(sets):
        there = [(place, figures[of, rung]) for place, rung in enumerate(RUNGS) if (of, rung) in figures]
        of_sham = of.endswith(SHAM_SET)
        colour = f"C{sets.index(of.removesuffix(SHAM_SET))}"
        for what, line in (("saliency", "--s" if of_sham else "-o"), *([] if of_sham else [("chance", ":")])):
            places = [place + 0.04 * number for place, _ in there]
            found: list[Interval] = [getattr(one, what) for _, one in there]
            label = f"{of}, {what}"
            axes.plot(places, [one.value for one in found], line, ms=4, lw=1.2, color=colour, label=label)
            if what != "chance":
                axes.vlines(places, [one.low for one in found], [one.high for one in found], color=colour, lw=1)
    axes.set_xticks(range(len(RUNGS)), [rung.replace(", ", ",\n") for rung in RUNGS])
    axes.set(ylabel="top 1 % of cells inside", xlabel="resolution (bars: 95 % over slides)", ylim=(-0.02, 1.02))
    axes.legend(fontsize="x-small")


def save(path: Path, draw: Callable[["Axes"], None]) -> None:
    """Draw and write a picture, PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.add_subplot())
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DOTS_PER_INCH)
    with replacing(path) as beside:
        beside.write_bytes(data.getvalue())
