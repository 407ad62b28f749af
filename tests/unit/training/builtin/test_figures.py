"""The figures on the cards can be measured again."""

import json

import numpy as np
import pytest
import torch

from napari_gigaclf.models import load_model
from napari_gigaclf.training.builtin.evaluate_outside import evaluate as evaluate_outside
from napari_gigaclf.training.builtin.evaluate_phantom import cell_probabilities
from napari_gigaclf.training.builtin.evaluate_phantom import evaluate as evaluate_phantom
from napari_gigaclf.training.builtin.evaluate_tiles import evaluate as evaluate_tiles
from napari_gigaclf.training.builtin.loop import positive_scores, tile_logits, tile_network
from napari_gigaclf.training.builtin.phantom import EVALUATION_SEEDS, SELECTION_SEEDS, TRAIN_SEEDS
from napari_gigaclf.training.builtin.phantom_cells import CellImage
from napari_gigaclf.training.tiles import read_tar


@pytest.mark.slow
def test_lymph_node_auc_on_tiles_of_other_slides(shared_data):
    model = load_model("lymph-node-metastasis")
    figures = evaluate_tiles(model, read_tar(shared_data / "tissue" / "pcam-valid.tar"))
    assert figures["auc"] >= 0.93
    for name, value in figures.items():
        assert value == pytest.approx(model.card.measured[f"valid_{name}"], abs=2e-3)


SLIDES = {
    "metaplasia-HE-13198x11685.tif": None, "CMU-1-Small-Region.svs": None, "tcga-jpeg2000.svs": 0.25,
    "hamamatsu-dapi.ndpi": None,
}  # fmt: skip


@pytest.mark.slow
def test_outside_its_data_the_model_does_what_its_card_says(shared_data):
    model = load_model("lymph-node-metastasis")
    figures = evaluate_outside(model, {shared_data / "slides" / name: scale for name, scale in SLIDES.items()})
    for name, value in figures.items():
        assert value == pytest.approx(model.card.measured[f"outside_{name}"], abs=2e-3)
    assert all(value == 0.0 for name, value in figures.items() if name.endswith("glass_called"))


@pytest.mark.slow
def test_phantom_auc_on_unseen_seeds():
    model = load_model("phantom-tumour")
    figures = evaluate_phantom(model, EVALUATION_SEEDS)
    assert figures["auc"] >= 0.98
    assert figures["auc"] == pytest.approx(model.card.measured["unseen_auc"], abs=2e-3)


def test_one_small_phantom():
    assert evaluate_phantom(load_model("phantom-tumour"), [EVALUATION_SEEDS[0]], side_cells=24)["auc"] > 0.95


def test_seeds_are_apart():
    assert not set(TRAIN_SEEDS) & set(SELECTION_SEEDS)
    assert not (set(TRAIN_SEEDS) | set(SELECTION_SEEDS)) & set(EVALUATION_SEEDS)
    assert min(TRAIN_SEEDS) > 10_000  # below are the seeds of sample slides


def test_the_sample_slide_is_not_trained_on(repository):
    manifest = json.loads((repository / "sample_data" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["seed"] not in {*TRAIN_SEEDS, *SELECTION_SEEDS}


def test_tiles_and_whole_images_are_measured_alike():
    """The middle cell of a whole image scores as the tile around it does."""
    model = load_model("phantom-tumour")
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    scores = positive_scores(tile_logits(tile_network(model), image[None]))
    ones = np.ones((3, 3), np.float32)
    whole = cell_probabilities(model, CellImage(image=image, share=ones, tissue=ones > 0))
    assert whole[1, 1] == pytest.approx(float(torch.sigmoid(torch.tensor(scores[0]))), abs=1e-5)
