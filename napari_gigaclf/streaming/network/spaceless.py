"""Tensors without space: weights, constants, statistics of maps, and whatever is computed from these.

They are small, and the same for every tile. Those computed from statistics are known only after a stage has run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from napari_gigaclf.streaming.network.operations import Argument, Moved, TensorRef, fill_in, references, replaced
from napari_gigaclf.streaming.network.statistics import Statistic


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTensor:
    """A parameter or buffer, by its name in the module."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedTensor:
    """A tensor which the module's code made while it was captured."""

    value: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedTensor:
    """A tensor computed from other tensors without space: a reshaped weight, a gate from a statistic."""

    function: Callable[..., Tensor]
    args: tuple[Argument, ...]
    kwargs: Mapping[str, Argument]


Constant = NamedTensor | FixedTensor | ComputedTensor | Statistic


def tensors_read(constant: Constant) -> list[int]:
    """Return the indices of the tensors from which one is computed."""
    if not isinstance(constant, ComputedTensor):
        return []
    found = references((constant.args, dict(constant.kwargs)))
    return [ref.index for ref in found if isinstance(ref, TensorRef)]


def with_moved(constant: Constant, moved: Moved, number: Mapping[int, int]) -> Constant:
    """Return a constant with its references, and the map it observes, renumbered."""
    if isinstance(constant, Statistic):
        return replace(constant, node=number[constant.node])
    if isinstance(constant, ComputedTensor):
        args = tuple(replaced(item, moved) for item in constant.args)
        return replace(constant, args=args, kwargs={k: replaced(v, moved) for k, v in constant.kwargs.items()})
    return constant


class Spaceless(Sequence[Any]):
    """The tensors without space of one run by index, each computed when first asked for.

    Parameters
    ----------
    constants
        Of the graph.
    weights
        The module's present parameters and buffers, by name.
    known
        Values by index: of statistics, and of what is not to be computed again.
    observe
        Gives statistics that are not known.
    """

    def __init__(
        self,
        constants: Sequence[Constant],
        weights: Mapping[str, Tensor],
        known: Mapping[int, Any] | None = None,
        observe: Callable[[Statistic], Tensor] | None = None,
    ) -> None:
        self.constants, self.weights, self.observe = constants, weights, observe
        self.known: dict[int, Any] = dict(known or {})

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.constants)

    def __iter__(self) -> Iterator[Any]:
        """Yield every value."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - as Sequence has it
        """Return one value."""
        if index not in self.known:
            self.known[index] = self._computed(self.constants[index])
        return self.known[index]

    def _computed(self, constant: Constant) -> Any:  # noqa: ANN401 - shapes are numbers
        if isinstance(constant, NamedTensor):
            return self.weights[constant.name]
        if isinstance(constant, FixedTensor):
            return constant.value
        if isinstance(constant, Statistic):
            assert self.observe is not None, "a stage starts when the statistics it reads are known"
            return self.observe(constant)
        args = [fill_in(item, {}, self) for item in constant.args]
        return constant.function(*args, **{key: fill_in(item, {}, self) for key, item in constant.kwargs.items()})
