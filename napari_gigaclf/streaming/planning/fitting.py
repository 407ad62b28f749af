"""Fitting a plan into a memory: graphs are kept while there is room, borders go to disk where there is none.

With room for more than the carried borders and one tile at work, the rest keeps the graphs of the last tiles, which
then are not run again; where the run has several stages, first those with the most arithmetic per byte. Without, the
borders received by the first tiles are written to disk once their tile has run, and read back when it goes back. The
last tiles stay in memory in both cases, because they go back first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.streaming.planning.arithmetic import last_macs
from napari_gigaclf.streaming.planning.memory import TileMemory

if TYPE_CHECKING:
    from napari_gigaclf.streaming.planning.plan import StreamPlan


ROOM_STEP = 1.1
"""Factor between the memories that are tried to see whether keeping more graphs is worth it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedStage:
    """The plan of one stage for one tile size, and what its memory consists of."""

    plan: "StreamPlan"
    """Keeps no graph and spills nothing."""
    memory: TileMemory
    at_work_bytes: int
    """Held beside the borders that wait for the backward pass and beside graphs."""

    def keeping(self, count: int) -> "StreamPlan":
        """Return the plan with the graphs of so many tiles kept."""
        done = last_macs(self.memory.graph, self.plan.stage.computed, self.plan.schedules, count)
        return replace(
            self.plan,
            kept_graphs=count,
            rerun_macs=self.plan.macs - self.plan.image_shape[0] * done,
            peak_bytes=self.plan.peak_bytes + max(count - 1, 0) * self.plan.graph_bytes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Plans of all stages which fit into a memory."""

    plans: tuple["StreamPlan", ...]
    peak_bytes: int
    """What they hold at most."""

    @property
    def spill_bytes(self) -> int:
        """Bytes that go to disk."""
        return sum(plan.spill_bytes for plan in self.plans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """The plans of all stages, and what it takes to fit them into a memory."""

    stages: tuple[SizedStage, ...]
    kept_bytes: int = 0
    """Of the maps kept between stages, and of their gradients."""

    @property
    def plans(self) -> tuple["StreamPlan", ...]:
        """The plans of the stages; they keep no graph and spill nothing."""
        return tuple(stage.plan for stage in self.stages)

    @property
    def backward(self) -> bool:
        """Whether a backward pass follows."""
        return self.stages[0].plan.backward

    @property
    def carry_bytes(self) -> int:
        """Bytes of the borders held at the same time."""
        amounts = [plan.carry_bytes for plan in self.plans]
        return sum(amounts) if self.backward else max(amounts)

    def peak_bytes(self, kept: Sequence[int] = ()) -> int:
        """Return the most bytes held; ``kept``: how many graphs of each stage are kept.

        The graphs of a stage wait while later stages run, forward and backward; one is always at work.
        """
        waiting, most = 0, 0
        for number, stage in enumerate(self.stages):
            count, size = (kept[number] if kept else 0), stage.plan.graph_bytes
            most = max(most, waiting + stage.at_work_bytes + max(count, 1) * size)
            waiting += count * size
        return self.kept_bytes + self.carry_bytes + most

    @property
    def least_bytes(self) -> int:
        """Memory below which the plans do not fit."""
        return min(self.peak_bytes(), self._spilled_bytes()) if self.backward else self.peak_bytes()

    def _spilled_bytes(self) -> int:
        """Held with all borders on disk but those of the strip being run."""
        of_stages = (s.at_work_bytes + s.plan.graph_bytes + s.memory.strip_carries() for s in self.stages)
        return self.kept_bytes + max(of_stages)

    def within(self, allowed: int) -> Fitted | None:
        """Return the plans made to fit; None where they cannot."""
        if self.peak_bytes() <= allowed:
            return self._keeping(allowed) if self.backward else Fitted(plans=self.plans, peak_bytes=self.peak_bytes())
        return self._spilling(allowed) if self.backward and self._spilled_bytes() <= allowed else None

    def keeping_more(self, allowed: int) -> Iterator[Fitted]:
        """Yield the plans as lean as they can be, and with more and more graphs kept, up to a memory they fit."""
        room = self.peak_bytes()
        while room <= allowed:
            fitted = self.within(room)
            assert fitted is not None, "the leanest fits"
            yield fitted
            if not self.backward or room == allowed:
                return
            room = min(allowed, int(room * ROOM_STEP) + 1)

    def _keeping(self, allowed: int) -> Fitted:
        """Return the plans with as many graphs kept as there is room for."""
        kept = [0] * len(self.stages)
        for number in sorted(range(len(kept)), key=lambda n: _macs_per_byte(self.plans[n]), reverse=True):
            kept[number] = self._most_kept(kept, number, allowed)
        plans = tuple(stage.keeping(count) for stage, count in zip(self.stages, kept, strict=True))
        return Fitted(plans=plans, peak_bytes=self.peak_bytes(kept))

    def _most_kept(self, kept: Sequence[int], number: int, allowed: int) -> int:
        """Return how many graphs of a stage can be kept beside those kept already, by halving."""
        fits, too_many = 0, self.plans[number].num_tiles + 1
        while too_many - fits > 1:
            count = (fits + too_many) // 2
            tried = [*kept[:number], count, *kept[number + 1 :]]
            fits, too_many = (count, too_many) if self.peak_bytes(tried) <= allowed else (fits, count)
        return fits

    def _spilling(self, allowed: int) -> Fitted:
        """Return the plans with the borders of as few tiles on disk as need be, the first stage's first."""
        received = [stage.memory.received_bytes() for stage in self.stages]
        on_disk: NDArray[np.int64] = np.cumsum(np.concatenate(received))
        held = self._spilled_bytes() + self.carry_bytes - on_disk
        left = int(np.argmax(held <= allowed)) + 1
        peak, plans = int(held[left - 1]), []
        for stage, amounts in zip(self.stages, received, strict=True):
            count = min(left, len(amounts))
            left -= count
            plans.append(replace(stage.plan, spilled_tiles=count, spill_bytes=int(amounts[:count].sum())))
        if len(plans) == 1:
            plans = [replace(plans[0], peak_bytes=peak)]
        return Fitted(plans=tuple(plans), peak_bytes=peak)


def _macs_per_byte(plan: "StreamPlan") -> float:
    """Return what keeping one more graph saves per byte."""
    return plan.macs / plan.num_tiles / max(plan.graph_bytes, 1)
