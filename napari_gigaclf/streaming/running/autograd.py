"""One stage of the streamed network as one step of PyTorch's autograd.

Inputs are the image (if it is a tensor), what earlier stages found, and the parameters, so that optimisers, gradient
accumulation and ``DistributedDataParallel`` see ordinary gradients; the tiles' own graphs live and die inside
``backward``. A run in one stage is one such step; statistics over the whole image and rests make several.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.statistics import Kind, Statistic, precise_type
from napari_gigaclf.streaming.planning.plan import StreamPlan
from napari_gigaclf.streaming.planning.stages import Stage
from napari_gigaclf.streaming.running.compiled import CompiledTiles, TileCompiler
from napari_gigaclf.streaming.running.flat import flat_tiles
from napari_gigaclf.streaming.running.heap import Heap
from napari_gigaclf.streaming.running.kept import Kept, SomeCells, WholeMap
from napari_gigaclf.streaming.running.out_of_memory import is_out_of_memory
from napari_gigaclf.streaming.running.passes import Backward, Callbacks, Forward, Tape
from napari_gigaclf.streaming.running.precision import rounded_weights
from napari_gigaclf.streaming.running.report import StreamReport
from napari_gigaclf.streaming.running.source import Image
from napari_gigaclf.streaming.running.statistics import Observer, Seeder
from napari_gigaclf.streaming.running.tiles import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a stage delivers."""

    maps: dict[int, Tensor]
    """Maps written whole, (B, C, *space)."""
    statistics: dict[Statistic, Tensor]
    """(B, C) each."""


Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Inputs(Generic[Item]):
    """What an autograd step takes in, or whatever belongs to each of these."""

    maps: dict[int, Item]
    """Maps left by earlier stages."""
    known: dict[int, Item]
    """Tensors without space behind statistics, by index."""
    parameters: list[Item]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One stage of a call of a streamed module."""

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
    some_cells: Mapping[int, SomeCells] = field(default_factory=dict)
    """Keep the wanted cells, for maps of which only some are; by map. The others are kept whole."""
    smaller: Callable[[StreamPlan], StreamPlan | None] = lambda _plan: None
    """Gives the plan of all stages with smaller tiles, for when memory runs out; None where there is none."""
    compiler: TileCompiler | None = None
    """Compiles what most tiles do; None: no tile is run compiled."""
    sink_alone: bool = False
    """Whether the sink takes the image's gradient and nobody else wants it."""
    number: int = 0
    """Which of the plan's stages this is."""
    spill: Path | None = None
    """Folder for carried borders for which there is no room in memory; None: the system's for temporary files."""
    maps: dict[int, Tensor] = field(default_factory=dict)
    """Maps which earlier stages left, (B, C, *space)."""
    known: dict[int, Any] = field(default_factory=dict)
    """Tensors without space, behind statistics of earlier stages, which this stage reads; by index."""
    heap: Heap = field(default_factory=Heap)
    """Gives memory back in all passes of the call."""
    known_before: dict[int, Any] = field(default_factory=dict)
    """Those which earlier stages read; they tell what a kept map is where the image is flat."""

    def kept_maps(self) -> dict[int, Kept]:
        """Return what takes the maps that the stage delivers."""
        return {i: self.some_cells.get(i) or WholeMap() for i in self.plan.stage.written}

    def compiled_tiles(self) -> CompiledTiles | None:
        """Return the tiles that are run compiled."""
        return None if self.compiler is None else self.compiler.tiles(self.graph, self.plan)

    @property
    def own(self) -> list[int]:
        """The ids of the parameters themselves: what autograd saved may be copies, under checkpointing and hooks."""
        return [id(self.weights[name]) for name in self.parameters]

    @property
    def statistics(self) -> list[Statistic]:
        """The statistics which the stage takes, in order."""
        return [statistic for node in self.plan.stage.observed for statistic in self.graph.observed[node]]

    def sorted_inputs(self, items: Sequence[Item]) -> "Inputs[Item]":
        """Return what belongs to the autograd step's inputs behind the image, by what they are."""
        names = [i for i, value in self.known.items() if isinstance(value, Tensor)]
        first, second = len(self.maps), len(self.maps) + len(names)
        return Inputs(
            maps=dict(zip(self.maps, items[:first], strict=True)),
            known=dict(zip(names, items[first:second], strict=True)),
            parameters=list(items[second:]),
        )

    def sorted_gradients(
        self, grads: Sequence[Tensor | None]
    ) -> tuple[dict[int, Tensor], dict[int, dict[Kind, Tensor]]]:
        """Return the gradients of the stage's maps and of its statistics, where there are any."""
        written = self.plan.stage.written
        maps = {i: g for i, g in zip(written, grads, strict=False) if g is not None}
        statistics: dict[int, dict[Kind, Tensor]] = {}
        for statistic, gradient in zip(self.statistics, grads[len(written) :], strict=True):
            if gradient is not None:
                of_map, precise = statistics.setdefault(statistic.node, {}), precise_type(gradient.device)
                of_map[statistic.kind] = of_map.get(statistic.kind, 0) + gradient.to(precise)
        return maps, statistics

    def tensors_behind(self, maps: Collection[int]) -> set[int]:
        """Return the tensors without space which the stage reads to compute these of its maps, by index."""
        needed, read = set(maps), set[int]()
        for index in reversed(self.plan.stage.computed):
            if index in needed:
                needed.update(self.graph.nodes[index].inputs)
                read.update(self.graph.nodes[index].tensors)
        return read

    def with_smaller_tiles(self) -> "Job | None":
        """Return the same stage with smaller tiles; None where there is none."""
        plan = self.smaller(self.plan)
        if plan is not None and plan.stages:
            plan = plan.stages[self.number] if self.number < len(plan.stages) else None
        return None if plan is None or plan.stage != self.plan.stage else replace(self, plan=plan)

    @property
    def tensors_read(self) -> set[int]:
        """The tensors without space which the stage's maps are computed with, by index."""
        return {index for node in self.plan.stage.computed for index in self.graph.nodes[node].tensors}

    def names_read(self) -> set[str]:
        """Return the parameters and buffers that the stage reads, by name; those behind its known tensors apart."""
        return self.graph.names_behind(index for index in self.tensors_read if index not in self.known)

    def fixed_tensors(self) -> list[Tensor]:
        """Return the tensors that the stage reads and that get no gradient: statistics, frozen parameters."""
        return [self.weights[name] for name in sorted(self.names_read() - set(self.parameters))]

    def forward(
        self, *, keep: bool, grad_work: Work | None = None
    ) -> tuple[Found, dict[int, Observer], Tape, StreamReport]:
        """Run forward; with ``grad_work``, keep the graphs of as many tiles as the plan says."""
        plan = self.plan
        with torch.no_grad():
            flat = None
            if grad_work is None:
                tensors = self.graph.tensors(self.weights, self.known, self.tensors_read)
                tensors = rounded_weights(self.graph, tensors, self.image.device)
            else:
                tensors = [t.detach() if isinstance(t, Tensor) else t for t in grad_work.tensors]
            if self.image.flat_value is not None and not self.graph.is_random:
                known = {**self.known_before, **self.known}
                responses = self.graph.respond(self.image.flat_value, self.weights, len(self.plan.grid), known)
                flat = flat_tiles(self.graph, self.plan, responses, self.graph.tensors(self.weights, known))
            work = Work(
                graph=self.graph, plan=plan, tensors=tensors,
                overwritable=self.graph.overwritable(), needs_grad=(False,) * len(self.graph.nodes), heap=self.heap,
            )  # fmt: skip
            observers = {node: Observer.of(self.graph.observed[node], plan.sizes(node)) for node in plan.stage.observed}
            run = Forward(
                work=work, image=self.image, flat=flat, callbacks=self.callbacks, keep=keep, report=StreamReport(),
                given=self.maps, observers=observers, kept=self.kept_maps(), grad_work=grad_work,
                spill_folder=self.spill, compiled=self.compiled_tiles(),
            )  # fmt: skip
            maps = run.run()
            statistics = {statistic: observers[statistic.node].value(statistic) for statistic in self.statistics}
        self.publish(run.report)
        return Found(maps=maps, statistics=statistics), observers, run.tape, run.report


