"""Classify gigapixel slides exactly, tile by tile, and see why: in Python, on the command line and in napari.

The public names are found on first use, so that importing the package loads neither torch nor Qt nor napari.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction, classify
    from napari_gigaclf.models import load_model
    from napari_gigaclf.slides import open_slide
    from napari_gigaclf.streaming import stream

__version__ = "0.1.0"

_HOME = {
    "Prediction": "napari_gigaclf.inference",
    "classify": "napari_gigaclf.inference",
    "load_model": "napari_gigaclf.models",
    "open_slide": "napari_gigaclf.slides",
    "stream": "napari_gigaclf.streaming",
}
__all__ = ["Prediction", "__version__", "classify", "load_model", "open_slide", "stream"]


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
