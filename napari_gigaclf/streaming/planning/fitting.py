"""Fitting a plan into a memory: graphs are kept while there is room, borders go to disk where there is none.

With room for more than the carried borders and one tile at work, the rest keeps the graphs of the last tiles, which
then are not run again. Without, the borders received by the first tiles are written to disk once their tile has run,
and read back when it goes back. The last tiles stay in memory in both cases, because they go back first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_gigaclf.streaming.planning.arithmetic import last_macs
from napari_gigaclf.streaming.planning.memory import TileMemory

if TYPE_CHECKING:
    from napari_gigaclf.streaming.planning.plan import StreamPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """A plan for one tile size, and what it takes to fit it into a memory."""

    plan: "StreamPlan"
    """Keeps no graph and spills nothing."""
    memory: TileMemory | None = None
    """None where there are several stages: these keep no graph and spill nothing."""
    at_work_bytes: int = 0
    """Held beside the borders that wait for the backward pass and beside graphs."""

    @property
    def least_bytes(self) -> int:
        """Memory below which the plan does not fit."""
        if self.memory is None or not self.plan.backward:
            return self.plan.peak_bytes
        return min(self.plan.peak_bytes, self._spilled_bytes(self.memory))

    def _spilled_bytes(self, memory: TileMemory) -> int:
        """Held with all borders on disk but those of the strip being run."""
        return self.at_work_bytes + self.plan.graph_bytes + memory.strip_carries()

    def within(self, allowed: int) -> "StreamPlan | None":
        """Return the plan made to fit; None where it cannot."""
        if self.memory is None or not self.plan.backward:
            return self.plan if self.plan.peak_bytes <= allowed else None
        if self.plan.peak_bytes <= allowed:
            return self._keeping(self.memory, allowed)
        return self._spilling(self.memory, allowed) if self._spilled_bytes(self.memory) <= allowed else None

    def _keeping(self, memory: TileMemory, allowed: int) -> "StreamPlan":
        """Return the plan with as many graphs kept as there is room for; one is always at work, so it is free."""
        batch, count = self.plan.image_shape[0], self.plan.num_tiles
        base = self.plan.peak_bytes - self.plan.graph_bytes
        if self.plan.graph_bytes:
            count = min(count, (allowed - base) // self.plan.graph_bytes)
        return replace(
            self.plan,
            kept_graphs=count,
            rerun_macs=self.plan.macs
            - batch * last_macs(memory.graph, self.plan.stage.computed, self.plan.schedules, count),
            peak_bytes=base + max(count, 1) * self.plan.graph_bytes,
        )

    def _spilling(self, memory: TileMemory, allowed: int) -> "StreamPlan":
        """Return the plan with the borders of as few tiles on disk as need be."""
        on_disk = np.cumsum(memory.received_bytes())
        held = self._spilled_bytes(memory) + self.plan.carry_bytes - on_disk
        count = int(np.argmax(held <= allowed)) + 1
        return replace(
            self.plan, spilled_tiles=count, spill_bytes=int(on_disk[count - 1]), peak_bytes=int(held[count - 1])
        )


def best_within(found: Sequence[Sized], allowed: int) -> "StreamPlan | None":
    """Return, of plans with the largest tile first, the one that fits and costs least; None where none fits.

    Spilling comes last: before a byte goes to disk, smaller tiles are taken. Then the fewest multiply-accumulates of a
    step count, and of equal ones the largest tile.
    """
    plans = [plan for plan in (sized.within(allowed) for sized in found) if plan is not None]
    return min(plans, key=lambda plan: (plan.spill_bytes, plan.step_macs), default=None)
