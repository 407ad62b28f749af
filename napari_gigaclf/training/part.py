"""Which part of a mini-batch a process has: what is drawn for the whole of it is then the same whoever has a tile."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Every ``step``-th of a mini-batch's tiles."""

    whole: int
    """Tiles of the mini-batch."""
    first: int = 0
    """The first that is at hand."""
    step: int = 1

    @property
    def rows(self) -> slice:
        """Those at hand, of what is drawn for the whole."""
        return slice(self.first, self.whole, self.step)
