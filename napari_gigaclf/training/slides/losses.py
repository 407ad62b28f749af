"""What is made small: cross-entropy, binary cross-entropy or Huber's loss, one slide at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_gigaclf.training.cohort import Cohort, CohortRow, Task, class_weights
from napari_gigaclf.training.slides.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The loss of a slide, of its logits and its row."""

    task: Task
    weights: Tensor | None
    """Per class, (classes,); None: all the same."""
    label_smoothing: float
    huber_delta: float

    def __call__(self, logits: Tensor, row: CohortRow) -> Tensor:
        """Return the loss of logits (classes,); a number.

        Class weights multiply the loss of a slide, so that the weights of a mini-batch need not add to one: the mean
        over many slides does.
        """
        if self.task == "classification":
            label = torch.tensor(row.labels[0], device=logits.device)
            loss = nn.functional.cross_entropy(logits, label, label_smoothing=self.label_smoothing)
            return loss if self.weights is None else loss * self.weights[row.labels[0]]
        if self.task == "multilabel":
            target = torch.zeros_like(logits)
            target[list(row.labels)] = 1.0
            smooth = target * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
            weight = None if self.weights is None else self.weights.to(logits)
            return nn.functional.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weight)
        assert row.score is not None, "the cohort was checked"
        return nn.functional.huber_loss(logits[0], torch.full_like(logits[0], row.score), delta=self.huber_delta)


def loss_of(recipe: Recipe, cohort: Cohort) -> Loss:
    """Return the loss of a recipe; class weights are those of the training slides."""
    weights = None
    if recipe.class_weights and cohort.task != "regression":
        by_class = class_weights(cohort, "train")
        weights = torch.tensor([by_class[name] for name in cohort.classes])
    return Loss(
        task=cohort.task, weights=weights, label_smoothing=recipe.label_smoothing, huber_delta=recipe.huber_delta
    )
