"""From a slide and a model to an answer: probabilities, a map, saliency, and questions about any place afterwards.

Names are found on first use, so that opening a saved result does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_gigaclf.inference.classification import classify
    from napari_gigaclf.inference.devices import Device, find_device, list_devices
    from napari_gigaclf.inference.estimate import RunEstimate
    from napari_gigaclf.inference.gradient import PlaceGradient, SmoothGrad, place_gradient
    from napari_gigaclf.inference.map_update import MapUpdate
    from napari_gigaclf.inference.prediction import Prediction
    from napari_gigaclf.inference.preparation import PreparedRun, prepare
    from napari_gigaclf.inference.query import RegionAnswer
    from napari_gigaclf.inference.record import RunRecord
    from napari_gigaclf.inference.saliency import Saliency

_HOME = {
    "Device": "devices",
    "MapUpdate": "map_update",
    "PlaceGradient": "gradient",
    "Prediction": "prediction",
    "PreparedRun": "preparation",
    "RegionAnswer": "query",
    "RunEstimate": "estimate",
    "RunRecord": "record",
    "Saliency": "saliency",
    "SmoothGrad": "gradient",
    "classify": "classification",
    "find_device": "devices",
    "list_devices": "devices",
    "place_gradient": "gradient",
    "prepare": "preparation",
}
__all__ = [
    "Device",
    "MapUpdate",
    "PlaceGradient",
    "Prediction",
    "PreparedRun",
    "RegionAnswer",
    "RunEstimate",
    "RunRecord",
    "Saliency",
    "SmoothGrad",
    "classify",
    "find_device",
    "list_devices",
    "place_gradient",
    "prepare",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"napari_gigaclf.inference.{_HOME[name]}"), name)
    globals()[name] = value
    return value
