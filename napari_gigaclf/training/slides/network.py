"""The network in training: built from the recipe or taken from a model, streamed, its answer that of ``classify``.

logits = head(pool(cells of tissue)),    cells = trunk(normalise(slide)), streamed
"""

import copy
import math
from collections.abc import Sequence
from contextlib import nullcontext
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_gigaclf.errors import CohortError
from napari_gigaclf.inference.cells import CellAxis
from napari_gigaclf.inference.network import cell_axes
from napari_gigaclf.models import Classifier, load_model
from napari_gigaclf.models.build import build_classifier
from napari_gigaclf.models.card import ModelCard
from napari_gigaclf.models.config import Activation, ModelConfig, NetworkName
from napari_gigaclf.progress import CancelToken
from napari_gigaclf.streaming import Source, StreamedModule, stream
from napari_gigaclf.training.cohort import Task
from napari_gigaclf.training.slides.recipe import Recipe

SCORE = "score"
"""Name of the one output of a regression."""
LAST_LAYER_STD = 0.01
"""Of a fresh last layer's weights, times the root of its inputs."""
DEFAULT_NETWORK: NetworkName = "paper-table1"
UNTRAINED_SPREAD = (0.2, 0.2, 0.2)


class SlideNetwork:
    """A classifier that learns from whole slides.

    Parameters
    ----------
    model
        Weights are trained in place.
    recipe
        What is frozen, in which precision, with how much memory.
    """

    def __init__(self, model: Classifier, recipe: Recipe) -> None:
        self.model = model
        self.recipe = recipe
        names = [name for name, _ in model.named_parameters()]
        for pattern in recipe.frozen:
            if not any(_inside(name, pattern) for name in names):
                raise CohortError(f"frozen: no parameter is called {pattern!r}; one is {names[0]!r}")
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not any(_inside(name, pattern) for pattern in recipe.frozen))
        if not any(p.requires_grad for p in model.parameters()):
            raise CohortError("frozen: no parameter is left to train")
        # Not the model's own ``features``: that makes a new container with every call, and modes belong to containers.
        self.features = model.features
        try:
            self.streamed: StreamedModule = stream(self.features, memory=recipe.memory or None)
        except ValueError as error:
            raise CohortError(f"recipe: {error}") from error

    @property
    def axes(self) -> tuple[CellAxis, CellAxis]:
        """How cells of the map lie along y and x."""
        return cell_axes(self.streamed)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def map_shape(self, shape: Sequence[int]) -> tuple[int, int]:
        """Return rows and columns of the map of an image (3, height, width)."""
        # The plan that the run will follow: another one would be made for this question alone.
        rows, columns = self.streamed.plan(shape, backward=torch.is_grad_enabled()).output_shape[-2:]
        return int(rows), int(columns)

    def train(self, mode: bool = True) -> None:
        """Switch to training or to evaluation; frozen parts keep the statistics of their batch norms."""
        self.model.train(mode)
        self.features.train(mode)
        for name, module in self.model.named_modules():
            if name and any(_inside(name, pattern) for pattern in self.recipe.frozen):
                module.eval()

    def logits(self, source: Source, cells: NDArray[np.bool_], cancel: CancelToken | None = None) -> Tensor:
        """Return the logits (classes,) of a slide, differentiable.

        Parameters
        ----------
        source
            The slide, (3, height, width) in [0, 1].
        cells
            Which cells of its map are pooled.
        cancel
            Asked before each tile, in both passes.
        """
        bfloat16 = self.recipe.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16) if bfloat16 else nullcontext():
            features = self.streamed.stream(source, cells=cells, cancel=cancel)
        return self.model.cell_logits(self.model.pool(features[0].T.float()))


def _inside(name: str, pattern: str) -> bool:
    """Return whether a parameter or layer is, or is part of, what a pattern names."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def build_network(recipe: Recipe, task: Task, classes: tuple[str, ...], name: str) -> Classifier:
    """Return the classifier to train, with fresh weights (He et al. 2015) or those of the model to start from.

    Raises
    ------
    CohortError
        If no layer is like one of the model to start from.
    ModelError
        If it cannot be loaded.
    """
    names = (SCORE,) if task == "regression" else classes
    started = load_model(_model_place(recipe.start_from)) if recipe.start_from else None
    card = _card(recipe, started)
    config = ModelConfig(
        name=name,
        version="1",
        classes=names,
        um_per_px=recipe.um_per_px,
        activation=_activation(task),
        network=recipe.network or (DEFAULT_NETWORK if started is None else started.config.network),
        pooling=recipe.pooling,
        spread=UNTRAINED_SPREAD if started is None else started.config.spread,
        card=card,
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


def _model_place(text: str) -> str | Path:
    return Path(text) if Path(text).is_dir() else text


def _activation(task: Task) -> Activation:
    activations: dict[Task, Activation] = {
        "classification": "softmax", "multilabel": "sigmoid", "regression": "identity"
    }  # fmt: skip
    return activations[task]


def _card(recipe: Recipe, started: Classifier | None) -> ModelCard:
    """Return the card of a model that is being trained; figures and data come with the end of the run."""
    base = "" if started is None else f", going on from {started.name} {started.version}"
    return ModelCard(
        title="A network trained on whole slides",
        summary=f"Trained on whole slides from their labels, {recipe.pooling} pooling{base}.",
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
