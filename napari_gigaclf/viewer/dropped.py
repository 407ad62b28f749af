"""What was dropped on napari's window, or opened there, and where it goes: slide, result, annotations, model, worklist.

napari passes every path to the readers that plugins declare; what becomes no layer (a model, a list of slides) goes to
the widget that takes it, which is opened if it is not.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_gigaclf.errors import AnnotationError, ModelError, ResultError
from napari_gigaclf.viewer.open_widget import open_widget

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.layers import LayerData

Kind = Literal["slide", "result", "annotations", "model", "slides"]
RESULT_SUFFIX = ".gigaclf"
RESULT_IN_FOLDER = "prediction.gigaclf"
"""The command line writes a folder per slide, with the result in it."""
ANNOTATIONS = (".geojson", ".geojson.gz")
MODEL_FILES = ("config.json", "model.safetensors")
CLASSIFY, WORKLIST = "Classify slide", "Worklist"
LOOKED_AT = 200
"""Files of a folder whose names are looked at to tell what it is."""
WHAT_CAN_BE = (
    "What can be dropped: a slide, a folder of slides, annotations (.geojson), a result (.gigaclf), a model folder "
    "(config.json and model.safetensors)"
)


def kind_of(path: Path) -> Kind | None:
    """Return what a path is, by its name and what lies in it; None for a folder that is nothing of ours."""
    if not path.is_dir():
        return "annotations" if path.name.lower().endswith(ANNOTATIONS) else "slide"
    if path.suffix.lower() == RESULT_SUFFIX or (path / RESULT_IN_FOLDER).is_dir():
        return "result"
    if all((path / name).is_file() for name in MODEL_FILES):
        return "model"
    from napari_gigaclf.slides.discover import is_slide_folder, slides_in

    try:
        if path.suffix.lower() == ".zarr" or is_slide_folder(path, LOOKED_AT):
            return "slide"
        return "slides" if slides_in(path, LOOKED_AT) else None
    except OSError:  # a folder that cannot be looked into
        return None


def annotations_over(path: Path, slide: "Slide | None") -> "list[LayerData]":
    """Return annotations as layers over the slide that is seen.

    Raises
    ------
    AnnotationError
        There is no slide, or the file cannot be read.
    """
    if slide is None:
        raise AnnotationError(f"{path}: annotations lie on a slide: open their slide first, then drop them again")
    from napari_gigaclf.viewer.returning.pieces import annotation_file_layers

    try:
        return annotation_file_layers(path, slide)
    except AnnotationError as error:
        raise AnnotationError(f"{error}. {WHAT_CAN_BE}") from error


def result_over(path: Path, slides: "Sequence[Slide]") -> "tuple[list[LayerData], str]":
    """Return the layers of a result over the slide it speaks of, and what a person must know of it (often nothing).

    Raises
    ------
    ResultError
        It cannot be read.
    """
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.viewer.layers import FILE, Frame, prediction_layers
    from napari_gigaclf.viewer.reader import result_frame, shown_class

    inside = path / RESULT_IN_FOLDER
    path = inside if inside.is_dir() else path
    try:
        prediction = Prediction.load(path)
    except ResultError as error:
        raise ResultError(f"{error}. {WHAT_CAN_BE}") from error
    record = prediction.record.slide
    slide = next((each for each in slides if each.id == record.id), None)
    note = ""
    if slide is None and slides:
        note = f"{path.name} is the result of another slide, {record.name}; it lies over that one once it is opened"
    frame = result_frame(prediction) if slide is None else Frame.of_slide(slide)
    layers = prediction_layers(prediction, frame, shown_class(prediction))
    layers[0][1]["metadata"][FILE] = str(path.absolute())
    return layers, note


def check_model(folder: Path) -> None:
    """Look whether a model folder can be used.

    Raises
    ------
    ModelError
        It cannot.
    """
    from napari_gigaclf.models.folder import read_config

    try:
        read_config(folder)
    except ModelError as error:
        raise ModelError(f"{error}. {WHAT_CAN_BE}") from error


def use_model(viewer: Any, folder: Path) -> None:  # noqa: ANN401 - napari has no stubs
    """Choose a model in Classify."""
    classify = open_widget(viewer, CLASSIFY)
    classify.use_model(folder, select=True)
    classify.come_forward()


def go_through(viewer: Any, folder: Path) -> None:  # noqa: ANN401 - napari has no stubs
    """List the slides of a folder in the worklist."""
    worklist = open_widget(viewer, WORKLIST)
    worklist.source_row.set_path(folder)
    worklist.come_forward()


def show_again(viewer: Any, path: Path) -> None:  # noqa: ANN401 - napari has no stubs
    """Bring a slide that is open already to the front, instead of opening it a second time."""
    from napari.utils.notifications import show_info

    from napari_gigaclf.viewer.canvas import SlideCanvas

    canvas = SlideCanvas(viewer)
    wanted = path.resolve()
    for layer in canvas.slide_layers():
        slide = layer.metadata.get("slide")
        if slide is not None and slide.path is not None and Path(slide.path).resolve() == wanted:
            canvas.bring_forward(slide)
            show_info(f"{slide.name} is open already; it lies on top now.")
            return
