"""A model card as a page to read."""

from napari_gigaclf.models.card import FieldSpec
from napari_gigaclf.models.config import ModelConfig


def card_markdown(config: ModelConfig) -> str:
    """Return the model card as Markdown."""
    card = config.card
    scale = "no scale" if config.um_per_px is None else f"{config.um_per_px:g} um/px"
    parts = [
        f"# {config.name}: {card.title}",
        f"**{card.research_use_only}**",
        card.summary,
        _table(
            {
                "version": config.version,
                "classes": ", ".join(config.classes),
                "expects": f"{card.stain}, {card.intended_tissue}, at {scale}",
                "network": f"{config.network}, pooling: {config.pooling}",
                "a click asks about": _field(card.field),
                "the slide's number is": card.slide_score,
                "licence": card.licence,
            }
        ),
        f"## What it is for\n\n{card.intended_use}",
        f"## What it is not for\n\n{card.not_for}",
        f"## Training data\n\n{card.training_data}",
        _measured(config),
        _colours(config),
        "## Known weaknesses\n\n" + "\n".join(f"- {weakness}" for weakness in card.weaknesses),
        "## Please cite\n\n" + "\n".join(f"- {citation}" for citation in card.citation),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _field(field: FieldSpec) -> str:
    return f"{field.cells} x {field.cells} cells, {field.px} x {field.px} px"


def _table(rows: dict[str, str]) -> str:
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())


def _measured(config: ModelConfig) -> str:
    if not config.card.measured:
        return ""
    figures = {name.replace("_", " "): f"{value:g}" for name, value in config.card.measured.items()}
    return f"## Measured\n\n{_table(figures)}\n\nMeasured with `{config.card.measured_with}`."


def _colours(config: ModelConfig) -> str:
    statistics = config.card.colour_statistics
    if statistics is None:
        return ""
    rows = {
        name: ", ".join(f"{value:g}" for value in values)
        for name, values in (
            ("mean", statistics.mean),
            ("standard deviation over pixels", statistics.std),
            ("standard deviation between tiles", statistics.between),
        )
    }
    text = (
        "Optical density `-log10((I + 1) / 256)` of tissue in red, green and blue; a slide far from it gets a warning."
    )
    return f"## Colours of the training tissue\n\n{text}\n\n{_table(rows)}"
