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

    def forward(self, cells_NF: Tensor, logits_NC: Tensor) -> Tensor:
        """Pool cells (N, F) to (F,)."""
        return cells_NF.max(dim=0).values


class MeanPooling(nn.Module):
    """Mean of each feature."""

    kind: PoolingKind = "mean"

    def forward(self, cells_NF: Tensor, logits_NC: Tensor) -> Tensor:
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

    def scores(self, cells_NF: Tensor) -> Tensor:
        """Return the attention logits (N,) of cells (N, F), before the softmax over the slide."""
        hidden = torch.tanh(self.value(cells_NF)) * torch.sigmoid(self.gate(cells_NF))
        scores: Tensor = self.score(hidden).squeeze(-1)
        return scores

    def forward(self, cells_NF: Tensor, logits_NC: Tensor) -> Tensor:
        """Pool cells (N, F) to (F,)."""
        return torch.softmax(self.scores(cells_NF), dim=0) @ cells_NF


class HighestPooling(nn.Module):
    """The one cell with the highest probability of any class but the first: whether there is tumour anywhere.

    Uncalibrated as an answer about a slide: among many harmless cells the highest is rarely low.
    """

    kind: PoolingKind = "highest"

    def forward(self, cells_NF: Tensor, logits_NC: Tensor) -> Tensor:
        """Pool cells (N, F) to (F,): that cell's own features."""
        return cells_NF[highest_cell(logits_NC)]


def highest_cell(logits_NC: Tensor) -> int:
    """Return which of N cells has the highest probability of any class but the first (of the first if it is alone)."""
    return int(suspicion(logits_NC).argmax())


def suspicion(logits_NC: Tensor) -> Tensor:
    """Return how suspicious each of N cells is (N,): log-odds of its likeliest class but the first against all others.

    They order cells as the probability of that class does, but float32 still tells them apart where every probability
    has become 1. With a single class it is that class's logit.
    """
    if logits_NC.shape[1] == 1:
        return logits_NC[:, 0]
    best_N = logits_NC[:, 1:].argmax(dim=1, keepdim=True) + 1
    others_NC = logits_NC.scatter(1, best_N, float("-inf"))
    return logits_NC.gather(1, best_N)[:, 0] - torch.logsumexp(others_NC, dim=1)


def build_pooling(kind: PoolingKind, num_features: int) -> nn.Module:
    """Return the pooling of this kind for cells of this many features."""
    if kind == "attention":
        return AttentionPooling(num_features)
    return {"max": MaxPooling, "mean": MeanPooling, "highest": HighestPooling}[kind]()
