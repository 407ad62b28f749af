"""Chooses one scene and one focal plane of a file that holds several."""

from collections.abc import Sequence
from pathlib import Path

from napari_gigaclf.errors import SlideError

_MAX_NAMES = 20


def choose_scene(path: Path, names: Sequence[str], scene: int | str | None) -> int:
    """Return the number of the scene asked for by number or name; the first by default."""
    if scene is None:
        return 0
    if isinstance(scene, str) and scene in names:
        return names.index(scene)
    number = int(scene) if isinstance(scene, int) or scene.isdecimal() else -1
    if not 0 <= number < len(names):
        listed = ", ".join(repr(name) for name in names[:_MAX_NAMES])
        raise SlideError(path, f"there is no scene {scene!r}; it has {len(names)}: {listed}")
    return number


def choose_z(path: Path, num_z: int, z: int | None, *, default: int | None = None) -> int:
    """Return the focal plane asked for; by default ``default``, or else the middle one."""
    if z is None:
        return num_z // 2 if default is None else default
    if not 0 <= z < num_z:
        raise SlideError(path, f"there is no focal plane {z}; it has {num_z}, counted from 0")
    return z
