"""Writes a set of mosaics: slides, their truth, a cohort table, and what else is known about each of them.

``slides/<name>.ome.tif`` (pyramid, um per pixel), ``truth/<name>.geojson``, ``cohort.csv`` with paths relative to
itself, and ``mosaics.json``: settings, seed, size class of the lesion, number of tumour tiles, whether tiles repeat.
The table holds nothing that a network may not know but the label.
"""

import csv
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from napari_gigaclf.annotations import write_geojson
from napari_gigaclf.errors import CohortError
from napari_gigaclf.progress import ProgressCallback
from napari_gigaclf.slides.phantom.export import save_pyramid
from napari_gigaclf.training.mosaics.plan import SlidePlan, plan_slide
from napari_gigaclf.training.mosaics.pools import Pools
from napari_gigaclf.training.mosaics.render import MosaicSlide
from napari_gigaclf.training.mosaics.settings import SPLITS, MosaicSettings, Split
from napari_gigaclf.training.mosaics.truth import truth
from napari_gigaclf.writing import replacing

TABLE: Final = "cohort.csv"
FACTS: Final = "mosaics.json"
JPEG_QUALITY: Final = 90
"""Of written slides; the tiles were JPEG before."""


def plan_set(settings: MosaicSettings, pools: Pools, num_slides: Mapping[Split, int], seed: int) -> Iterator[SlidePlan]:
    """Yield the plans of all slides of a set, split by split.

    Raises
    ------
    CohortError
        An odd number of slides (they come in twins), a split without tiles, or too few of them.
    """
    check_numbers(num_slides, {split for split in SPLITS if split in pools})
    for split in SPLITS:
        for number in range(num_slides.get(split, 0)):
            yield plan_slide(settings, pools[split], seed=seed, split=split, number=number)


def check_numbers(num_slides: Mapping[Split, int], splits: Collection[Split]) -> None:
    """Refuse numbers of slides that cannot be made of the splits there are tiles for; see `plan_set`."""
    if not any(num_slides.values()):
        raise CohortError("no slides are asked for: give a number of train, tune or test slides")
    for split, count in num_slides.items():
        if count < 0 or count % 2:
            raise CohortError(f"{count} {split} slides cannot be made: slides come in twins, ask for an even number")
        if count and split not in splits:
            raise CohortError(f"{count} {split} slides are asked for, but there are no {split} tiles: give some")


def write_set(
    settings: MosaicSettings,
    pools: Pools,
    num_slides: Mapping[Split, int],
    output: str | Path,
    *,
    seed: int,
    quality: int | None = JPEG_QUALITY,
    facts: Mapping[str, Any] | None = None,
    progress: ProgressCallback | None = None,
) -> Path:
    """Write a set of slides; slides that are there already are written again.

    Parameters
    ----------
    settings, pools, seed
        What determines every slide.
    num_slides
        Slides of each split, even numbers.
    output
        Folder for everything.
    quality
        JPEG quality of the slides; None keeps every pixel (deflate).
    facts
        Written to ``mosaics.json`` as well: where the tiles come from.
    progress
        Told after each slide is planned and while it is written.

    Returns
    -------
    Path
        The cohort table; it is written last.

    Raises
    ------
    CohortError
        See `plan_set`.
    OutputError
        Something cannot be written.
    """
    folder = Path(output)
    plans = list(plan_set(settings, pools, num_slides, seed))
    for plan in plans:
        with MosaicSlide(plan, pools[plan.split]) as slide:
            name = f"mosaic {plan.name}, seed {seed}"
            save_pyramid(slide, folder / slide_path(plan), quality=quality, name=name, progress=progress)
        write_geojson(folder / truth_path(plan), truth(plan, seed))
    _write_facts(folder / FACTS, settings, plans, seed, facts or {})
    _write_table(folder / TABLE, settings, plans)
    return folder / TABLE


def slide_path(plan: SlidePlan) -> Path:
    """Return where a slide lies, relative to the set's folder."""
    return Path("slides") / f"{plan.name}.ome.tif"


def truth_path(plan: SlidePlan) -> Path:
    """Return where a slide's truth lies, relative to the set's folder."""
    return Path("truth") / f"{plan.name}.geojson"


def _write_table(path: Path, settings: MosaicSettings, plans: Sequence[SlidePlan]) -> None:
    scored = settings.kind == "regression"
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["slide", "label", "split", "group", "um_per_px", *(["score"] if scored else [])])
        for plan in plans:
            row = [slide_path(plan).as_posix(), plan.label, plan.split, plan.group, plan.um_per_px]
            table.writerow([*row, *([f"{plan.score:.6f}"] if scored else [])])


def _write_facts(
    path: Path, settings: MosaicSettings, plans: Sequence[SlidePlan], seed: int, facts: Mapping[str, Any]
) -> None:
    document = {
        "settings": asdict(settings),
        "seed": seed,
        **facts,
        "slides": {plan.name: _facts(plan) for plan in plans},
    }
    with replacing(path) as beside:
        beside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _facts(plan: SlidePlan) -> dict[str, Any]:
    return {
        "slide": slide_path(plan).as_posix(),
        "truth": truth_path(plan).as_posix(),
        "label": plan.label,
        "lesion": plan.lesion,
        "num_tissue_tiles": len(plan.tiles),
        "num_tumour_tiles": plan.num_tumour,
        "tumour_share": round(plan.score, 6),
        "stain_factors": [round(factor, 6) for factor in plan.stain],
        "repeats_tiles": plan.repeats_tiles,
    }
