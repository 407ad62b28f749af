"""Viewers that stand beside napari's own in the same window: the second canvas of a comparison.

napari does not know of them, so they are noted here for whoever has to reach every canvas: tiles that arrive, and the
blindfold.
"""

from typing import Any
from weakref import WeakKeyDictionary

from napari_gigaclf.viewer.proxied import key_of

_MAIN_OF: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""Of each companion: which viewer it stands beside."""


def add_companion(companion: Any, viewer: Any) -> None:  # noqa: ANN401 - napari has no stubs
    """Note that a ``ViewerModel`` is drawn beside a viewer."""
    _MAIN_OF[companion] = key_of(viewer)


def remove_companion(companion: Any) -> None:  # noqa: ANN401 - napari has no stubs
    """Note that it is not any more."""
    _MAIN_OF.pop(companion, None)


def companions(viewer: Any = None) -> list[Any]:  # noqa: ANN401 - napari has no stubs
    """Return what is drawn beside a viewer, or beside any."""
    return [each for each, main in _MAIN_OF.items() if viewer is None or main == key_of(viewer)]
