"""A network as the engine sees it: a list of operations over maps, each reading maps before it.

The graph is captured once per train/eval mode (:mod:`..capture`) and never changes; weights are referred to by name and
looked up at each run, so that training, ``load_state_dict`` and ``to`` work as usual.
"""

import operator
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from napari_gigaclf.errors import ImageAxesError, UnsupportedOperation
from napari_gigaclf.streaming.network.claims import SizeClaim
from napari_gigaclf.streaming.network.dropout import SEED
from napari_gigaclf.streaming.network.operations import (
    Argument,
    ConstantPadding,
    Convolution,
    Input,
    MirrorPadding,
    NodeRef,
    Operation,
    Pointwise,
    TensorRef,
    references,
    references_of,
    replaced,
    with_references,
)
from napari_gigaclf.streaming.network.resampling import Interpolation
from napari_gigaclf.streaming.network.responding import Responses
from napari_gigaclf.streaming.network.sizes import ImageFacts, Sizable, next_sizes
from napari_gigaclf.streaming.network.spaceless import Constant, NamedTensor, Spaceless, tensors_read, with_moved
from napari_gigaclf.streaming.network.statistics import Statistic


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operation over maps."""

    name: str
    """Where it comes from: the module's path, or the function's name."""
    kind: str
    """The operation's name as a person knows it: ``"Conv2d"``, ``"add"``."""
    inputs: tuple[int, ...]
    """Indices of the maps it reads, without repetition."""
    operation: Operation

    @property
    def tensors(self) -> tuple[int, ...]:
        """Indices of the tensors without space that it reads."""
        return tuple(ref.index for ref in references_of(self.operation) if isinstance(ref, TensorRef))


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A captured network. Node 0 is the input."""

    nodes: tuple[Node, ...]
    constants: tuple[Constant, ...]
    num_axes: int | None
    """Spatial axes; None where nothing in the network says so (pointwise operations only)."""
    result: Argument
    """What the module returns: a reference to a map or to a tensor computed from statistics, or tuples, lists and dicts
    of these, with literals among them."""
    claims: tuple[SizeClaim, ...] = ()
    """What the code takes for granted about an image's size."""
    updates: tuple[int, ...] = ()
    """Tensors without space that are computed once per run for what this changes: running statistics."""
    channels: int | None = None
    """Of the images for which what the code does with numbers of channels was read; None: it asks for none."""

    @property
    def outputs(self) -> tuple[int, ...]:
        """Indices of the maps that are returned, without repetition, in the order of the result."""
        return tuple(dict.fromkeys(ref.index for ref in references(self.result) if isinstance(ref, NodeRef)))

    @property
    def found(self) -> tuple[int, ...]:
        """Indices of the tensors without space that a run is to find: returned, or computed for what they change."""
        returned = (ref.index for ref in references(self.result) if isinstance(ref, TensorRef))
        return tuple(dict.fromkeys((*returned, *self.updates)))

    @property
    def output(self) -> int:
        """Index of the one map that is returned."""
        (output,) = self.outputs
        return output

    @cached_property
    def is_random(self) -> bool:
        """Whether it draws random numbers (active dropout)."""
        return any(isinstance(constant, NamedTensor) and constant.name == SEED for constant in self.constants)

    def consumers(self) -> list[list[int]]:
        """Return for each node the nodes which read it."""
        readers: list[list[int]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            for source in node.inputs:
                readers[source].append(index)
        return readers

    @cached_property
    def observed(self) -> Mapping[int, tuple[Statistic, ...]]:
        """The maps whose statistics are used, with these."""
        found: dict[int, dict[Statistic, None]] = {}
        for constant in self.constants:
            if isinstance(constant, Statistic):
                found.setdefault(constant.node, {})[constant] = None
        return {node: tuple(statistics) for node, statistics in found.items()}

    @cached_property
    def depths(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """How many statistics, one behind the other, lie behind each map and each tensor without space."""
        return self.depths_with(frozenset())

    def depths_with(self, rests: frozenset[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the depths if these maps count like statistics for what reads them."""
        of_nodes: list[int] = []
        of_tensors: dict[int, int] = {}

        def of_tensor(index: int) -> int:
            if index not in of_tensors:
                constant = self.constants[index]
                behind = (of_tensor(other) for other in tensors_read(constant))
                of_tensors[index] = (
                    of_nodes[constant.node] + 1 if isinstance(constant, Statistic) else max(behind, default=0)
                )
            return of_tensors[index]

        for node in self.nodes:
            behind_maps = (of_nodes[i] + (i in rests) for i in node.inputs)
            of_nodes.append(max((*behind_maps, *map(of_tensor, node.tensors)), default=0))
        return tuple(of_nodes), tuple(of_tensor(index) for index in range(len(self.constants)))

    def num_stages(self, rests: frozenset[int] = frozenset()) -> int:
        """Return how many passes there are: one more than statistics and rests, one behind the other, before a map."""
        of_maps, of_tensors = self.depths_with(rests)
        maps = (of_maps[index] + 1 for index in self.outputs)
        return max(*maps, *(of_tensors[index] for index in self.found), 1)

    def overwritable(self) -> frozenset[int]:
        """Return the maps whose block is fresh, has one reader, and is not needed by its own operation's gradient."""
        readers = self.consumers()
        return frozenset(
            index
            for index, node in enumerate(self.nodes)
            if len(readers[index]) == 1
            and (
                isinstance(node.operation, Convolution)
                or (isinstance(node.operation, Pointwise) and node.operation.function in (F.batch_norm, operator.add))
            )
        )

    def tensors(
        self, weights: Mapping[str, Tensor], known: Mapping[int, Any] | None = None, read: Collection[int] | None = None
    ) -> list[Any]:
        """Return the tensors without space, from the module's present parameters and buffers.

        Those behind statistics are taken from ``known``. None stands for those that are not there, and for those that
        nobody reads, where ``read`` says which are read.
        """
        known = known or {}
        values, behind = Spaceless(self.constants, weights, known), self.depths[1]
        return [
            values[i] if (read is None or i in read) and (not behind[i] or i in known) else None
            for i in range(len(self.constants))
        ]  # fmt: skip

    def names_behind(self, tensors: Iterable[int]) -> set[str]:
        """Return the parameters and buffers that these tensors without space are computed from, by name."""
        waiting, seen, names = list(tensors), set[int](), set[str]()
        while waiting:
            index = waiting.pop()
            if index not in seen:
                seen.add(index)
                constant = self.constants[index]
                waiting += tensors_read(constant)
                names |= {constant.name} if isinstance(constant, NamedTensor) else set()
        return names

    def check_axes(self, shape: Sequence[int]) -> None:
        """Refuse an image ``(B, C, *space)`` with another number of axes than the network takes.

        Raises
        ------
        ImageAxesError
            Naming both.
        """
        axes = len(shape) - 2
        if axes < 1 or self.num_axes not in (None, axes):
            raise ImageAxesError(
                f"the image has shape {tuple(shape)}, and the network takes (batch, channels) and "
                f"{self.num_axes or 'at least 1'} axes of space"
            )
        check_frames(self.nodes, axes)

    def sized(self, image: ImageFacts) -> "Graph":
        """Return the graph with everything that depends on the image's shape in plain numbers."""
        if not any(isinstance(node.operation, Sizable) for node in self.nodes):
            return self
        found = self._meant(self._operations(image), self._operations(image.large), image)
        nodes = [replace(node, operation=operation) for node, operation in zip(self.nodes, found, strict=True)]
        return replace(self, nodes=tuple(nodes))

    def _meant(self, found: Sequence[Operation], usual: Sequence[Operation], image: ImageFacts) -> list[Operation]:
        """Return the operations for an image, interpolations to a size by the factor that the network means."""
        sizes, steps = [image.shape[2:]], [(Fraction(1),) * image.num_axes]
        step_of: dict[tuple[int | None, ...], tuple[Fraction, ...]] = {}
        meant = [found[0]]
        for node, operation, other in zip(self.nodes[1:], found[1:], usual[1:], strict=True):
            size, step = sizes[node.inputs[0]], steps[node.inputs[0]]
            step_of[sizes[-1]] = steps[-1]
            if isinstance(operation, Interpolation) and isinstance(other, Interpolation):
                operation = operation.meaning(other).beside(size, step, step_of)
            meant.append(operation)
            sizes.append(next_sizes(operation, size, image))
            rules = operation.rules(image.num_axes)
            steps.append(tuple(before * rule.step for before, rule in zip(step, rules, strict=True)))
        return meant

    def _operations(self, image: ImageFacts) -> list[Operation]:
        """Return all operations as they are for an image."""
        sizes: list[tuple[int, ...]] = [image.shape[2:]]
        found = [self.nodes[0].operation]
        for node in self.nodes[1:]:
            operation, given = node.operation, sizes[node.inputs[0]]
            if isinstance(operation, Sizable):
                operation = operation.sized(given, image)
            found.append(operation)
            sizes.append(next_sizes(operation, given, image))
        return found

    def respond(
        self, value: Tensor, weights: Mapping[str, Tensor], num_axes: int, known: Mapping[int, Any] | None = None
    ) -> list[Tensor]:
        """Return every node's response to an image that is one constant, far from any border.

        Parameters
        ----------
        value
            The constant, (batch, channels).
        weights
            The module's parameters and buffers, by name.
        num_axes
            Number of spatial axes.
        known
            Tensors without space behind statistics, by index, as far as they are known; for others the statistics of
            an image that is nothing but the constant.

        Returns
        -------
        list of Tensor
            One (batch, channels of the node, 1, ..., 1) per node, which also tells channels and dtype.
        """
        return self.trial(value, weights, num_axes, known)[0]

    def trial(
        self, value: Tensor, weights: Mapping[str, Tensor], num_axes: int, known: Mapping[int, Any] | None = None
    ) -> tuple[list[Tensor], Spaceless]:
        """Return the responses as :meth:`respond` does, and the tensors without space behind them."""
        responses = Responses(value, self.constants, weights, num_axes, known)
        for node in self.nodes[1:]:
            responses.add(node.operation, node.inputs)
        return responses.maps, responses.tensors


def check_frames(nodes: Sequence[Node], num_axes: int) -> None:
    """Refuse frames of padding around more than so many axes of space.

    Raises
    ------
    UnsupportedOperation
        Naming the operation.
    """
    for node in nodes:
        operation = node.operation
        frames = (
            operation.windows if isinstance(operation, ConstantPadding)
            else operation.mirrors if isinstance(operation, MirrorPadding) else ()
        )  # fmt: skip
        if len(frames) > num_axes:
            raise UnsupportedOperation(
                f"cannot stream {node.kind} in '{node.name}': it pads channels or samples; pad space only, or put a "
                "convolution before it"
            )


def module_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return the module's parameters and buffers by name; a tensor with two names appears under both."""
    named: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    named.update(module.named_buffers(remove_duplicate=False))
    return named


def first_input(num_axes: int) -> Node:
    """Return the node which stands for the image."""
    return Node(name="input", kind="input", inputs=(), operation=Input())


def pruned(graph: Graph) -> Graph:
    """Return the graph of what the result and the updates need; if there is one output map, it becomes the last map."""
    nodes: set[int] = set()
    constants: set[int] = set()

    def visit_map(index: int) -> None:
        waiting = [index]
        while waiting:
            here = waiting.pop()
            if here not in nodes:
                nodes.add(here)
                waiting.extend(graph.nodes[here].inputs)
                waiting.extend(visit_tensors(graph.nodes[here].tensors))

    def visit_tensors(indices: tuple[int, ...]) -> Iterator[int]:
        waiting = list(indices)
        while waiting:
            here = waiting.pop()
            if here not in constants:
                constants.add(here)
                constant = graph.constants[here]
                waiting.extend(tensors_read(constant))
                if isinstance(constant, Statistic):
                    yield constant.node

    for node in (*graph.outputs, *visit_tensors(graph.found)):
        visit_map(node)
    nodes.add(0)
    number = {old: new for new, old in enumerate(sorted(nodes))}
    place = {old: new for new, old in enumerate(sorted(constants))}
    return replace(
        graph,
        nodes=tuple(renumbered(graph.nodes[old], number, place) for old in number),
        constants=tuple(with_moved(graph.constants[old], _mover(number, place), number) for old in place),
        result=replaced(graph.result, _mover(number, place)),
        updates=tuple(place[old] for old in graph.updates),
    )


def _mover(number: Mapping[int, int], place: Mapping[int, int] | None) -> Any:  # noqa: ANN401 - a Moved
    def moved(ref: NodeRef | TensorRef) -> NodeRef | TensorRef:
        if isinstance(ref, NodeRef):
            return replace(ref, index=number[ref.index])
        return ref if place is None else TensorRef(place[ref.index])

    return moved


def renumbered(node: Node, number: Mapping[int, int], place: Mapping[int, int] | None = None) -> Node:
    """Return a node with its references to maps, and to tensors without space, renumbered."""
    operation = with_references(node.operation, _mover(number, place))
    return replace(node, inputs=tuple(number[i] for i in node.inputs), operation=operation)
