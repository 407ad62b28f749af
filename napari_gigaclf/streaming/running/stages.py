"""Running all stages of a network, one after the other; PyTorch's autograd strings them together.

Between two stages stand the tensors without space: functions of statistics and weights, computed once by ordinary
PyTorch. Each stage is a step of autograd which gives statistics and takes in what was computed from earlier ones. So
backward runs the last stage first; its gradients of gates and norms pass through the computations in between and reach
the stage before as gradients of its statistics. Parameters that occur only in between get theirs on the way.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.progress import Progress
from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.operations import fill_in
from napari_gigaclf.streaming.network.spaceless import Spaceless
from napari_gigaclf.streaming.network.statistics import Statistic
from napari_gigaclf.streaming.planning.plan import StreamPlan
from napari_gigaclf.streaming.planning.stages import Stage
from napari_gigaclf.streaming.running.autograd import Job, run_stage
from napari_gigaclf.streaming.running.heap import Heap
from napari_gigaclf.streaming.running.report import StreamReport
from napari_gigaclf.streaming.running.tiles import TileRun, Work


@dataclass(slots=True, kw_only=True)
class Account:
    """Adds up what the stages report."""

    job: Job
    """With the plan of all stages, and the caller's callbacks."""
    reports: dict[int, StreamReport] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    """When each phase began."""

    def publish(self, number: int) -> Callable[[StreamReport], None]:
        """Return what takes the reports of a stage."""

        def take(report: StreamReport) -> None:
            self.reports[number] = report
            self.job.publish(StreamReport.together(list(self.reports.values()), at_once=self.job.plan.backward))

        return take

    def progress(self, number: int) -> Callable[[Progress], None] | None:
        """Return what takes the progress of a stage."""
        given, plan = self.job.callbacks.progress, self.job.plan
        if given is None:
            return None

        def take(progress: Progress) -> None:
            now = time.perf_counter()
            start = self.started.setdefault(progress.phase, now - progress.seconds)
            tiles = [stage.num_tiles for stage in plan.stages or (plan,)]
            passes = tiles[:number] if progress.phase == "forward" else tiles[number + 1 :]
            done, total = progress.done + sum(passes), sum(tiles)
            given(replace(progress, done=done, total=total, seconds=now - start))

        return take

    def stage(self, number: int) -> Job:
        """Return the job of one stage."""
        if not self.job.plan.stages:
            return self.job
        callbacks = replace(self.job.callbacks, progress=self.progress(number))
        return replace(
            self.job,
            plan=self.job.plan.stages[number],
            number=number,
            callbacks=callbacks,
            publish=self.publish(number),
        )


def run_job(job: Job, image: Tensor | None) -> Any:  # noqa: ANN401 - what the module returns
    """Return the network's result: a map, or several in the containers in which the module returns them.

    Parameters
    ----------
    job
        The job, with the plan of all stages.
    image
        The image, if it is a tensor.
    """
    if job.sink is not None and sum(plan.stage.reads_image for plan in job.plan.stages) > 1:
        raise UnsupportedOperation(
            "cannot give the image's gradient to a sink: several passes read the image, and each finds a part of it; "
            "allow more memory, so that maps are kept between passes, or give the image as a tensor"
        )
    if torch.is_grad_enabled() and job.sink is not None:
        job = replace(job, sink_alone=image is None or not image.requires_grad)
        image = torch.zeros((), requires_grad=True) if image is None else image
        image = image if image.requires_grad else image.detach().requires_grad_()
    # A map that later stages read is kept whole for them; its wanted cells are taken from it in the end.
    read_again = {index for plan in job.plan.stages for index in plan.stage.given}
    at_once = {index: cells for index, cells in job.some_cells.items() if index not in read_again}
    maps, tensors = run_stages(replace(job, some_cells=at_once), image, max(len(job.plan.stages), 1))
    for index in job.graph.found:
        tensors[index]
    for index in job.some_cells.keys() - at_once.keys():
        maps[index] = job.some_cells[index].chosen(maps[index])
    return fill_in(job.graph.result, maps, tensors)


def run_stages(job: Job, image: Tensor | None, count: int) -> tuple[dict[int, Tensor], Spaceless]:
    """Run so many stages; return the maps they leave, and the tensors without space that are known then."""
    graph = job.graph
    job = replace(job, heap=Heap(job.plan, elsewhere=job.image.device.type != "cpu"))
    maps: dict[int, Tensor] = {}
    statistics: dict[Statistic, Tensor] = {}
    tensors = Spaceless(graph.constants, job.weights, observe=lambda statistic: statistics[statistic])
    before: dict[int, Any] = {}
    account = Account(job=job)
    for number in range(count):
        stage_job = account.stage(number)
        stage = stage_job.plan.stage
        given = {index: maps[index] for index in sorted(stage.given)}
        known = {index: tensors[index] for index in behind_statistics(graph, stage)}
        found = run_stage(replace(stage_job, known_before=before), image, given, known)
        before.update({index: t.detach() if isinstance(t, Tensor) else t for index, t in known.items()})
        maps.update(found.maps)
        statistics.update(found.statistics)
    return maps, tensors


def behind_statistics(graph: Graph, stage: Stage) -> list[int]:
    """Return the tensors behind statistics which a stage reads."""
    reads = {t for index in stage.computed for t in graph.nodes[index].tensors if graph.depths[1][t]}
    return sorted(reads)


def run_region(job: Job, plan: StreamPlan, index: int) -> Tensor:
    """Return one region of an output map, (B, C, *block); statistics of the whole image are streamed first.

    Parameters
    ----------
    job
        Without gradients, with the plan of all stages over the whole image.
    plan
        Of the region: one tile.
    index
        The map.
    """
    graph = job.graph
    _, tensors = run_stages(job, None, graph.depths[0][index])
    known = {other: tensors[other] for other in behind_statistics(graph, plan.stage)}
    work = Work(
        graph=graph, plan=plan, tensors=graph.tensors(job.weights, known), needs_grad=(False,) * len(graph.nodes),
        overwritable=graph.overwritable(),
    )  # fmt: skip
    tile = (0,) * len(plan.grid)
    run = TileRun(work=work, tile=tile, sources={0: job.image.block(plan.made(0, tile))}, pieces={})
    return run.run().targets[index]
