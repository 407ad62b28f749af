"""Opens slides and results in napari lazily: levels go to napari as they lie in the file, with their true tiles.

napari calls readers on the thread of its window. Headers are therefore read on a thread of our own while the window
keeps drawing, and what cannot be read becomes one notification that names the file and the reason.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from napari_gigaclf.errors import GigaclfError
from napari_gigaclf.viewer.layers import Frame, LayerData, contrast_limits, is_colour, prediction_layers, slide_layers

ReaderFunction = Callable[[str | Sequence[str]], list[LayerData]]
T = TypeVar("T")

RESULT_SUFFIX = ".gigaclf"
NO_LAYERS: list[Any] = [(None,)]
"""napari's sign for: this was read, and there is nothing to add."""
PATIENCE_MS = 200
"""Most slides are open after this time, and napari itself takes longer to show a first layer. Drawing the window
meanwhile would only make both wait for each other (Python runs one of them at a time)."""
REDRAW_EVERY_MS = 50
DICOM_SUFFIX = ".dcm"
LOOKED_AT = 200
"""Files of a folder whose names are looked at to tell a DICOM slide from any other folder."""


def get_reader(path: str | Sequence[str]) -> ReaderFunction | None:
    """Return the reader for these paths; None for a folder that is neither a slide nor a result.

    npe2 matches names of files against the manifest; a folder is asked for here.
    """
    paths = [path] if isinstance(path, str) else list(path)
    if not paths or not all(_may_be_ours(Path(each)) for each in paths):
        return None
    return read_paths


def read_paths(path: str | Sequence[str]) -> list[LayerData]:
    """Open each path; what cannot be opened is notified, and the others still open."""
    layers: list[LayerData] = []
    for each in [path] if isinstance(path, str) else path:
        try:
            layers += off_the_gui_thread(partial(open_path, Path(each)))
        except GigaclfError as error:
            from napari.utils.notifications import show_error

            show_error(str(error))
    start_overviews(layers)
    let_return(layers)
    return layers or NO_LAYERS


def open_path(path: Path) -> list[LayerData]:
    """Open a slide or a ``.gigaclf`` result as layers. Reads headers and, for fluorescence, the coarsest level.

    Raises
    ------
    SlideError, GigaclfError
        The file cannot be read.
    """
    if path.suffix.lower() == RESULT_SUFFIX:
        return open_result(path)
    from napari_gigaclf.slides import open_slide
    from napari_gigaclf.viewer.returning.pieces import with_given_scale

    slide = open_slide(path)
    try:
        return open_layers(with_given_scale(slide))
    except BaseException:
        slide.close()
        raise


def open_layers(slide: Any) -> list[LayerData]:  # noqa: ANN401 - a Slide; the Protocol would import slides here
    """Return the layers of an open slide or exported map.

    A slide without coarse levels has blank ones (see ``start_overviews``).
    """
    from napari_gigaclf.slides.overview import needs_coarse_levels

    if needs_coarse_levels(slide):
        from napari_gigaclf.viewer.coarse import placeholder_levels

        return slide_layers(slide, placeholder_levels(slide))
    np.asarray(slide.levels[-1][:1, :1])  # imports the decoder here rather than on the window's thread
    if is_colour(slide):
        return slide_layers(slide)
    from napari_gigaclf.viewer.exported_map import channel_notes, map_layers

    notes = channel_notes(slide)
    if notes.corner is not None:
        return map_layers(slide, notes)
    return slide_layers(slide, limits=contrast_limits(slide), names=notes.names)


def start_overviews(layers: list[LayerData]) -> None:
    """Begin to compute the coarse levels that are missing, if there is a window to show them in."""
    from napari_gigaclf.slides.overview import needs_coarse_levels

    if running_application() is None:
        return
    slides = {id(slide): slide for _, kwargs, _ in layers if (slide := kwargs["metadata"].get("slide")) is not None}
    for slide in slides.values():
        if needs_coarse_levels(slide):
            from napari_gigaclf.viewer.coarse import start_coarse_levels

            start_coarse_levels(slide)


def let_return(layers: list[LayerData]) -> None:
    """See to it that slides are shown as they were left, once napari has added their layers."""
    if running_application() is None or not any(kwargs["metadata"].get("slide") for _, kwargs, _ in layers):
        return
    from napari import current_viewer

    from napari_gigaclf.viewer.returning.host import let_slides_return

    let_slides_return(current_viewer())


def open_result(path: Path) -> list[LayerData]:
    """Return the layers of a saved result: tissue, probability of the class that was asked for, saliency."""
    from napari_gigaclf.inference import Prediction

    prediction = Prediction.load(path)
    layers = prediction_layers(prediction, result_frame(prediction), shown_class(prediction))
    layers[0][1]["metadata"]["file"] = str(path.absolute())
    return layers


def off_the_gui_thread(function: Callable[[], T]) -> T:
    """Run a call on a thread of its own and return its answer; if it takes long, the window keeps drawing meanwhile.

    Input waits until the end.
    """
    app = running_application()
    if app is None:
        return function()
    from qtpy.QtCore import QEventLoop

    answers: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(function())
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread and raised there
            errors.append(error)

    thread = threading.Thread(target=work, name="gigaclf-open", daemon=True)
    thread.start()
    thread.join(PATIENCE_MS / 1000)
    while thread.is_alive():
        app.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents, REDRAW_EVERY_MS)
        thread.join(REDRAW_EVERY_MS / 1000)
    if errors:
        raise errors[0]
    return answers[0]


def result_frame(prediction: Any) -> Frame:  # noqa: ANN401 - a Prediction, without importing inference
    """Return where the layers of a saved result lie: over level 0 of the slide it speaks of, open or not."""
    slide = prediction.record.slide
    return Frame(um_per_px=slide.um_per_px, shape=slide.shape)


def shown_class(prediction: Any) -> str:  # noqa: ANN401 - a Prediction, without importing inference
    """Return the class to show first: that of the saliency, else the most probable one."""
    if prediction.saliency is not None:
        return str(prediction.saliency.class_name)
    probabilities = prediction.probabilities
    if probabilities:
        return str(max(probabilities, key=lambda name: probabilities[name]))
    return str(prediction.classes[-1])


def running_application() -> Any:  # noqa: ANN401 - a QApplication or None
    """Return the Qt application if this is its thread; None without one. Imports no Qt that nobody else imported."""
    import sys

    if "qtpy" not in sys.modules or threading.current_thread() is not threading.main_thread():
        return None
    from qtpy.QtCore import QCoreApplication

    return QCoreApplication.instance()


def _may_be_ours(path: Path) -> bool:
    if not path.is_dir():
        return True
    if path.suffix.lower() in (RESULT_SUFFIX, ".zarr"):
        return True
    if any((path / name).is_file() for name in ("zarr.json", ".zattrs", ".zgroup")):
        return True
    return any(child.suffix.lower() == DICOM_SUFFIX for child in islice(path.iterdir(), LOOKED_AT))
