"""Measured figures go into the model's card together with the command that measures them."""

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path

from napari_gigaclf.models.config import dump_config
from napari_gigaclf.models.folder import CONFIG_NAME, read_config
from napari_gigaclf.writing import replacing

SEPARATOR = " && "
"""Between the commands that measured different figures."""


def add_record_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--record FOLDER`` to a measuring script."""
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="write the figures into this model folder's card")


def record(folder: Path, figures: Mapping[str, float], command: str) -> None:
    """Put figures and their command into the card of a model folder; figures of other names stay, with theirs."""
    config = read_config(folder)
    earlier = config.card.measured_with.split(SEPARATOR) if config.card.measured_with else []
    commands = [*(other for other in earlier if other != command), command]
    card = dataclasses.replace(
        config.card, measured={**config.card.measured, **figures}, measured_with=SEPARATOR.join(commands)
    )
    with replacing(folder / CONFIG_NAME) as beside:
        beside.write_text(dump_config(dataclasses.replace(config, card=card)), encoding="utf-8")
