"""A small untrained model, saved and not."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from napari_gigaclf.models import Classifier, ModelCard, ModelConfig, save_model
from napari_gigaclf.models.build import build_classifier

CARD = ModelCard(
    title="Test",
    summary="Untrained.",
    intended_tissue="none",
    stain="H&E",
    intended_use="tests",
    not_for="anything else",
    training_data="none",
    licence="BSD-3-Clause",
    citation=("nobody",),
    measured={},
    positive_class="tumour",
)
CONFIG = ModelConfig(
    name="test-model",
    version="1.0",
    classes=("normal", "tumour"),
    um_per_px=1.0,
    activation="softmax",
    network="cell-net",
    pooling="highest",
    spread=(0.25, 0.25, 0.25),
    card=CARD,
)


@pytest.fixture
def config() -> ModelConfig:
    return CONFIG


@pytest.fixture
def make_model() -> Callable[..., Classifier]:
    """Return a function building an untrained classifier, its batch norms unlike the identity."""

    def make(**changes: object) -> Classifier:
        torch.manual_seed(0)
        model = build_classifier(dataclasses.replace(CONFIG, **changes))
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(module.running_mean, std=0.1)
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
        return model

    return make


@pytest.fixture
def model_folder(tmp_path: Path, make_model: Callable[..., Classifier]) -> Path:
    folder = tmp_path / "model"
    save_model(make_model(), folder)
    return folder
