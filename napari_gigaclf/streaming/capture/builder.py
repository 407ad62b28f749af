"""Reading a network's code once, so that it can be run piece by piece; whatever cannot be is refused by name.

``torch.fx`` follows the module's ``forward`` with a stand-in for the image and lists the calls. It comes before
``torch.export`` (:mod:`.exporting`) by measurement: 0.06 s against 1.2 s for ResNet-18 (torch 2.13, one core), it needs
no example image, and modules keep their names. Each call is then recognised (:mod:`.pointwise`) or refused
with the operation, the module's path and a remedy.

In-place operations are replaced by ordinary ones whose result takes over the name, which is what PyTorch's semantics
come to when no views are involved. A map that may share its memory with another one (``contiguous``, ``detach``, a cast
to the type it has) must not be overwritten, nor the other.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.capture import (
    layouts,
    pointwise,
    random,
    regrouping,
    sizes,
    slices,
    spaceless,
    statistics,
    upsampling,
    windows,
)  # fmt: skip
from napari_gigaclf.streaming.capture.agreement import agreed_axes
from napari_gigaclf.streaming.capture.calls import Call, Recogniser
from napari_gigaclf.streaming.capture.modules import module_call, plain_activation
from napari_gigaclf.streaming.capture.refusals import HINTS, CodeNotFollowed, check_plain, remedy_for
from napari_gigaclf.streaming.capture.results import result_of
from napari_gigaclf.streaming.capture.scouting import Scout
from napari_gigaclf.streaming.capture.tracing import INNER, Shell, trace
from napari_gigaclf.streaming.network.claims import SizeClaim
from napari_gigaclf.streaming.network.dropout import SEED, Dropout
from napari_gigaclf.streaming.network.graph import (
    Graph,
    Node,
    first_input,
    pruned,
)
from napari_gigaclf.streaming.network.graph import module_weights as weights_of
from napari_gigaclf.streaming.network.linear import ChannelLinear
from napari_gigaclf.streaming.network.operations import (
    Argument,
    NodeRef,
    Operation,
    Pointwise,
    TensorRef,
    fill_in,
    references,
    references_of,
)
from napari_gigaclf.streaming.network.patches import Patchwise
from napari_gigaclf.streaming.network.sizes import MapShape, Sizable, is_symbolic
from napari_gigaclf.streaming.network.spaceless import ComputedTensor, Constant, FixedTensor, NamedTensor, tensors_read
from napari_gigaclf.streaming.network.statistics import Statistic

MAY_BE_PARTS = ("getitem", "narrow", "select", "reshape", "reshape_as", "flatten")
"""Functions that give back a part of their argument's own memory, or all of it, always or at times."""

QUESTIONS = frozenset({"getattr", "size", "dim", "ndimension", "numel", "_assert"})
"""Calls that ask a map about itself, which has an answer only where a map has a shape: see :mod:`.exporting`."""


def named_in_place(
    target: object, args: tuple[Argument, ...], kwargs: dict[str, Argument]
) -> tuple[tuple[Argument, ...], dict[str, Argument]]:
    """Return a call's arguments with ``inplace`` by name, wherever it was given by position (``F.relu(x, True)``)."""
    names = list(getattr(getattr(target, "__code__", None), "co_varnames", ()))
    place = names.index("inplace") if "inplace" in names else len(args)
    if place >= len(args):
        return args, kwargs
    return args[:place], {
        **dict(zip(names[place + 1 :], args[place + 1 :], strict=False)),
        **kwargs,
        "inplace": args[place],
    }


