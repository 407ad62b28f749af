import numpy as np
import pytest
import torch

from napari_gigaclf.inference import features as module
from napari_gigaclf.inference.cells import Cells
from napari_gigaclf.inference.features import FeatureStore, to_half
from napari_gigaclf.inference.pooled_blocks import BLOCK, sortable, split
from napari_gigaclf.models.pooling import build_pooling, highest_cell, suspicion


@pytest.fixture
def store():
    rng = np.random.default_rng(0)
    kept = rng.random((40, 50)) < 0.7
    values = rng.standard_normal((int(kept.sum()), 12), dtype=np.float32)
    return FeatureStore(kept=kept, features=to_half(values), scores=rng.standard_normal(len(values)).astype(np.float32))


def chosen(store):
    cells = np.zeros(store.kept.shape, dtype=bool)
    cells[3:30, 5:41] = True
    return cells


@pytest.mark.parametrize("chunk", [1, 7, 4096])
@pytest.mark.parametrize("kind", ["max", "mean"])
def test_chunks_pool_as_the_model_does(store, kind, chunk, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_CELLS", chunk)
    cells = chosen(store)
    picked = torch.from_numpy(store.features[cells[store.kept]]).float()
    expected = build_pooling(kind, 12)(picked, torch.zeros(len(picked), 2))
    assert store.pooled(store.numbers(Cells.of(cells)), kind) == pytest.approx(expected.numpy(), abs=1e-6)


def test_attention_pools_as_the_model_does(store):
    torch.manual_seed(0)
    pooling = build_pooling("attention", 12)
    everything = torch.from_numpy(store.features).float()
    with torch.no_grad():
        scores = pooling.scores(everything).numpy()
        attentive = FeatureStore(kept=store.kept, features=store.features, scores=scores)
        numbers = attentive.numbers(Cells.of(chosen(store)))
        expected = pooling(everything[numbers], torch.zeros(len(numbers), 2)).numpy()
    assert attentive.pooled(numbers, "attention") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("num_classes", [1, 2, 4])
def test_highest_picks_the_cell_that_the_model_picks(store, num_classes):
    logits = torch.randn(len(store.scores), num_classes, generator=torch.Generator().manual_seed(1)) * 30
    suspicious = FeatureStore(kept=store.kept, features=store.features, scores=suspicion(logits).numpy())
    everything = np.arange(len(store.scores))
    assert np.array_equal(suspicious.pooled(everything, "highest"), store.features[highest_cell(logits)])


@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize("kind", ["max", "mean", "attention"])
def test_blocks_pool_as_single_cells_do(store, kind, as_file, monkeypatch):
    """Regions of many rows, of a few cells, of all: blocks inside them, and cells before, between and behind."""

    class File:
        """Features that can only be read by slices, as those of a result that was opened."""

        def __init__(self, values):
            self.shape, self._values = values.shape, values

        def __getitem__(self, index):
            assert isinstance(index, slice)
            return self._values[index]

    found = FeatureStore(
        kept=store.kept, features=File(store.features) if as_file else store.features, scores=store.scores * 5
    )
    monkeypatch.setattr(module, "BLOCKS_FROM", 1)
    rng = np.random.default_rng(1)
    regions = [rng.random(store.kept.shape) < share for share in (0.02, 0.5, 0.97, 1.0)] + [chosen(store)]
    for cells in regions:
        numbers = found.numbers(Cells.of(cells))
        assert np.array_equal(numbers, np.flatnonzero(cells[store.kept]))
        picked = store.features[numbers].astype(np.float64)
        weights = np.exp(found.scores[numbers].astype(np.float64))
        expected = {
            "max": picked.max(axis=0),
            "mean": picked.mean(axis=0),
            "attention": weights @ picked / weights.sum(),
        }
        assert found.pooled(numbers, kind) == pytest.approx(expected[kind], abs=1e-5)


def test_blocks_and_single_cells_are_all_cells_once():
    rng = np.random.default_rng(2)
    for share in (0.01, 0.9, 0.995, 1.0):
        numbers = np.flatnonzero(rng.random(2000) < share)
        blocks, singles = split(numbers)
        in_blocks = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        assert np.array_equal(np.sort(np.concatenate([in_blocks, singles])), numbers)
        whole = np.isin(np.arange(2000), numbers)[: 2000 // BLOCK * BLOCK].reshape(-1, BLOCK).all(axis=1)
        assert np.array_equal(blocks, np.flatnonzero(whole))


def test_half_floats_sort_as_integers():
    values = np.array([-np.inf, -65504, -1.5, -1e-7, 0.0, 1e-7, 2.0, 65504, np.inf], dtype=np.float16)
    order = sortable(values)
    assert (np.diff(order) > 0).all()
    assert np.array_equal(sortable(order.view(np.float16)).view(np.float16), values)


def test_too_large_features_stay_finite():
    assert np.array_equal(to_half(np.array([1e6, -1e6], dtype=np.float32)), [65504, -65504])
