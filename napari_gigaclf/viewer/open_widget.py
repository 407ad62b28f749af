"""Opens a dock widget under the name by which napari's menus know it: under another one they would open a second."""

import importlib
from typing import Any

from napari_gigaclf.viewer.proxied import model_of

DISPLAY_NAME = "GigaCLF"
"""Of the plugin, as its manifest says."""
WIDGETS = {
    "Classify slide": "classify:ClassifyWidget",
    "Hotspots": "hotspots:HotspotsWidget",
    "Teach": "teach:TeachWidget",
    "Train": "train:TrainWidget",
    "Navigate": "navigate:NavigateWidget",
    "Worklist": "worklist:WorklistWidget",
    "Curtain": "curtain:CurtainWidget",
    "Compare": "compare:CompareWidget",
}
"""The widgets of the manifest, and where they are."""


def open_widget(viewer: Any, name: str) -> Any:  # noqa: ANN401 - napari has no stubs; a Docked
    """Return the widget of a viewer's window, made and docked if none is open.

    Parameters
    ----------
    viewer
        A napari viewer with a window.
    name
        One of ``WIDGETS``.
    """
    module, _, kind_name = WIDGETS[name].partition(":")
    kind = getattr(importlib.import_module(f"napari_gigaclf.viewer.widgets.{module}"), kind_name)
    window = model_of(viewer).window
    for there in window._qt_window.findChildren(kind):
        if not there.is_closed:
            return there
    widget = kind(viewer)
    window.add_dock_widget(widget, name=f"{name} ({DISPLAY_NAME})", tabify=True)
    return widget
