"""What ``classify`` says of a slide: one JSON object for a program, a few lines for a person."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_gigaclf.cli.say import percent
from napari_gigaclf.slides.choice import place_name


def result_object(
    summary: Mapping[str, Any], path: Path, outputs: Mapping[str, str], *, wall_seconds: float
) -> dict[str, Any]:
    """Return the JSON object of a slide that has a result (``exports.summary``)."""
    record = summary["record"]
    return {
        "slide": summary["slide"],
        "path": str(path),
        "slide_id": record["slide"]["id"],
        "scene": record["slide"].get("scene"),
        "z": record["slide"].get("z"),
        "probabilities": summary["probabilities"],
        "probabilities_are": summary["probabilities_are"],
        "numbers_are": summary["numbers_are"],
        "research_use_only": summary["research_use_only"],
        "region": record["input"]["region"],
        "model": record["model"]["name"],
        "model_sha256": record["model"]["sha256"],
        "level": record["input"]["level"],
        "um_per_px": mean_scale(record["input"]["um_per_px"]),
        "slide_um_per_px": record["slide"]["um_per_px"],
        "slide_um_per_px_source": record["slide"]["um_per_px_source"],
        "seconds": summary["seconds"],
        "wall_seconds": round(wall_seconds, 3),
        "complete": summary["complete"],
        "message": summary["message"],
        "warnings": record["warnings"],
        "outputs": dict(outputs),
    }


def failed_object(path: Path, model: str, reason: str) -> dict[str, Any]:
    """Return the JSON object of a slide that has none."""
    return {
        "slide": path.name,
        "path": str(path),
        "probabilities": {},
        "model": model,
        "level": None,
        "um_per_px": None,
        "seconds": None,
        "complete": False,
        "error": reason,
        "outputs": {},
    }


def result_text(summary: Mapping[str, Any], folder: Path) -> str:
    """Return what a person reads of a slide that has a result."""
    record = summary["record"]
    work = record["work"]
    probabilities = summary["probabilities"]
    place = "in the region asked for: " if record["input"]["region"] and probabilities else ""
    meaning = f" ({summary['probabilities_are']})" if probabilities and summary["probabilities_are"] else ""
    partial = "" if summary["complete"] else " PARTIAL, the run was stopped:"
    scale = mean_scale(record["input"]["um_per_px"])
    skipped = work["tiles_skipped_flat"]
    name = place_name(summary["slide"], record["slide"].get("scene"), record["slide"].get("z"))
    lines = [
        f"{name}:{partial} {place}{percent(probabilities) or summary['message'] or 'no answer'}{meaning}",
        f"  {record['model']['name']} on level {record['input']['level']} at "
        + ("unknown um/px" if scale is None else f"{scale:.4g} um/px")
        + f", {summary['seconds']:.1f} s on {work['device']}, {work['tiles_run']} tiles"
        + (f" and {skipped} of glass skipped" if skipped else ""),
        *(f"  warning: {warning}" for warning in record["warnings"]),
    ]
    if probabilities and summary["message"]:
        lines.append(f"  {summary['message']}")
    return "\n".join([*lines, f"  {folder}"])


def mean_scale(um_per_px: tuple[float, float] | list[float] | None) -> float | None:
    """Return micrometres per pixel as one number, the geometric mean of (y, x)."""
    return None if um_per_px is None else math.sqrt(um_per_px[0] * um_per_px[1])
