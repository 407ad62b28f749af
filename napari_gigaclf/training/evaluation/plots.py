"""Pictures of an evaluation, each as the bytes of a PNG file: ROC, reliability, confusion; a scatter for regression."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from napari_gigaclf.errors import OutputError
from napari_gigaclf.training.evaluation.calibration import reliability
from napari_gigaclf.training.evaluation.evaluation import question_name
from napari_gigaclf.training.evaluation.figures import confusion
from napari_gigaclf.training.evaluation.predictions import Predictions
from napari_gigaclf.training.evaluation.ranking import auc

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE_INCHES = 4.6
DOTS_PER_INCH = 130
MAX_LETTERS = 32
"""Of a class's name in a legend."""


def check_libraries() -> None:
    """Find out before hours of work that no report could be made.

    Raises
    ------
    OutputError
        matplotlib or scikit-learn is missing; the text names the command that installs them.
    """
    try:
        import matplotlib  # noqa: F401 - only whether it is there
        import sklearn  # noqa: F401
    except ImportError as error:
        raise OutputError(f'a report needs {error.name}: pip install "napari-gigaclf[train]"') from error


def draw_plots(predictions: Predictions) -> dict[str, bytes]:
    """Return every plot of a table of predictions, PNG by file name without ending.

    Classification and multilabel: ``roc`` (left out where no question has both answers), ``reliability``, and for
    classification ``confusion``. Regression: ``scatter``.

    Raises
    ------
    OutputError
        matplotlib or scikit-learn is missing.
    """
    check_libraries()
    if predictions.task == "regression":
        return {"scatter": _scatter(predictions)}
    plots = {"reliability": _reliability(predictions)}
    if any(0 < labels.sum() < len(labels) for _, labels in predictions.questions.values()):
        plots = {"roc": _roc(predictions), **plots}
    return {**plots, "confusion": _confusion(predictions)} if predictions.task == "classification" else plots


@contextmanager
def _axes(into: io.BytesIO) -> "Iterator[Axes]":
    """Give axes of a square picture, written as PNG when the block ends; no window and no state of pyplot's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIDE_INCHES, SIDE_INCHES), dpi=DOTS_PER_INCH, layout="constrained")
    yield figure.add_subplot()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name in a script the font lacks shows as boxes
        figure.savefig(into, format="png", metadata={"Software": None})


def _roc(predictions: Predictions) -> bytes:
    from sklearn.metrics import roc_curve

    content = io.BytesIO()
    with _axes(content) as axes:
        for key, (scores, labels) in predictions.questions.items():
            if 0 < labels.sum() < len(labels):
                false_rate, true_rate, _ = roc_curve(labels, scores)
                name = _plain(question_name(key, predictions.classes))
                axes.plot(false_rate, true_rate, label=f"{name} (AUC {auc(scores, labels):.3f})")
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal", title="ROC")
        axes.legend(loc="lower right", fontsize="small")
    return content.getvalue()


def _reliability(predictions: Predictions) -> bytes:
    content = io.BytesIO()
    with _axes(content) as axes:
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
        for key, (scores, labels) in predictions.questions.items():
            curve = reliability(scores, labels)
            name = _plain(question_name(key, predictions.classes))
            axes.plot(curve.predicted, curve.observed, marker="o", markersize=4, label=name)
        axes.set(xlabel="probability", ylabel="share that came true", aspect="equal", title="reliability")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(loc="upper left", fontsize="small")
    return content.getvalue()


def _confusion(predictions: Predictions) -> bytes:
    table = confusion(predictions)
    assert table is not None
    content = io.BytesIO()
    with _axes(content) as axes:
        rows = table.sum(axis=1, keepdims=True)
        shares = np.divide(table, rows, out=np.zeros(table.shape), where=rows > 0)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), number in np.ndenumerate(table):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(number), ha="center", va="center", color=colour)
        names = [_plain(name) for name in predictions.classes]
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="most probable class", ylabel="truth", title="slides")
    return content.getvalue()


def _scatter(predictions: Predictions) -> bytes:
    content = io.BytesIO()
    with _axes(content) as axes:
        axes.scatter(predictions.truth, predictions.values, s=14, alpha=0.7)
        axes.set(xlabel="truth", ylabel="predicted", title="scores")
    return content.getvalue()


def _plain(name: str) -> str:
    """Return a name as it is drawn: short, without formulas."""
    short = name if len(name) <= MAX_LETTERS else name[: MAX_LETTERS - 1] + "…"
    return "".join(c if c.isprintable() else " " for c in short).replace("$", r"\$")
