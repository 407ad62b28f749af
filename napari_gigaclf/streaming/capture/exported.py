"""Turns a network that ``torch.export`` followed into the engine's graph, with the same recognisers as :mod:`.builder`.

What the output does not need is left out unseen (a pooler whose result nobody takes), so refusals are kept until
something needs what was refused; only what overwrites a tensor is refused at once.
"""

import operator

import torch
from torch import fx
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.capture import layouts, regrouping, sizes, slices
from napari_gigaclf.streaming.capture.aten import Operator, arguments_of, operator_of, recogniser_for
from napari_gigaclf.streaming.capture.builder import Builder
from napari_gigaclf.streaming.capture.calls import Call
from napari_gigaclf.streaming.capture.exporting import Exported
from napari_gigaclf.streaming.capture.refusals import SizeUsed, remedy_for
from napari_gigaclf.streaming.capture.tracing import INNER
from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.operations import Argument, NodeRef, TensorRef, references
from napari_gigaclf.streaming.network.sizes import is_symbolic
from napari_gigaclf.streaming.network.spaceless import FixedTensor, NamedTensor

ON_CONSTANTS = frozenset({"lift_fresh_copy", "detach", "alias"})
"""What ``torch.tensor(...)`` in a network's code leaves in an exported graph."""
COUNTER = "num_batches_tracked"
CUTTING = {
    "chunk": "chunk",
    "split": "split",
    "split_with_sizes": "split",
    "tensor_split": "tensor_split",
    "unbind": "unbind",
}
"""Operators which give several parts of a map, and the methods they belong to."""
EXTREMES = (torch.ops.aten.max.dim, torch.ops.aten.min.dim)
"""Operators which give values and their places."""


def _own_name(target: str) -> str:
    """Return a name in the module from one in the shell around it."""
    return target.removeprefix(INNER).removeprefix(".")


