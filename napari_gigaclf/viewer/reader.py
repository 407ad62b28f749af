"""Opens slides and results in napari lazily: levels go to napari as they lie in the file, with their true tiles.

napari calls readers on the thread of its window. Headers are therefore read on a thread of our own while the window
keeps drawing, and what cannot be read becomes one notification that names the file and the reason.
"""

import importlib
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from napari_gigaclf.errors import GigaclfError
from napari_gigaclf.viewer.dropped import (
    WHAT_CAN_BE,
    annotations_over,
    check_model,
    go_through,
    kind_of,
    result_over,
    show_again,
    use_model,
)
from napari_gigaclf.viewer.layers import Frame, LayerData, contrast_limits, is_colour, slide_layers
from napari_gigaclf.viewer.preferences import load_preferences
from napari_gigaclf.viewer.progressive.shown_level import read_coarsest

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

ReaderFunction = Callable[[str | Sequence[str]], list[LayerData]]
T = TypeVar("T")

HOST = "napari_gigaclf.viewer.returning.host"
KEYBOARD = "napari_gigaclf.viewer.widgets.by_keyboard"
SOON = ("pandas", "napari_gigaclf.viewer.set_aside")
"""Imported after the first slide is drawn; napari needs pandas for the first layer with features: ruler, questions."""
NO_LAYERS: list[Any] = [(None,)]
"""napari's sign for: this was read, and there is nothing to add."""
PATIENCE_MS = 200
"""Most slides are open after this time, and napari itself takes longer to show a first layer. Drawing the window
meanwhile would only make both wait for each other (Python runs one of them at a time)."""
REDRAW_EVERY_MS = 50
RETURN_AFTER_SECONDS = 0.5
"""So much later the first slide of a window returns as it was left; napari has drawn it by then."""


def get_reader(path: str | Sequence[str]) -> ReaderFunction | None:
    """Return the reader for these paths; None for a folder that is nothing of ours.

    npe2 matches names of files against the manifest; a folder is asked for here.
    """
    paths = [path] if isinstance(path, str) else list(path)
    if not paths or any(kind_of(Path(each)) is None for each in paths):
        return None
    return read_paths


def read_paths(path: str | Sequence[str]) -> list[LayerData]:
    """Open each path; what cannot be opened is notified, and the others still open."""
    layers: list[LayerData] = []
    for each in [path] if isinstance(path, str) else path:
        viewer = window_viewer()
        try:
            returning = viewer is not None and load_preferences().return_slides
            what = off_the_gui_thread(partial(open_path, Path(each), seen_slides(viewer), returning=returning))
        except GigaclfError as error:
            notify("error", str(error))
            continue
        layers += what.layers
        if what.note:
            notify("warning", what.note)
        if what.shown_by is not None and viewer is None:
            text = f"{each}: a model, or a folder of slides, is shown by a widget of napari's window. {WHAT_CAN_BE}"
            notify("error", text)
        elif what.shown_by is not None:
            what.shown_by(viewer, Path(each))
    start_overviews(layers)
    let_return(layers)
    return layers or NO_LAYERS


