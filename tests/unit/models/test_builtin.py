"""The models that come with the package: whole, small, described, and still giving the numbers they were saved with."""

import copy
import dataclasses

import pytest
import torch

from napari_gigaclf.models import list_models, load_model
from napari_gigaclf.models.card_text import card_markdown
from napari_gigaclf.models.golden import TOLERANCE, golden_difference
from napari_gigaclf.models.networks.cell_net import CELL_PX, CONTEXT_PX
from napari_gigaclf.models.networks.max_and_mean import MaxAndMean
from napari_gigaclf.models.registry import BUILTIN_FOLDER
from napari_gigaclf.streaming import stream
from napari_gigaclf.training.builtin import lymph_node, lymph_node_slides, phantom
from napari_gigaclf.training.builtin.loop import tile_network

NAMES = ("lymph-node-metastasis", "phantom-tumour")


def test_both_are_listed():
    assert tuple(config.name for config in list_models()) == NAMES


@pytest.fixture(params=NAMES)
def model(request):
    return load_model(request.param)


def test_golden_outputs_travel_with_the_weights(model):
    assert len(model.config.golden) >= 3
    assert golden_difference(model) < TOLERANCE


def test_small_enough_for_the_wheel(model):
    folder = BUILTIN_FOLDER / model.name
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4_000_000
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_quick_enough_for_a_viewer(model):
    """At most 40 GMAC per megapixel: multiplications per pixel, from weights and strides."""
    per_pixel, stride = 0.0, 1
    for module in model.trunk:
        if isinstance(module, torch.nn.Conv2d):
            stride *= module.stride[0]
            per_pixel += module.weight.numel() / stride**2
        elif isinstance(module, torch.nn.MaxPool2d | MaxAndMean):
            stride *= module.stride
    assert stride == CELL_PX
    assert 10_000 < per_pixel < 40_000


def test_card_says_what_it_is_for_and_what_not(model):
    card = model.card
    assert "research use only" in card.research_use_only.lower()
    if model.config.slide_answer is None:
        assert card.slide_score == "highest place, uncalibrated"
    else:
        assert "fitted on mosaics" in card.slide_score
    assert card.positive_class == "tumour"
    assert (card.field.cells, card.field.px) == (1, 96)
    assert card.colour_statistics is not None
    assert card.measured_with.startswith("python -m napari_gigaclf.training.")
    if model.name == "phantom-tumour":
        assert "real tissue" in card.not_for
        assert card.measured["unseen_auc"] >= 0.98
    else:
        assert "CC0" in card.licence
        assert card.measured["valid_auc"] >= 0.93


def test_text_of_the_card_is_that_of_the_training_script(model):
    stored = model.config
    config = {"lymph-node-metastasis": lymph_node.CONFIG, "phantom-tumour": phantom.CONFIG}[model.name]
    if stored.slide_answer is not None:  # the second stage
        second = {"version": lymph_node_slides.VERSION, "card": lymph_node_slides.CARD}
        config = dataclasses.replace(config, slide_answer=stored.slide_answer, **second)
    found = {"measured": stored.card.measured, "measured_with": stored.card.measured_with}
    card = dataclasses.replace(config.card, colour_statistics=stored.card.colour_statistics, **found)
    assert stored == dataclasses.replace(config, card=card, golden=stored.golden)


def test_page_in_the_documentation_is_the_card(model, repository):
    """Refresh with ``python -m napari_gigaclf.training.builtin.write_cards --output docs/models``."""
    page = (repository / "docs" / "models" / f"{model.name}.md").read_text(encoding="utf-8")
    assert page == card_markdown(model.config)


def test_answers_do_not_depend_on_which_way_up_the_slide_lies(model):
    image = torch.randint(0, 256, (1, 3, 96, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = model.features(image.float() / 255)
        turned = model.features(torch.rot90(image.flip(-1), 1, (-2, -1)).float() / 255)
    torch.testing.assert_close(turned, torch.rot90(features.flip(-1), 1, (-2, -1)), rtol=1e-3, atol=1e-3)


def test_a_tile_alone_is_told_what_its_cell_is_told_in_a_slide(model):
    """In float64, streamed in tiles: the tile that a cell sees, cut out, gets the logits of the cell in the slide."""
    model = copy.deepcopy(model).double()
    size = (1, 3, 7 * CELL_PX, 9 * CELL_PX)
    slide = torch.rand(size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        streamed = stream(model.features, tile=96)(slide)
        for row, column in ((1, 1), (3, 4), (5, 7)):
            y, x = (row - 1) * CELL_PX, (column - 1) * CELL_PX
            alone = tile_network(model)(slide[:, :, y : y + CONTEXT_PX, x : x + CONTEXT_PX])
            in_slide = model.cell_logits(streamed[0, :, row, column])
            torch.testing.assert_close(in_slide, alone[0], rtol=1e-10, atol=1e-10)


def test_glass_is_not_tumour(model):
    with torch.no_grad():
        logits = model(torch.full((1, 3, 128, 128), 255, dtype=torch.uint8))
    assert model.probabilities(logits)[0, 1] < 0.5
