"""Running all stages of a network, one after the other; PyTorch's autograd strings them together.

Between two stages stand the tensors without space: functions of statistics and weights, computed once by ordinary
PyTorch. Each stage is a step of autograd which gives statistics and takes in what was computed from earlier ones. So
backward runs the last stage first; its gradients of gates and norms pass through the computations in between and reach
the stage before as gradients of its statistics. Parameters that occur only in between get theirs on the way.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from napari_gigaclf.streaming.network.operations import fill_in
from napari_gigaclf.streaming.network.spaceless import Spaceless
from napari_gigaclf.streaming.network.statistics import Statistic
from napari_gigaclf.streaming.running.autograd import Job, run_stage


def run_job(job: Job, image: Tensor | None) -> Any:  # noqa: ANN401 - what the module returns
    """Return the network's result: a map, or several in the containers in which the module returns them.

    Parameters
    ----------
    job
        The job, with the plan of all stages.
    image
        The image, if it is a tensor.
    """
    if torch.is_grad_enabled() and job.sink is not None:
        image = torch.zeros((), requires_grad=True) if image is None else image
        image = image if image.requires_grad else image.detach().requires_grad_()
    graph, plan = job.graph, job.plan
    maps: dict[int, Tensor] = {}
    statistics: dict[Statistic, Tensor] = {}
    tensors = Spaceless(graph.constants, job.weights, observe=lambda statistic: statistics[statistic])
    stages = plan.stages or (plan,)
    for stage_plan in stages:
        stage = stage_plan.stage
        reads = {t for index in stage.computed for t in graph.nodes[index].tensors if graph.depths[1][t]}
        given = {index: maps[index] for index in sorted(stage.given)}
        found = run_stage(
            replace(job, plan=stage_plan), image, given, {index: tensors[index] for index in sorted(reads)}
        )
        maps.update(found.maps)
        statistics.update(found.statistics)
    return fill_in(graph.result, maps, ())
