"""A slide's calibrated answer against its formula, and what a config may say of it."""

import dataclasses
import math

import pytest
import torch

from napari_gigaclf.models import load_model, save_model
from napari_gigaclf.models.build import build_classifier
from napari_gigaclf.models.config import dump_config, parse_config
from napari_gigaclf.models.records import ConfigError
from napari_gigaclf.models.registry import list_models
from napari_gigaclf.models.slide_answer import SlideAnswer

ANSWER = SlideAnswer(num_highest=3, gain=0.5, shift=-1.0, per_doubling=-0.25, least_cells=500, most_cells=4000)


@pytest.fixture
def config():
    found = next(config for config in list_models() if config.name == "phantom-tumour")
    return dataclasses.replace(found, slide_answer=ANSWER, golden=())


def test_it_is_the_mean_of_the_highest_scaled_shifted_and_corrected_for_size():
    suspicion = torch.tensor([4.0, -2.0, 1.0, 2.5, -7.0, 0.0, -1.0, -1.0], dtype=torch.float64)
    z = 0.5 * (4.0 + 2.5 + 1.0) / 3 - 1.0 - 0.25 * math.log2(8 / 1000)
    assert ANSWER.logits(suspicion).tolist() == pytest.approx([0.0, z], abs=1e-12)


def test_fewer_cells_than_count_are_all_of_them():
    z = 0.5 * 3.0 - 1.0 - 0.25 * math.log2(2 / 1000)
    assert ANSWER.logits(torch.tensor([2.0, 4.0])).tolist() == pytest.approx([0.0, z], abs=1e-5)


def test_its_gradient_goes_to_the_highest_cells_alone():
    suspicion = torch.tensor([4.0, -2.0, 1.0, 2.5, -7.0], dtype=torch.float64, requires_grad=True)
    ANSWER.logits(suspicion)[1].backward()
    assert suspicion.grad.tolist() == pytest.approx([0.5 / 3, 0, 0.5 / 3, 0.5 / 3, 0])


def test_beyond_the_slides_it_was_fitted_on_it_says_so():
    assert ANSWER.warning(500) is None
    assert ANSWER.warning(4000) is None
    assert ANSWER.warning(0) is None
    assert "less tissue (499 cells)" in ANSWER.warning(499)
    assert "more tissue (4001 cells)" in ANSWER.warning(4001)


def test_a_model_folder_keeps_it(config, tmp_path):
    model = build_classifier(config)
    save_model(model, tmp_path / "mine")
    again = load_model(tmp_path / "mine")
    assert again.config.slide_answer == ANSWER
    cells = torch.rand(700, model.head[-1].in_features)
    assert torch.equal(again.slide_logits(cells), model.slide_logits(cells))
    margins = model.cell_logits(cells).diff(dim=1)[:, 0]
    assert torch.equal(model.slide_logits(cells), ANSWER.logits(margins))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"gain": 0.0}, "gain is 0"), ({"num_highest": 0}, "num_highest"), ({"least_cells": 9000}, "least_cells")],
)
def test_numbers_that_fit_no_slide_are_refused(config, changes, words):
    values = {**dataclasses.asdict(ANSWER), **changes}
    text = dump_config(config)
    for name, value in values.items():
        text = text.replace(f'"{name}": {getattr(ANSWER, name)}', f'"{name}": {value}')
    with pytest.raises(ConfigError, match=words):
        parse_config(text)


@pytest.mark.parametrize("changes", [{"pooling": "mean"}, {"activation": "sigmoid"}, {"classes": ("a", "b", "c")}])
def test_models_that_it_does_not_fit_are_refused(config, changes):
    card = dataclasses.replace(config.card, positive_class="")
    with pytest.raises(ConfigError, match="slide_answer is for two classes"):
        dataclasses.replace(config, card=card, **changes)
