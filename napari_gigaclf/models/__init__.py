"""Which network: classifiers with their cards, from the package or from a model folder.

Importing this package does not import torch; the names that need it load it on first use.
"""

from typing import TYPE_CHECKING

from napari_gigaclf.models.card import ColourStatistics, FieldSpec, ModelCard
from napari_gigaclf.models.config import ModelConfig
from napari_gigaclf.models.registry import list_models, load_model

if TYPE_CHECKING:
    from napari_gigaclf.models.checkpoint import save_model
    from napari_gigaclf.models.classifier import Classifier

__all__ = [
    "Classifier",
    "ColourStatistics",
    "FieldSpec",
    "ModelCard",
    "ModelConfig",
    "list_models",
    "load_model",
    "save_model",
]


def __getattr__(name: str) -> object:
    if name == "Classifier":
        from napari_gigaclf.models.classifier import Classifier

        return Classifier
    if name == "save_model":
        from napari_gigaclf.models.checkpoint import save_model

        return save_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
