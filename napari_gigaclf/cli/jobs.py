"""Decides, before any work, what is done with each slide: run, skip, or refuse because a result is in the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_gigaclf.cli.configs import ClassifyConfig
from napari_gigaclf.cli.results import folder_name, is_finished, read_summary
from napari_gigaclf.errors import OutputError, SlideError
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.discover import stem


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One slide of a batch."""

    path: Path
    folder: str
    """Name of its result folder; empty if it cannot be opened."""
    finished: bool = False
    """Its result is there and is to be kept."""
    error: SlideError | None = None
    """Why it cannot be opened."""


def plan_jobs(config: ClassifyConfig, slides: Sequence[Path], request: Mapping[str, Any]) -> list[Job]:
    """Return what is to be done with each slide.

    Raises
    ------
    OutputError
        Results are there already and neither ``--resume`` nor ``--overwrite`` was given; a result was made by another
        model or with other options and would have to be replaced; or a folder of this name is not ours.
    """
    jobs: list[Job] = []
    taken: set[str] = set()
    for path in slides:
        try:
            with open_slide(path, config.slide_um_per_px, scene=config.scene, z=config.z) as slide:
                folder = folder_name(stem(path), slide.id, taken)
        except SlideError as error:
            jobs.append(Job(path=path, folder="", error=error))
            continue
        taken.add(folder)
        jobs.append(Job(path=path, folder=folder, finished=_is_kept(config, config.output / folder, request)))
    return jobs


def _is_kept(config: ClassifyConfig, folder: Path, request: Mapping[str, Any]) -> bool:
    """Return whether a result is there and stays; raise OutputError if it is in the way."""
    if not folder.exists():
        return False
    summary = read_summary(folder)
    if config.existing == "refuse":
        raise OutputError(f"{folder}: a result is there already; --resume keeps finished ones, --overwrite replaces it")
    if summary is None:
        raise OutputError(f"{folder}: is in the way and not a result of this program; move it away")
    if config.existing == "overwrite":
        return False
    if is_finished(summary, request):
        return True
    if summary.get("request") != dict(request):
        raise OutputError(
            f"{folder}: was made by another model or with other options; --overwrite replaces it, "
            "another --output keeps it"
        )
    return False
