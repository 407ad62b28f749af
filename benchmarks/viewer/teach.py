"""Measures what a person waits for after a click in the Teach widget: learning, and repainting the map of a slide.

    python benchmarks/viewer/teach.py [--cells 1000000] [--features 128] [--classes 2] [--rounds 5]

Made-up features of so many cells on a square map. Prints one JSON object; milliseconds are the least of the rounds,
with the largest beside them, and those of the processor, which other programs on the machine lengthen less. "visible"
is until the cells of a tenth of the rows are painted, "whole" until all are; both begin with the examples and learn
first. Nothing of a window is in them: drawing the layer again takes 2 to 7 ms more.
"""

import argparse
import json
import math
import time

import numpy as np

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.features import FeatureStore
from napari_gigaclf.inference.teaching.checking import cross_validate
from napari_gigaclf.inference.teaching.learning import evidence_of, learn
from napari_gigaclf.inference.teaching.lesson import BaseModel, Example, Lesson, TaughtSlide, new_lesson
from napari_gigaclf.inference.teaching.painting import BLOCK_CELLS, Canvas
from napari_gigaclf.inference.teaching.suggesting import suggest
from napari_gigaclf.inference.teaching.vectors import to_text
from napari_gigaclf.viewer.controllers.mapping import LiveMap

SEEN = 0.1
"""Share of the map's rows in view."""


def make_canvas(num_cells: int, num_features: int) -> Canvas:
    """Return a square map, two thirds of it tissue, with features of clouds, half of them zero as after a ReLU."""
    rng = np.random.default_rng(0)
    side = math.ceil(math.sqrt(num_cells * 1.5))
    kept = np.zeros(side * side, dtype=np.bool_)
    kept[rng.permutation(side * side)[:num_cells]] = True
    features = np.empty((num_cells, num_features), dtype=np.float32)
    middles = rng.normal(0, 1, (5, num_features)).astype(np.float32)
    for start in range(0, num_cells, BLOCK_CELLS):
        part = features[start : start + BLOCK_CELLS]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32) + middles[rng.integers(0, 5, len(part))]
        np.maximum(part, 0, out=part)
    store = FeatureStore(kept=kept.reshape(side, side), features=features, scores=np.zeros(num_cells, np.float32))
    return Canvas.of(store, PixelGrid(origin=(0.0, 0.0), step=(32.0, 32.0), shape=(side, side)))


def make_lesson(canvas: Canvas, num_classes: int, per_class: int) -> Lesson:
    """Return a lesson with examples of random cells."""
    base = BaseModel(name="m", version="1", sha256="", source="m", num_features=canvas.num_features)
    mean, deviation = canvas.moments()
    lesson = new_lesson("l", base, tuple(f"class {number}" for number in range(num_classes))).with_slide(
        TaughtSlide(
            slide_id="s", name="s", num_cells=len(canvas.features), mean=to_text(mean), deviation=to_text(deviation)
        )
    )
    numbers = np.random.default_rng(1).choice(len(canvas.features), num_classes * per_class, replace=False)
    for place, (number, (row, column)) in enumerate(zip(numbers, canvas.cells_of(numbers), strict=True)):
        lesson = lesson.with_example(
            Example(
                slide_id="s",
                place=canvas.grid.centre_of(int(row), int(column)),
                class_number=place % num_classes,
                features=to_text(canvas.features[number]),
            )
        )
    return lesson


def repaint(lesson: Lesson, canvas: Canvas) -> dict[str, float]:
    """Learn and paint as the widget does, into the map that is shown; milliseconds."""
    rows = len(canvas.starts) - 1
    seen = (int(rows * (0.5 - SEEN / 2)), int(rows * (0.5 + SEEN / 2)))
    live = LiveMap(tuple(each.name for each in lesson.classes), canvas.grid, lesson.classes[1].name)
    start, busy = time.perf_counter(), time.process_time()
    head = learn(evidence_of(lesson))
    learnt = time.perf_counter()
    visible = learnt
    for block in canvas.row_blocks(seen):
        live.update(canvas.paint(head, block))
        if seen[0] <= block[0] < seen[1]:
            visible = time.perf_counter()
    found = {"learn": learnt - start, "visible": visible - start, "whole": time.perf_counter() - start}
    return {name: 1e3 * value for name, value in {**found, "whole, CPU": time.process_time() - busy}.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--per-class", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    canvas = make_canvas(options.cells, options.features)
    lesson = make_lesson(canvas, options.classes, options.per_class)
    rounds = [repaint(lesson, canvas) for _ in range(options.rounds)]
    found: dict[str, object] = {
        name: {
            "least": round(min(each[name] for each in rounds), 1),
            "most": round(max(each[name] for each in rounds), 1),
        }
        for name in rounds[0]
    }
    evidence = evidence_of(lesson)
    values = canvas.painted(learn(evidence))
    start = time.perf_counter()
    cross_validate(evidence)
    checked = time.perf_counter()
    suggest(canvas, evidence, values)
    found["cross_validate"] = round(1e3 * (checked - start), 1)
    found["suggest"] = round(1e3 * (time.perf_counter() - checked), 1)
    print(json.dumps({"milliseconds": found, **vars(options)}, indent=1))


if __name__ == "__main__":
    main()
