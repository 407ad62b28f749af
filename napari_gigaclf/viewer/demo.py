"""Shows a finished result as a person would see it: the slide, what was found where and why, beside the known truth."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gigaclf.viewer.controllers.run_view import State
from napari_gigaclf.viewer.layers import Frame, truth_layer
from napari_gigaclf.viewer.reader import open_layers, shown_class
from napari_gigaclf.viewer.viewpoint import Viewpoint

if TYPE_CHECKING:
    from napari_gigaclf.annotations import Annotation
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide

WINDOW = (1600, 1000)
SETTLE_SECONDS = 1.0
MAX_WAIT_SECONDS = 30.0
PLANNED = (State.READY, State.REFUSED)


def show_demo(
    slide: "Slide",
    prediction: "Prediction",
    truth: Sequence["Annotation"],
    *,
    screenshot: Path | None,
    block: bool,
) -> None:
    """Open napari with a slide, its result and the truth, and the widget docked beside it.

    Parameters
    ----------
    slide
        The slide, open.
    prediction
        What was found on it.
    truth
        Outlines that are known to be right.
    screenshot
        Where to save a picture of the whole window; None saves none.
    block
        True to return only when the window is closed by a person; False closes it.

    Raises
    ------
    OutputError
        The picture cannot be written.

    Notes
    -----
    napari's settings are kept in memory: the user's own are neither read nor written.
    """
    import napari

    settings_in_memory()
    viewer = napari.Viewer(title=f"{slide.name} - napari-gigaclf", show=True, show_welcome_screen=False)
    widget = fill_viewer(viewer, slide, prediction, truth)
    viewer.window.resize(*WINDOW)
    settle()
    Viewpoint(viewer).fit(slide)
    wait_until(lambda: widget.runs.state in PLANNED and slide.id in widget.runs.results)
    viewer.layers.selection.active = widget.canvas.overlay(slide.id, "probability")
    settle()
    if screenshot is not None:
        save_screenshot(viewer, screenshot)
    if block:
        napari.run()
    widget.shut_down()
    if not block:
        viewer.close()


def fill_viewer(viewer: Any, slide: "Slide", prediction: "Prediction", truth: Sequence["Annotation"]) -> Any:  # noqa: ANN401
    """Add all layers of a result to a napari viewer and dock the widget; return the widget."""
    from napari_gigaclf.viewer.widgets.classify import ClassifyWidget

    for data, kwargs, kind in open_layers(slide):
        getattr(viewer, f"add_{kind}")(data, **kwargs)
    widget = ClassifyWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Classify slide", area="right")
    widget.show_prediction(slide, prediction, shown_class(prediction))
    if truth:
        widget.canvas.put(slide.id, truth_layer(truth, Frame.of_slide(slide)))
    return widget


def settle(seconds: float = SETTLE_SECONDS) -> None:
    """Let the window do what it has to do for a while."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()


def wait_until(condition: Any, seconds: float = MAX_WAIT_SECONDS) -> bool:  # noqa: ANN401 - () -> bool
    """Let the window work until a condition holds; False if it never did."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        settle(0.05)
    return True


def save_screenshot(viewer: Any, path: Path) -> None:  # noqa: ANN401 - a napari viewer
    """Save a picture of the whole window as PNG."""
    from PIL import Image

    from napari_gigaclf.writing import replacing

    pixels = viewer.screenshot(canvas_only=False, flash=False)
    with replacing(path) as beside:
        Image.fromarray(np.asarray(pixels)[..., :3]).save(beside, format="PNG")


def settings_in_memory() -> None:
    """Keep napari's settings of this process in memory, unless it has read them already (inside a running napari)."""
    from napari import settings

    try:
        settings.get_settings(None)
    except RuntimeError:
        return
    settings.get_plugin_settings(path_dir=None)
