"""Result files: a ``.gigaclf`` folder with JSON and zarr arrays, written whole or not at all, read without trust.

slide.gigaclf/
  result.json           probabilities, places of the maps, message, record of the run
  model.json            config and card of the model
  head.safetensors      weights of its pooling and head, so that regions can be asked without the model
  zarr.json             zarr v3 group
  probability_map/      float32 (class, y, x), NaN where nothing was computed
  kept/                 uint8 (y, x), cells that were computed
  features/ scores/     float16 (float32 if asked for) (N, F), float32 (N,), those cells in raster order
  tissue/               uint8 (y, x), if a tissue mask was used
  saliency/ saliency_raw/   float32 (y, x), if there is one
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_gigaclf.errors import ModelError, OutputError, ResultError
from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.features import CHUNK_CELLS, FeatureStore, to_half
from napari_gigaclf.inference.head import StoredHead
from napari_gigaclf.inference.prediction import Prediction
from napari_gigaclf.inference.record import FORMAT, RunRecord
from napari_gigaclf.inference.saliency import Saliency
from napari_gigaclf.inference.stored_array import StoredArray, read_bytes, read_json
from napari_gigaclf.models.records import ConfigError, parse, plain
from napari_gigaclf.writing import replacing, write_chunks

if TYPE_CHECKING:
    from napari_gigaclf.slides.tissue import TissueMask

MAX_JSON_BYTES = 1 << 24
MAX_HEAD_BYTES = 1 << 28
MAX_CELLS = 1 << 28
"""Most pixels of a map or mask that a result may claim to have."""
MAX_FEATURES = 1 << 16
MAP_CHUNK = 1024
"""Side of the chunks of maps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaliencyJson:
    """What ``result.json`` says of the saliency map."""

    class_name: str
    logit: str
    normalisation: str
    grid: PixelGrid
    raw_grid: PixelGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultJson:
    """What stands in ``result.json``."""

    classes: tuple[str, ...]
    probabilities: Mapping[str, float]
    grid: PixelGrid
    input_step: tuple[float, float]
    num_cells: int
    num_features: int
    features: Literal["float16", "float32"] = "float16"
    complete: bool
    message: str
    tissue_grid: PixelGrid | None
    saliency: SaliencyJson | None
    record: RunRecord
    format: str = FORMAT


def write_prediction(prediction: Prediction, path: Path, *, overwrite: bool, whole_features: bool = False) -> Path:
    """Write a result folder and return its path; see ``Prediction.save``."""
    import zarr

    if whole_features and not prediction.store.whole:
        raise OutputError(
            f"{path}: the features of this result are in half precision; run the slide again for whole ones"
        )
    with replacing(path, overwrite=overwrite) as beside:
        group = zarr.create_group(store=str(beside), zarr_format=3)
        _write(group, "probability_map", prediction.probability_map, np.float32)
        _write(group, "kept", prediction.store.kept.astype(np.uint8), np.uint8)
        _write(group, "features", prediction.store.features, np.float32 if whole_features else np.float16)
        _write(group, "scores", prediction.store.scores, np.float32)
        if prediction.tissue is not None:
            _write(group, "tissue", prediction.tissue.mask.astype(np.uint8), np.uint8)
        if prediction.saliency is not None:
            _write(group, "saliency", prediction.saliency.values, np.float32)
            _write(group, "saliency_raw", prediction.saliency.raw, np.float32)
        text = json.dumps(plain(_json_of(prediction, whole_features)), indent=2, ensure_ascii=False, allow_nan=False)
        (beside / "result.json").write_text(text + "\n", encoding="utf-8")
        (beside / "model.json").write_text(prediction.head.config_text, encoding="utf-8")
        (beside / "head.safetensors").write_bytes(prediction.head.weights)
    return path


def _write(group: Any, name: str, values: Any, dtype: type[np.generic]) -> None:  # noqa: ANN401 - zarr, array-likes
    """Write an array strip by strip, in chunks that suit how it is read."""
    shape = tuple(int(side) for side in values.shape)
    rows_first = name in ("features", "scores")
    side = CHUNK_CELLS if rows_first else MAP_CHUNK
    chunks = (min(side, max(shape[0], 1)), *shape[1:]) if rows_first else tuple(min(side, max(n, 1)) for n in shape)
    array = group.create_array(name, shape=shape, dtype=np.dtype(dtype), chunks=chunks)
    strip = shape[0] if len(shape) == 3 else side
    for start in range(0, shape[0], max(strip, 1)):
        part = values[start : start + strip]
        write_chunks(array, to_half(part) if dtype is np.float16 else np.asarray(part, dtype=dtype), first=start)


