"""Multinomial logistic regression with L2 penalty: small, deterministic, no more than numpy and scipy.

    minimise  C sum_i w_i (log sum_k exp(z_ik) - z_iy_i) + 1/2 |W|^2,        z_i = W x_i + b

Class weights w_i = n / (K n_k) make every class count the same, however many examples it has. The penalty makes the
minimum unique (b up to a constant, which no probability feels), so that one answer is found from any start.
"""

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import TrainingError

Floats = NDArray[np.float64]
TOLERANCE = 1e-7
"""Largest component of the gradient at the end, against C n."""
MAX_ITERATIONS = 5000


def fit_softmax(x: Floats, y: NDArray[np.intp], num_classes: int, strength: float) -> tuple[Floats, Floats]:
    """Return weights (K, F) and biases (K,) of the minimum.

    Parameters
    ----------
    x
        Standardised features (n, F).
    y
        Classes (n,), 0 to K - 1, each of them there at least once.
    num_classes
        K, at least 2.
    strength
        C: the larger, the closer to the examples.

    Raises
    ------
    TrainingError
        The minimum is not found: features far too large.
    """
    from scipy.optimize import minimize

    num, width = x.shape
    weights = balanced_weights(y, num_classes) * strength
    truth = np.eye(num_classes)[y]

    def loss(flat: Floats) -> tuple[float, Floats]:
        full = flat.reshape(num_classes, width + 1)
        logits = x @ full[:, :width].T + full[:, width]
        logits -= logits.max(axis=1, keepdims=True)
        log_sums = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        value = float(weights @ (log_sums[:, 0] - (logits * truth).sum(axis=1)))
        off = weights[:, None] * (np.exp(logits - log_sums) - truth)
        gradient = np.concatenate([off.T @ x + full[:, :width], off.sum(axis=0)[:, None]], axis=1)
        return value + 0.5 * float((full[:, :width] ** 2).sum()), gradient.ravel()

    begin = np.zeros(num_classes * (width + 1))
    options = {"maxiter": MAX_ITERATIONS, "maxfun": 4 * MAX_ITERATIONS, "gtol": 0.0, "ftol": 0.0, "maxcor": 30}
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", options={**options, "gtol": TOLERANCE})
    left = float(np.abs(loss(found.x)[1]).max())
    if not np.isfinite(found.x).all() or left > 1e-4 * max(1.0, strength * num):
        raise TrainingError(f"the examples cannot be learnt: no minimum was found ({left:.2g} is left of the gradient)")
    full = found.x.reshape(num_classes, width + 1)
    return full[:, :width], full[:, width]


def balanced_weights(y: NDArray[np.intp], num_classes: int) -> Floats:
    """Return a weight per example (n,) with which every class counts the same; they sum to n.

    Examples
    --------
    >>> balanced_weights(np.array([0, 0, 0, 1]), 2).tolist()
    [0.6666666666666666, 0.6666666666666666, 0.6666666666666666, 2.0]
    """
    counts = np.bincount(y, minlength=num_classes)
    found: Floats = len(y) / (num_classes * counts[y])
    return found
