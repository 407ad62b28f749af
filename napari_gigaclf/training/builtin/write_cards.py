"""Write the cards of the built-in models as pages.

``python -m napari_gigaclf.training.builtin.write_cards --output docs/models``
"""

import argparse
from pathlib import Path

from napari_gigaclf.models import list_models
from napari_gigaclf.models.card_text import card_markdown
from napari_gigaclf.writing import replacing


def main(arguments: list[str] | None = None) -> None:
    """Write one page per built-in model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the pages")
    folder = parser.parse_args(arguments).output
    for config in list_models():
        with replacing(folder / f"{config.name}.md") as beside:
            beside.write_text(card_markdown(config), encoding="utf-8")


if __name__ == "__main__":
    main()