def autocast_context(device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """Return what re-creates the present autocast state of a device."""
    kind = device.type
    enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    cached = torch.is_autocast_cache_enabled()
    return lambda: torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=cached)


def gradient_flow(graph: Graph, stage: Stage, trained: Sequence[bool], sources: Mapping[int, bool]) -> tuple[bool, ...]:
    """Return per map whether a gradient flows into it: whether a source or tensor that wants one is behind it.

    Parameters
    ----------
    graph
        The network.
    stage
        The stage; maps outside it get no gradient.
    trained
        Per tensor without space: whether it wants a gradient.
    sources
        Whether the image (map 0) and the given maps want one.
    """
    flows = [sources.get(index, False) for index in range(len(graph.nodes))]
    for index in stage.computed:
        node = graph.nodes[index]
        flows[index] = any(flows[i] for i in node.inputs) or any(trained[i] for i in node.tensors)
    return tuple(flows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The tensors without space, computed from stand-ins for what autograd was given."""

    job: Job
    computed: list[Any]
    """The tensors, with PyTorch's graph from the stand-ins."""
    stand_ins: dict[int, Tensor]
    """Leaves in place of the parameters that want a gradient, by the id of the parameter itself."""
    maps: dict[int, bool]
    """Which given maps want a gradient."""
    autocast: Callable[[], AbstractContextManager[Any]]
    """Gives the context of the forward pass."""

    @staticmethod
    def of(
        job: Job, inputs: Sequence[Tensor], needs: Sequence[bool], autocast: Callable[[], AbstractContextManager[Any]]
    ) -> "Trained":
        """Compute them.

        Parameters
        ----------
        job
            The job.
        inputs
            The autograd step's inputs behind the image.
        needs
            Which of them want a gradient.
        autocast
            Gives the context of the forward pass.
        """
        given, wanted = job.sorted_inputs(inputs), job.sorted_inputs(needs)
        stand_ins = {
            place: p.detach().requires_grad_()
            for place, p, wants in zip(job.own, given.parameters, wanted.parameters, strict=True) if wants
        }  # fmt: skip
        weights = {name: stand_ins.get(id(tensor), tensor) for name, tensor in job.weights.items()}
        known = {**job.known, **{i: t.detach().requires_grad_(wanted.known[i]) for i, t in given.known.items()}}
        with torch.enable_grad(), autocast():
            computed = job.graph.tensors(weights, known, job.tensors_read)
        return Trained(job=job, computed=computed, stand_ins=stand_ins, maps=wanted.maps, autocast=autocast)

    @property
    def wants(self) -> list[bool]:
        """Which of them want a gradient."""
        return [isinstance(tensor, Tensor) and tensor.requires_grad for tensor in self.computed]

    def work(self, *, image: bool) -> Work:
        """Return the work with a fresh leaf in place of each; ``image``: whether the image wants a gradient."""
        job = self.job
        values = [t.detach() if isinstance(t, Tensor) else t for t in self.computed]
        with self.autocast():
            values = rounded_weights(job.graph, values, job.image.device)
        leaves = [
            t.requires_grad_(wants) if isinstance(t, Tensor) else t for t, wants in zip(values, self.wants, strict=True)
        ]  # fmt: skip
        sources = {0: image and job.plan.stage.reads_image, **self.maps}
        flows = gradient_flow(job.graph, job.plan.stage, self.wants, sources)
        return Work(
            graph=job.graph, plan=job.plan, tensors=leaves, needs_grad=flows, overwritable=job.graph.overwritable(),
            heap=job.heap,
        )  # fmt: skip

    def parameter_gradients(self, sums: dict[int, Tensor]) -> dict[int, Tensor]:
        """Return the gradients of the parameters, by the id of the parameter itself, from those of the tensors.

        The tensors and their gradients, by index, are used up one by one: all of them at once would be held twice, and
        in half precision thrice.
        """
        found: dict[int, Tensor] = {}
        own = {id(leaf): place for place, leaf in self.stand_ins.items()}
        for index in sorted(sums):
            tensor, self.computed[index] = self.computed[index], None
            leaves = [leaf for leaf in leaves_behind(tensor) if id(leaf) in own]
            gradient = sums.pop(index).to(tensor.dtype)
            parts = torch.autograd.grad(tensor, leaves, gradient, retain_graph=True) if leaves else ()
            for leaf, part in zip(leaves, parts, strict=True):
                place = own[id(leaf)]
                found[place] = found[place] + part if place in found else part
            self.job.heap.tidy()
        return found


def leaves_behind(tensor: Tensor) -> list[Tensor]:
    """Return the leaves of PyTorch's graph that a tensor was computed from; a leaf's is itself."""
    if tensor.grad_fn is None:
        return [tensor] if tensor.requires_grad else []
    waiting, seen, found = [tensor.grad_fn], set[object](), dict[int, Tensor]()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found[id(leaf)] = leaf
        waiting += [after for after, _ in node.next_functions if after is not None]
    return list(found.values())


class Streamed(torch.autograd.Function):
    """Forward and backward of a stage.

    In go maps left by earlier stages, tensors without space, and parameters; out come maps and statistics.
    """

    @staticmethod
    def forward(ctx: Any, job: Job, image: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401 - PyTorch's
        """Return the stage's maps and statistics."""
        ctx.set_materialize_grads(False)
        ctx.autocast = autocast_context(job.image.device)
        ctx.work = None
        if job.plan.kept_graphs:
            needs = ctx.needs_input_grad
            ctx.work = Trained.of(job, inputs[: len(needs) - 2], needs[2:], ctx.autocast).work(image=needs[1])
        found, observers, ctx.tape, ctx.report = job.forward(keep=True, grad_work=ctx.work)
        # Saved so that a change in place before backward is noticed, as usual; also of what gets no gradient.
        ctx.save_for_backward(image, *inputs, *job.fixed_tensors())
        ctx.job = replace(job, maps=dict.fromkeys(job.maps, image))  # only their order: saved tensors can be freed
        ctx.observers = observers
        return (*(found.maps[i] for i in job.plan.stage.written), *found.statistics.values())

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - PyTorch's
        """Return the gradients of the image and of the other inputs."""
        if torch.is_grad_enabled():
            raise UnsupportedOperation(
                "cannot differentiate a streamed module twice (create_graph=True); use the untiled module on a crop"
            )
        job: Job = ctx.job
        image, *saved = ctx.saved_tensors
        count = len(ctx.needs_input_grad) - 2
        inputs, needs = job.sorted_inputs(saved[:count]), job.sorted_inputs(ctx.needs_input_grad[2:])
        wants_image = ctx.needs_input_grad[1] and job.plan.stage.reads_image

        def trained() -> Trained:
            return Trained.of(job, saved[:count], ctx.needs_input_grad[2:], ctx.autocast)

        grad_image = torch.zeros_like(image) if wants_image and not job.sink_alone else None
        work, ctx.work = ctx.work or trained().work(image=wants_image), None  # a second backward pass makes another
        grad_maps = {i: torch.zeros_like(inputs.maps[i]) for i, wanted in needs.maps.items() if wanted}
        written, statistics = job.sorted_gradients(grad_outputs)
        tries = 0
        while True:
            try:
                if tries:  # borders of smaller tiles are others: the stage runs forward once more
                    with ctx.autocast():
                        _, ctx.observers, ctx.tape, ctx.report = replace(job, maps=inputs.maps).forward(keep=True)
                    ctx.report = ctx.report.plus(smaller_tiles=tries)
                observed = {node: Seeder(observer=ctx.observers[node], gradients=g) for node, g in statistics.items()}
                run = Backward(
                    work=work, image=job.image, tape=ctx.tape, grad_written=written, kept=job.kept_maps(),
                    sink=job.sink, grad_image=grad_image, callbacks=job.callbacks, report=ctx.report,
                    autocast=ctx.autocast, given=inputs.maps, grad_given=grad_maps, observed=observed,
                    compiled=job.compiled_tiles(),
                )  # fmt: skip
                sums = run.run()
                break
            except Exception as error:
                smaller = job.with_smaller_tiles() if is_out_of_memory(error) else None
                if smaller is None:
                    raise
            # Here, and not above, what the failed run held is gone; what it found so far does not count.
            job, tries = smaller, tries + 1
            ctx.job, ctx.tape = job, Tape()
            work = trained().work(image=wants_image)
            for filled in (*grad_maps.values(), *(() if grad_image is None else (grad_image,))):
                filled.zero_()
        job.publish(run.report)
        # Zero, not None, for what was used, as in the untiled module; and None for what was not, which a compiled
        # function, whose backward pass knows no unused results, gives zeros.
        behind = sorted(job.tensors_behind({*written, *statistics}) & work.trained.keys())
        sums = {index: sums[index] if index in sums else torch.zeros_like(work.tensors[index]) for index in behind}
        of_known = [sums.pop(i).to(t.dtype) if i in sums else None for i, t in inputs.known.items()]
        del work, run  # the tensors are computed anew, this time to go back through, in the memory of these
        by_parameter = trained().parameter_gradients(sums)
        of_parameters = (by_parameter.get(place) for place in job.own)
        return (None, grad_image, *(grad_maps.get(i) for i in inputs.maps), *of_known, *of_parameters)


def run_stage(job: Job, image: Tensor | None, maps: Mapping[int, Tensor], known: Mapping[int, Any]) -> Found:
    """Run one stage, as a step of autograd where something wants a gradient.

    Parameters
    ----------
    job
        What to run.
    image
        The image, if it is a tensor.
    maps
        Maps that earlier stages left, as they stand in autograd.
    known
        Tensors without space behind statistics, likewise, by index.
    """
    job = replace(
        job,
        maps={i: t.detach() for i, t in maps.items()},
        known={i: t.detach() if isinstance(t, Tensor) else t for i, t in known.items()},
    )
    parameters = [job.weights[name] for name in job.parameters]
    behind = [*maps.values(), *(t for t in known.values() if isinstance(t, Tensor))]
    # Parameters of other stages do not count: a frozen stage keeps nothing and is not run backward.
    read = [job.weights[name] for name in job.names_read()]
    trains = any(t.requires_grad for t in (*behind, *read, *(() if image is None else (image,))))
    if not (torch.is_grad_enabled() and trains):
        return job.forward(keep=False)[0]
    start = torch.zeros(()) if image is None else image
    outputs = Streamed.apply(job, start, *behind, *parameters)  # type: ignore[no-untyped-call]
    written = job.plan.stage.written
    return Found(
        maps=dict(zip(written, outputs, strict=False)),
        statistics=dict(zip(job.statistics, outputs[len(written) :], strict=True)),
    )
