"""Which maps one pass over the tiles starts from, computes and delivers.

A network without statistics over the whole image is one stage: from the image to its output. Statistics cut it: what
reads them can only start when they are known, so it belongs to a later stage (:func:`stages_of`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from napari_gigaclf.streaming.network.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One pass over the tiles."""

    given: frozenset[int]
    """Maps that are read from memory, where an earlier stage left them, instead of being computed."""
    written: tuple[int, ...]
    """Maps delivered whole."""
    observed: tuple[int, ...]
    """Maps whose statistics are taken."""
    active: tuple[int, ...]
    """Maps read or computed, in order."""

    @property
    def targets(self) -> frozenset[int]:
        """Maps for whose sake the stage is run; each of their positions is made exactly once."""
        return frozenset((*self.written, *self.observed))

    @property
    def reads_image(self) -> bool:
        """Whether the stage starts, at least in part, from the image."""
        return 0 in self.active

    @property
    def computed(self) -> tuple[int, ...]:
        """Maps computed from other maps."""
        return tuple(index for index in self.active if index and index not in self.given)


def stage_for(
    graph: Graph, *, written: Iterable[int] = (), observed: Iterable[int] = (), given: frozenset[int] = frozenset()
) -> Stage:
    """Return the stage which makes these maps from the image and the given maps."""
    wanted_written, wanted_observed = tuple(sorted(written)), tuple(sorted(observed))
    active, waiting = set(), [*wanted_written, *wanted_observed]
    while waiting:
        index = waiting.pop()
        if index not in active:
            active.add(index)
            waiting.extend(() if index in given else graph.nodes[index].inputs)
    return Stage(given=given & active, written=wanted_written, observed=wanted_observed, active=tuple(sorted(active)))


def whole_stage(graph: Graph) -> Stage:
    """Return the one stage from the image to the outputs."""
    return stage_for(graph, written=graph.outputs)
