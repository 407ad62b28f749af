"""``stream(module)``: the same network, for images of any size.

The wrapper has the module's own parameters under the module's own names; its result and its gradients are those of the
untiled module up to rounding. Replacing ``module`` by ``stream(module)`` is the only change a training script needs.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.progress import CancelToken, ProgressCallback
from napari_gigaclf.streaming.capture.choosing import FRONT_ENDS, Captured, FrontEnd, captured_for
from napari_gigaclf.streaming.capture.conditions import ImageKind, autocast_type
from napari_gigaclf.streaming.capture.refusals import check_no_transform, check_plain
from napari_gigaclf.streaming.capture.settings import settings_of
from napari_gigaclf.streaming.capture.trial import trial_run
from napari_gigaclf.streaming.network.dropout import SEED
from napari_gigaclf.streaming.network.graph import Graph, module_weights
from napari_gigaclf.streaming.network.sizes import ImageFacts
from napari_gigaclf.streaming.planning.building import Task
from napari_gigaclf.streaming.planning.cells import CellGeometry, cells_in_any_image, chosen_output
from napari_gigaclf.streaming.planning.choosing import plan_run
from napari_gigaclf.streaming.planning.glass import Glass, find_glass
from napari_gigaclf.streaming.planning.options import asked_for
from napari_gigaclf.streaming.planning.plan import Budget, Layout, StreamPlan
from napari_gigaclf.streaming.planning.schedule import axis_rules, schedule_region
from napari_gigaclf.streaming.planning.stages import stage_for
from napari_gigaclf.streaming.running.autograd import Job
from napari_gigaclf.streaming.running.compiled import Backend, TileCompiler, parse_compile
from napari_gigaclf.streaming.running.kept import kept_cells
from napari_gigaclf.streaming.running.out_of_memory import free_cached, is_out_of_memory
from napari_gigaclf.streaming.running.passes import Callbacks, OutputCallback
from napari_gigaclf.streaming.running.report import StreamReport
from napari_gigaclf.streaming.running.source import (
    Image,
    Readable,
    SourceImage,
    TensorImage,
    as_source,
    check_sink,
    spatial_slices,
)
from napari_gigaclf.streaming.running.stages import run_job, run_region
from napari_gigaclf.streaming.wrapper import Wrapper

PLANS_KEPT = 32
"""Plans remembered, for training on images of a few sizes."""
SMALLEST_TILE = 16
"""Side below which tiles are not made smaller when memory runs out, pixels."""
GRAPHS_KEPT = 8
"""Graphs remembered: train and eval mode, and a few settings."""


class StreamedModule(Wrapper):
    """A network that runs tile by tile, exactly. Made by :func:`stream`."""

    def __init__(
        self, module: nn.Module, budget: Budget, front_end: FrontEnd = "auto", spill: Path | None = None,
        compile: Backend | None = None,
    ) -> None:  # fmt: skip
        super().__init__(module)
        self._budget = budget
        self._front_end: FrontEnd = front_end
        self._spill = spill
        self._compile, self._compilers = compile, dict[int, TileCompiler]()
        self._graphs: dict[tuple[object, ...], list[Captured]] = {}
        self._plans: dict[tuple[object, ...], StreamPlan] = {}
        self._report: StreamReport | None = None
        self._graph()

    @property
    def last_report(self) -> StreamReport | None:
        """What the last run did; None before the first."""
        return self._report

    def forward(self, source: Readable) -> Any:  # noqa: ANN401 - what the module returns
        """Return the feature map of an image of any size.

        Parameters
        ----------
        source
            A tensor ``(B, C, *space)``, or a :class:`Source`, which is a batch of one.

        Returns
        -------
        Tensor
            ``(B, C_out, *cells)``, differentiable with respect to the parameters, and to the tensor if it requires a
            gradient. A module that returns several maps, in tuples, lists or dicts, returns them so here.
        """
        return self.stream(source)

    def stream(
        self,
        source: Readable,
        sink: Any = None,  # noqa: ANN401 - a Sink, or anything assignable by slices
        progress: ProgressCallback | None = None,
        cancel: CancelToken | None = None,
        on_output: OutputCallback | None = None,
        cells: Any = None,  # noqa: ANN401 - arrays or tensors
    ) -> Any:  # noqa: ANN401 - what the module returns
        """Return the feature map, with a say in how the run goes.

        Parameters
        ----------
        source
            A tensor ``(B, C, *space)``; an array ``(C, *space)`` (numpy, zarr, dask); or a :class:`Source`. What is
            not in memory is read ahead on a thread of its own, one region at a time.
        sink
            Takes the image's gradient during ``backward``, region by region: a :class:`Sink`, or an array
            ``(C, *space)`` assignable by slices (numpy, zarr, tensor). Every pixel is written once.
        progress
            Called after each tile, in both passes.
        cancel
            Asked before each tile, in both passes.
        on_output
            Called after each forward tile with the slices over space and the finished block
            ``(B, C_out, *block)``; where the module returns several maps, also with the map's number in the plan's
            ``output_shapes``.
        cells
            Which cells of the output are wanted: booleans, one per cell, array or tensor; the whole map, which may be
            larger than memory, is never made. None: all. For several maps a list, in the order of ``output_shapes``.

        Returns
        -------
        Tensor
            ``(B, C_out, *cells)``; where ``cells`` are given (B, C_out, N), those in raster order. Differentiable.

        Raises
        ------
        Cancelled
            If ``cancel`` is set.
        UnsupportedOperation
            If the module, in its present mode, cannot be streamed.
        ImageTooSmallError, ImageAxesError
            If the image is smaller than the network can take, or has another number of axes.
        RegionError
            If ``cells`` is not one boolean per cell of an output, or not one mask per output.
        CompileError
            If tiles are to be compiled and cannot be.
        """
        image = self._image(source)
        if sink is not None:
            check_sink(sink, image.shape, image.dtype)
        if isinstance(source, Tensor) and not source.numel() and cells is None and on_output is None:
            self._publish(StreamReport())
            return self.module(source)  # no tile to run: PyTorch's own answer, or its error
        weights = self._weights(draw=True)
        check_no_transform((*((source,) if isinstance(source, Tensor) else ()), *weights.values()))
        wanted = [name for name, p in self.module.named_parameters() if p.requires_grad]
        takes_gradient = isinstance(source, Tensor) and source.requires_grad
        backward = torch.is_grad_enabled() and (bool(wanted) or takes_gradient or sink is not None)
        plan = self._plan(image.shape, image.dtype, backward=backward, glass=self._glass(image, backward=backward))
        smaller = partial(self._smaller_plan, image.shape, image.dtype, backward=backward)
        while True:
            graph = self._sized(image.shape, image.dtype)
            job = Job(
                graph=graph, plan=plan, image=image, parameters=tuple(wanted),
                weights=weights, sink=sink, compiler=self._compiler(image.shape, image.dtype),
                callbacks=Callbacks(progress=progress, cancel=cancel, on_output=on_output), publish=self._publish,
                some_cells=kept_cells(cells, graph.outputs, plan.output_shapes), spill=self._spill,
                smaller=smaller,
            )  # fmt: skip
            try:
                return run_job(job, source if isinstance(source, Tensor) else None)
            except Exception as error:
                next_plan = smaller(plan) if is_out_of_memory(error) else None
                if next_plan is None:
                    raise
            # Here, and not above, the failed run's tensors are gone.
            plan = next_plan

    def plan(self, shape: Sequence[int], *, backward: bool = True) -> StreamPlan:
        """Return what a run over an image of this shape would do and cost, without running it.

        Parameters
        ----------
        shape
            ``(C, *space)`` or ``(B, C, *space)``, pixels.
        backward
            Whether a backward pass follows, which needs the borders of all tiles.
        """
        num_axes = self._graph().num_axes
        full = tuple(shape) if num_axes is not None and len(shape) == num_axes + 2 else (1, *shape)
        return self._plan(full, self._dtype(), backward=backward)

    def geometry(self, output: int | None = None) -> tuple[CellGeometry, ...]:
        """Return how output cells lie over the image, one per spatial axis.

        Parameters
        ----------
        output
            Number of the map in the plan's ``output_shapes``, where the module returns several.

        Raises
        ------
        UnsupportedOperation
            If the network makes a map of a fixed size, so that cells lie otherwise in every image.
        """
        graph = self._graph()
        return cells_in_any_image(graph, chosen_output(graph, output))

    @torch.no_grad()
    def region(self, source: Readable, output_slices: Sequence[slice] | slice, output: int | None = None) -> Tensor:
        """Return the features of one region, computed from its receptive field alone.

        Parameters
        ----------
        source
            A tensor ``(B, C, *space)``, or a :class:`Source`.
        output_slices
            One slice per spatial axis of the output map.
        output
            Number of the map in the plan's ``output_shapes``, where the module returns several.

        Returns
        -------
        Tensor
            ``(B, C_out, *block)``, equal to that part of the whole map up to rounding; without gradient. Statistics
            of the whole image, where the module takes any, are streamed first; running statistics stay as they are.

        Raises
        ------
        RegionError
            If the slices are empty, stepped, or not one per axis.
        UnsupportedOperation
            If dropout is active.
        """
        image = self._image(source)
        read = self._graph(self._kind(image.shape, image.dtype))
        index = chosen_output(read, output)
        if read.is_random:
            raise UnsupportedOperation("a region of a module with active dropout is part of no map; call eval() on it")
        whole, stage = self._plan(image.shape, image.dtype, backward=False), stage_for(read, written=(index,))
        graph, space = self._sized(image.shape, image.dtype), image.shape[2:]
        rules = [axis_rules(graph, axis, len(space)) for axis in range(len(space))]
        wanted = spatial_slices(output_slices, whole.sizes(index))
        schedules = tuple(
            schedule_region(graph, axis, stage, size, index, span)
            for axis, size, span in zip(rules, space, wanted, strict=True)
        )
        plan = whole.with_schedules(stage, schedules)
        job = Job(
            graph=graph, plan=whole, image=image, parameters=(), weights=self._weights(), sink=None,
            callbacks=Callbacks(), publish=self._publish,
        )  # fmt: skip
        return run_region(job, plan, index)

    def _graph(self, image: ImageKind | None = None) -> Graph:
        """Return the graph of the module as it is now, captured again when anything but values of weights has changed.

        ``image`` says what it is wanted for, since code may do different things for different shapes; None: anything.
        """
        check_plain(self.module)
        key = settings_of(self.module)
        known = self._graphs.get(key, [])
        found = captured_for(known, self.module, self._front_end, image, self._dtype(), self._device())
        if all(found is not one for one in known):
            if sum(map(len, self._graphs.values())) >= GRAPHS_KEPT:
                self._graphs.clear()
                self._plans.clear()
                self._compilers.clear()
            self._graphs.setdefault(key, []).append(found)
        return found.graph

    def _kind(self, shape: Sequence[int], dtype: torch.dtype) -> ImageKind:
        """Return what the module's code may ask about an image."""
        device = self._device()
        return ImageKind(shape=tuple(shape), dtype=dtype, device=device, autocast=autocast_type(device))

    def _sized(self, shape: Sequence[int], dtype: torch.dtype) -> Graph:
        """Return the graph with all sizes in numbers, for an image of this full shape."""
        graph = self._graph(self._kind(shape, dtype))
        graph.check_axes(shape)
        image = ImageFacts(shape=tuple(shape), double=dtype == torch.float64)
        for claim in graph.claims:
            claim.check(image)
        return graph.sized(image)

    def _compiler(self, shape: Sequence[int], dtype: torch.dtype) -> TileCompiler | None:
        """Return what compiles the tiles of an image of this full shape; None where nothing is to be compiled."""
        if self._compile is None:
            return None
        graph = self._graph(self._kind(shape, dtype))
        return self._compilers.setdefault(id(graph), TileCompiler(backend=self._compile))

    def _glass(self, image: Image, *, backward: bool) -> Glass | None:
        """Return where an image is flat, if the choice of tiles can profit: flat tiles may carry a gradient."""
        if image.flat_value is None or backward or self._budget.layout is not None:
            return None
        return find_glass(image.is_flat, image.shape[2:])

    def _plan(
        self, shape: Sequence[int], dtype: torch.dtype, *, backward: bool, layout: Layout | None = None,
        glass: Glass | None = None,
    ) -> StreamPlan:  # fmt: skip
        """Return the plan for an image of this full shape; with ``layout``, a new one that replaces it."""
        graph, weights = self._graph(self._kind(shape, dtype)), self._weights()
        graph.check_axes(shape)
        device = self._device()
        seen = None if glass is None else glass.key
        key = (id(graph), tuple(shape), dtype, self._dtype(), device, autocast_type(device), backward, seen)
        if key in self._plans and layout is None:
            return self._plans[key]
        graph = self._sized(shape, dtype)
        batch = shape[0] if graph.observed else 1  # arithmetic between stages sees the whole batch
        with torch.no_grad():
            pixel = torch.zeros((batch, shape[1]), dtype=dtype, device=device)
            trial = trial_run(graph, pixel, weights, len(shape) - 2)
        trained = {n: p.numel() * p.element_size() for n, p in self.module.named_parameters() if p.requires_grad}
        task = Task(
            graph=graph, image_shape=tuple(shape), responses=trial.responses, backward=backward, weight_bytes=trained,
            vector_macs=trial.vector_macs, vector_shapes=trial.vector_shapes, glass=glass,
        )  # fmt: skip
        budget = replace(self._budget, device=device.type)
        if layout is not None:
            budget = replace(budget, layout=layout, memory_bytes=None)
        if len(self._plans) >= PLANS_KEPT:
            self._plans.clear()
        self._plans[key] = plan_run(task, budget)
        return self._plans[key]

    def _smaller_plan(
        self, shape: Sequence[int], dtype: torch.dtype, plan: StreamPlan, *, backward: bool
    ) -> StreamPlan | None:
        """Return a plan with tiles of half the side, from now on the plan for this shape; None if they get too small.

        Memory has run out with ``plan``, and what a smaller budget would choose is not known to fit either.
        """
        old = plan.layout.inside(shape[2:])
        new = old.halved(SMALLEST_TILE)
        if new == old:
            return None
        warnings.warn(
            f"memory ran out with tiles of {old} px; going on with {new} px", RuntimeWarning, stacklevel=3
        )  # fmt: skip
        free_cached(self._device())
        return self._plan(shape, dtype, backward=backward, layout=new)

    def _weights(self, *, draw: bool = False) -> dict[str, Tensor]:
        """Return parameters and buffers by name, with the seed of dropout, drawn from PyTorch's default generator."""
        weights = module_weights(self.module)
        if self._graph().is_random:
            seed = torch.randint(1 << 62, ()) if draw else torch.zeros((), dtype=torch.int64)
            weights[SEED] = seed.to(self._device())
        return weights

    def _image(self, source: Readable) -> Image:
        """Return the image of a tensor, a source or an array."""
        if isinstance(source, Tensor):
            return TensorImage(source, self._device(source.device))
        return SourceImage(as_source(source), self._device(), self._dtype())

    def _device(self, default: torch.device | None = None) -> torch.device:
        """Return the device of the first parameter or buffer."""
        for tensor in module_weights(self.module).values():
            return tensor.device
        return default or torch.device("cpu")

    def _dtype(self) -> torch.dtype:
        """Return the floating-point type of the first parameter or buffer."""
        for tensor in module_weights(self.module).values():
            if tensor.is_floating_point():
                return tensor.dtype
        return torch.get_default_dtype()

    def _publish(self, report: StreamReport) -> None:
        self._report = report

    def __getstate__(self) -> Mapping[str, Any]:
        """Leave captured graphs out of copies: they are captured again."""
        return {**self.__dict__, "_graphs": {}, "_plans": {}, "_compilers": {}}


