"""What was asked for on the command line, parsed once and frozen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_gigaclf.geometry import Box

Existing = Literal["refuse", "resume", "overwrite"]
"""What happens to results that are already in the output folder."""

MapFormat = Literal["ome-tiff", "ome-zarr"]

Split = Literal["train", "tune", "test"]
Task = Literal["classification", "multilabel", "regression"]
"""Of a cohort's table."""

EvaluatedSplit = Literal["train", "tune", "test", "all"]
"""``"all"`` takes every slide of the table, also those without a split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What every command knows."""

    debug: bool = False
    """Show where an error happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoConfig(Config):
    """``info``: what a slide is."""

    slide: Path
    um_per_px: float | None = None
    """The user's own scale of level 0."""
    scene: str | None = None
    """Name or number of the scene; None: the first."""
    z: int | None = None
    """Focal plane, counted from 0; None: the one that is opened by default."""
    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyConfig(Config):
    """``classify``: slides, a model and a folder for the results."""

    slides: tuple[Path, ...]
    """Slides, or folders of slides."""
    model: str
    output: Path
    level: int | Literal["auto"] = "auto"
    um_per_px: float | None = None
    """Scale the network is shown; None: the model's."""
    slide_um_per_px: float | None = None
    """The user's own scale of level 0 of the slides; None: what the file says."""
    scene: str | None = None
    """Name or number of the scene, for every slide; None: the first."""
    z: int | None = None
    """Focal plane, counted from 0, for every slide; None: the one that is opened by default."""
    region: Box | Path | None = None
    """Level-0 pixels, or a GeoJSON file with polygons."""
    saliency: str | None = "predicted"
    tissue: bool = True
    device: str = "auto"
    memory: str | None = None
    existing: Existing = "refuse"
    json: bool = False
    map_format: MapFormat = "ome-tiff"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig(Config):
    """``evaluate``: a table of slides with their truth, a model and a folder for the report."""

    cohort: Path
    model: str
    output: Path
    split: EvaluatedSplit = "test"
    """Slides to measure on."""
    compare: str | None = None
    """Another model, to be compared on the same slides."""
    tune_split: Split | None = None
    """Slides to choose a temperature and thresholds on; None: nothing is chosen."""
    sensitivity: float | None = None
    """What thresholds must reach on the tune slides; None: Youden's J."""
    seed: int = 0
    draws: int = 1000
    device: str = "auto"
    memory: str | None = None
    overwrite: bool = False
    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig(Config):
    """``train``: a table of slides with their labels or scores, a recipe and a folder for the run."""

    cohort: Path
    output: Path | None = None
    """None with ``check``: nothing is written."""
    preset: str | None = None
    recipe: Path | None = None
    settings: tuple[str, ...] = ()
    """Changes of the recipe, ``name=value``."""
    task: Task | None = None
    """None: as the table looks."""
    classes: tuple[str, ...] | None = None
    """In this order, the negative one first; None: sorted by name."""
    fractions: tuple[float, float, float] | None = None
    """Shares of train, tune and test, divided anew; None: as the table says."""
    fold: tuple[int, int] | None = None
    """Which fold of how many is the test."""
    resume: bool = False
    check: bool = False
    """Only look for problems."""
    device: str = "auto"
    memory: str | None = None
    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainTilesConfig(Config):
    """``train-tiles``: labelled tiles or annotated slides, a recipe and a folder for the run."""

    source: Path
    """Folder or archive of tiles by class, or a table of slides with annotations."""
    output: Path | None = None
    """None with ``check``: nothing is written."""
    preset: str | None = None
    recipe: Path | None = None
    settings: tuple[str, ...] = ()
    """Changes of the recipe, ``name=value``."""
    classes: tuple[str, ...] | None = None
    """In this order, the negative one first; None: sorted by name."""
    group: str | None = None
    """Regular expression that finds the patient in a tile's name."""
    resume: bool = False
    check: bool = False
    """Only look for problems."""
    device: str = "auto"
    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsConfig(Config):
    """``models``: which models there are."""

    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorConfig(Config):
    """``doctor``: what is installed."""

    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig(Config):
    """``demo``: the bundled sample slide."""

    output: Path
    window: bool = True
    """Open napari and take a screenshot."""
