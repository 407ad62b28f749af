"""What a person asked for in the Train widget, as one frozen record; comparing records tells what has changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_gigaclf.training.slides import Recipe

LEAVE_OUT = "leave-out"
"""What the recipe calls going on without slides that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainWishes:
    """A training run as it was asked for."""

    table: Path | None = None
    """Table of slides."""
    output: Path | None = None
    """Folder of the run."""
    base: "Recipe | None" = None
    """The preset, or the recipe of the run that is in the folder."""
    settings: tuple[tuple[str, object], ...] = ()
    """What is changed of it, by name."""
    device: str = "auto"
    threads: int = 0
    """Of the network; 0 leaves one core to the window."""

    @property
    def epochs(self) -> int:
        """How many epochs the run is to have."""
        wanted = dict(self.settings).get("epochs", 0 if self.base is None else self.base.epochs)
        return wanted if isinstance(wanted, int) else 0

    @property
    def leaves_out(self) -> bool:
        """Whether training goes on without slides that cannot be read."""
        stated = dict(self.settings).get("bad_slides", None if self.base is None else self.base.bad_slides)
        return stated == LEAVE_OUT
