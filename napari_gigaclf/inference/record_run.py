"""Filling in the record of a run."""

import importlib.metadata
from typing import TYPE_CHECKING

import napari_gigaclf
from napari_gigaclf.inference.prediction import MIN_CELL_TISSUE
from napari_gigaclf.inference.record import InputRecord, ModelRecord, RunRecord, SlideRecord, WorkRecord
from napari_gigaclf.inference.saliency import Saliency
from napari_gigaclf.slides.choice import open_plane, open_scene

if TYPE_CHECKING:
    from napari_gigaclf.inference.preparation import PreparedRun
    from napari_gigaclf.streaming import StreamReport

PACKAGES = ("torch", "numpy", "scipy", "tifffile", "zarr", "shapely")
"""Whose versions can change a result."""


def record_run(
    prepared: "PreparedRun",
    started: str,
    seconds: dict[str, float],
    report: "StreamReport | None",
    saliency: Saliency | None,
    wanted_saliency: str | None,
) -> RunRecord:
    """Return the record of a run.

    Parameters
    ----------
    prepared
        What was decided.
    started
        When, ISO 8601.
    seconds
        Seconds per phase.
    report
        The engine's counts; None where it did not run.
    saliency
        What was made of the wish.
    wanted_saliency
        What was asked for.
    """
    return RunRecord(
        started=started,
        slide=_slide(prepared),
        model=_model(prepared),
        input=_input(prepared),
        work=_work(prepared, seconds, report, backward=wanted_saliency is not None),
        versions=_versions(),
        parameters={**prepared.parameters, "saliency": wanted_saliency or "none"},
        warnings=prepared.warnings,
        saliency="" if saliency is None else f"{saliency.class_name}: {saliency.logit}; {saliency.normalisation}",
    )


def _slide(prepared: "PreparedRun") -> SlideRecord:
    slide = prepared.slide
    return SlideRecord(
        name=slide.name,
        id=slide.id,
        format=slide.format,
        shape=(slide.levels[0].height, slide.levels[0].width),
        um_per_px=slide.um_per_px,
        um_per_px_source=slide.um_per_px_source,
        scene=open_scene(slide),
        z=open_plane(slide),
    )


def _model(prepared: "PreparedRun") -> ModelRecord:
    model = prepared.model
    return ModelRecord(
        name=model.name,
        version=model.version,
        sha256=model.sha256,
        um_per_px=model.um_per_px,
        pooling=model.config.pooling,
    )


def _input(prepared: "PreparedRun") -> InputRecord:
    scale, box = prepared.scale, prepared.source.box
    return InputRecord(
        level=scale.level,
        um_per_px=scale.um_per_px,
        resampling=scale.note,
        factor=scale.factor,
        shape=box.shape,
        origin=(box.y0, box.x0),
        region="" if prepared.region is None else prepared.region.wkt,
        tissue=_tissue(prepared),
        cell_rule=(
            "every cell"
            if prepared.tissue is None
            else f"cells of which at least {MIN_CELL_TISSUE:.0%} is tissue; pooled over these only"
        ),
        num_cells=int(prepared.kept.sum()),
    )


def _tissue(prepared: "PreparedRun") -> str:
    tissue = prepared.tissue
    if tissue is None:
        return "everything was looked at"
    return f"{tissue.settings}; everything else was made white before the network saw it"


def _work(
    prepared: "PreparedRun", seconds: dict[str, float], report: "StreamReport | None", *, backward: bool
) -> WorkRecord:
    plan = prepared.network.streamed.plan(prepared.source.shape, backward=backward)
    tile = plan.tile if isinstance(plan.tile, tuple) else (plan.tile, plan.tile)
    return WorkRecord(
        device=prepared.device.name,
        device_key=prepared.device.key,
        tile=tuple(int(side) for side in tile),
        tiles=plan.num_tiles,
        tiles_run=report.tiles_run if report else 0,
        tiles_skipped_flat=report.tiles_skipped_flat if report else 0,
        tiles_run_backward=report.tiles_run_backward if report else 0,
        tiles_skipped_zero=report.tiles_skipped_zero if report else 0,
        reads=report.reads if report else 0,
        seconds={"preparing": prepared.seconds, **seconds},
        peak_memory_bytes=peak_memory(prepared.device.key),
    )


def peak_memory(device_key: str) -> int:
    """Return the largest memory so far, bytes: of torch's allocator on CUDA, of the process elsewhere."""
    if device_key.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device_key))
    import psutil

    windows_peak: int | None = getattr(psutil.Process().memory_info(), "peak_wset", None)
    if windows_peak is not None:
        return windows_peak
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes on Linux


def _versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"napari-gigaclf": napari_gigaclf.__version__, **found}