class Builder:
    """Turns the listed calls into nodes, one after the other."""

    def __init__(self, shell: Shell, image: tuple[int, ...] | None = None, channels: int | None = None) -> None:
        self.shell = shell
        self.weights = {**weights_of(shell.get_submodule(INNER)), SEED: torch.zeros((), dtype=torch.int64)}
        self.nodes: list[Node] = [first_input(0)]
        self.constants: list[Constant] = []
        self.values: list[Any] = []
        self.behind: set[int] = set()
        self.known: dict[fx.Node, Argument] = {}
        self.functions = {
            **pointwise.function_table(), **windows.function_table(), **layouts.function_table(),
            **slices.function_table(), **regrouping.function_table(), **random.function_table(),
            **upsampling.function_table(),
            **statistics.function_table(), **sizes.function_table(), nn.Identity: pointwise.same_map,
        }  # fmt: skip
        self.methods = {
            **pointwise.method_table(), **layouts.method_table(), **slices.method_table(), **regrouping.method_table(),
            "expand_as": statistics.expanded,
        }  # fmt: skip
        self.cutting = slices.cutting_table()
        self.joined: list[tuple[TensorRef, layouts.Seen, Call]] = []
        self.sharing: set[int] = set()
        self.sharing_tensors: set[int] = set()
        self.axes_found: set[int] = set()
        self.axes_given = None if image is None else len(image) - 2
        self.claims: list[tuple[Call, Sequence[int]]] = []
        self.updates: list[int] = []
        self.sizes_claimed: list[SizeClaim] = []
        self.scout = Scout(self.nodes, self.constants, self.values, self.weights, image, channels)

    def constant(self, constant: Constant, value: object = None) -> TensorRef:
        """Append a tensor without space; ``value`` is its present one, where it does not depend on the image."""
        self.constants.append(constant)
        self.values.append(value)
        index = len(self.constants) - 1
        if isinstance(constant, Statistic) or any(i in self.behind for i in tensors_read(constant)):
            self.behind.add(index)
        return TensorRef(index)

    def claim_space(self, call: Call, axes: Sequence[int]) -> None:
        """Note that a call takes these axes for all of space."""
        self.claims.append((call, axes))

    def is_found(self, value: Argument) -> bool:
        """Return whether an argument is a tensor without space behind statistics of the image."""
        return isinstance(value, TensorRef) and value.index in self.behind

    def named(self, name: str) -> TensorRef:
        """Return the reference to a parameter or buffer."""
        value = self.weights[name]
        for index, constant in enumerate(self.constants):
            if isinstance(constant, NamedTensor) and constant.name == name:
                return TensorRef(index)
        return self.constant(NamedTensor(name=name), value)

    def argument(self, template: object) -> Argument:
        """Return fx's argument with its nodes replaced by references."""
        if isinstance(template, fx.Node):
            value = self.known[template]
            if isinstance(value, slices.Parts):
                why = "the code uses its parts as a list"
                raise CodeNotFollowed(str(value.call.refuse(why, "take them one by one, as in parts[0]")))
            return value
        if isinstance(template, tuple | list):
            return (
                type(template)(self.argument(item) for item in template)
                if type(template) in (tuple, list)
                else tuple(self.argument(item) for item in template)
            )
        if isinstance(template, dict):
            return {key: self.argument(item) for key, item in template.items()}
        if isinstance(template, slice):
            return slice(*(self.argument(item) for item in (template.start, template.stop, template.step)))
        return template

    def returned(self, template: object) -> Argument:
        """Return what the code returns, in the containers in which it does so."""
        if isinstance(template, list):
            return [self.returned(item) for item in template]
        if isinstance(template, dict):
            return {key: self.returned(item) for key, item in template.items()}
        if isinstance(template, tuple):
            return tuple(self.returned(item) for item in template)
        return self.argument(template)

    def attribute(self, node: fx.Node) -> TensorRef:
        """Return the reference for a tensor that the code mentions."""
        target = str(node.target)
        name = target.removeprefix(f"{INNER}.")
        if name in self.weights:
            return self.named(name)
        owner: object = self.shell
        for part in target.split("."):
            owner = getattr(owner, part)
        if not isinstance(owner, Tensor) or owner.requires_grad:
            raise UnsupportedOperation(
                f"cannot stream '{name}': it is no tensor, or one with a gradient that is no parameter of the module; "
                "register it as a parameter or buffer"
            )
        return self.constant(FixedTensor(value=owner), owner)

    def append(self, call: Call, operation: Operation) -> NodeRef:
        """Append a node."""
        inputs = sorted({ref.index for ref in references_of(operation) if isinstance(ref, NodeRef)})
        own = tuple(getattr(operation, field.name) for field in fields(operation))  # type: ignore[arg-type]
        if is_symbolic(own) and not isinstance(operation, Sizable):
            raise call.refuse("it computes with the size of a map", sizes.REMEDY)
        changed = any(isinstance(ref, NodeRef) and ref.seen is not None for ref in references_of(operation))
        if changed and not isinstance(operation, Pointwise | ChannelLinear):
            raise call.refuse("its input's axes were permuted", "permute back to (batch, channels, space) before it")
        self.nodes.append(Node(name=call.path or call.kind, kind=call.kind, inputs=tuple(inputs), operation=operation))
        seen = operation.seen if isinstance(operation, Pointwise | ChannelLinear | Dropout) else None
        if isinstance(operation, Pointwise) and operation.function not in layouts.BY_CHANNEL:
            found = references((operation.args, dict(operation.kwargs)))
            self.joined += [(ref, seen, call) for ref in found if isinstance(ref, TensorRef)]
        axes = windows.window_axes(operation)
        self.axes_found |= set() if axes is None else {axes}
        return NodeRef(len(self.nodes) - 1, seen)

    def call(self, kind: str, path: str, args: tuple[Argument, ...], kwargs: dict[str, Argument]) -> Call:
        """Return a call, with what is known at this point of the code."""
        axes = next(iter(self.axes_found)) if len(self.axes_found) == 1 else self.axes_given
        return Call(
            kind=kind, path=path, args=args, kwargs=kwargs, constant=self.value, num_axes=axes, named=self.named,
            number=len(self.nodes), add=self.constant, claim_space=self.claim_space,
            update=lambda ref: self.updates.append(ref.index), scout=self.scout, append=self.append,
            shape_of=self.shape_of, claim_size=self.sizes_claimed.append,
        )  # fmt: skip

    def shape_of(self, ref: NodeRef) -> MapShape:
        """Return a map's shape, an expression."""
        axes = next(iter(self.axes_found)) if len(self.axes_found) == 1 else self.axes_given
        channels = self.scout.channels(ref.index, axes) if ref.index else None
        return MapShape(path=sizes.path_to(self.nodes, ref.index), channels=channels, seen=ref.seen)

    def run(self, recogniser: Recogniser, call: Call) -> NodeRef | TensorRef:
        """Recognise a call and return the map, or the statistic, that it gives."""
        recognised = recogniser(call)
        if isinstance(recognised, TensorRef):
            return recognised
        result = recognised if isinstance(recognised, NodeRef) else self.append(call, recognised)
        self.axes_found |= set() if result.seen is None else {sum(axis > 0 for axis in result.seen.axes)}
        return result

    def module(self, node: fx.Node) -> NodeRef | TensorRef:
        """Return the map, or the tensor without space, that a module gives."""
        target = str(node.target)
        module, path = self.shell.get_submodule(target), target.removeprefix(INNER).removeprefix(".")
        call = self.call(type(module).__name__, path, tuple(self.argument(item) for item in node.args), {})
        if len(call.args) == 1 and self.is_found(call.args[0]) and not node.kwargs:
            return self.module_without_space(module, call)
        if isinstance(module, Patchwise) and len(call.args) == 1 and not node.kwargs:
            return self.run(windows.patchwise(module), call)
        known = module_call(module)
        if known is not None and (node.kwargs or len(call.args) != 1):
            raise CodeNotFollowed(str(call.refuse("it is called with keywords", "give it the map alone")))
        if known is None:
            raise call.refuse("it is not an operation the engine knows", remedy_for(call.kind))
        function, arguments = known
        own = {key: self.own(path, item) for key, item in arguments.items()}
        if function is pointwise.elementwise:
            result = self.run(pointwise.elementwise(plain_activation(module)), call)
        else:
            call = self.framed(module, call)
            result = self.run(self.functions[function], call.with_kwargs(**own) if own else call)
        if getattr(module, "inplace", False):
            self.take_over(call, call.args[0], result)
        return result

    def module_without_space(self, module: nn.Module, call: Call) -> TensorRef:
        """Return what a module gives for a tensor behind statistics."""
        (source,) = call.args
        assert isinstance(source, TensorRef)
        known = spaceless.module_function(module, call)
        if known is None:
            return source
        function, arguments = known
        own = {key: self.own(call.path, item) for key, item in arguments.items()}
        result = self.constant(ComputedTensor(function=function, args=call.args, kwargs=own))
        if isinstance(module, spaceless.SHARING_MODULES):
            self.sharing_tensors |= {source.index, result.index}
        if getattr(module, "inplace", False):
            self.take_over(call, source, result)
        return result

    def own(self, path: str, value: Argument) -> Argument:
        """Return a module's argument, with the names of its own tensors replaced by references."""
        if isinstance(value, str) and value.startswith("."):
            return self.named(value.removeprefix(".") if not path else path + value)
        return value

    def framed(self, module: nn.Module, call: Call) -> Call:
        """Put a convolution's padding other than zeros into a node of its own."""
        mode = getattr(module, "padding_mode", "zeros")
        if mode == "zeros":
            return call
        amounts = tuple(module._reversed_padding_repeated_twice)  # type: ignore[arg-type]
        frame = call.with_kwargs(pad=amounts, mode=mode)
        padded = self.run(windows.padding, frame)
        return self.call(call.kind, call.path, (padded,), {})

    def value(self, ref: TensorRef) -> Tensor:
        """Return a constant's present value."""
        if ref.index in self.behind:
            raise UnsupportedOperation(
                "cannot stream a layer whose weight is computed from the image; multiply its input or output instead, "
                "or keep it outside the streamed module"
            )
        value: Tensor = self.values[ref.index]
        return value

    def take_over(self, call: Call, old: Argument, new: NodeRef | TensorRef) -> None:
        """Let every name of an overwritten map, or tensor, mean its new content from here on."""
        shared = self.sharing if isinstance(old, NodeRef) else self.sharing_tensors
        if isinstance(old, NodeRef) and isinstance(new, NodeRef) and old.seen != new.seen:
            raise call.refuse(
                "it overwrites a map with values whose channels lie in another sequence", "use what it returns"
            )
        if isinstance(old, NodeRef | TensorRef) and old.index in shared:
            raise call.refuse(
                "it overwrites a map that may share its memory with another one (contiguous, detach, float, +x)",
                "use clone() there, or an operation that is not in place",
            )
        for node, value in self.known.items():
            if isinstance(value, NodeRef) and isinstance(old, NodeRef) and value.index == old.index:
                self.known[node] = replace(value, index=new.index)
            elif isinstance(value, TensorRef) and value == old:
                self.known[node] = new

    def function(self, node: fx.Node) -> Argument:
        """Return what a function or method gives: a map, or a tensor without space."""
        method = node.op == "call_method"
        target = node.target
        name = str(target) if method else getattr(target, "__name__", str(target))
        if target in (operator.getitem, getattr) and isinstance(node.args[0], fx.Node):
            cut = self.known[node.args[0]]
            if isinstance(cut, slices.Parts):
                part = cut.part({"values": 0, "indices": 1}.get(str(node.args[1]), node.args[1]))
                return self.shared(self.run(lambda call: part, cut.call), cut.source)
        stack = node.meta.get("nn_module_stack") or {}
        path = str(next(reversed(stack), "")).removeprefix(INNER).removeprefix(".")
        found = {key: self.argument(value) for key, value in node.kwargs.items()}
        args, kwargs = named_in_place(target, tuple(self.argument(item) for item in node.args), found)
        call = self.call(name, path, args, kwargs)
        overwrites = (
            kwargs.get("inplace") is True or (method and name.endswith("_")) or target in pointwise.IN_PLACE_OPERATORS
        )
        if name.endswith("_") and not name.startswith("_"):
            overwrites, name = True, name[:-1]
            target = target if method else getattr(F, name, getattr(torch, name, target))
        if (size := sizes.size_of(target, args, kwargs, self.shape_of)) is not None:
            return size
        if not any(isinstance(ref, NodeRef) for ref in references((args, kwargs))):
            if is_symbolic((args, kwargs)):
                raise call.refuse("it computes with the size of a map", sizes.REMEDY)
            return self.computed(call, target, name, method, overwrites)
        target = pointwise.IN_PLACE_OPERATORS.get(target, target) if not method else target  # type: ignore[arg-type]
        if target in self.cutting and not slices.is_of_two(args, kwargs):
            parts = replace(self.cutting[target](call), count=node.meta.get("unpacked"))
            self.shared(parts.source, None)
            return parts
        recogniser = self.methods.get(name) if method else self.functions.get(target)
        if recogniser is None:
            refusal = call.refuse("it is not an operation the engine knows", remedy_for(name))
            raise CodeNotFollowed(str(refusal)) if name in QUESTIONS else refusal
        copies = name == "contiguous" and not all(regrouping.is_in_sequence(ref.seen) for ref in layouts.maps_of(call))
        result = self.run(recogniser, call)
        if name in (*pointwise.MAY_SHARE, *MAY_BE_PARTS) and not copies:
            self.shared(result, (args, kwargs))
        if overwrites:
            self.take_over(call, args[0], result)
        return result

    def shared(self, result: NodeRef | TensorRef, sources: Argument) -> NodeRef | TensorRef:
        """Note that a map may share its memory with those it was made from, and return it."""
        self.sharing |= {ref.index for ref in references((result, sources)) if isinstance(ref, NodeRef)}
        return result

    def computed(self, call: Call, target: object, name: str, method: bool, overwrites: bool) -> TensorRef:
        """Return a tensor computed from weights, or from statistics."""
        if any(self.is_found(ref) for ref in references((call.args, dict(call.kwargs)))):
            return self.found(call, target, name, method, overwrites)
        if overwrites or any(word in name for word in (*HINTS["random"], "dropout")):
            raise call.refuse("it changes or draws a tensor at every run", "compute it outside the streamed module")
        function: Callable[..., Tensor] = getattr(torch.Tensor, name) if method else target  # type: ignore[assignment]
        with torch.no_grad():
            args = [fill_in(item, {}, self.values) for item in call.args]
            value = function(*args, **{key: fill_in(item, {}, self.values) for key, item in call.kwargs.items()})
        if not isinstance(value, Tensor):
            raise call.refuse("it gives something other than a tensor", "compute it outside the streamed module")
        return self.constant(ComputedTensor(function=function, args=call.args, kwargs=call.kwargs), value)

    def found(self, call: Call, target: object, name: str, method: bool, overwrites: bool) -> TensorRef:
        """Return a tensor computed from statistics: its value is known when they are."""
        source = call.args[0] if call.args else None
        if spaceless.inactive_dropout(call, name) and isinstance(source, TensorRef):
            return source
        if overwrites and not self.is_found(source):
            raise call.refuse("it changes a weight", "use an operation that is not in place")
        result = self.constant(spaceless.computed(call, spaceless.plain_function(target, name, method), name))
        if spaceless.shares(name) and not overwrites:
            read = references((call.args, dict(call.kwargs)))
            self.sharing_tensors |= {result.index, *(ref.index for ref in read if isinstance(ref, TensorRef))}
        if overwrites:
            self.take_over(call, source, result)
        return result

    def finish(self, returned: Argument) -> Graph:
        """Return the graph of what the outputs need."""

        def copied(ref: NodeRef) -> NodeRef:  # the image given back: a node of its own, so that input and output differ
            call = self.call("clone", "", (ref,), {})
            return self.append(call, layouts.placewise(call, torch.clone, call.args))

        result = result_of(returned, copied, self.is_found)
        fixed = [(self.values[ref.index], seen, call) for ref, seen, call in self.joined if not self.is_found(ref)]
        num_axes = agreed_axes(self.axes_found, self.claims, fixed, self.nodes)
        graph = Graph(
            nodes=tuple(self.nodes), constants=tuple(self.constants), num_axes=num_axes, result=result,
            updates=tuple(self.updates), claims=tuple(self.sizes_claimed), channels=self.scout.assumed,
        )  # fmt: skip
        sizes.check_sizes(graph)
        return pruned(graph)


def capture(module: nn.Module, channels: int | None = None) -> Graph:
    """Return the module's graph in its present train/eval mode, for images of so many channels where that matters.

    Raises
    ------
    UnsupportedOperation
        Naming the operation, the module's path and a remedy.
    """
    check_plain(module)
    shell, traced = trace(module)
    builder = Builder(shell, channels=channels)
    with sizes.others_may_follow(builder.known):
        for node in traced.nodes:
            if node.op == "placeholder":
                builder.known[node] = NodeRef(0)
            elif node.op == "get_attr":
                builder.known[node] = builder.attribute(node)
            elif node.op == "call_module":
                builder.known[node] = builder.module(node)
            elif node.op == "output":
                return builder.finish(builder.returned(node.args[0]))
            else:
                builder.known[node] = builder.function(node)
    raise AssertionError("a traced graph ends with its output")
