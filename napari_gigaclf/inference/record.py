"""What ran, on what, with which bytes, and how long it took: everything needed to repeat a run or to distrust it."""

from collections.abc import Mapping
from dataclasses import dataclass

FORMAT = "napari-gigaclf result 1"
"""Written into every result file; another number is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideRecord:
    """The slide that was classified."""

    name: str
    id: str
    """Fingerprint of its content."""
    format: str
    shape: tuple[int, int]
    """Height and width of level 0."""
    um_per_px: tuple[float, float] | None
    um_per_px_source: str
    scene: str | None = None
    """Name of the scene that was looked at; None if the file has one only."""
    z: int | None = None
    """Focal plane that was looked at, counted from 0; None if the scene has one only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """The model that ran."""

    name: str
    version: str
    sha256: str
    """Digest of its weights; empty for a model that was never saved."""
    um_per_px: float | None
    pooling: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRecord:
    """What the network was shown."""

    level: int
    um_per_px: tuple[float, float] | None
    """Of the network's input, (y, x)."""
    resampling: str
    """How the level became the input."""
    factor: tuple[float, float]
    """Pixels of the level per pixel of the input, (y, x)."""
    shape: tuple[int, int]
    """Height and width of the input that was streamed, pixels."""
    origin: tuple[int, int]
    """Its corner in the input of the whole slide, (y, x) pixels."""
    region: str
    """The region asked for, as WKT in (x, y) level-0 pixels; empty for the whole slide."""
    tissue: str
    """How tissue was found and what was made of the rest."""
    cell_rule: str
    """Which cells of the map were computed."""
    num_cells: int
    """Cells of the map that were to be computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkRecord:
    """What it cost."""

    device: str
    """Real name of the processor."""
    device_key: str
    """Torch's name of it."""
    tile: tuple[int, ...]
    """Height and width of a tile, pixels of the input."""
    tiles: int
    tiles_run: int
    tiles_skipped_flat: int
    tiles_run_backward: int
    tiles_skipped_zero: int
    reads: int
    """Regions the engine asked for."""
    seconds: Mapping[str, float]
    """Seconds per phase."""
    peak_memory_bytes: int
    """Largest memory of the process (of the GPU's allocator on CUDA) up to the end of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The record of a run."""

    started: str
    """Date and time in UTC, ISO 8601."""
    slide: SlideRecord
    model: ModelRecord
    input: InputRecord
    work: WorkRecord
    versions: Mapping[str, str]
    """Versions of the package and of what computes."""
    parameters: Mapping[str, str]
    """What the caller asked for, as text."""
    warnings: tuple[str, ...]
    """Where stain or scale is far from what the model was trained on."""
    saliency: str
    """What the saliency map is and how it was normalised; empty if there is none."""
    format: str = FORMAT

    @property
    def seconds(self) -> float:
        """Seconds of all phases together."""
        return sum(self.work.seconds.values())
