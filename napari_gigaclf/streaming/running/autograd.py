"""The streamed network as one step of PyTorch's autograd.

Inputs are the image (if it is a tensor) and the parameters, so that optimisers, gradient accumulation and
``DistributedDataParallel`` see ordinary gradients; the tiles' own graphs live and die inside ``backward``.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.network.graph import Graph, NamedTensor
from napari_gigaclf.streaming.network.operations import TensorRef, references_of
from napari_gigaclf.streaming.planning.plan import StreamPlan
from napari_gigaclf.streaming.running.flat import flat_tiles
from napari_gigaclf.streaming.running.kept import Kept
from napari_gigaclf.streaming.running.passes import Backward, Callbacks, Forward, Tape
from napari_gigaclf.streaming.running.report import StreamReport
from napari_gigaclf.streaming.running.source import Image
from napari_gigaclf.streaming.running.tiles import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call of a streamed module."""

    graph: Graph
    plan: StreamPlan
    image: Image
    parameters: tuple[str, ...]
    """Names of the parameters given to autograd, in their order."""
    weights: dict[str, Tensor]
    """All parameters and buffers by name."""
    sink: Any
    callbacks: Callbacks
    publish: Callable[[StreamReport], None]
    """Takes the report after each pass."""
    kept: Kept
    """What is kept of the output."""

    def fixed_tensors(self) -> list[Tensor]:
        """Return the tensors that the graph reads and that get no gradient: statistics, frozen parameters."""
        names = {constant.name for constant in self.graph.constants if isinstance(constant, NamedTensor)}
        return [self.weights[name] for name in sorted(names - set(self.parameters))]

    def forward(self, *, keep: bool) -> tuple[Tensor, Tape, StreamReport]:
        """Run forward."""
        with torch.no_grad():
            flat = None
            if self.image.flat_value is not None:
                responses = self.graph.respond(self.image.flat_value, self.weights, len(self.plan.grid))
                flat = flat_tiles(self.graph, self.plan, responses)
            work = Work(
                graph=self.graph, plan=self.plan, tensors=self.graph.tensors(self.weights),
                overwritable=self.graph.overwritable(), needs_grad=(False,) * len(self.graph.nodes),
            )  # fmt: skip
            run = Forward(
                work=work, image=self.image, flat=flat, callbacks=self.callbacks, keep=keep, report=StreamReport(),
                kept=self.kept,
            )  # fmt: skip
            output = run.run()
        self.publish(run.report)
        return output, run.tape, run.report


def autocast_context(device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """Return what re-creates the present autocast state of a device."""
    kind = device.type
    enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    cached = torch.is_autocast_cache_enabled()
    return lambda: torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=cached)


def gradient_flow(graph: Graph, trained: Sequence[bool], image: bool) -> tuple[bool, ...]:
    """Return per map whether a gradient flows into it: whether the image or a trained tensor lies behind it."""
    flows = [image]
    for node in graph.nodes[1:]:
        used = [ref for ref in references_of(node.operation) if isinstance(ref, TensorRef)]
        flows.append(any(flows[i] for i in node.inputs) or any(trained[ref.index] for ref in used))
    return tuple(flows)


class Streamed(torch.autograd.Function):
    """Forward and backward of a whole run."""

    @staticmethod
    def forward(ctx: Any, job: Job, image: Tensor, *parameters: Tensor) -> Tensor:  # noqa: ANN401 - PyTorch's context
        """Return the output map."""
        output, tape, report = job.forward(keep=True)
        ctx.job, ctx.tape, ctx.report = job, tape, report
        ctx.autocast = autocast_context(output.device)
        # Saved so that a change in place before backward is noticed, as usual; also of what gets no gradient.
        ctx.save_for_backward(image, *parameters, *job.fixed_tensors())
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - PyTorch's context
        """Return the gradients of the image and of the parameters."""
        if torch.is_grad_enabled():
            raise UnsupportedOperation(
                "cannot differentiate a streamed module twice (create_graph=True); use the untiled module on a crop"
            )
        job: Job = ctx.job
        needs = ctx.needs_input_grad[2:]
        image, *saved = ctx.saved_tensors
        parameters = saved[: len(needs)]
        stand_ins = {id(p): p.detach().requires_grad_() for p, wanted in zip(parameters, needs, strict=True) if wanted}
        weights = {name: stand_ins.get(id(tensor), tensor) for name, tensor in job.weights.items()}
        with torch.enable_grad(), ctx.autocast():
            computed = job.graph.tensors(weights)
        leaves = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in computed]
        grad_image = torch.zeros_like(image) if ctx.needs_input_grad[1] and job.sink is None else None
        flows = gradient_flow(
            job.graph, [leaf.requires_grad for leaf in leaves], grad_image is not None or job.sink is not None
        )
        work = Work(
            graph=job.graph, plan=job.plan, tensors=leaves, needs_grad=flows, overwritable=job.graph.overwritable()
        )
        run = Backward(
            work=work, image=job.image, tape=ctx.tape, grad_output=grad_outputs[0], kept=job.kept, sink=job.sink,
            grad_image=grad_image, callbacks=job.callbacks, report=ctx.report, autocast=ctx.autocast,
        )  # fmt: skip
        sums = run.run()
        job.publish(run.report)
        for index in tensors_read(job.graph):
            if index not in sums and leaves[index].requires_grad:
                sums[index] = torch.zeros_like(leaves[index])  # zero, not None: it was used, as in the untiled module
        found = parameter_gradients(computed, sums, list(stand_ins.values()))
        by_parameter = dict(zip(stand_ins, found, strict=True))
        return (None, grad_image, *(by_parameter.get(id(p)) for p in parameters))


def tensors_read(graph: Graph) -> set[int]:
    """Return the indices of the tensors without space which some node reads."""
    return {ref.index for node in graph.nodes for ref in references_of(node.operation) if isinstance(ref, TensorRef)}


def parameter_gradients(
    computed: Sequence[Tensor], sums: Mapping[int, Tensor], parameters: Sequence[Tensor]
) -> Sequence[Tensor | None]:
    """Return the parameters' gradients from those of the tensors computed from them, by their index."""
    roots = [computed[index] for index in sums]
    given = [gradient.to(computed[index].dtype) for index, gradient in sums.items()]
    if not roots:
        return [None] * len(parameters)
    return torch.autograd.grad(roots, parameters, given, allow_unused=True)


def run_job(job: Job, image: Tensor | None) -> Tensor:
    """Run a job, as a step of autograd where something wants a gradient.

    Parameters
    ----------
    job
        The job.
    image
        The image, if it is a tensor.
    """
    parameters = [job.weights[name] for name in job.parameters]
    trains = (
        any(p.requires_grad for p in parameters) or (image is not None and image.requires_grad) or job.sink is not None
    )
    if not (torch.is_grad_enabled() and trains):
        return job.forward(keep=False)[0]
    if image is None:
        image = torch.zeros((), requires_grad=job.sink is not None)
    elif job.sink is not None and not image.requires_grad:
        image = image.detach().requires_grad_()
    output: Tensor = Streamed.apply(job, image, *parameters)  # type: ignore[no-untyped-call]
    return output
