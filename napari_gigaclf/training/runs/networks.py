"""The network that a run begins with: fresh weights (He et al. 2015), or those of a model that is gone on from."""

import copy
import math
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Protocol

import torch
from torch import nn

from napari_gigaclf.errors import CohortError
from napari_gigaclf.models import Classifier, load_model
from napari_gigaclf.models.build import build_classifier
from napari_gigaclf.models.card import ModelCard
from napari_gigaclf.models.config import Activation, ModelConfig, NetworkName, Pooling
from napari_gigaclf.training.cohort import Task

SCORE = "score"
"""Name of the one output of a regression."""
LAST_LAYER_STD = 0.01
"""Of a fresh last layer's weights, times the root of its inputs."""
UNTRAINED_SPREAD = (0.2, 0.2, 0.2)


class NetworkRecipe(Protocol):
    """What a recipe says about the network."""

    @property
    def network(self) -> NetworkName | None:
        """By name; None: that of the model to start from, without such a model the usual one."""

    @property
    def pooling(self) -> Pooling:
        """How cells become one vector."""

    @property
    def start_from(self) -> str:
        """Model whose weights are taken where they fit; empty: none."""

    @property
    def um_per_px(self) -> float | None:
        """Scale of the input."""

    @property
    def dropout(self) -> float | None:
        """Before the last layer; None: as the network has it."""

    @property
    def seed(self) -> int:
        """Of the fresh weights."""


def build_network(
    recipe: NetworkRecipe, task: Task, classes: tuple[str, ...], name: str, *, learnt_from: str, usual: NetworkName
) -> Classifier:
    """Return the classifier to train, with fresh weights (He et al. 2015) or those of the model to start from.

    Parameters
    ----------
    recipe
        Says which network.
    task, classes
        What it is to answer.
    name
        Of the new model.
    learnt_from
        Such as "whole slides", for the card.
    usual
        Network where neither the recipe nor a model to start from says which.

    Raises
    ------
    CohortError
        If no layer is like one of the model to start from.
    ModelError
        If it cannot be loaded.
    """
    names = (SCORE,) if task == "regression" else classes
    started = load_model(recipe.start_from) if recipe.start_from else None
    config = ModelConfig(
        name=name,
        version="1",
        classes=names,
        um_per_px=recipe.um_per_px,
        activation=_activation(task),
        network=recipe.network or (usual if started is None else started.config.network),
        pooling=recipe.pooling,
        spread=UNTRAINED_SPREAD if started is None else started.config.spread,
        card=_card(recipe, started, learnt_from),
    )
    torch.manual_seed(recipe.seed)
    model = build_classifier(config)
    he_initialise(model)
    quiet_last_layer(model.head)
    if recipe.dropout is not None:
        model.head = with_dropout(model.head, recipe.dropout)
    if started is not None:
        _take_weights(model, started)
    return model


def freeze(model: nn.Module, patterns: Iterable[str]) -> None:
    """Leave out of training what some patterns name.

    Raises
    ------
    CohortError
        If a pattern names nothing, or nothing is left to train.
    """
    patterns = tuple(patterns)
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(_inside(name, pattern) for name in names):
            raise CohortError(f"frozen: no parameter is called {pattern!r}; one is {names[0]!r}")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(_inside(name, pattern) for pattern in patterns))
    if not any(p.requires_grad for p in model.parameters()):
        raise CohortError("frozen: no parameter is left to train")


def rest_frozen(model: nn.Module, patterns: Iterable[str]) -> None:
    """Switch frozen parts to evaluation, so that they keep the statistics of their batch norms."""
    patterns = tuple(patterns)
    for name, module in model.named_modules():
        if name and any(_inside(name, pattern) for pattern in patterns):
            module.eval()


def _inside(name: str, pattern: str) -> bool:
    """Return whether a parameter or layer is, or is part of, what a pattern names."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def he_initialise(model: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers anew, for ReLUs (He et al. 2015); biases become zero."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def quiet_last_layer(head: nn.Module) -> None:
    """Let a head begin with logits near zero: the first loss is that of knowing nothing, however large features are."""
    last = last_layer(head)
    nn.init.normal_(last.weight, std=LAST_LAYER_STD / math.sqrt(last.in_features))


def last_layer(head: nn.Module) -> nn.Linear:
    """Return the layer that gives the logits."""
    return [module for module in head.modules() if isinstance(module, nn.Linear)][-1]


def with_dropout(head: nn.Module, share: float) -> nn.Module:
    """Return a head with another share of dropout; the names of its weights stay.

    Raises
    ------
    CohortError
        If there is no dropout in this head whose share could be set.
    """
    found = [module for module in head.modules() if isinstance(module, nn.Dropout)]
    if not found and share > 0:
        raise CohortError("dropout: this network has none before its last layer; leave it out")
    for module in found:
        module.p = share
    return head


def _take_weights(model: Classifier, started: Classifier) -> None:
    """Copy what fits: trunk and normalisation always, pooling and head where they have the same shape."""
    own, other = model.state_dict(), started.state_dict()
    fitting = {key: value for key, value in other.items() if key in own and own[key].shape == value.shape}
    # Classes in another order, or others, need another head, even one of the same shape.
    if started.classes != model.classes:
        fitting = {key: value for key, value in fitting.items() if not key.startswith("head.")}
    own_kind, other_kind = model.config.network, started.config.network
    if not any(key.startswith("trunk.") for key in fitting):
        raise CohortError(
            f"start_from: {started.name} is a {other_kind}, and a {own_kind} has no layer like one of its own"
        )
    model.load_state_dict({**own, **copy.deepcopy(fitting)})


def _activation(task: Task) -> Activation:
    activations: dict[Task, Activation] = {
        "classification": "softmax", "multilabel": "sigmoid", "regression": "identity"
    }  # fmt: skip
    return activations[task]


def _card(recipe: NetworkRecipe, started: Classifier | None, learnt_from: str) -> ModelCard:
    """Return the card of a model that is being trained; figures and data come with the end of the run."""
    base = "" if started is None else f", going on from {started.name} {started.version}"
    return ModelCard(
        title=f"A network trained on {learnt_from}",
        summary=f"Trained on {learnt_from} from their labels, {recipe.pooling} pooling{base}.",
        intended_tissue="the tissue of its cohort",
        stain="that of its cohort",
        intended_use="research on slides like those of its cohort",
        not_for="diagnosis, and slides unlike those of its cohort",
        training_data="see the record in its run folder",
        licence="as its owner decides",
        citation=() if started is None else started.card.citation,
        measured={},
        slide_score="",
    )
