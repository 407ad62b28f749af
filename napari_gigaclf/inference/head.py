"""The last part of a model, kept with a result: it turns pooled features into probabilities without the model itself.

    features (F,) -> head -> logits -> softmax or sigmoid -> probabilities

It is the model's ``config.json`` and the weights of its pooling and head, a few kilobytes. Nothing here imports torch
until a question is asked.
"""

import copy
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import ModelError
from napari_gigaclf.models.config import ModelConfig, dump_config, parse_config
from napari_gigaclf.models.records import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gigaclf.models import Classifier

KEPT = ("pooling.", "head.")
"""Parts of a classifier whose weights are kept."""


@dataclass(slots=True, kw_only=True)
class StoredHead:
    """A model's pooling and head."""

    config: ModelConfig
    """The model's config and card."""
    weights: bytes
    """Weights of pooling and head, safetensors."""
    _model: "Classifier | None" = field(default=None, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @classmethod
    def of(cls, model: "Classifier") -> "StoredHead":
        """Copy the pooling and the head of a model."""
        from safetensors.torch import save

        state = model.state_dict()
        kept = {k: v.detach().cpu().float().contiguous().clone() for k, v in state.items() if k.startswith(KEPT)}
        return cls(config=model.config, weights=save(kept), _model=_without_trunk(model))

    @classmethod
    def parse(cls, config_text: str, weights: bytes) -> "StoredHead":
        """Read what ``config_text`` and ``weights`` of a result file hold; the weights are checked on first use.

        Raises
        ------
        ModelError
            The config is not one.
        """
        try:
            return cls(config=parse_config(config_text), weights=weights)
        except ConfigError as error:
            raise ModelError(f"model of the result: {error}") from error

    @property
    def config_text(self) -> str:
        """The config as JSON."""
        return dump_config(self.config)

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities (..., classes) of features (..., F)."""
        import torch

        model = self.model()
        with torch.no_grad():
            values: NDArray[np.float32] = model.probabilities(model.cell_logits(torch.from_numpy(features))).numpy()
        return values

    def model(self) -> "Classifier":
        """Return a classifier whose pooling and head have the stored weights and whose trunk has none.

        Raises
        ------
        ModelError
            The weights do not belong to the config.
        """
        with self._lock:
            if self._model is None:
                self._model = _rebuilt(self.config, self.weights)
            return self._model


def _without_trunk(model: "Classifier") -> "Classifier":
    """Copy pooling and head of a model to the CPU."""
    from torch import nn

    from napari_gigaclf.models import Classifier

    copied = Classifier(
        config=model.config,
        normalise=copy.deepcopy(model.normalise),
        trunk=nn.Identity(),
        pooling=copy.deepcopy(model.pooling),
        head=copy.deepcopy(model.head),
    )
    return copied.cpu().float().eval().requires_grad_(requires_grad=False)


def _rebuilt(config: ModelConfig, weights: bytes) -> "Classifier":
    """Build a classifier, drop its trunk and fill in pooling and head."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from napari_gigaclf.models.build import build_classifier

    try:
        tensors = load(weights)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"model of the result: its weights cannot be read ({str(error)[:200]})") from error
    with torch.random.fork_rng(
        devices=[]
    ):  # fresh weights, soon replaced: the caller's random numbers stay as they are
        model = _without_trunk(build_classifier(config))
    expected = {k: v for k, v in model.state_dict().items() if k.startswith(KEPT)}
    if set(expected) != set(tensors) or any(
        expected[k].shape != tensors[k].shape or expected[k].dtype != tensors[k].dtype for k in expected
    ):
        raise ModelError("model of the result: its weights do not belong to its config")
    model.load_state_dict(tensors, strict=False)
    return model


def scores_of(model: "Classifier", cells: "Tensor", logits: "Tensor") -> "Tensor":
    """Return, per cell (N,), what its pooling needs to know of it: see ``FeatureStore.scores``.

    Parameters
    ----------
    cells
        Features (N, F).
    logits
        Their logits (N, classes).
    """
    import torch

    from napari_gigaclf.models.pooling import suspicion

    kind = model.pooling.kind
    if kind == "attention":
        scores: torch.Tensor = model.pooling.scores(cells)  # type: ignore[operator]
        return scores
    if kind == "highest":
        return suspicion(logits)
    return torch.zeros(len(cells), device=cells.device)
