"""A slide's features made up of three clouds, and lessons about them."""

import numpy as np
import pytest

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.features import FeatureStore
from napari_gigaclf.inference.teaching.lesson import BaseModel, Example, TaughtSlide, new_lesson
from napari_gigaclf.inference.teaching.painting import Canvas
from napari_gigaclf.inference.teaching.vectors import to_text

NUM_FEATURES = 12


@pytest.fixture(scope="session")
def base():
    return BaseModel(name="m", version="1", sha256="ab", source="m", num_features=NUM_FEATURES)


@pytest.fixture(scope="session")
def make_canvas():
    """Return a function making a map of 40 x 50 cells with features in three overlapping clouds."""

    def make(seed=0):
        rng = np.random.default_rng(seed)
        kept = rng.random((40, 50)) < 0.6
        kept[7] = kept[:, 3] = False
        num = int(kept.sum())
        kinds = rng.integers(0, 3, num)
        middles = np.random.default_rng(99).normal(0, 1.2, (3, NUM_FEATURES))
        features = (middles[kinds] + rng.standard_normal((num, NUM_FEATURES))) * np.linspace(0.01, 40, NUM_FEATURES) + 7
        features[:, 5] = 3.25  # the same everywhere
        grid = PixelGrid(origin=(16.0, -8.0), step=(64.0, 32.0), shape=kept.shape)
        features = features.astype(np.float32)
        return Canvas.of(FeatureStore(kept=kept, features=features, scores=np.zeros(num, np.float32)), grid), kinds

    return make


@pytest.fixture(scope="session")
def teach(base, make_canvas):
    """Return a function that gives so many examples of each of three classes on slides."""

    def lesson(per_class=(6, 4, 5), slides=("s", "t"), seed=0):
        taught = new_lesson("test", base, ("a", "b", "c"))
        rng = np.random.default_rng(seed)
        for number, slide_id in enumerate(slides):
            canvas, kinds = make_canvas(number)
            mean, deviation = map(to_text, canvas.moments())
            taught = taught.with_slide(
                TaughtSlide(
                    slide_id=slide_id, name=f"{slide_id}.svs", num_cells=len(kinds), mean=mean, deviation=deviation
                )
            )
            for kind, count in enumerate(per_class):
                numbers = rng.choice(np.flatnonzero(kinds == kind), count, replace=False)
                for n, (row, column) in zip(numbers, canvas.cells_of(numbers), strict=True):
                    taught = taught.with_example(
                        Example(
                            slide_id=slide_id,
                            place=canvas.grid.centre_of(int(row), int(column)),
                            class_number=kind,
                            features=to_text(canvas.features[n]),
                        )
                    )
        return taught

    return lesson
