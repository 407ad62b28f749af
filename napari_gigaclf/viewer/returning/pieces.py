"""Pieces of work for the thread that lets slides return: read and write files, make layers of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.errors import AnnotationError, ConflictError, GigaclfError, OutputError, ResultError
from napari_gigaclf.inference.findings.reviews import now
from napari_gigaclf.viewer.layers import (
    DEFAULT_THRESHOLD,
    FILE,
    Frame,
    LayerData,
    annotation_layer,
    point_layer,
    prediction_layers,
)
from napari_gigaclf.viewer.reader import shown_class
from napari_gigaclf.viewer.returning.drawings import (
    Drawings,
    annotations_of,
    drawn_layers_of,
)
from napari_gigaclf.viewer.returning.looks import DRAWN_ON, with_look
from napari_gigaclf.viewer.returning.mask_file import MasksTooLarge, read_masks
from napari_gigaclf.viewer.returning.masks import PaintedMask, mask_layers, recorded
from napari_gigaclf.viewer.returning.ruler_lines import layer_of_line
from napari_gigaclf.viewer.returning.state import MAX_COPIES, ResultShown, SlideFile, SlideState
from napari_gigaclf.viewer.returning.state_store import StateStore

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide

MAX_ANNOTATIONS = 20_000
"""napari takes about ten seconds for a hundred thousand shapes, and as long for each change of one."""
MAX_RESULT_BYTES = 10 * 2**30
"""Most that the results of runs take which are kept without having been saved; the ones unused for longest go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known of a slide that was opened."""

    store: StateStore
    file: SlideFile | None
    state: SlideState | None
    problem: str
    """Why it cannot be shown as it was left; else empty."""
    copies: tuple[SlideFile, ...] = ()
    """Other files with the same content that it was opened from, and that are still there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """Layers to be shown over a slide again, and why others are not."""

    layers: tuple[LayerData, ...]
    problems: tuple[str, ...]
    under: tuple[LayerData, ...] = ()
    """Maps to lie under the result on show, from the lowest, hidden."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A result of a slide that was made while nobody looked at it, and lies in a file."""

    slide_id: str
    slide_name: str
    slide_path: Path
    shown: ResultShown


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What became of how a slide is shown when it was written."""

    problem: str = ""
    """One sentence for a person; empty if all was written."""
    again: bool = False
    """Whether it could be written another time: the disk is full, or the folder is away."""
    conflict: bool = False
    """Whether another window keeps the slide."""


def results_folder() -> Path:
    """Return the folder where results of runs are kept for slides to return with."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("napari-gigaclf")) / "results"


def find_state(folder: Path, slide: "Slide", stores: dict[str, StateStore]) -> Found:
    """Return how a slide was left; what cannot be read is moved aside and said.

    Parameters
    ----------
    folder
        Where states are kept.
    slide
        The slide.
    stores
        The files of this window by slide: one that is opened again while it is still being written is written here.

    Raises
    ------
    SlideError
        The slide cannot be read for its fingerprint.
    """
    store = stores.setdefault(slide.id, StateStore(folder, slide.id))
    file = file_of(slide.path)
    try:
        state = store.load()
        return Found(store=store, file=file, state=state, problem="", copies=copies_of(state, file))
    except (ResultError, OutputError) as error:
        problem = f"{slide.name} is not shown as it was left: {error}"
    try:
        problem += _moved(store.set_aside())
    except OutputError as error:
        problem += f"; {error}"
    return Found(store=store, file=file, state=_drawings_alone(store, slide, file), problem=problem)


def copies_of(state: SlideState | None, file: SlideFile | None) -> tuple[SlideFile, ...]:
    """Return the other files from which a slide was opened that are still what they were then."""
    known = () if state is None or file is None else dict.fromkeys((state.file, *state.copies))
    others = [each for each in known if each is not None and file is not None and each.path != file.path]
    return tuple(each for each in others if file_of(Path(each.path)) == each)[:MAX_COPIES]


def is_new_copy(found: Found) -> bool:
    """Return whether a slide was opened for the first time from a file of which another one is a copy."""
    known = () if found.state is None else (found.state.file, *found.state.copies)
    return bool(found.copies) and found.file not in known


def _drawings_alone(store: StateStore, slide: "Slide", file: SlideFile | None) -> SlideState | None:
    """Return a state that knows of what is drawn and painted and nothing else; None where there is nothing."""
    drawn, painted = store.drawings.exists(), store.masks.exists()
    if not drawn and not painted:
        return None
    return SlideState(
        slide_id=slide.id,
        slide_name=slide.name[:1000],
        file=file,
        when=now(),
        view=None,
        num_drawn=int(drawn),
        num_masks=int(painted),
    )


def _moved(aside: Path | None) -> str:
    return "" if aside is None else f"; moved to {aside.name}"


def file_of(path: Path | None) -> SlideFile | None:
    """Return what tells a slide's file without reading it; None where there is none, such as of a folder that went."""
    if path is None:
        return None
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return SlideFile(path=str(path.absolute()), num_bytes=found.st_size, modified_ns=found.st_mtime_ns)