def _json_of(prediction: Prediction, whole_features: bool) -> ResultJson:
    """Collect what goes into ``result.json``."""
    saliency = prediction.saliency
    return ResultJson(
        classes=prediction.classes,
        probabilities=prediction.probabilities,
        grid=prediction.grid,
        input_step=prediction.input_step,
        num_cells=int(prediction.store.features.shape[0]),
        num_features=int(prediction.store.features.shape[1]),
        features="float32" if whole_features else "float16",
        complete=prediction.complete,
        message=prediction.message,
        tissue_grid=None if prediction.tissue is None else prediction.tissue.grid,
        saliency=None
        if saliency is None
        else SaliencyJson(
            class_name=saliency.class_name,
            logit=saliency.logit,
            normalisation=saliency.normalisation,
            grid=saliency.grid,
            raw_grid=saliency.raw_grid,
        ),
        record=prediction.record,
    )


def read_prediction(path: Path) -> Prediction:
    """Open a result folder; see ``Prediction.load``."""
    if not (path / "result.json").is_file():
        raise ResultError(f"{path}: not a result folder (.gigaclf), it lacks result.json")
    result = _parsed(path)
    head = _head(path, result)
    kept = np.asarray(StoredArray(path / "kept", result.grid.shape, np.uint8)[...]) == 1
    if int(kept.sum()) != result.num_cells:
        raise ResultError(f"{path}: {result.num_cells} cells are stored for the {int(kept.sum())} that were computed")
    store = FeatureStore(
        kept=kept,
        features=StoredArray(
            path / "features",
            (result.num_cells, result.num_features),
            np.float32 if result.features == "float32" else np.float16,
        ),
        scores=np.asarray(StoredArray(path / "scores", (result.num_cells,), np.float32)[...]),
    )
    return Prediction(
        classes=result.classes,
        probabilities=dict(result.probabilities),
        probability_map=StoredArray(path / "probability_map", (len(result.classes), *result.grid.shape), np.float32),
        grid=result.grid,
        saliency=_saliency(path, result.saliency),
        tissue=_tissue(path, result.tissue_grid, result.record.slide.um_per_px),
        complete=result.complete,
        message=result.message,
        record=result.record,
        store=store,
        head=head,
        input_step=result.input_step,
    )


def _parsed(path: Path) -> ResultJson:
    """Read and check ``result.json``."""
    raw = read_json(path / "result.json", MAX_JSON_BYTES)
    if raw.get("format") != FORMAT:
        raise ResultError(f"{path}: format {str(raw.get('format'))[:60]!r}; this version reads {FORMAT!r}")
    try:
        result = parse(ResultJson, raw, "result.json")
    except ConfigError as error:
        raise ResultError(f"{path}: {error}") from error
    assert isinstance(result, ResultJson)
    grids = [result.grid, result.tissue_grid]
    if result.saliency is not None:
        grids += [result.saliency.grid, result.saliency.raw_grid]
    for grid in grids:
        if grid is not None and not (min(grid.shape) >= 1 and min(grid.step) > 0):
            raise ResultError(f"{path}: a raster of {grid.shape} with step {grid.step} is none")
    if math.prod(result.grid.shape) > MAX_CELLS or (
        result.tissue_grid is not None and math.prod(result.tissue_grid.shape) > MAX_CELLS
    ):
        raise ResultError(f"{path}: claims more than {MAX_CELLS} cells")
    if not 0 <= result.num_features <= MAX_FEATURES or result.num_cells < 0 or min(result.input_step) <= 0:
        raise ResultError(f"{path}: claims {result.num_cells} cells of {result.num_features} features")
    if set(result.probabilities) not in (set(), set(result.classes)):
        raise ResultError(f"{path}: its probabilities are not those of its classes")
    return result


def _head(path: Path, result: ResultJson) -> StoredHead:
    """Read pooling and head."""
    text = read_bytes(path / "model.json", MAX_JSON_BYTES)
    try:
        head = StoredHead.parse(text.decode("utf-8"), read_bytes(path / "head.safetensors", MAX_HEAD_BYTES))
    except (ModelError, UnicodeDecodeError) as error:
        raise ResultError(f"{path}: {error}") from error
    if head.config.classes != result.classes:
        raise ResultError(f"{path}: its model has the classes {', '.join(head.config.classes)}")
    return head


def _tissue(path: Path, grid: PixelGrid | None, um_per_px: tuple[float, float] | None) -> "TissueMask | None":
    """Read the tissue mask."""
    if grid is None:
        return None
    from napari_gigaclf.slides.tissue import TissueMask

    mask = np.asarray(StoredArray(path / "tissue", grid.shape, np.uint8)[...]) == 1
    return TissueMask.from_array(mask, grid, um_per_px=um_per_px)


def _saliency(path: Path, stored: SaliencyJson | None) -> Saliency | None:
    """Open the saliency maps."""
    if stored is None:
        return None
    return Saliency(
        values=StoredArray(path / "saliency", stored.grid.shape, np.float32),
        grid=stored.grid,
        raw=StoredArray(path / "saliency_raw", stored.raw_grid.shape, np.float32),
        raw_grid=stored.raw_grid,
        class_name=stored.class_name,
        logit=stored.logit,
        normalisation=stored.normalisation,
    )
