"""The network in training: built from the recipe or taken from a model, streamed, its answer that of ``classify``.

logits = head(pool(cells of tissue)),    cells = trunk(normalise(slide)), streamed
"""

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gigaclf.errors import CohortError
from napari_gigaclf.inference.cells import CellAxis
from napari_gigaclf.inference.network import cell_axes
from napari_gigaclf.models import Classifier
from napari_gigaclf.models.config import NetworkName
from napari_gigaclf.progress import CancelToken
from napari_gigaclf.streaming import Source, StreamedModule, stream
from napari_gigaclf.training.cohort import Task
from napari_gigaclf.training.runs.networks import build_network, freeze, rest_frozen
from napari_gigaclf.training.slides.recipe import Recipe

DEFAULT_NETWORK: NetworkName = "paper-table1"


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
        freeze(model, recipe.frozen)
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
        rest_frozen(self.model, self.recipe.frozen)

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
        return self.model.slide_logits(features[0].T.float())


def slide_network(recipe: Recipe, task: Task, classes: tuple[str, ...], name: str) -> Classifier:
    """Return the classifier to train on slides; see :func:`~napari_gigaclf.training.runs.networks.build_network`."""
    return build_network(recipe, task, classes, name, learnt_from="whole slides", usual=DEFAULT_NETWORK)