def stream(
    module: nn.Module,
    *,
    tile: int | Sequence[int] | None = None,
    memory: int | str | None = None,
    capture: FrontEnd = "auto",
    spill: str | Path | None = None,
    compile: bool | Backend = False,
) -> StreamedModule:
    """Return the module, made to run tile by tile over images of any size, exactly.

    Parameters
    ----------
    module
        Convolutions, poolings, place-by-place functions, eval-mode batch norm, sums and concatenations, in 1, 2 or 3
        axes of space.
    tile
        Side of a tile in input pixels, one number or one per axis; any size works. None: chosen by the plan.
    memory
        Bytes, or a text like ``"2GB"``, for everything held beyond parameters and the result. What is left of it keeps
        the graphs of tiles, so that the backward pass need not run them again. None: little more than the least. Where
        ``tile`` is given, too, the tile stays, and the memory is kept as far as it allows; the plan's ``peak_bytes``
        tells.
    capture
        How the module's code is read: ``"fx"`` (milliseconds), ``"export"`` (seconds; follows code that looks at
        shapes, uses keywords or dataclasses), or ``"auto"``, the second where the first cannot follow.
    spill
        Folder for a temporary file with the carried borders of a backward pass that ``memory`` has no room for; None:
        the system's folder for temporary files. Without ``memory`` nothing is written.
    compile
        Whether tiles away from the image's border, which all do the same work, are run by a function that
        ``torch.compile`` makes when it meets the first. A name, or a function, is the backend; True: PyTorch's usual.

    Returns
    -------
    StreamedModule
        With the module's own parameters.

    Raises
    ------
    UnsupportedOperation
        Naming the operation, the module's path and a remedy.
    ValueError
        If ``tile``, ``memory``, ``capture`` or ``compile`` makes no sense.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    >>> image = torch.rand(1, 3, 50, 70)
    >>> torch.allclose(stream(net, tile=16)(image), net(image), atol=1e-6)
    True
    """
    budget = asked_for(tile, memory)
    if capture not in FRONT_ENDS:
        raise ValueError(f"capture={capture!r} is none of {', '.join(FRONT_ENDS)}")
    return StreamedModule(module, budget, capture, None if spill is None else Path(spill), parse_compile(compile))
