"""The loop learns what can be learned, keeps the best averaged weights, and repeats itself."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from napari_gigaclf.models.build import build_classifier
from napari_gigaclf.training.augment import Augmentation
from napari_gigaclf.training.builtin.distractors import distractors
from napari_gigaclf.training.builtin.loop import TrainSettings, fit, positive_scores, tile_logits, tile_network
from napari_gigaclf.training.builtin.phantom import CONFIG
from napari_gigaclf.training.evaluation.ranking import auc
from napari_gigaclf.training.tiles import Tiles

SETTINGS = TrainSettings(epochs=3, batch_size=16, augmentation=Augmentation(shift_px=2), learning_rate=0.02)


def _tiles(count: int, seed: int) -> Tiles:
    """Noise; in class 1 with a dark spot in the middle, which colour alone does not give away."""
    generator = np.random.default_rng(seed)
    images = generator.integers(120, 240, (count, 24, 24, 3), dtype=np.uint8)
    labels = np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        y, x = (10, 10) if label else generator.integers(0, 5, 2)
        image[y : y + 5, x : x + 5] //= 2
    return Tiles(images=images, labels=labels.astype(np.int64))


def _network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 5, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(800, 2)]
    return nn.Sequential(*layers)


def _score(network: nn.Module, tiles: Tiles) -> float:
    return auc(positive_scores(tile_logits(network, tiles.images)), tiles.labels)


@pytest.fixture(scope="module")
def trained():
    calls = []
    network = _network()
    best = fit(network, _tiles(320, 1), _tiles(100, 2), SETTINGS, lambda net, score: calls.append((score, net)))
    return best, calls


def test_it_learns(trained):
    assert _score(_network(), _tiles(200, 3)) < 0.75
    assert _score(trained[0], _tiles(200, 3)) > 0.9


def test_the_best_epoch_is_kept(trained):
    best, calls = trained
    scores = [score for score, _ in calls]
    assert scores == sorted(scores)
    assert _score(best, _tiles(100, 2)) == pytest.approx(scores[-1])
    assert not best.training


def test_same_seed_same_weights(trained):
    again = fit(_network(), _tiles(320, 1), _tiles(100, 2), SETTINGS)
    for first, second in zip(trained[0].state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(first, second)


def test_distractors_are_learnt_as_class_0(trained):
    """Without them the network says anything about fluorescence."""
    made = fit(_network(), _tiles(320, 1), _tiles(100, 2), dataclasses.replace(SETTINGS, epochs=6, distractors=4))
    generator = torch.Generator().manual_seed(1)
    tissue = torch.from_numpy(_tiles(100, 5).images).permute(0, 3, 1, 2) / 255
    strange = (distractors(tissue, 100, generator).permute(0, 2, 3, 1) * 255).byte().numpy()
    assert np.mean(positive_scores(tile_logits(made, strange)) > 0) < 0.02
    assert _score(made, _tiles(200, 3)) > 0.9


def test_scoring_leaves_the_mode_alone():
    network = _network().train()
    tile_logits(network, _tiles(4, 0).images)
    assert network.training


def test_measuring_a_model_leaves_its_mode_alone():
    model = build_classifier(CONFIG)
    tile_logits(tile_network(model), np.zeros((2, 96, 96, 3), np.uint8))
    assert not any(module.training for module in model.modules())
