"""What a model does outside its data is counted, not guessed."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from napari_gigaclf.models import load_model
from napari_gigaclf.models.registry import BUILTIN_FOLDER
from napari_gigaclf.training.builtin.distractors import empty_glass, pen_mark
from napari_gigaclf.training.builtin.evaluate_outside import main, on_made_up, on_slide


def _answering(tumour: float):
    """Return the phantom's model with its answer replaced by a constant margin of the second class."""
    model = load_model("phantom-tumour")
    with torch.no_grad():
        model.head[-1].weight.zero_()
        model.head[-1].bias.copy_(torch.tensor([0.0, tumour]))
    return model


@pytest.fixture
def half_tissue(tmp_path):
    generator = np.random.default_rng(0)
    image = np.full((1024, 1024, 3), 244, np.uint8)
    image[:, :512] = generator.integers((160, 60, 130), (220, 120, 190), (1024, 512, 3))
    Image.fromarray(image).save(tmp_path / "half.tif")
    return tmp_path / "half.tif"


@pytest.mark.parametrize(("margin", "share"), [(5.0, 1.0), (-5.0, 0.0)])
def test_shares_are_of_tissue_and_of_glass(half_tissue, margin, share):
    figures = on_slide(_answering(margin), half_tissue, 1.0)
    assert figures["tissue_called"] == figures["glass_called"] == share
    assert 480 <= figures["tissue_cells"] <= 560
    assert 400 <= figures["glass_cells"] <= 512


def test_made_up_tiles_are_counted():
    for make in (empty_glass, pen_mark):
        assert on_made_up(_answering(5.0), make) == 1.0
        assert on_made_up(_answering(-5.0), make) == 0.0


def test_the_command_writes_figures_and_records_them(half_tissue, tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(BUILTIN_FOLDER / "phantom-tumour", folder)
    main(["--model", str(folder), "--slides", f"{half_tissue}@1.0", "--record", str(folder)])
    figures = json.loads(capsys.readouterr().out)
    assert {"outside_half_tissue_called", "outside_made_glass_called"} <= set(figures)
    card = load_model(folder).card
    assert figures.items() <= card.measured.items()
    assert card.measured["unseen_auc"] >= 0.98  # what was measured before stays
    assert "evaluate_phantom" in card.measured_with
    assert card.measured_with.endswith("evaluate_outside --model phantom-tumour --slides half.tif@1.0")
