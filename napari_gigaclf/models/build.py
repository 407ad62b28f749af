"""A config becomes a network with fresh weights."""

from torch import nn

from napari_gigaclf.models.classifier import Classifier
from napari_gigaclf.models.config import ModelConfig
from napari_gigaclf.models.networks import build
from napari_gigaclf.models.normalise import Normalise
from napari_gigaclf.models.pooling import build_pooling


def build_classifier(config: ModelConfig) -> Classifier:
    """Return the classifier that a config describes, with untrained weights, in eval mode."""
    network = build(config.network, num_classes=len(config.classes))
    return Classifier(
        config=config,
        normalise=Normalise(config.spread),
        trunk=network.trunk if network.tail is None else nn.Sequential(network.trunk, network.tail),
        pooling=build_pooling(config.pooling, network.num_features),
        head=network.head,
    ).eval()
