"""Layers behind a frozen trunk: exact on kept maps, beginning as the tile classifier, learning from slide labels."""

import numpy as np
import pytest
import torch

from napari_gigaclf.training.experiments.arms import ARMS
from napari_gigaclf.training.experiments.configs import FitSettings
from napari_gigaclf.training.experiments.fitting import fit_on_maps
from napari_gigaclf.training.experiments.on_maps import OnMaps, margins
from napari_gigaclf.training.experiments.running import streamed_margin
from napari_gigaclf.training.experiments.starting import CUT_OFF, start_as_cells
from napari_gigaclf.training.slides.network import slide_network
from napari_gigaclf.training.slides.recipe import Recipe


@pytest.fixture
def context(benches):
    """Return a cell-net-context behind the tile classifier's trunk, as it is before training."""
    bench = benches()
    network = f"{bench.cells.config.network}-context"
    recipe = Recipe(network=network, start_from="lymph-node-metastasis", dropout=0.0, seed=3)
    model = slide_network(recipe, "classification", bench.cells.classes, "test")
    start_as_cells(model, bench.cells, bench.train)
    return model


def test_context_begins_as_the_highest_cell(benches, context, tmp_path):
    bench = benches()
    highest = ARMS["cells, highest"](bench, 1, tmp_path).score
    mean = np.maximum(highest(bench.train), -CUT_OFF).mean()
    expected = np.maximum(highest(bench.test), -CUT_OFF) - mean
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(margins(OnMaps(context), bench.test), expected, atol=1e-4)


def test_a_kept_map_scores_as_the_whole_network_streamed(benches, context):
    bench = benches()
    found = fit_on_maps(OnMaps(context), bench.train, bench.tune, FitSettings(epochs=1, batch_size=4), seed=1)
    assert len(found) == 2
    on_map = margins(OnMaps(context), bench.test[:2])
    streamed = [streamed_margin(context, one, bench.pools["test"]) for one in bench.test[:2]]
    np.testing.assert_allclose(on_map, streamed, atol=1e-4)


def test_training_on_maps_lowers_the_loss_and_repeats(benches, context):
    bench = benches()
    start = {name: value.clone() for name, value in context.state_dict().items()}
    weights = []
    for _ in range(2):
        context.load_state_dict(start)
        network = OnMaps(context)
        epochs = fit_on_maps(network, bench.train, bench.train, FitSettings(epochs=4, batch_size=2), seed=5)
        assert min(epoch.tune_loss for epoch in epochs[1:]) < epochs[0].tune_loss
        weights.append(torch.cat([p.flatten() for p in network.parameters()]))
    assert torch.equal(*weights)
    trunk = [name for name in start if name.startswith(("trunk.conv", "trunk.norm"))]
    assert all(torch.equal(context.state_dict()[name], start[name]) for name in trunk)