def notify(how: Literal["error", "warning"], text: str) -> None:
    """Tell a person one sentence; imports napari, for which the first slide must not wait."""
    from napari.utils import notifications

    getattr(notifications, f"show_{how}")(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a path became."""

    layers: list[LayerData]
    note: str = ""
    """What a person must know."""
    shown_by: Callable[[Any, Path], None] | None = None
    """What shows it in napari's window, if it becomes no layer."""


def open_path(path: Path, slides: "Sequence[Slide]" = (), *, returning: bool = False) -> Opened:
    """Open a slide or what lies over one. Reads headers and the coarsest level.

    Parameters
    ----------
    path
        A file or folder.
    slides
        The slides that are open, the one that is seen first.
    returning
        Whether a slide has the scale that a person gave it the last time.

    Raises
    ------
    SlideError, GigaclfError
        The file cannot be read.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        from napari_gigaclf.errors import SlideError

        raise SlideError(path, f"is no file but a pipe or a device, which is not read. {WHAT_CAN_BE}")
    kind = kind_of(path)
    if kind == "result":
        layers, note = result_over(path, slides)
        return Opened(layers=layers, note=note)
    if kind == "annotations":
        return Opened(layers=annotations_over(path, slides[0] if slides else None))
    if kind == "model":
        check_model(path)
        return Opened(layers=[], shown_by=use_model)
    if kind == "slides":
        return Opened(layers=[], shown_by=go_through)
    from napari_gigaclf.slides import open_slide
    from napari_gigaclf.viewer.returning.given_scale import with_given_scale

    slide = open_slide(path)
    if any(each.id == slide.id and each.path == slide.path for each in slides):
        slide.close()
        return Opened(layers=[], shown_by=show_again)
    try:
        return Opened(layers=open_layers(with_given_scale(slide) if returning else slide))
    except BaseException:
        slide.close()
        raise


def window_viewer() -> Any:  # noqa: ANN401 - a napari viewer or None
    """Return the viewer of the window that is asked to open something; None without a window."""
    if running_application() is None:
        return None
    from napari import current_viewer

    return current_viewer()


def seen_slides(viewer: Any) -> "list[Slide]":  # noqa: ANN401 - a napari viewer or None
    """Return the open slides, the one on top first."""
    if viewer is None:
        return []
    from napari_gigaclf.viewer.viewpoint import Viewpoint

    top = Viewpoint(viewer).slide()
    others = [layer.metadata["slide"] for layer in viewer.layers if layer.metadata.get("slide") is not None]
    return [] if top is None else [top, *(each for each in others if each is not top)]


def open_layers(slide: Any) -> list[LayerData]:  # noqa: ANN401 - a Slide; the Protocol would import slides here
    """Return the layers of an open slide or exported map, for a thread of one's own: the coarsest level is read.

    A slide without coarse levels has blank ones (see ``start_overviews``).
    """
    from napari_gigaclf.slides.overview import needs_coarse_levels

    if needs_coarse_levels(slide):
        from napari_gigaclf.viewer.coarse import placeholder_levels

        return slide_layers(slide, placeholder_levels(slide))
    layers = _complete_layers(slide)
    for levels, _, kind in layers:
        if kind == "image":
            read_coarsest(levels)  # here rather than on the window's thread
    return layers


def _complete_layers(slide: Any) -> list[LayerData]:  # noqa: ANN401 - a Slide
    """Return the layers of a slide that has coarse levels."""
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
    viewer = window_viewer()
    if viewer is None or not any(kwargs["metadata"].get("slide") for _, kwargs, _ in layers):
        return
    if HOST in sys.modules and KEYBOARD in sys.modules:
        _serve(viewer)
        return
    from napari_gigaclf.viewer.bridge import application_post

    post, window = application_post(), weakref.ref(viewer)

    def load() -> None:
        """Import, once the slide is drawn, what its first pixels must not wait for (another thread's imports would)."""
        for name in (HOST, KEYBOARD):
            importlib.import_module(name)
        if post is None:
            return
        post(lambda: _serve(window()))
        for name in SOON:
            importlib.import_module(name)
        post(lambda: set_aside_in(window()))

    soon = threading.Timer(RETURN_AFTER_SECONDS, load)
    soon.daemon = True
    soon.start()


def _serve(viewer: Any) -> None:  # noqa: ANN401 - a napari viewer or None
    """Do for a window with a slide what the modules do that are imported late."""
    sys.modules[HOST].let_slides_return(viewer)
    sys.modules[KEYBOARD].serve(viewer)


def set_aside_in(viewer: Any) -> None:  # noqa: ANN401 - a napari viewer or None
    """Spare a window the search for garbage among the modules that are there now."""
    if viewer is not None:
        from napari_gigaclf.viewer.set_aside import set_aside

        set_aside(viewer)


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
    if "qtpy" not in sys.modules or threading.current_thread() is not threading.main_thread():
        return None
    from qtpy.QtCore import QCoreApplication

    return QCoreApplication.instance()
