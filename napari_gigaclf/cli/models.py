"""``models``: which models there are, what they are for, and how good they were measured to be."""

from typing import Any

from napari_gigaclf.cli.configs import Config, ModelsConfig
from napari_gigaclf.cli.say import say, say_json, table
from napari_gigaclf.models import ModelConfig, list_models


def run(config: Config) -> int:
    """Print the models; return the exit code."""
    assert isinstance(config, ModelsConfig)
    models = list_models()
    for number, model in enumerate(models):
        if config.json:
            say_json(description(model))
        else:
            say(("\n" if number else "") + _text(model))
    return 0


def description(model: ModelConfig) -> dict[str, Any]:
    """Return a model's config and card as what JSON can hold."""
    card = model.card
    return {
        "model": model.name,
        "version": model.version,
        "title": card.title,
        "classes": list(model.classes),
        "um_per_px": model.um_per_px,
        "intended_tissue": card.intended_tissue,
        "stain": card.stain,
        "intended_use": card.intended_use,
        "not_for": card.not_for,
        "slide_score": card.slide_score,
        "measured": dict(card.measured),
        "measured_with": card.measured_with,
        "licence": card.licence,
        "citation": list(card.citation),
        "research_use_only": card.research_use_only,
    }


def _text(model: ModelConfig) -> str:
    card = model.card
    scale = "none" if model.um_per_px is None else f"{model.um_per_px:g} um/px"
    measured = ", ".join(f"{name} {value:g}" for name, value in card.measured.items())
    rows = [
        ("for", f"{card.intended_tissue}; {card.stain}"),
        ("not for", card.not_for),
        ("classes", ", ".join(model.classes)),
        ("scale", scale),
        ("measured", measured or "nothing"),
        ("slide score", card.slide_score),
        ("use", card.research_use_only),
    ]
    return f"{model.name} {model.version}: {card.title}\n{table(rows, '  ')}"
