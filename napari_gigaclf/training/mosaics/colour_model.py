"""The two colour classifiers that tiles are matched by, and that controls attack with: a linear one and trees.

Trees matter: tiles of one hospital and slide share a tint, so that small regions of colour tell the label though no
linear rule does. Scores of tiles that a classifier was fitted on come from the folds that did not hold them.
"""

from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.mosaics.colours import Features

ColourModel = Literal["linear", "trees"]
COLOUR_MODELS: Final[tuple[ColourModel, ...]] = get_args(ColourModel)
_FINE_REGULARISATION: Final = 0.1
_FOLDS: Final = 4
_REGULARISATION: Final = 0.003
_TREES: Final = 60
_LEAVES: Final = 8
_MOST_CERTAIN: Final = 1e-3


def make_model(which: ColourModel, seed: int = 0, *, regularisation: float = _REGULARISATION) -> Any:  # noqa: ANN401 - a scikit-learn estimator
    """Return an unfitted classifier of colour features; ``regularisation`` is the linear model's C.

    Raises
    ------
    CohortError
        scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise CohortError("matching colours needs scikit-learn: pip install scikit-learn") from error
    if which == "linear":
        return make_pipeline(StandardScaler(), LogisticRegression(C=regularisation, max_iter=300))
    return HistGradientBoostingClassifier(max_iter=_TREES, max_leaf_nodes=_LEAVES, random_state=seed)


def held_out_logits(
    which: ColourModel, features: Features, labels: NDArray[np.int64], *, repeats: int, seed: int
) -> NDArray[np.float64]:
    """Return (N,) log odds of each tile from models that did not see it, averaged over ``repeats`` divisions."""
    model = make_model(which, seed)
    total = np.zeros(len(labels))
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    for repeat in range(repeats):
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed + repeat)
        total += log_odds(cross_val_predict(model, features, labels, cv=folds, method="predict_proba")[:, 1])
    return total / repeats


def fitted_rivals(features: Features, labels: NDArray[np.int64], *, seed: int) -> tuple[Any, ...]:
    """Return models fitted on matched tiles: what could be learnt from their colours, in three ways."""
    models = [make_model(which, seed) for which in COLOUR_MODELS]
    models.append(make_model("linear", seed, regularisation=_FINE_REGULARISATION))
    return tuple(model.fit(features, labels) for model in models)


def model_logits(model: Any, features: Features) -> NDArray[np.float64]:  # noqa: ANN401 - a scikit-learn estimator
    """Return (N,) bounded log odds of a fitted model."""
    return log_odds(np.asarray(model.predict_proba(features)[:, 1]))


def log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log odds, bounded as if no probability were nearer to 0 or 1 than a thousandth."""
    bounded = np.clip(probabilities, _MOST_CERTAIN, 1 - _MOST_CERTAIN)
    return np.asarray(np.log(bounded / (1 - bounded)), np.float64)
