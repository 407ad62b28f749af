"""The head on a whole slide: the same numbers block by block, in view first; and where to click next."""

import numpy as np
import pytest

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.features import FeatureStore
from napari_gigaclf.inference.teaching import painting
from napari_gigaclf.inference.teaching.learning import evidence_of, learn
from napari_gigaclf.inference.teaching.lesson import new_lesson
from napari_gigaclf.inference.teaching.painting import Canvas
from napari_gigaclf.inference.teaching.suggesting import suggest


@pytest.fixture
def canvas(make_canvas):
    return make_canvas(0)[0]


def plain(canvas, head):
    """Return the map without blocks, in float64."""
    logits = canvas.features.astype(np.float64) @ head.weights.T.astype(np.float64) + head.bias
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    values = np.full((len(head.classes), *canvas.kept.shape), np.nan)
    values[:, canvas.kept] = (shares / shares.sum(axis=1, keepdims=True)).T
    return values


@pytest.mark.parametrize("cells", [1, 30, 100, 1 << 16])
def test_blocks_make_the_whole_map(canvas, teach, cells, monkeypatch):
    monkeypatch.setattr(painting, "BLOCK_CELLS", cells)
    head = learn(evidence_of(teach()))
    assert np.allclose(canvas.painted(head), plain(canvas, head), atol=2e-5, equal_nan=True)


def test_blocks_come_in_view_first_and_then_outwards(canvas, monkeypatch):
    monkeypatch.setattr(painting, "BLOCK_CELLS", 60)
    blocks = canvas.row_blocks((18, 24))
    rows = [row for first, last in blocks for row in range(first, last)]
    assert len(rows) == len(set(rows))
    assert set(np.flatnonzero(canvas.kept.any(axis=1))) <= set(rows)
    seen = [block for block in blocks if 18 <= block[0] < 24]
    assert blocks[: len(seen)] == seen
    distances = [max(18 - last, first - 24, 0) for first, last in blocks[len(seen) :]]
    assert distances[0] < 5 < distances[-1]
    for outside in ((-50, -3), (90, 99), None):
        assert sorted(canvas.row_blocks(outside)) == sorted(canvas.row_blocks())


def test_cells_and_their_features_find_each_other(canvas):
    numbers = np.array([0, 17, 300, len(canvas.features) - 1])
    cells = canvas.cells_of(numbers)
    assert [tuple(cell) for cell in cells] == [tuple(cell) for cell in np.argwhere(canvas.kept)[numbers]]
    for number, (row, column) in zip(numbers, cells, strict=True):
        centre = canvas.grid.centre_of(int(row), int(column))
        assert canvas.cell_at(centre) == (row, column)
        assert canvas.number_of((int(row), int(column))) == number
    empty = np.argwhere(~canvas.kept)[0]
    assert canvas.cell_at(canvas.grid.centre_of(*map(int, empty))) is None
    assert canvas.cell_at((-1e9, 0.0)) is None


def test_moments_of_features_far_from_zero():
    features = (np.random.default_rng(0).standard_normal((5000, 3)) * (1, 1e-3, 0) + 1e4).astype(np.float32)
    grid = PixelGrid(origin=(0, 0), step=(1, 1), shape=(50, 100))
    store = FeatureStore(kept=np.ones((50, 100), bool), features=features, scores=np.zeros(5000, np.float32))
    mean, deviation = Canvas.of(store, grid).moments()
    assert mean == pytest.approx(features.mean(axis=0, dtype=np.float64))
    assert deviation == pytest.approx(features.std(axis=0, dtype=np.float64), rel=1e-4)


def test_suggestions_are_uncertain_and_diverse(canvas, teach):
    evidence = evidence_of(teach(slides=("s",)))
    values = canvas.painted(learn(evidence))
    found = suggest(canvas, evidence, values)
    assert len(found) == len(set(found)) == 10
    assert found == suggest(canvas, evidence, values)
    ranked = np.sort(values[:, canvas.kept], axis=0)
    margins = ranked[-1] - ranked[-2]
    allowed = np.sort(margins)[199]
    chosen = np.array([canvas.number_of(cell) for cell in found])
    assert margins[chosen].max() <= allowed
    z = (canvas.features - evidence.mean) / evidence.deviation
    distances = np.linalg.norm(z[chosen][:, None] - z[chosen], axis=-1)[~np.eye(10, dtype=bool)]
    surest = np.argsort(margins)[:10]  # without the spread
    assert distances.min() > np.linalg.norm(z[surest][:, None] - z[surest], axis=-1)[~np.eye(10, dtype=bool)].min()


def test_suggestions_leave_out_examples_and_what_was_skipped(canvas, teach):
    lesson = teach(slides=("s",))
    evidence = evidence_of(lesson)
    values = canvas.painted(learn(evidence))
    first = suggest(canvas, evidence, values, count=300)
    given = {canvas.cell_at(example.place) for example in lesson.examples}
    assert given.isdisjoint(first)
    skipped = frozenset(first[:3])
    assert skipped.isdisjoint(suggest(canvas, evidence, values, count=300, skipped=skipped))


def test_without_a_head_suggestions_are_diverse(canvas, base):
    evidence = evidence_of(new_lesson("l", base))
    found = suggest(canvas, evidence, None)
    assert len(set(found)) == 10
    assert all(canvas.kept[cell] for cell in found)


def test_a_slide_without_cells_has_nothing_to_suggest(base):
    store = FeatureStore(
        kept=np.zeros((3, 4), bool), features=np.zeros((0, 12), np.float32), scores=np.zeros(0, np.float32)
    )
    nothing = Canvas.of(store, PixelGrid(origin=(0, 0), step=(1, 1), shape=(3, 4)))
    assert suggest(nothing, evidence_of(new_lesson("l", base)), None) == []
    assert nothing.row_blocks() == []
