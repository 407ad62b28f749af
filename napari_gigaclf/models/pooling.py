"""From the cells of a slide to one vector: the largest, the mean, the attended, or the most suspicious cell.

Every pooling takes cells (N, F) with N >= 1, in any order, and their logits (N, classes), and returns (F,).
"""

from typing import Literal

import torch
from torch import Tensor, nn

PoolingKind = Literal["max", "mean", "attention", "highest"]
POOLING_KINDS: tuple[PoolingKind, ...] = ("max", "mean", "attention", "highest")


class MaxPooling(nn.Module):
    """Largest value of each feature; the gradient goes to one cell per feature, also among ties."""

    kind: PoolingKind = "max"

    def forward(self, cells_NF: Tensor, logits_NC: Tensor) -> Tensor:  # noqa: N803 - shape suffix
        """Pool cells (N, F) to (F,)."""
        return cells_NF.max(dim=0).values


class MeanPooling(nn.Module):
    """Mean of each feature."""

    kind: PoolingKind = "mean"

    def forward(self, cells_NF: Tensor, logits_NC: Tensor) -> Tensor:  # noqa: N803
        """Pool cells (N, F) to (F,)."""
        return cells_NF.mean(dim=0)


class AttentionPooling(nn.Module):
    """Gated attention (Ilse, Tomczak and Welling 2018).

    a = softmax_n(w^T (tanh(V h_n) * sigmoid(U h_n))),    z = sum_n a_n h_n
    """

    kind: PoolingKind = "attention"

    def __init__(self, num_features: int, num_hidden: int = 128) -> None:
        super().__init__()
        self.value = nn.Linear(num_features, num_hidden)
        self.gate = nn.Linear(num_features, num_hidden)
        self.score = nn.Linear(num_hidden, 1)

    def scores(self, cells_NF: Tensor) -> Tensor:  # noqa: N803
        """Return the attention logits (N,) of cells (N, F), before the softmax over the slide."""
        hidden = torch.tanh(self.value(cells_NF)) * torch.sigmoid(self.gate(cells_NF))
        scores: Tensor = self.score(hidden).squeeze(-1)
        return scores

    def forward(self, cells_NF: Tensor, logits_NC: Tensor) -> Tensor:  # noqa: N803
        """Pool cells (N, F) to (F,)."""
        return torch.softmax(self.scores(cells_NF), dim=0) @ cells_NF


class HighestPooling(nn.Module):
    """The one cell with the highest probability of any class but the first: "is there tumour anywhere?"

    Uncalibrated as an answer about a slide: among many harmless cells the highest is rarely low.
    """

    kind: PoolingKind = "highest"

    def forward(self, cells_NF: Tensor, logits_NC: Tensor) -> Tensor:  # noqa: N803
        """Pool cells (N, F) to (F,): that cell's own features."""
        return cells_NF[highest_cell(logits_NC)]


def highest_cell(logits_NC: Tensor) -> int:  # noqa: N803
    """Return which of N cells has the highest probability of any class but the first (of the first if it is alone).

    For softmax the order of cells by p_c (c fixed) is that of ``l_c - logsumexp(l)``, which float32 resolves long after
    the probabilities have all become 1; sigmoid models have one logit per class, ordered as they are.
    """
    if logits_NC.shape[1] == 1:
        return int(logits_NC[:, 0].argmax())
    first = torch.logsumexp(logits_NC, dim=1, keepdim=True)
    return int((logits_NC - first)[:, 1:].amax(dim=1).argmax())


def build_pooling(kind: PoolingKind, num_features: int) -> nn.Module:
    """Return the pooling of this kind for cells of this many features."""
    if kind == "attention":
        return AttentionPooling(num_features)
    return {"max": MaxPooling, "mean": MeanPooling, "highest": HighestPooling}[kind]()
