"""Chooses one scene and one focal plane of a file that holds several, and says which one is open."""

from collections.abc import Sequence
from pathlib import Path

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides.slide import Slide

_MAX_NAMES = 20


def choose_scene(path: str | Path, names: Sequence[str], scene: int | str | None) -> int:
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


def choose_z(path: str | Path, num_z: int, z: int | None, *, default: int | None = None) -> int:
    """Return the focal plane asked for; by default ``default``, or else the middle one."""
    if z is None:
        return num_z // 2 if default is None else default
    if not 0 <= z < num_z:
        raise SlideError(path, f"there is no focal plane {z}; it has {num_z}, counted from 0")
    return z


def open_scene(slide: Slide) -> str | None:
    """Return the name of the scene that is open; None if the file has no other."""
    return slide.scenes[slide.scene] if len(slide.scenes) > 1 else None


def open_plane(slide: Slide) -> int | None:
    """Return the focal plane that is open, counted from 0; None if the scene has no other."""
    return slide.z if slide.num_z > 1 else None


def place_name(name: str, scene: str | None, z: int | None) -> str:
    """Return a slide's name with scene and focal plane behind it; what the file has one of only is left out.

    Examples
    --------
    >>> place_name("a.tif", "2", 3), place_name("a.tif", None, 3), place_name("a.tif", None, None)
    ('a.tif [scene 2, z 3]', 'a.tif [z 3]', 'a.tif')
    """
    parts = ([] if scene is None else [f"scene {scene}"]) + ([] if z is None else [f"z {z}"])
    return f"{name} [{', '.join(parts)}]" if parts else name


def full_name(slide: Slide) -> str:
    """Return a slide's name with what tells it from other scenes and focal planes of its file."""
    return place_name(slide.name, open_scene(slide), open_plane(slide))
