"""Train "phantom-tumour", which belongs to the sample slide and knows nothing of real tissue.

``python -m napari_gigaclf.training.builtin.phantom --output MODEL`` renders phantoms, trains for some minutes and
writes the model folder. ``evaluate_phantom`` measures it on other seeds.
"""

import logging

from napari_gigaclf.models.card import ModelCard
from napari_gigaclf.models.config import ModelConfig
from napari_gigaclf.slides.phantom import PHANTOM_VERSION
from napari_gigaclf.training.augment import Augmentation
from napari_gigaclf.training.builtin.cell_model import parser, prepare, train_cell_model
from napari_gigaclf.training.builtin.loop import TrainSettings
from napari_gigaclf.training.builtin.phantom_cells import UM_PER_PX, tiles_of

logger = logging.getLogger(__name__)

TRAIN_SEEDS = range(100_000, 100_048)
SELECTION_SEEDS = range(200_000, 200_008)
EVALUATION_SEEDS = range(300_000, 300_010)
"""Seeds are kept apart from each other and from that of the sample slide, which is small."""
SIDE_CELLS = 48
CARD = ModelCard(
    title="Tumour of the phantom slide",
    summary=(
        "Says for each cell of 32 x 32 px (32 um) whether at least a quarter of it is made-up tumour, seeing 96 x 96 "
        "px (96 um) around it, at 1 um/px."
    ),
    intended_tissue="phantom slides of this package",
    stain="imitated H&E",
    intended_use="Learning how the program works on a slide whose truth is known; tests and demonstrations.",
    not_for="Any real tissue: it has never seen any and knows nothing about it.",
    training_data=(
        f"Procedural slides (napari_gigaclf.slides.phantom version {PHANTOM_VERSION}, seeds "
        f"{TRAIN_SEEDS.start} to {TRAIN_SEEDS.stop - 1}); not the seed of the sample slide."
    ),
    licence="BSD-3-Clause",
    citation=("This package: napari_gigaclf/training/builtin/phantom.py.",),
    weaknesses=(
        "Trained for one version of the phantom; another version looks different to it.",
        "A tumour smaller than a quarter of a cell is not looked for.",
    ),
    measured={},
    positive_class="tumour",
)
CONFIG = ModelConfig(
    name="phantom-tumour",
    version="1.0",
    classes=("normal", "tumour"),
    um_per_px=UM_PER_PX,
    activation="softmax",
    network="cell-net",
    pooling="highest",
    spread=(0.25, 0.25, 0.25),
    card=CARD,
)


def main(arguments: list[str] | None = None) -> None:
    """Render, train and write the model folder."""
    options = parser(__doc__, epochs=6)
    options.add_argument("--slides", type=int, default=len(TRAIN_SEEDS), help="phantoms to render for training")
    chosen = options.parse_args(arguments)
    prepare(chosen.threads)
    train = tiles_of(TRAIN_SEEDS[: chosen.slides], SIDE_CELLS, per_class=64)
    selection = tiles_of(SELECTION_SEEDS, SIDE_CELLS, per_class=200)
    logger.info("%d tiles to train on, %d to select by", len(train), len(selection))
    settings = TrainSettings(epochs=chosen.epochs, seed=chosen.seed, augmentation=Augmentation(shift_px=0))
    train_cell_model(CONFIG, train, selection, settings, chosen.output)


if __name__ == "__main__":
    main()
