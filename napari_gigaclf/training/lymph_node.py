"""Train "lymph-node-metastasis", which says whether there is tumour in the centre of a field of lymph node.

``python -m napari_gigaclf.training.lymph_node --data DATA --output MODEL`` with PatchCamelyon's tiles in DATA
(``pcam-train.tar``; Veeling et al. 2018, CC0). The final figure is measured on ``pcam-valid.tar`` by
``evaluate_tiles``; that set is neither trained on nor chosen by.
"""

import logging
from pathlib import Path

from napari_gigaclf.models.card import ModelCard
from napari_gigaclf.models.config import ModelConfig
from napari_gigaclf.training.cell_model import parser, prepare, train_cell_model
from napari_gigaclf.training.loop import TrainSettings
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
    options = parser(__doc__, epochs=30)
    options.add_argument("--data", type=Path, required=True, help="folder with pcam-train.tar")
    options.add_argument("--cache", type=Path, help="folder for the decoded tiles")
    chosen = options.parse_args(arguments)
    prepare(chosen.threads)
    tiles = read_tar(chosen.data / "pcam-train.tar", cache=chosen.cache)
    kept, held_out = split(tiles.labels, NUM_SELECTION, chosen.seed)
    logger.info("%d tiles to train on, %d to select by", len(kept), len(held_out))
    settings = TrainSettings(epochs=chosen.epochs, seed=chosen.seed)
    train_cell_model(CONFIG, tiles.subset(kept), tiles.subset(held_out), settings, chosen.output)


if __name__ == "__main__":
    main()
