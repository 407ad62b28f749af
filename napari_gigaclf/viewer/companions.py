"""Viewers that stand beside napari's own in the same window: the second canvas of a comparison.

napari does not know of them, so they are noted here for whoever has to reach every canvas: tiles that arrive, the
blindfold, and tools.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.proxied import key_of

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction

NAME = "second canvas"
"""What a companion is called in sentences."""


@dataclass(frozen=True, slots=True)
class _Beside:
    """What is known of a companion."""

    main: int
    """Which viewer it stands beside."""
    wish: Callable[[str], None]
    """Has overlays of a kind shown there."""
    say: Callable[[str], None]
    """Shows one line there."""


_COMPANIONS: WeakKeyDictionary[Any, _Beside] = WeakKeyDictionary()
_WATCHERS: list[tuple[int, Callable[[Any], None], Callable[[Any], None]]] = []
"""Key of a viewer, and who is told when a companion of it comes and goes."""


def add_companion(
    companion: Any,  # noqa: ANN401 - napari has no stubs
    viewer: Any,  # noqa: ANN401
    *,
    wish: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    """Note that a ``ViewerModel`` is drawn beside a viewer.

    Parameters
    ----------
    companion, viewer
        The two.
    wish
        Has overlays of a kind shown on the companion.
    say
        Shows one line beside it.
    """
    main = key_of(viewer)
    _COMPANIONS[companion] = _Beside(main, wish, say)
    for key, came, _ in list(_WATCHERS):
        if key == main:
            came(companion)


def remove_companion(companion: Any) -> None:  # noqa: ANN401 - napari has no stubs
    """Note that it is not any more."""
    beside = _COMPANIONS.pop(companion, None)
    for key, _, went in list(_WATCHERS):
        if beside is not None and key == beside.main:
            went(companion)


def companions(viewer: Any = None) -> list[Any]:  # noqa: ANN401 - napari has no stubs
    """Return what is drawn beside a viewer, or beside any."""
    return [each for each, beside in _COMPANIONS.items() if viewer is None or beside.main == key_of(viewer)]


def watch_companions(
    viewer: Any,  # noqa: ANN401 - napari has no stubs
    came: Callable[[Any], None],
    went: Callable[[Any], None],
) -> Callable[[], None]:
    """Call back with each companion that comes to a viewer, and goes; returns what ends this."""
    watcher = (key_of(viewer), came, went)
    _WATCHERS.append(watcher)
    return lambda: _WATCHERS.remove(watcher)


def wish_for(companion: Any, kind: str) -> None:  # noqa: ANN401 - napari has no stubs
    """Have the overlays of a kind shown on a companion: those that are there, and those to come."""
    if companion in _COMPANIONS:
        _COMPANIONS[companion].wish(kind)


def say_unseen(companion: Any, widget: str) -> None:  # noqa: ANN401 - napari has no stubs
    """Say beside a companion that a click there did nothing, since the widget it is for is not in sight."""
    if companion in _COMPANIONS:
        _COMPANIONS[companion].say(
            f"{widget} is not in sight, so a click does nothing here: drag its tab, or this canvas's, to another edge "
            "of the window, and both are seen"
        )


def result_shown(companion: Any, slide_id: str) -> "Prediction | None":  # noqa: ANN401 - napari has no stubs
    """Return the result whose map one sees on a companion over a slide, the topmost of several; None without one."""
    maps = [each for each in SlideCanvas(companion).overlays(slide_id, "probability") if each.visible]
    found: list[Prediction | None] = [each.metadata.get("prediction") for each in maps]
    return found[-1] if found else None
