"""``classify``: one slide or many, one result folder each, and a table of all; a bad slide does not stop the others."""

import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gigaclf.annotations import qupath_origin
from napari_gigaclf.cli.bar import progress_bar
from napari_gigaclf.cli.configs import ClassifyConfig, Config
from napari_gigaclf.cli.interrupt import interruptible
from napari_gigaclf.cli.jobs import Job, plan_jobs
from napari_gigaclf.cli.report import failed_object, result_object, result_text
from napari_gigaclf.cli.results import TABLE_NAME, known_rows, read_summary, request_of, write_outputs, write_results
from napari_gigaclf.cli.say import note, one_line, say, say_error, say_json
from napari_gigaclf.errors import AnnotationError, Cancelled, GigaclfError, ModelError, OutputError
from napari_gigaclf.geometry import Box
from napari_gigaclf.progress import CancelToken, ProgressCallback
from napari_gigaclf.slides import Slide, open_slide
from napari_gigaclf.slides.discover import find_slides
from napari_gigaclf.writing import check_writable

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_gigaclf.models import Classifier

FAILED = 1
STOPPED = 130


@dataclass(slots=True, kw_only=True)
class _Batch:
    """A run over slides: what is the same for all of them, and how many came out how."""

    config: ClassifyConfig
    model: "Classifier"
    region: "Box | BaseGeometry | None"
    request: dict[str, Any]
    rows: dict[str, dict[str, object]] = field(default_factory=dict)
    num_failed: int = 0
    stopped: bool = False


def run(config: Config) -> int:
    """Classify what was asked for; return the exit code."""
    assert isinstance(config, ClassifyConfig)
    batch = _prepared(config)
    jobs = plan_jobs(config, find_slides(config.slides), batch.request)
    check_writable(config.output)
    batch.rows = known_rows(config.output)
    with interruptible() as stop:
        for job in jobs:
            if stop.is_set():
                break
            _one(batch, job, stop)
            write_results(config.output, list(batch.rows.values()))
        batch.stopped = stop.is_set()
    _summarise(batch, len(jobs))
    return STOPPED if batch.stopped else FAILED if batch.num_failed else 0


def _prepared(config: ClassifyConfig) -> _Batch:
    """Load the model and check everything that is wrong for every slide, before any work."""
    from napari_gigaclf.inference import find_device
    from napari_gigaclf.models import load_model

    find_device(config.device)
    region = read_region(config.region)
    model = load_model(config.model)
    if config.saliency not in (None, "predicted", *model.classes):
        raise ModelError(
            f"model {model.name} has no class {config.saliency!r} for --saliency; "
            f"it has {', '.join(model.classes)} (or 'predicted', or 'none')"
        )
    wkt = "" if region is None else ",".join(map(str, region)) if isinstance(region, Box) else region.wkt
    return _Batch(config=config, model=model, region=region, request=request_of(config, model.sha256, wkt))


def read_region(region: Box | Path | None) -> "Box | BaseGeometry | None":
    """Return the region to look at: a box as it is, or all polygons of a GeoJSON file as one geometry."""
    if region is None or isinstance(region, Box):
        return region
    import shapely

    from napari_gigaclf.annotations import read_geojson

    polygons = [a.geometry for a in read_geojson(region) if a.geometry.geom_type in ("Polygon", "MultiPolygon")]
    if not polygons:
        raise AnnotationError(f"{region}: there is no polygon in it that could be the region")
    return shapely.union_all(polygons)


def _one(batch: _Batch, job: Job, stop: CancelToken) -> None:
    """Classify one slide, or say why not."""
    if job.finished:
        _skip(batch, job)
        return
    try:
        if job.error is not None:
            raise job.error
        _classify(batch, job, stop)
    except (OutputError, BrokenPipeError):
        raise  # the next slide could not be written either, or nobody reads what we say
    except Cancelled:
        note(f"{job.path.name}: stopped before there was anything to keep")
    except (GigaclfError, OSError, MemoryError) as error:
        _failed(batch, job, str(error) or type(error).__name__)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with this slide must not cost the results of the others
        _failed(batch, job, f"{job.path}: unexpected {type(error).__name__}: {error} (--debug shows where)")


def _classify(batch: _Batch, job: Job, stop: CancelToken) -> None:
    from napari_gigaclf.inference import classify, exports

    config = batch.config
    begin = time.perf_counter()
    opened = open_slide(job.path, config.slide_um_per_px, scene=config.scene, z=config.z)
    with opened as slide, progress_bar(slide.name) as progress:
        origin = qupath_origin(slide.properties)
        prediction = classify(
            _with_coarse_levels(slide, progress, stop),
            batch.model,
            level=config.level,
            um_per_px=config.um_per_px,
            region=_on_slide(batch, origin),
            tissue=config.tissue,
            saliency=config.saliency,
            device=config.device,
            memory=config.memory,
            progress=progress,
            cancel=stop,
        )
    folder = config.output / job.folder
    outputs = write_outputs(prediction, folder, map_format=config.map_format, request=batch.request, origin=origin)
    summary = exports.summary(prediction, batch.request)
    batch.rows[job.folder] = exports.results_row(summary) | {"folder": job.folder}
    if config.json:
        say_json(result_object(summary, job.path, outputs, wall_seconds=time.perf_counter() - begin))
    else:
        say(result_text(summary, folder))


def _on_slide(batch: _Batch, origin: tuple[float, float]) -> "Box | BaseGeometry | None":
    """Return the region in the slide's own pixels; one from a file counts from where QuPath counts."""
    if batch.region is None or isinstance(batch.region, Box) or origin == (0.0, 0.0):
        return batch.region
    import shapely

    return shapely.transform(batch.region, lambda xy: xy + origin)


def _with_coarse_levels(slide: Slide, progress: ProgressCallback, stop: CancelToken) -> Slide:
    """Return the slide with coarse levels, from the cache where it lacks them; without a cache, as it is."""
    from napari_gigaclf.slides.pyramid import ensure_coarse_levels

    try:
        return ensure_coarse_levels(slide, progress, stop)
    except OutputError as error:
        note(f"no overview levels: {error}")
        return slide


def _skip(batch: _Batch, job: Job) -> None:
    """Say of a finished slide what is known already."""
    from napari_gigaclf.cli.results import output_names

    folder = batch.config.output / job.folder
    note(f"{job.path.name}: finished before, skipped")
    summary = read_summary(folder)
    if batch.config.json and summary is not None:
        names = output_names(batch.config.map_format)
        outputs = {kind: str(folder / name) for kind, name in names.items()}
        say_json(result_object(summary, job.path, outputs, wall_seconds=0.0) | {"skipped": True})


def _failed(batch: _Batch, job: Job, reason: str) -> None:
    batch.num_failed += 1
    if job.path.name not in reason:
        reason = f"{job.path}: {reason}"
    if batch.config.debug:
        traceback.print_exc()
    say_error(reason)
    batch.rows[f"failed {job.path}"] = {"slide": job.path.name, "status": "failed", "error": one_line(reason)}
    if batch.config.json:
        say_json(failed_object(job.path, batch.model.name, one_line(reason)))


def _summarise(batch: _Batch, num_slides: int) -> None:
    if batch.stopped:
        note("stopped; results that are there are kept, what is partial says so")
    if num_slides > 1:
        failed = f", {batch.num_failed} failed" if batch.num_failed else ""
        note(f"{num_slides} slides{failed}: {batch.config.output / TABLE_NAME}")
    if not batch.config.json:
        note(batch.model.card.research_use_only)
