"""Runs a model over the slides of a cohort: one slide, one answer."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import Cancelled, CohortError, GigaclfError, SlideError
from napari_gigaclf.inference import classify
from napari_gigaclf.progress import CancelToken, ProgressCallback
from napari_gigaclf.slides import open_slide
from napari_gigaclf.training.cohort.cohort import Cohort, CohortRow

if TYPE_CHECKING:
    from napari_gigaclf.models import Classifier


def predict_slide(
    row: CohortRow,
    model: "Classifier",
    classes: tuple[str, ...] = (),
    *,
    device: str = "auto",
    memory: int | str | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> NDArray[np.float64]:
    """Classify the slide of a row and return its probabilities (C,), in the order of ``classes`` or of the model.

    Raises
    ------
    GigaclfError, SlideError
        The slide cannot be read or classified, or holds no tissue.
    Cancelled
        Stopped before the answer was complete.
    """
    with open_slide(row.slide, row.um_per_px) as slide:
        if slide.um_per_px is None and model.um_per_px is not None:
            raise SlideError(row.slide, "has no micrometres per pixel; give them in the cohort's column um_per_px")
        prediction = classify(
            slide, model, saliency=None, device=device, memory=memory, progress=progress, cancel=cancel
        )
    if not prediction.complete:
        raise Cancelled(f"{row.name}: stopped before its answer was complete")
    if not prediction.probabilities:
        raise GigaclfError(f"{row.slide}: {prediction.message or 'the model gave no answer'}")
    return np.array([prediction.probabilities[name] for name in classes or model.classes], dtype=np.float64)


def check_fit(cohort: Cohort, model: "Classifier") -> None:
    """Find out whether a model answers what a cohort asks.

    Raises
    ------
    CohortError
        Classes are not the same ones, a class of the model has no slide, a multilabel cohort meets a model whose
        classes exclude each other, or a regression cohort one with several outputs.
    """
    where = f"{cohort.table} and model {model.name}"
    if cohort.task == "regression":
        if len(model.classes) != 1:
            names = ", ".join(model.classes)
            raise CohortError(f"{where}: scores need a model with one output, not {len(model.classes)} ({names})")
        return
    if cohort.task == "multilabel" and model.activation != "sigmoid":
        raise CohortError(
            f"{where}: several labels per slide need a model with sigmoid outputs, not {model.activation}"
        )
    if set(cohort.classes) != set(model.classes):
        ours, theirs = ", ".join(cohort.classes), ", ".join(model.classes)
        raise CohortError(f"{where}: the classes are {ours} and {theirs}; they must be the same")
    present = {number for row in cohort.rows for number in row.labels}
    lacking = [name for number, name in enumerate(cohort.classes) if number not in present]
    if lacking:
        raise CohortError(f"{where}: no slide of the cohort is of the model's class {', '.join(lacking)}")
