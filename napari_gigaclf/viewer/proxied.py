"""The viewer behind the proxy that napari gives to plugins and commands."""

from typing import Any


def model_of(viewer: Any) -> Any:  # noqa: ANN401 - napari has no stubs
    """Return the viewer itself; the layers of a proxy are proxies, too."""
    return getattr(viewer, "__wrapped__", viewer)


def key_of(viewer: Any) -> int:  # noqa: ANN401 - napari has no stubs
    """Return what tells one viewer from another as long as both live, whether proxies are given or not."""
    return id(model_of(viewer))
