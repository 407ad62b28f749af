"""Finds the Qt widget in which a viewer is drawn; napari does not give it to plugins, but Qt knows every widget."""

from typing import Any

from qtpy.QtWidgets import QApplication

from napari_gigaclf.viewer.proxied import model_of


def qt_viewer_of(viewer: Any) -> Any | None:  # noqa: ANN401 - napari has no stubs
    """Return the ``QtViewer`` which draws a viewer; None for a viewer without a window."""
    from napari.qt import QtViewer

    model = model_of(viewer)
    if QApplication.instance() is None:
        return None
    shown = (widget for widget in QApplication.allWidgets() if isinstance(widget, QtViewer))
    return next((widget for widget in shown if widget.viewer is model), None)