class _ExportedBuilder(Builder):
    """Turns exported nodes into nodes of the engine's graph."""

    def __init__(self, exported: Exported) -> None:
        super().__init__(exported.shell, exported.conditions.example.shape)
        self.exported = exported
        self.refused: dict[fx.Node, UnsupportedOperation] = {}
        self.fixed: set[int] = set()
        self.counters: list[TensorRef] = []
        """Counters of batches that were counted up, and whose batch norm is still to come."""

    def argument(self, template: object) -> Argument:
        if isinstance(template, fx.Node) and template in self.refused:
            raise self.refused[template]
        return super().argument(template)

    def whole(self, node: fx.Node) -> Argument:
        """Return what a node gives, several parts of a map included."""
        return self.known[node] if node in self.known else self.argument(node)

    def inputs(self) -> None:
        """Give placeholders their meaning: the image, parameters, buffers, tensors that the code made."""
        specs = {spec.arg.name: spec for spec in self.exported.program.graph_signature.input_specs}
        for node in self.exported.program.graph.nodes:
            if node.op != "placeholder":
                continue
            spec = specs[node.name]
            if node is self.exported.image:
                self.known[node] = NodeRef(0)
            elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
                self.known[node] = self.named(_own_name(str(spec.target)))
            elif spec.kind == InputKind.CONSTANT_TENSOR:
                self.known[node] = self.made(str(spec.target))
            else:
                self.refused[node] = UnsupportedOperation(
                    f"cannot stream a module that uses '{spec.target}', which is no tensor; use tensors"
                )

    def made(self, target: str) -> TensorRef:
        """Return the reference for a tensor that is neither parameter nor buffer."""
        value = self.exported.program.constants[target]
        if not isinstance(value, torch.Tensor) or value.requires_grad:
            raise UnsupportedOperation(
                f"cannot stream '{_own_name(target)}': it is no tensor, or one with a gradient that is no parameter of "
                "the module; register it as a parameter or buffer"
            )
        ref = self.constant(FixedTensor(value=value), value)
        self.fixed.add(ref.index)
        return ref

    def call_of(self, node: fx.Node, kind: str) -> Call:
        """Return a call without arguments, for refusals."""
        stack = node.meta.get("nn_module_stack") or {}
        path = _own_name(str(next(reversed(stack.values()), ("",))[0]))
        return self.call(kind, path, (), {})

    def translate(self, node: fx.Node) -> Argument:
        """Return what a node gives."""
        found = operator_of(node)
        if node.target is operator.getitem and isinstance(node.args[0], fx.Node):
            cut = self.whole(node.args[0])
            if isinstance(cut, slices.Parts):
                part = cut.part(node.args[1])
                return self.shared(self.run(lambda call: part, cut.call), cut.source)
            if isinstance(cut, TensorRef):  # one of the tensors that a function of statistics gives
                call = self.call("getitem", "", (cut, node.args[1]), {})
                return self.computed(call, operator.getitem, "getitem", False, False)
        name = found.name if found else getattr(node.target, "__name__", str(node.target))
        call = self.call_of(node, name)
        if not isinstance(node.meta.get("val"), torch.Tensor | tuple | list):
            if (size := self.size(node)) is not None:
                return size
            refusal = call.refuse(
                "it makes a number from the image's size or values, and tiles have other sizes",
                "compute it outside the streamed module",
            )
            raise SizeUsed(str(refusal))
        if found is None:
            switch = {"wrap_with_set_grad_enabled": "switches gradients off", "wrap_with_autocast": "switches autocast"}
            raise call.refuse(
                f"it {switch.get(name, 'is not an operation the engine knows')}",
                "call requires_grad_(False) on what does not train, and use torch.autocast around the streamed module"
                if name in switch
                else remedy_for(name),
            )
        return self.operation(found, node, call)

    def size(self, node: fx.Node) -> Argument:
        """Return the expression for a size taken from a map, or computed from such; None for any other number."""
        args = tuple(self.argument(item) for item in node.args)
        target = "size" if node.target is torch.ops.aten.sym_size.int else node.target
        return sizes.size_of(target, args, {}, self.shape_of)

    def operation(self, found: Operator, node: fx.Node, call: Call) -> Argument:
        """Return what an operator gives: a map, several, or a tensor without space."""
        given = tuple(self.argument(item) for item in node.args)
        args, kwargs = arguments_of(found, given, {key: self.argument(item) for key, item in node.kwargs.items()})
        call = self.call(call.kind, call.path, args, kwargs)
        if self.counts_batches(found, given):
            self.counters.append(given[0])  # type: ignore[arg-type]
            return given[0]
        if found.name == "batch_norm":
            call = call.with_kwargs(num_batches_tracked=self.counter_beside(call))
        if not any(isinstance(ref, NodeRef) for ref in references((args, kwargs))):
            if is_symbolic((given, kwargs)):
                raise call.refuse("it makes a tensor from the image's size", "compute it outside the streamed module")
            if found.name in ON_CONSTANTS and isinstance(given[0], TensorRef) and given[0].index in self.fixed:
                return given[0]
            if found.random:
                raise call.refuse("it draws a tensor at every run", "compute it outside the streamed module")
            # Its own schema's arguments: the operator itself is called again.
            plain = self.call(call.kind, call.path, given, dict(node.kwargs))
            return self.computed(plain, found.overload, found.name, False, found.overwrites)
        if found.name in CUTTING or found.overload in EXTREMES:
            parts = self.cutting[CUTTING.get(found.name, found.name)](call)
            self.shared(parts.source, None)
            return parts
        recogniser = recogniser_for(found, self.functions, self.methods)
        asked = found.name == "clone" and kwargs.get("memory_format") is torch.contiguous_format
        if (
            asked or found.name == "contiguous"
        ):  # by contiguous(): whether it has to depends on how a map lies, unless its channels are rearranged
            recogniser = self.methods["contiguous"]
            asked = all(regrouping.is_in_sequence(ref.seen) for ref in layouts.maps_of(call))
        if recogniser is None:
            raise call.refuse("it is not an operation the engine knows", remedy_for(found.name))
        result = self.run(recogniser, call)
        if asked or (found.shares and found.name not in (*regrouping.VIEWS, "contiguous")):
            self.shared(result, (args, kwargs))
        if found.overwrites:
            self.take_over(call, args[0], result)
        return result

    def name_of(self, ref: Argument) -> str:
        """Return the name of a parameter or buffer; nothing for anything else."""
        constant = self.constants[ref.index] if isinstance(ref, TensorRef) else None
        return constant.name if isinstance(constant, NamedTensor) else ""

    def counts_batches(self, found: Operator, given: tuple[Argument, ...]) -> bool:
        """Return whether an operator is a batch norm's counting of batches, which its update will do."""
        counter = bool(given) and self.name_of(given[0]).rpartition(".")[2] == COUNTER
        return counter and found.name == "add" and found.overwrites and given[1:] == (1,)

    def counter_beside(self, call: Call) -> TensorRef | None:
        """Return the counter that was counted up for this batch norm, from the same module; None where none was."""
        module = self.name_of(call.kwargs.get("running_mean")).rpartition(".")[0]
        for counter in self.counters:
            if self.name_of(counter).rpartition(".")[0] == module:
                self.counters.remove(counter)
                return counter
        return None

    def build(self) -> Graph:
        """Return the graph."""
        self.inputs()
        output: fx.Node | None = None
        for node in self.exported.program.graph.nodes:
            if node.op == "placeholder":
                continue
            if node.op == "output":
                output = node
                continue
            try:
                self.known[node] = self.translate(node)
            except UnsupportedOperation as error:
                found = operator_of(node)
                if found is not None and found.overwrites:
                    raise
                self.refused[node] = error
        assert output is not None, "every graph has an output"
        for counter in self.counters:
            raise UnsupportedOperation(
                f"cannot stream a module that counts up '{self.name_of(counter)}' without a batch norm behind it; call "
                "eval() on that part"
            )
        return self.finish(self.result(output))

    def result(self, output: fx.Node) -> Argument:
        """Return what the module returns, refused unless it is made of maps."""
        found, shape = output.args[0], self.exported.program.call_spec.out_spec
        assert isinstance(found, tuple | list)
        if shape is None or shape.is_leaf():
            return self.argument(found[0])
        if shape.type not in (tuple, list, dict):
            raise UnsupportedOperation(
                f"cannot stream a module whose result is a {shape.type.__name__}; let a small module around it return "
                "the map you want (for example `.last_hidden_state`), and stream that"
            )
        return pytree.tree_unflatten([self.argument(item) for item in found], shape)


def graph_of(exported: Exported) -> Graph:
    """Return the engine's graph of an exported network.

    Raises
    ------
    SizeUsed
        If what refuses it may be an expression of sizes where there could be a number.
    UnsupportedOperation
        Naming the operation, the module's path and a remedy.
    """
    builder = _ExportedBuilder(exported)
    try:
        return builder.build()
    except UnsupportedOperation as error:
        if any(is_symbolic(value) for value in builder.known.values()):
            raise SizeUsed(str(error)) from error
        raise
