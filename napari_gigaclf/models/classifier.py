"""A classifier of images of any size: a trunk which maps places to features, a pooling over places, and a head.

    images -> normalise -> trunk -> cells (N, F) -> pooling -> (F,) -> head -> logits

The head on single cells is the map; the head on the pooled cells is the slide's answer. The same parts answer for a
click, a polygon and a slide.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_gigaclf.errors import ModelError
from napari_gigaclf.models.pooling import suspicion

if TYPE_CHECKING:
    from napari_gigaclf.models.card import ModelCard
    from napari_gigaclf.models.config import Activation, ModelConfig
    from napari_gigaclf.models.normalise import Normalise


class Classifier(nn.Module):
    """A complete model: its parts, its weights, and its card.

    Parameters
    ----------
    config
        Name, classes, scale and card.
    normalise, trunk, pooling, head
        The parts: images in [0, 1] -> normalised -> (B, F, h, w); cells (N, F), logits (N, C) -> (F,);
        (..., F) -> (..., C).
    sha256
        Digest of the weights' file; empty for a model that was never saved.
    """

    def __init__(
        self,
        *,
        config: "ModelConfig",
        normalise: "Normalise",
        trunk: nn.Module,
        pooling: nn.Module,
        head: nn.Module,
        sha256: str = "",
    ) -> None:
        super().__init__()
        self.config = config
        self.normalise = normalise
        self.trunk = trunk
        self.pooling = pooling
        self.head = head
        self.sha256 = sha256

    @property
    def name(self) -> str:
        """The model's name."""
        return self.config.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.config.version

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return self.config.classes

    @property
    def um_per_px(self) -> float | None:
        """Micrometres per pixel of the images it expects; None if it has no scale."""
        return self.config.um_per_px

    @property
    def activation(self) -> "Activation":
        """How logits become probabilities: "softmax" or "sigmoid"; "identity" leaves them as they are, as scores."""
        return self.config.activation

    @property
    def card(self) -> "ModelCard":
        """The model card."""
        return self.config.card

    @property
    def features(self) -> nn.Sequential:
        """What is streamed: float images (B, 3, H, W) in [0, 1] -> features (B, F, h, w). Shares the weights."""
        return nn.Sequential(self.normalise, self.trunk)

    def cell_logits(self, cells_NF: Tensor) -> Tensor:
        """Return the logits (N, classes) of single cells (N, F): the map."""
        logits: Tensor = self.head(cells_NF)
        return logits

    def pool(self, cells_NF: Tensor) -> Tensor:
        """Pool cells (N, F), tissue only, to the vector (F,) of the slide; differentiable.

        Raises
        ------
        ModelError
            If there is no cell.
        """
        if cells_NF.shape[0] == 0:
            raise ModelError(f"{self.name}: no cells to pool; the region holds no tissue")
        pooled: Tensor = self.pooling(cells_NF, self.cell_logits(cells_NF))
        return pooled

    def slide_logits(self, cells_NF: Tensor) -> Tensor:
        """Return the logits (classes,) of a slide with these cells of tissue (N, F); differentiable.

        Those of the pooled cells, unless the model has an answer fitted on slides (``config.slide_answer``).

        Raises
        ------
        ModelError
            If there is no cell.
        """
        answer = self.config.slide_answer
        if answer is None or cells_NF.shape[0] == 0:
            return self.cell_logits(self.pool(cells_NF))
        return answer.logits(suspicion(self.cell_logits(cells_NF)))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Turn logits (..., classes) into probabilities of the same shape."""
        if self.activation == "identity":
            return logits
        return torch.softmax(logits, dim=-1) if self.activation == "softmax" else torch.sigmoid(logits)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) of images (B, 3, H, W), uint8 or float in [0, 1], at the model's scale.

        All of an image's cells are pooled, as those of a region are; for a slide see ``slide_logits``.
        Images smaller than one cell are filled up with white at the right and at the bottom.
        """
        features_BFhw = self.features(self._filled(as_float(images)))
        pooled = [self.pool(one.flatten(1).T) for one in features_BFhw]
        return self.cell_logits(torch.stack(pooled))

    def _filled(self, images: Tensor) -> Tensor:
        side = self.config.min_side_px
        down, right = max(0, side - images.shape[-2]), max(0, side - images.shape[-1])
        if not down and not right:
            return images
        return nn.functional.pad(images, (0, right, 0, down), value=1.0)


def as_float(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [0, 1]; floats as they are."""
    if images.ndim != 4:
        raise ModelError(f"images must be (batch, channel, height, width), got shape {tuple(images.shape)}")
    if images.dtype == torch.uint8:
        return images.float() / 255.0
    if not images.is_floating_point():
        raise ModelError(f"images must be uint8 or float in [0, 1], got {images.dtype}")
    return images
