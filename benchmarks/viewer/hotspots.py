"""Measures Hotspots on a large map: from the result to the list, and each change of the threshold.

    xvfb-run -a python benchmarks/viewer/hotspots.py [--changes N] [--cells-apart SIGMA]

The map is made up: smooth noise over half of the phantom of 100 000 x 100 000 pixels, of which about a twelfth reaches
0.5, in many foci. Times are from the result being laid over the slide, or the slider being moved, until the
window says it: ``list`` the places, ``tally`` their number with number and area of the foci, ``lesions`` the table
below. ``slider_held`` is how long moving the slider holds the window up. Times depend on what else the machine does.
"""

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pendulum import Pendulum, magnify
from window import add, make_viewer, milliseconds_until, percentiles, show

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide

MODEL = "lymph-node-metastasis"
CLASS = "tumour"
STEEPNESS = 8
"""Probability is the rank of the noise to this power: one minus the eighth root of a half reaches 0.5."""
TISSUE_RADIUS = 0.8
"""Radius of the made-up tissue, in half sides of the map: half of its cells."""
DRAG_MS = 30
"""A slider that is dragged changes as often."""


def made_up_result(slide: "Slide", sigma: float) -> "Prediction":
    """Return a result whose map has smooth noise over the tissue; its record is that of a run over nothing."""
    from scipy import ndimage, stats

    from napari_gigaclf.inference import prepare

    prepared = prepare(slide, MODEL, tissue=False)  # to look for it on a computed slide takes minutes
    rows, columns = np.ogrid[-1 : 1 : prepared.grid.shape[0] * 1j, -1 : 1 : prepared.grid.shape[1] * 1j]
    kept = rows**2 + columns**2 < TISSUE_RADIUS**2
    small = dataclasses.replace(prepared, kept=np.zeros_like(prepared.kept)).run(saliency=None)
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(kept.shape, np.float32), sigma)
    ranks = stats.norm.cdf((noise - noise.mean()) / noise.std())
    values = np.full((2, *kept.shape), np.nan, dtype=np.float32)
    values[1][kept] = ranks[kept] ** STEEPNESS
    values[0] = 1 - values[1]
    return dataclasses.replace(small, probability_map=values, message="")


def hotspots(changes: int, sigma: float) -> dict[str, object]:
    """Show the result beside the open widget, then move the slider, in steps and dragged."""
    from napari_gigaclf.slides.phantom import PhantomSlide
    from napari_gigaclf.viewer.layers import Frame, prediction_layers
    from napari_gigaclf.viewer.reader import open_layers
    from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget

    slide = PhantomSlide(seed=1, shape=(100_000, 100_000))
    prediction = made_up_result(slide, sigma)
    viewer = make_viewer()
    add(viewer, open_layers(slide))
    with tempfile.TemporaryDirectory() as folder:
        widget = HotspotsWidget(viewer, reviews=Path(folder))
        viewer.window.add_dock_widget(widget, name="Hotspots")
        layers = prediction_layers(prediction, Frame.of_slide(slide), CLASS)
        begin = time.perf_counter()
        for data, kwargs, kind in layers:
            getattr(viewer, f"add_{kind}")(data, **kwargs)
        laid = 1000 * (time.perf_counter() - begin)
        listed = milliseconds_until(lambda: widget.list.table.rowCount(), begin)
        counted = milliseconds_until(lambda: "hotspot" in widget.tally_note.text(), begin)
        measured = milliseconds_until(lambda: widget.findings.lesions, begin)
        first = {"layers": laid, "list": listed, "tally": counted, "lesions": measured}
        milliseconds_until(lambda: not widget.pictures.busy)
        steps = move_in_steps(widget, changes)
        dragged = drag(viewer, slide, widget)
        found = {"text": widget.tally_note.text(), "lesions": len(widget.findings.lesions)}
        widget.shut_down()
    viewer.close()
    return {
        "cells": int(np.isfinite(prediction.probability_map[1]).sum()),
        "map": prediction.probability_map.shape[1:],
        "at_the_end": found,
        "from_result_ms": {name: round(value, 1) for name, value in first.items()},
        "per_change_ms": {name: percentiles(values) for name, values in steps.items()},
        "dragging": dragged,
    }


def move_in_steps(widget: Any, changes: int) -> dict[str, list[float]]:  # noqa: ANN401 - a widget
    """Move the slider to and fro between 0.3 and 0.9, each time until all is said; milliseconds."""
    times: dict[str, list[float]] = {"slider_held": [], "tally": [], "lesions": []}
    for number in range(changes):
        value = 30 + (number * 7) % 61
        said = f"at {value / 100:.2f} or more"
        begin = time.perf_counter()
        widget.choices.slider.setValue(value)
        times["slider_held"].append(1000 * (time.perf_counter() - begin))
        times["tally"].append(milliseconds_until(lambda said=said: said in widget.tally_note.text(), begin))
        times["lesions"].append(milliseconds_until(lambda: not widget.quick.busy, begin))
    return times


def drag(viewer: Any, slide: "Slide", widget: Any) -> dict[str, object]:  # noqa: ANN401
    """Drag the slider from 0.9 to 0.3 while the view is panned: the lag, and how soon the last value is said."""
    from qtpy.QtCore import QTimer

    values = iter(range(90, 29, -1))
    timer = QTimer()

    def move() -> None:
        value = next(values, None)
        if value is None:
            timer.stop()
        else:
            widget.choices.slider.setValue(value)

    timer.timeout.connect(move)
    pendulum = Pendulum(viewer, magnify(viewer, slide))
    idle = pendulum.swing(3)
    timer.start(DRAG_MS)
    lag = pendulum.swing(30, until=lambda: not timer.isActive())
    last = milliseconds_until(lambda: "at 0.30 or more" in widget.tally_note.text())
    milliseconds_until(lambda: not widget.quick.busy)
    return {"idle_lag_ms": idle, "lag_ms": lag, "last_value_said_after_ms": round(last, 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--cells-apart", type=float, default=4.0, help="sigma of the noise in cells: less, more foci")
    arguments = parser.parse_args()
    show("hotspots", hotspots(arguments.changes, arguments.cells_apart))


if __name__ == "__main__":
    main()
