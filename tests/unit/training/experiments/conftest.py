"""Made-up tiles with dark tumour, a tile classifier that knows it, and experiments of a few small slides."""

import numpy as np
import pytest
import torch

from napari_gigaclf.models import load_model
from napari_gigaclf.training.experiments.bench import Bench
from napari_gigaclf.training.experiments.configs import Experiment, FitSettings
from napari_gigaclf.training.mosaics import MosaicSettings, TilePool


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made_pool(seed: int, num_pairs: int = 20, num_background: int = 90) -> TilePool:
    """Return tiles of violet noise; every second tumour tile is plainly coarser than its partner."""
    generator = np.random.default_rng(seed)
    count = 2 * num_pairs + num_background
    noise = generator.normal(0, 25, (count, 96, 96, 1))
    coarse = np.repeat(np.repeat(generator.normal(0, 45, (count, 12, 12, 1)), 8, 1), 8, 2)
    noise[:num_pairs:2] = coarse[:num_pairs:2]
    images = np.clip(np.array([150, 90, 160]) + noise, 0, 235).astype(np.uint8)
    places = np.arange(count)
    return TilePool(
        images=images,
        tumour=places[:num_pairs],
        sham=places[num_pairs : 2 * num_pairs],
        background=places[2 * num_pairs :],
    )


@pytest.fixture(scope="session")
def cells():
    return load_model("lymph-node-metastasis")


@pytest.fixture(scope="session")
def benches(tmp_path_factory, cells):
    """Return a bench of a kind; maps are made once per session."""
    pools = {split: made_pool(seed) for seed, split in enumerate(("train", "tune", "test"))}
    folder = tmp_path_factory.mktemp("experiment")

    def bench(**changes: object) -> Bench:
        numbers = {
            "mosaics": MosaicSettings(side_px=672, lesions=("micro",)), "train_side_px": 576, "num_train": 6,
            "num_tune": 4, "num_test": 6, "rebuilds": 2, "num_rebuilt": 2, "num_looked_at": 1,
            "fit": FitSettings(epochs=2, batch_size=4),
        }  # fmt: skip
        return Bench(experiment=Experiment(**{**numbers, **changes}), pools=pools, cells=cells, folder=folder)

    return bench


@pytest.fixture(scope="session")
def large_pool() -> TilePool:
    """Tiles enough for lesions of all sizes and for regressions."""
    return made_pool(9, num_pairs=100, num_background=130)
