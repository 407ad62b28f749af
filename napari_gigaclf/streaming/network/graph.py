"""A network as the engine sees it: a list of operations over maps, each reading maps before it.

The graph is captured once per train/eval mode (:mod:`..capture`) and never changes; weights are referred to by name and
looked up at each run, so that training, ``load_state_dict`` and ``to`` work as usual.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn import functional as F

from napari_gigaclf.streaming.network.operations import (
    Argument,
    Convolution,
    Input,
    NodeRef,
    Operation,
    Pointwise,
    TensorRef,
    fill_in,
    with_references,
)


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
    """A tensor computed from other tensors without space, again at every tile (a reshaped or masked weight)."""

    function: Callable[..., Tensor]
    args: tuple[Argument, ...]
    kwargs: Mapping[str, Argument]


Constant = NamedTensor | FixedTensor | ComputedTensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A captured network. Node 0 is the input; the last node is the output."""

    nodes: tuple[Node, ...]
    constants: tuple[Constant, ...]
    num_axes: int | None
    """Spatial axes; None where nothing in the network says so (pointwise operations only)."""

    @property
    def output(self) -> int:
        """Index of the output node."""
        return len(self.nodes) - 1

    def consumers(self) -> list[list[int]]:
        """Return for each node the nodes which read it."""
        readers: list[list[int]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            for source in node.inputs:
                readers[source].append(index)
        return readers

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

    def tensors(self, weights: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the tensors without space, from the module's present parameters and buffers."""
        values: list[Tensor] = []
        for constant in self.constants:
            if isinstance(constant, NamedTensor):
                values.append(weights[constant.name])
            elif isinstance(constant, FixedTensor):
                values.append(constant.value)
            else:
                args = [fill_in(item, {}, values) for item in constant.args]
                kwargs = {key: fill_in(item, {}, values) for key, item in constant.kwargs.items()}
                values.append(constant.function(*args, **kwargs))
        return values

    def respond(self, value: Tensor, weights: Mapping[str, Tensor], num_axes: int) -> list[Tensor]:
        """Return every node's response to an image that is one constant, far from any border.

        Parameters
        ----------
        value
            The constant, (batch, channels).
        weights
            The module's parameters and buffers, by name.
        num_axes
            Number of spatial axes.

        Returns
        -------
        list of Tensor
            One (batch, channels of the node, 1, ..., 1) per node, which also tells channels and dtype.
        """
        tensors = self.tensors(weights)
        far, huge = 1 << 30, 1 << 50  # an output with no border in sight, whatever the padding
        wanted = ((far, far + 1),) * num_axes
        responses: list[Tensor] = [value.reshape(*value.shape, *(1,) * num_axes)]
        for node in self.nodes[1:]:
            rules = node.operation.rules(num_axes)
            given = tuple((far * rule.step - rule.lead, far * rule.step - rule.lead + rule.reach) for rule in rules)
            reach = [rule.reach for rule in rules]
            blocks = {i: responses[i].expand(*responses[i].shape[:2], *reach) for i in node.inputs}
            responses.append(node.operation.compute(blocks, tensors, wanted, given, (huge,) * num_axes))
        return responses


def module_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return the module's parameters and buffers by name; a tensor with two names appears under both."""
    named: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    named.update(module.named_buffers(remove_duplicate=False))
    return named


def first_input(num_axes: int) -> Node:
    """Return the node which stands for the image."""
    return Node(name="input", kind="input", inputs=(), operation=Input())


def pruned(nodes: list[Node], output: int) -> tuple[Node, ...]:
    """Return the nodes up to the output; what it does not need is left in only where it comes before it.

    The last node must be the output, so nodes behind it go; dead branches before it are removed by renumbering.
    """
    needed = {output}
    for index in range(output, 0, -1):
        if index in needed:
            needed.update(nodes[index].inputs)
    needed.add(0)
    if len(needed) == output + 1:
        return tuple(nodes[: output + 1])
    kept = sorted(needed)
    number = {old: new for new, old in enumerate(kept)}
    return tuple(renumbered(nodes[old], number) for old in kept)


def renumbered(node: Node, number: Mapping[int, int]) -> Node:
    """Return a node with its references renumbered."""

    def moved(ref: NodeRef | TensorRef) -> NodeRef | TensorRef:
        return NodeRef(number[ref.index]) if isinstance(ref, NodeRef) else ref

    operation = with_references(node.operation, moved)
    return replace(node, inputs=tuple(number[i] for i in node.inputs), operation=operation)
