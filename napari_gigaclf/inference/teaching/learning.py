"""From examples to a head: standardise by what the slides' cells are like, fit, fold it all into one linear layer.

    z = (x - mean) / deviation          over all cells of the slides that have examples
    logits = W z + b = (W / deviation) x + (b - W mean / deviation)

Ten examples know little of how far a feature reaches; a million cells do. Examples are put in order before anything is
computed, so that the order of clicks changes nothing, not even the last bit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import TrainingError
from napari_gigaclf.inference.teaching.fitting import fit_softmax
from napari_gigaclf.inference.teaching.lesson import Example, Lesson, TaughtClass, TaughtSlide
from napari_gigaclf.inference.teaching.vectors import from_text

STRENGTH = 0.3
"""C of the regression: the least log loss on the phantom slide after ten clicks, of 0.003 to 10."""
SAME = 1e-6
"""A feature that deviates less than this share of its largest mean square is taken to be the same everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A linear layer with softmax over the taught classes."""

    classes: tuple[TaughtClass, ...]
    weights: NDArray[np.float32]
    """(K, F), to be applied to features as the network gives them."""
    bias: NDArray[np.float32]
    """(K,)."""

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities (K, n) of features (n, F)."""
        logits = np.ascontiguousarray((features @ self.weights.T).T)
        logits += self.bias[:, None]
        logits -= logits.max(axis=0)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=0)
        return logits


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Examples as numbers, in an order of their own."""

    examples: tuple[Example, ...]
    """Sorted by slide and place."""
    classes: tuple[TaughtClass, ...]
    """Those that have an example, in the order of the lesson."""
    features: NDArray[np.float64]
    """Of the examples, (n, F), as the network gave them."""
    labels: NDArray[np.intp]
    """Of the examples, (n,), positions in ``classes``."""
    mean: NDArray[np.float64]
    """Of each feature over the slides' cells, (F,)."""
    deviation: NDArray[np.float64]
    """Of each feature over the slides' cells, (F,); infinite for one that is the same everywhere."""

    @property
    def can_learn(self) -> bool:
        """Whether there are examples of two classes at least."""
        return len(self.classes) >= 2

    @property
    def standardised(self) -> NDArray[np.float64]:
        """The examples' features, (n, F)."""
        found: NDArray[np.float64] = (self.features - self.mean) / self.deviation
        return found


def evidence_of(lesson: Lesson) -> Evidence:
    """Return the examples of a lesson that are learnt from as numbers."""
    examples = tuple(sorted(lesson.used, key=lambda each: each.key))
    shown = {each.class_number for each in examples}
    classes = tuple(each for each in lesson.classes if each.number in shown)
    place = {each.number: position for position, each in enumerate(classes)}
    width = lesson.base.num_features
    features = np.zeros((len(examples), width))
    for row, example in enumerate(examples):
        features[row] = example.vector(width)
    here = {example.slide_id for example in examples}
    slides = sorted((each for each in lesson.slides if each.slide_id in here), key=lambda each: each.slide_id)
    mean, deviation = spread(slides, width)
    return Evidence(
        examples=examples,
        classes=classes,
        features=features,
        labels=np.array([place[each.class_number] for each in examples], dtype=np.intp),
        mean=mean,
        deviation=deviation,
    )


def spread(slides: "list[TaughtSlide]", width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and deviation (F,) of each feature over the cells of some slides together."""
    if not slides:
        return np.zeros(width), np.full(width, np.inf)
    counts = np.array([each.num_cells for each in slides], dtype=np.float64)
    share = counts / counts.sum()
    means = np.array([from_text(each.mean, width) for each in slides], dtype=np.float64)
    squares = np.array([from_text(each.deviation, width) for each in slides], dtype=np.float64) ** 2
    mean = share @ means
    variance = share @ (squares + (means - mean) ** 2)
    same = variance <= SAME**2 * max(float((variance + mean**2).max()), 1e-30)
    return mean, np.where(same, np.inf, np.sqrt(variance))


def learn(evidence: Evidence) -> Head:
    """Return the head that the examples teach.

    Raises
    ------
    TrainingError
        There are examples of fewer than two classes, or the features cannot be learnt from.
    """
    if not evidence.can_learn:
        raise TrainingError(f"examples of two classes are needed, there are examples of {len(evidence.classes)}")
    return _fit(evidence, np.arange(len(evidence.labels)))


def _fit(evidence: Evidence, rows: NDArray[np.intp]) -> Head:
    """Return the head of some of the examples; every class must be among them."""
    weights, bias = fit_softmax(evidence.standardised[rows], evidence.labels[rows], len(evidence.classes), STRENGTH)
    folded = weights / evidence.deviation
    return Head(
        classes=evidence.classes,
        weights=folded.astype(np.float32),
        bias=(bias - folded @ evidence.mean).astype(np.float32),
    )
