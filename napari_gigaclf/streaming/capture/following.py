"""Follows the code of one network at a time, and refuses code that draws random numbers."""

import random
import threading
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

from napari_gigaclf.errors import UnsupportedOperation

T = TypeVar("T")

ATTEMPTS = 5
"""Code that draws does so each time; another thread would have to draw during every one of them."""

_ONE_AT_A_TIME = threading.Lock()
"""While it traces, ``torch.fx`` replaces ``nn.Module``'s call for the whole process: one thread at a time."""


def followed(follow: Callable[[], T], name: str) -> T:
    """Return what following the code of a module gives.

    Generators belong to the whole process. A thread that draws meanwhile, as one does that builds another model, looks
    as if the code had drawn; the code is then followed again.

    Parameters
    ----------
    follow
        Follows the code once.
    name
        Of the module, for a person.

    Raises
    ------
    UnsupportedOperation
        The code draws random numbers.
    """
    for _ in range(ATTEMPTS):
        with _ONE_AT_A_TIME:
            before = _random_state()
            found = follow()
            if before == _random_state():
                return found
    raise UnsupportedOperation(
        f"cannot stream {name}: its forward draws random numbers, which would differ from tile to tile; draw them "
        "outside the streamed module"
    )


def _random_state() -> tuple[object, ...]:
    """Return the states of the generators that code draws from, to be compared."""
    numpy_state = np.random.get_state(legacy=True)  # noqa: NPY002 - the generator that other people's code draws from
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), str(numpy_state[2:]), numpy_state[1].tobytes()  # type: ignore[index]
