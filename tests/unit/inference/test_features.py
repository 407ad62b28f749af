import numpy as np
import pytest
import torch

from napari_gigaclf.inference import features as module
from napari_gigaclf.inference.features import FeatureStore, sortable, to_half
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
    assert store.pooled(store.numbers(cells), kind) == pytest.approx(expected.numpy(), abs=1e-6)


def test_attention_pools_as_the_model_does(store):
    torch.manual_seed(0)
    pooling = build_pooling("attention", 12)
    everything = torch.from_numpy(store.features).float()
    with torch.no_grad():
        scores = pooling.scores(everything).numpy()
        attentive = FeatureStore(kept=store.kept, features=store.features, scores=scores)
        numbers = attentive.numbers(chosen(store))
        expected = pooling(everything[numbers], torch.zeros(len(numbers), 2)).numpy()
    assert attentive.pooled(numbers, "attention") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("num_classes", [1, 2, 4])
def test_highest_picks_the_cell_that_the_model_picks(store, num_classes):
    logits = torch.randn(len(store.scores), num_classes, generator=torch.Generator().manual_seed(1)) * 30
    suspicious = FeatureStore(kept=store.kept, features=store.features, scores=suspicion(logits).numpy())
    everything = np.arange(len(store.scores))
    assert np.array_equal(suspicious.pooled(everything, "highest"), store.features[highest_cell(logits)])


def test_half_floats_sort_as_integers():
    values = np.array([-np.inf, -65504, -1.5, -1e-7, 0.0, 1e-7, 2.0, 65504, np.inf], dtype=np.float16)
    order = sortable(values)
    assert (np.diff(order) > 0).all()
    assert np.array_equal(sortable(order.view(np.float16)).view(np.float16), values)


def test_too_large_features_stay_finite():
    assert np.array_equal(to_half(np.array([1e6, -1e6], dtype=np.float32)), [65504, -65504])
