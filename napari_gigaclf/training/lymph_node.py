"""Train "lymph-node-metastasis": is there tumour in the centre of a field of lymph node?

``python -m napari_gigaclf.training.lymph_node --data DATA --output MODEL`` with PatchCamelyon's tiles in DATA
(``pcam-train.tar``; Veeling et al. 2018, CC0). The final figure is measured on ``pcam-valid.tar`` by ``evaluate_tiles``; it is
neither trained on nor chosen by.
"""

import argparse
import logging
from pathlib import Path

import torch

from napari_gigaclf.models.build import build_classifier
from napari_gigaclf.models.card import ModelCard
from napari_gigaclf.models.checkpoint import save_model
from napari_gigaclf.models.config import ModelConfig
from napari_gigaclf.training.loop import TrainSettings, fit
from napari_gigaclf.training.tiles import read_tar, split

logger = logging.getLogger(__name__)

NUM_SELECTION = 1500
"""Tiles of the training archive kept aside to choose the epoch by."""
CARD = ModelCard(
    title="Lymph node metastasis of breast cancer",
    summary="Is there tumour in the central 32 x 32 px (31 um) of a 96 x 96 px field (93 um) of lymph node?",
    intended_tissue="sentinel lymph node, breast cancer",
    stain="H&E",
    intended_use="Research on streaming classification; a first look at where metastases may be.",
    not_for="Diagnosis, other tissues, other stains, frozen sections, scanners unlike those of CAMELYON16.",
    training_data="PatchCamelyon: 10 000 + 10 000 tiles of its training set, from CAMELYON16.",
    licence="weights BSD-3-Clause, data CC0",
    citation=("Veeling et al. 2018", "Ehteshami Bejnordi et al. 2017"),
    measured={},
    positive_class="tumour",
)
CONFIG = ModelConfig(
    name="lymph-node-metastasis",
    version="1.0",
    classes=("normal", "tumour"),
    um_per_px=0.97,
    activation="softmax",
    network="cell-net",
    pooling="highest",
    spread=(0.25, 0.25, 0.25),
    card=CARD,
)


def main(arguments: list[str] | None = None) -> None:
    """Train and write the model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with pcam-train.tar")
    parser.add_argument("--output", type=Path, required=True, help="model folder to write")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, help="folder for the decoded tiles")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    tiles = read_tar(options.data / "pcam-train.tar", cache=options.cache)
    kept, held_out = split(tiles.labels, NUM_SELECTION, options.seed)
    train = tiles.subset(kept)
    logger.info("%d tiles to train on, %d to select by", len(kept), len(held_out))
    model = build_classifier(CONFIG)
    settings = TrainSettings(epochs=options.epochs, seed=options.seed)
    score = fit(
        model, train, tiles.subset(held_out), settings, on_better=lambda best, _: save_model(best, options.output)
    )
    save_model(model, options.output)
    logger.info("written to %s; AUC on the selection tiles %.4f", options.output, score)


if __name__ == "__main__":
    main()
