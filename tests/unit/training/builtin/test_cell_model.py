"""The last steps of training: calibration into the weights, colours, and figures onto the card."""

import dataclasses

import numpy as np
import pytest
import torch

from napari_gigaclf.models import load_model, save_model
from napari_gigaclf.models.build import build_classifier
from napari_gigaclf.models.card_text import card_markdown
from napari_gigaclf.training.builtin.cell_model import _calibrate
from napari_gigaclf.training.builtin.loop import positive_scores, tile_logits, tile_network
from napari_gigaclf.training.builtin.phantom import CONFIG
from napari_gigaclf.training.builtin.record import record
from napari_gigaclf.training.colour import colour_statistics
from napari_gigaclf.training.evaluation.calibration import best_temperature
from napari_gigaclf.training.tiles import Tiles


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = build_classifier(CONFIG)
    with torch.no_grad():
        model.head[1].weight *= 50
    return model


def test_after_calibration_the_best_temperature_is_one(model):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (48, 96, 96, 3), dtype=np.uint8) // (1 + np.arange(48) % 3)[:, None, None, None]
    images = images.astype(np.uint8)
    scores = positive_scores(tile_logits(tile_network(model), images))
    labels = (scores + generator.normal(0, scores.std(), 48) > np.median(scores)).astype(np.int64)
    _calibrate(model, Tiles(images=images, labels=labels))
    after = positive_scores(tile_logits(tile_network(model), images))
    assert model.card.measured["temperature"] == pytest.approx(best_temperature(scores, labels), rel=1e-3)
    assert best_temperature(after, labels) == pytest.approx(1.0, abs=0.02)


def test_colours_of_tissue_without_the_glass():
    images = np.full((3, 8, 8, 3), 255, np.uint8)
    images[0, :4] = (99, 63, 127)
    images[1] = (99, 127, 127)
    statistics = colour_statistics(images)
    density = -np.log10((np.array([99, 63, 127]) + 1) / 256)
    green = [density[1], -np.log10(128 / 256)]
    assert statistics.mean[0] == pytest.approx(density[0], abs=1e-4)
    assert statistics.mean[1] == pytest.approx((32 * green[0] + 64 * green[1]) / 96, abs=1e-4)
    assert statistics.between[1] == pytest.approx(np.std(green), abs=1e-4)
    assert statistics.std[0] == pytest.approx(0, abs=1e-3)


def test_figures_are_recorded_and_shown(model, tmp_path):
    save_model(model, tmp_path / "m")
    record(tmp_path / "m", {"unseen_auc": 0.987}, "python -m somewhere")
    for value in (0.4, 0.5):
        record(tmp_path / "m", {"other": value}, "python -m elsewhere")
    loaded = load_model(tmp_path / "m")
    assert loaded.card.measured == {"unseen_auc": 0.987, "other": 0.5}
    assert loaded.sha256 == model.sha256
    page = card_markdown(loaded.config)
    assert "| unseen auc | 0.987 |" in page
    assert "`python -m somewhere && python -m elsewhere`" in page
    assert loaded.card.not_for in page


def test_a_figure_that_is_no_number_is_refused(model):
    with pytest.raises(ValueError, match="'auc' is not finite"):
        dataclasses.replace(model.card, measured={"auc": float("nan")})
