"""Features of a cell as text, to lie in a JSON file: base64 of float32, little end first, exact to the last bit."""

import base64
import binascii

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


def to_text(vector: NDArray[np.floating]) -> str:
    """Return a vector as text.

    Examples
    --------
    >>> to_text(np.array([1.0], dtype=np.float32))
    'AACAPw=='
    """
    return base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode("ascii")


def from_text(text: str, length: int) -> Vector:
    """Return the vector of a text.

    Raises
    ------
    ValueError
        It is not base64, has another length, or holds a number that is not finite.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("features are not base64") from error
    if len(data) != 4 * length:
        raise ValueError(f"features have {len(data)} bytes; {length} numbers have {4 * length}")
    vector: Vector = np.frombuffer(data, dtype="<f4").astype(np.float32)
    if not np.isfinite(vector).all():
        raise ValueError("features hold a number that is not finite")
    return vector
