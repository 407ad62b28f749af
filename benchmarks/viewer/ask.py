"""Measures questions in the real window: a large region from stored features, and a box on a slide that has not run.

    xvfb-run -a python benchmarks/viewer/ask.py stored
    xvfb-run -a python benchmarks/viewer/ask.py box [SLIDE] [--model NAME]
    python benchmarks/viewer/ask.py cpu [SLIDE] [--model NAME]

``stored`` shows a result of 360 000 cells of 256 channels (random numbers: time does not depend on them) over the
phantom of 100 000 x 100 000 pixels, and asks about a box of 500 x 500 cells, an outline with a hole in it, and one
field, for every pooling. ``box`` asks about one megapixel at the model's scale with the mouse, Shift and a drag; the
first time includes loading. ``cpu`` does both, and gradients, without a window, in processor milliseconds of one
thread. Each prints one JSON object; times in the window are from the question until its row is in the table.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from window import PATIENCE_SECONDS, add, make_viewer, percentiles, show

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction, PreparedRun
    from napari_gigaclf.viewer.controllers.probe import Question

CHANNELS = 256
SIDE = 600
"""Rows and columns of cells that the result holds."""
ASKED = 500
"""Rows and columns of the box that is asked about."""
REPEATS = 9
CPU_REPEATS = 5
MEGAPIXEL_SIDE = 1024
MODEL = "lymph-node-metastasis"


class Asking:
    """A window with the widget, and a way to ask."""

    def __init__(self, layers: list[Any], model: str, *, whole: bool = False) -> None:
        from napari_gigaclf.viewer.demo import settle, wait_until
        from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
        from napari_gigaclf.viewer.widgets.controls import choose

        self.viewer = make_viewer()
        self.slide = add(self.viewer, layers)
        self.widget = ClassifyWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget, name="Classify slide")
        self.settle, self.wait_until = settle, wait_until
        assert wait_until(lambda: bool(self.widget.choices.models), PATIENCE_SECONDS)
        assert choose(self.widget.choices.model_box, model), f"no model {model}"
        choose(self.widget.choices.saliency_box, "none")
        if whole:
            choose(self.widget.choices.region_box, "whole slide")
        settle(1)
        assert wait_until(lambda: self.widget.runs.prepared is not None, PATIENCE_SECONDS)
        assert wait_until(lambda: not self.widget.quick.busy, PATIENCE_SECONDS)

    def ask(self, act: Callable[[], None]) -> Any:  # noqa: ANN401 - a row of the table
        """Ask and return the row, once its picture has come, too."""
        self.settle(0.3)
        before = len(self.widget.probes.rows)
        act()
        assert self.wait_until(lambda: len(self.widget.probes.rows) > before, PATIENCE_SECONDS)
        self.wait_until(lambda: not self.widget.quick.busy, PATIENCE_SECONDS)
        return self.widget.probes.rows[-1]

    def close(self) -> None:
        """Close the window."""
        self.widget.shut_down()
        self.viewer.close()


def stored() -> dict[str, object]:
    """Milliseconds per question to a result of many cells, by pooling."""
    from napari_gigaclf.slides.phantom import PhantomSlide
    from napari_gigaclf.viewer.reader import open_layers

    slide = PhantomSlide(seed=1, shape=(100_000, 100_000))
    asking = Asking(open_layers(slide), MODEL, whole=True)
    found: dict[str, object] = {}
    for pooling in ("max", "mean", "attention", "highest"):
        prediction, questions = large_result(asking.widget.runs.prepared, pooling)
        asking.widget.show_prediction(asking.slide, prediction, "tumour")
        asking.wait_until(lambda: not asking.widget.quick.busy, PATIENCE_SECONDS)
        times: dict[str, list[float]] = {}
        for _ in range(REPEATS):
            for name, question in questions.items():
                row = asking.ask(lambda question=question: asking.widget.asking.ask(asking.slide, question))
                assert row.source == "stored features", row.source
                times.setdefault(f"{name}: {row.answer.num_cells} cells", []).append(1000 * row.seconds)
        found[pooling] = {name: percentiles(each) for name, each in times.items()}
    asking.close()
    return {"channels": CHANNELS, "milliseconds": found}


def large_result(prepared: "PreparedRun", pooling: str) -> "tuple[Prediction, dict[str, Question]]":
    """Return a result of 360 000 cells over the slide, and questions about it."""
    from torch import nn

    from napari_gigaclf.geometry import Box
    from napari_gigaclf.inference.features import FeatureStore
    from napari_gigaclf.inference.head import StoredHead
    from napari_gigaclf.models import Classifier
    from napari_gigaclf.models.pooling import build_pooling
    from napari_gigaclf.viewer.controllers.probe import Question

    rng = np.random.default_rng(0)
    row, column = (round(side / 2) - SIDE // 2 for side in prepared.grid.shape)
    kept = np.zeros(prepared.grid.shape, dtype=bool)
    kept[row : row + SIDE, column : column + SIDE] = True
    values = np.full((2, *kept.shape), np.nan, dtype=np.float32)
    values[1][kept] = rng.random(int(kept.sum()), dtype=np.float32)
    values[0] = 1 - values[1]
    features = rng.standard_normal((int(kept.sum()), CHANNELS), dtype=np.float32).astype(np.float16)
    scores = rng.standard_normal(len(features)).astype(np.float32)
    model = Classifier(
        config=dataclasses.replace(prepared.model.config, pooling=pooling, slide_answer=None),
        normalise=prepared.model.normalise,
        trunk=nn.Identity(),
        pooling=build_pooling(pooling, CHANNELS),
        head=nn.Sequential(nn.Linear(CHANNELS, 2)),
    )
    small = dataclasses.replace(prepared, kept=np.zeros_like(kept)).run(saliency=None)  # nothing to compute: a record
    prediction = dataclasses.replace(
        small,
        probability_map=values,
        store=FeatureStore(kept=kept, features=features, scores=scores),
        head=StoredHead.of(model),
        tissue=None,
        message="",
    )
    area = prepared.grid.part(Box(row + 20, row + 20 + ASKED, column + 20, column + 20 + ASKED))
    (y0, x0), (height, width) = area.origin, np.array(area.shape) * area.step
    box = Box(round(y0), round(y0 + height), round(x0), round(x0 + width))
    centre = (y0 + height / 2, x0 + width / 2)
    circle = shapely.Point(centre[::-1]).buffer(height / 2, quad_segs=250)
    holed = circle.difference(shapely.Point(centre[::-1]).buffer(height / 8))
    return prediction, {
        "box": Question(kind="area", place=box, position=centre),
        "outline of 1000 vertices with a hole": Question(kind="area", place=holed, position=centre),
        "click": Question(kind="field", place=centre, position=centre),
    }


def box(path: Path | None, model: str) -> dict[str, object]:
    """Seconds per box of one megapixel on a slide that has not run, asked with the mouse."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    from napari_gigaclf.slides import open_slide
    from napari_gigaclf.slides.sample import sample_path
    from napari_gigaclf.viewer.reader import open_layers
    from napari_gigaclf.viewer.viewpoint import Viewpoint

    asking = Asking(open_layers(open_slide(path or sample_path())), model)
    viewer, slide, widget = asking.viewer, asking.slide, asking.widget
    widget.probes.tool_box.setChecked(True)
    prepared = widget.runs.prepared
    rows, columns = np.nonzero(prepared.tissue_cells)
    nearest = int(np.hypot(rows - np.median(rows), columns - np.median(columns)).argmin())
    centre = prepared.grid.centre_of(int(rows[nearest]), int(columns[nearest]))
    side = MEGAPIXEL_SIDE * prepared.scale.grid.step[0]
    point = Viewpoint(viewer)
    point.set_zoom(slide, 0.8 * min(viewer.canvas.size) / side)
    point.look_at(slide, centre)
    asking.settle(1)
    canvas = viewer.window._qt_viewer.canvas.native  # napari has no public way to the canvas
    middle = QPoint(round(viewer.canvas.size[1] / 2), round(viewer.canvas.size[0] / 2))
    half = QPoint(round(0.4 * min(viewer.canvas.size)), round(0.4 * min(viewer.canvas.size)))

    def drag() -> None:
        shift, left = Qt.KeyboardModifier.ShiftModifier, Qt.MouseButton.LeftButton
        QTest.mousePress(canvas, left, shift, middle - half)
        QTest.mouseRelease(canvas, left, shift, middle + half)

    seconds = [asking.ask(drag).seconds for _ in range(REPEATS)]
    row = widget.probes.rows[-1]
    assert row.source == "the network on this place alone", row.source
    pixels = row.answer.area_px / np.prod(prepared.scale.grid.step)
    asking.close()
    return {
        "megapixels_at_the_models_scale": pixels / 1e6,
        "tissue_cells": row.answer.num_cells,
        "milliseconds": percentiles([1000 * each for each in seconds]),
        "first_milliseconds": 1000 * seconds[0],
        "model": model,
    }