def reopen(store: StateStore, state: SlideState, slide: "Slide") -> Reopened:
    """Read what lay over a slide. What is gone or damaged is left out and said."""
    layers: list[LayerData] = []
    problems: list[str] = []
    try:
        if state.num_drawn:
            layers += drawn_layers_of(store.load_drawings(), slide)
    except GigaclfError as error:
        problems.append(f"{error}{_moved(store.set_drawings_aside())}")
    try:
        if state.num_masks:
            layers += mask_layers(read_masks(store.masks), slide)
    except GigaclfError as error:
        problems.append(f"{error}{_moved(store.set_masks_aside())}")
    for path in state.annotations:
        shown = {each.part for each in state.parts if each.path == path} or {"shapes", "points"}
        try:
            layers += [layer for layer in annotation_file_layers(Path(path), slide) if layer[2] in shown]
        except (GigaclfError, OSError) as error:
            problems.append(str(error))
    try:
        if state.result is not None:
            result = state.result
            layers += result_layers(Path(result.path), slide, result.class_name, result.threshold)
    except (GigaclfError, OSError) as error:
        problems.append(str(error))
    under: list[LayerData] = []
    for each in state.under:
        try:
            found = result_layers(Path(each.path), slide, each.class_name, each.threshold)
        except (GigaclfError, OSError) as error:
            problems.append(str(error))
            continue
        under.append(_hidden(found[0]))
        layers += [layer for layer in found[1:] if layer[1]["metadata"]["kind"] not in _kinds(layers)]
    if state.ruler is not None:
        layers.append(layer_of_line(state.ruler, slide))
    looking = tuple(with_look(layer, state.layers) for layer in layers)
    said = tuple(f"{slide.name}: not everything is shown as it was left: {problem}" for problem in problems)
    return Reopened(layers=looking, problems=said, under=tuple(under))


def _hidden(layer: LayerData) -> LayerData:
    data, kwargs, kind = layer
    return data, {**kwargs, "visible": False}, kind


def _kinds(layers: Sequence[LayerData]) -> set[str]:
    return {str(kwargs["metadata"].get("kind")) for _, kwargs, _ in layers}


def annotation_file_layers(path: Path, slide: "Slide") -> list[LayerData]:
    """Return the layers of a file of annotations over a slide: its shapes, and its points if there are any.

    Raises
    ------
    AnnotationError
        It cannot be read, or holds more than napari can draw.
    """
    from napari_gigaclf.annotations import read_geojson
    from napari_gigaclf.annotations.origin import qupath_origin

    annotations = read_geojson(path, origin=qupath_origin(slide.properties))
    if len(annotations) > MAX_ANNOTATIONS:
        raise AnnotationError(
            f"{path}: {len(annotations)} annotations, more than the {MAX_ANNOTATIONS} that the window can draw; "
            "leave detections and tiles out when you export them"
        )
    frame = Frame.of_slide(slide)
    points = point_layer(annotations, frame, path.name)
    shapes = annotation_layer(annotations, frame, path.name)
    layers = [shapes] if shapes[0] is not None or points is None else []
    layers += [] if points is None else [points]
    for _, kwargs, _ in layers:
        kwargs["metadata"] |= {FILE: str(path.absolute()), DRAWN_ON: slide.id}
    return layers


def result_layers(path: Path, slide: "Slide", class_name: str, threshold: float | None = None) -> list[LayerData]:
    """Return the layers of a result that lies in a file over the slide it speaks of.

    Raises
    ------
    ResultError
        It is gone or damaged, or speaks of another slide.
    """
    from napari_gigaclf.inference import Prediction

    prediction = Prediction.load(path)
    if prediction.record.slide.id != slide.id:
        raise ResultError(f"{path}: is the result of another slide, {prediction.record.slide.name}")
    shown = class_name if class_name in prediction.classes else shown_class(prediction)
    least = DEFAULT_THRESHOLD if threshold is None else threshold
    layers = prediction_layers(prediction, Frame.of_slide(slide), shown, least)
    layers[0][1]["metadata"][FILE] = str(path.absolute())
    return layers


def keep_result(prediction: "Prediction", folder: Path) -> Path:
    """Keep the result of a run, and return where.

    Raises
    ------
    OutputError
        It cannot be written, or is larger than what is kept.
    """
    from napari_gigaclf.inference.teaching.kept_features import KeptFeatures

    return KeptFeatures(folder, MAX_RESULT_BYTES).keep(prediction)


def note_result(stores: dict[str, StateStore], folder: Path, applied: Applied) -> Saved:
    """Write down that a slide which is not open has a result, which is on show when it is opened."""
    store = stores.setdefault(applied.slide_id, StateStore(folder, applied.slide_id))
    try:
        state = store.load()
    except (ResultError, OutputError) as error:
        return Saved(problem=f"{applied.slide_name} will not show what was applied to it: {error}")
    if state is None:
        state = SlideState(
            slide_id=applied.slide_id,
            slide_name=applied.slide_name[:1000],
            file=file_of(applied.slide_path),
            when=now(),
            view=None,
        )
    return save(store, state.with_result(applied.shown), None, None)


def save(
    store: StateStore, state: SlideState, drawings: Drawings | None, masks: "Sequence[PaintedMask] | None"
) -> Saved:
    """Write how a slide was left; ``drawings`` or ``masks`` None leaves those that were written before."""
    try:
        store.save(state, None if drawings is None else annotations_of(drawings))
        if masks is not None:
            store.save_masks(recorded(masks))
    except ConflictError as error:
        return Saved(problem=str(error), conflict=True)
    except MasksTooLarge as error:
        return Saved(
            problem=f"The painted masks of {state.slide_name} will not be there when it is opened again: {error}"
        )
    except (OutputError, AnnotationError) as error:
        return Saved(
            problem=f"{state.slide_name} would not return as it is shown now: {error}; this is tried again with every "
            "change",
            again=True,
        )
    return Saved()
