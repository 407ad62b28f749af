"""What a run did: tiles run and skipped, reads, seconds, bytes of carried borders."""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReport:
    """Counts of one forward pass and, once it has run, its backward pass."""

    tiles: int = 0
    """Tiles of the forward pass."""
    tiles_run: int = 0
    """Tiles computed forward."""
    tiles_skipped_flat: int = 0
    """Tiles filled with the response to a flat image."""
    tiles_run_backward: int = 0
    """Tiles that went back."""
    tiles_kept: int = 0
    """Of these, tiles whose graph was kept, so that they were not run again."""
    tiles_skipped_zero: int = 0
    """Tiles without a gradient to propagate."""
    tiles_compiled: int = 0
    """How often a tile ran as a compiled function, in both passes."""
    reads: int = 0
    """Regions read from the source, both passes."""
    seconds: float = 0.0
    """Wall-clock seconds, both passes."""
    peak_carry_bytes: int = 0
    """Most bytes of carried borders held in memory at once."""
    spilled_bytes: int = 0
    """Bytes of carried borders written to disk for the backward pass."""
    smaller_tiles: int = 0
    """How often the pass began again with smaller tiles because memory ran out."""

    def plus(self, **counts: float) -> "StreamReport":
        """Return the report with these counts, by name, added."""
        return replace(self, **{name: getattr(self, name) + count for name, count in counts.items()})

    @staticmethod
    def together(reports: Sequence["StreamReport"], *, at_once: bool) -> "StreamReport":
        """Return the report of several stages; ``at_once``: their borders are held at the same time."""
        fields = (
            "tiles",
            "tiles_run",
            "tiles_skipped_flat",
            "tiles_run_backward",
            "tiles_skipped_zero",
            "reads",
            "tiles_kept",
            "tiles_compiled",
            "spilled_bytes",
            "smaller_tiles",
        )
        counts = {name: sum(getattr(report, name) for report in reports) for name in fields}
        peaks = [report.peak_carry_bytes for report in reports]
        seconds = sum(report.seconds for report in reports)
        return StreamReport(**counts, seconds=seconds, peak_carry_bytes=sum(peaks) if at_once else max(peaks))

    def at_least(self, *, peak_carry_bytes: int) -> "StreamReport":
        """Return the report with a peak that is no lower than this."""
        return replace(self, peak_carry_bytes=max(self.peak_carry_bytes, peak_carry_bytes))
