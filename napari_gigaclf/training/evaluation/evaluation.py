"""From predictions to everything that is said of a model: figures with intervals, calibration, thresholds, comparison.

What is chosen (a temperature, a threshold) is chosen on the tune slides; what is measured is measured on the others.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.cohort.cohort import Task
from napari_gigaclf.training.evaluation.calibration import at_temperature, fit_temperature
from napari_gigaclf.training.evaluation.figures import confusion
from napari_gigaclf.training.evaluation.intervals import Interval, bootstrap
from napari_gigaclf.training.evaluation.operating import OperatingPoint, choose_threshold, operate
from napari_gigaclf.training.evaluation.permutation import PairedTest, paired_permutation
from napari_gigaclf.training.evaluation.predictions import Predictions

CALIBRATED = ("brier", "log_loss", "calibration_error")
"""Figures which a temperature changes."""
DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything that is said of a model on a set of slides."""

    task: Task
    classes: tuple[str, ...]
    num_slides: int
    num_groups: int
    figures: Mapping[str, Interval]
    """By name, see ``figures``."""
    confusion: tuple[tuple[int, ...], ...] | None
    """Slides by true class (rows) and most probable class (columns); None if not classification."""
    temperature: float | None = None
    """Found on the tune slides; None without them."""
    calibrated: Mapping[str, Interval] = field(default_factory=dict)
    """Figures at that temperature, on the slides of the evaluation."""
    operating_points: Mapping[str, OperatingPoint] = field(default_factory=dict)
    """By question (``:CLASS`` or ``_any``); thresholds from the tune slides."""
    comparison: Mapping[str, PairedTest] = field(default_factory=dict)
    """With another model, by figure."""
    draws: int
    seed: int
    notes: tuple[str, ...] = ()
    """What could not be done, and why."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values for ``json.dumps``; what is not finite is None."""
        content: dict[str, Any] = finite(dataclasses.asdict(self))
        return content


def evaluate(
    predictions: Predictions,
    *,
    tune: Predictions | None = None,
    other: Predictions | None = None,
    sensitivity: float | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Evaluation:
    """Evaluate a model from its predictions.

    Parameters
    ----------
    predictions
        On the slides to measure on.
    tune
        On slides to choose a temperature and thresholds on.
    other
        Another model's, on the same slides, to compare with.
    sensitivity
        What thresholds must reach on the tune slides; None: Youden's J.
    draws
        Of the bootstrap, and of the permutation test.
    seed
        Of both.

    Raises
    ------
    CohortError
        There is no slide, or tune slides or the other model do not fit.
    """
    if not len(predictions):
        raise CohortError("there is no slide to evaluate on")
    if tune is not None and (tune.task, tune.classes) != (predictions.task, predictions.classes):
        raise CohortError("tune slides have another task or other classes than those to evaluate on")
    notes: list[str] = []
    table = confusion(predictions)
    temperature, calibrated = _calibrated(predictions, tune, draws, seed)
    return Evaluation(
        task=predictions.task,
        classes=predictions.classes,
        num_slides=len(predictions),
        num_groups=len(set(predictions.groups)),
        figures=bootstrap(predictions, draws=draws, seed=seed),
        confusion=None if table is None else tuple(tuple(int(n) for n in row) for row in table),
        temperature=temperature,
        calibrated=calibrated,
        operating_points={} if tune is None else _operating_points(predictions, tune, sensitivity, notes),
        comparison={} if other is None else paired_permutation(predictions, other, draws=draws, seed=seed),
        draws=draws,
        seed=seed,
        notes=tuple(notes),
    )


def _calibrated(
    predictions: Predictions, tune: Predictions | None, draws: int, seed: int
) -> tuple[float | None, dict[str, Interval]]:
    if tune is None or not len(tune) or tune.task == "regression":
        return None, {}
    temperature = fit_temperature(tune)
    figures = bootstrap(at_temperature(predictions, temperature), draws=draws, seed=seed)
    return temperature, {name: figures[name] for name in CALIBRATED}


def _operating_points(
    predictions: Predictions, tune: Predictions, sensitivity: float | None, notes: list[str]
) -> dict[str, OperatingPoint]:
    rule = "Youden's J on the tune slides" if sensitivity is None else f"sensitivity {sensitivity:g} on the tune slides"
    found: dict[str, OperatingPoint] = {}
    for key, (scores, labels) in predictions.questions.items():
        try:
            threshold = choose_threshold(*tune.questions[key], sensitivity)
        except CohortError as error:
            notes.append(f"{question_name(key, predictions.classes)}: {error}")
            continue
        found[key] = operate(scores, labels, threshold, rule)
    return found


def question_name(key: str, classes: Sequence[str]) -> str:
    """Return what a question, or a figure of one, is called for a person.

    Examples
    --------
    >>> question_name("auc:tumour", ("normal", "tumour")), question_name("auc_any", ("normal", "itc", "macro"))
    ('auc tumour', 'auc any but normal')
    """
    name, colon, of_class = key.partition(":")
    if colon:
        return f"{name} {of_class}".replace("average_precision", "average precision").strip()
    if key.endswith("_any"):
        name = key.removesuffix("_any") + f" any but {classes[0]}"
        return name.replace("average_precision", "average precision").strip()
    return key.replace("_", " ").strip()


def finite(value: Any) -> Any:  # noqa: ANN401 - any nesting of plain values
    """Return plain values with None where a number is not finite; tuples become lists."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