def cpu(path: Path | None, model: str) -> dict[str, object]:
    """Processor milliseconds of questions and gradients, one thread, no window."""
    import torch

    from napari_gigaclf.geometry import Box
    from napari_gigaclf.inference import SmoothGrad, place_gradient, prepare
    from napari_gigaclf.slides import open_slide
    from napari_gigaclf.slides.phantom import PhantomSlide
    from napari_gigaclf.slides.sample import sample_path

    torch.set_num_threads(1)
    found: dict[str, object] = {}
    large = prepare(PhantomSlide(seed=1, shape=(100_000, 100_000)), MODEL, tissue=False)
    for pooling in ("max", "mean", "attention", "highest"):
        prediction, questions = large_result(large, pooling)
        prediction.pool_ahead()
        for name, question in questions.items():
            found[f"stored, {pooling}, {name}"] = cpu_times(partial(prediction.query, question.place))
        del prediction
    prepared = prepare(open_slide(path or sample_path()), model)
    rows, columns = np.nonzero(prepared.tissue_cells)
    nearest = int(np.hypot(rows - np.median(rows), columns - np.median(columns)).argmin())
    y, x = prepared.grid.centre_of(int(rows[nearest]), int(columns[nearest]))
    half = MEGAPIXEL_SIDE / 2 * prepared.scale.grid.step[0]
    megapixel = Box(round(y - half), round(y + half), round(x - half), round(x + half))
    positive = prepared.model.card.positive_class
    found["network, click"] = cpu_times(partial(prepared.ask, (y, x)))
    found["network, one megapixel"] = cpu_times(partial(prepared.ask, megapixel))
    found["why, click"] = cpu_times(partial(place_gradient, prepared, (y, x), positive))
    smooth = SmoothGrad()
    found["why, click, SmoothGrad of 16"] = cpu_times(
        partial(place_gradient, prepared, (y, x), positive, smooth=smooth)
    )
    found["why, all cells of one megapixel"] = cpu_times(
        partial(place_gradient, prepared, megapixel, positive, of="cells")
    )
    return {"processor_milliseconds": found, "model": model}


def cpu_times(act: Callable[[], object]) -> dict[str, float]:
    """Return percentiles of processor milliseconds, after a first time."""
    act()
    times = []
    for _ in range(CPU_REPEATS):
        begin = time.process_time()
        act()
        times.append(1000 * (time.process_time() - begin))
    return percentiles(times)


def main() -> None:
    """Run one measurement and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("stored")
    for name in ("box", "cpu"):
        command = commands.add_parser(name)
        command.add_argument("slide", type=Path, nargs="?")
        command.add_argument("--model", default=MODEL)
    arguments = parser.parse_args()
    if arguments.command == "stored":
        result = stored()
    else:
        result = (box if arguments.command == "box" else cpu)(arguments.slide, arguments.model)
    show(arguments.command, result)


if __name__ == "__main__":
    main()
