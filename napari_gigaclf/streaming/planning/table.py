"""A plan as a table for a person: what will be done, what it costs, what it holds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_gigaclf.streaming.planning.plan import StreamPlan


def megabytes(count: int) -> str:
    """Return bytes as text.

    Examples
    --------
    >>> megabytes(1_234_567), megabytes(5_600_000_000)
    ('1.2 MB', '5600.0 MB')
    """
    return f"{count / 1e6:.1f} MB"


def gmac(count: int) -> str:
    """Return multiply-accumulates as text."""
    return f"{count / 1e9:.2f} GMAC"


def rows(plan: "StreamPlan") -> Iterator[tuple[str, str]]:
    """Yield name and value of each line."""
    yield "image", " x ".join(map(str, plan.image_shape))
    for shape in plan.output_shapes:
        yield "output", " x ".join(map(str, shape))
    stages = plan.stages or (plan,)
    yield "tile", f"{plan.layout} px"
    yield "tiles", " and ".join(dict.fromkeys(f"{s.num_tiles} ({' x '.join(map(str, s.grid))})" for s in stages))
    again = sum(stage.num_tiles - stage.kept_graphs for stage in stages if stage.stage.reads_image)
    yield "reads", f"{plan.reads} forward" + (f", {again} backward" if plan.backward else "")
    share = 100 * plan.recomputed_macs / max(plan.untiled_macs, 1)
    yield "forward", f"{gmac(plan.macs)} (untiled {plan.untiled_macs / 1e9:.2f}; {share:.2f} % again)"
    if plan.backward:
        yield "second forward", f"{gmac(plan.rerun_macs)} at most"
        count = sum(stage.num_tiles for stage in stages)
        yield "kept graphs", f"{plan.kept_graphs} of {count} tiles, up to {megabytes(plan.graph_bytes)} each"
        yield "step", f"{gmac(plan.step_macs)}, {plan.step_macs / max(3 * plan.untiled_macs, 1):.2f} x untiled"
    yield "carried maps", str(plan.num_carried)
    yield "carried borders", megabytes(plan.carry_bytes) + (" for the backward pass" if plan.backward else "")
    if plan.backward:
        spilled = f"{megabytes(plan.spill_bytes)} of {plan.spilled_tiles} tiles" if plan.spilled_tiles else "nothing"
        yield "spilled to disk", spilled
    if plan.stages:
        from_image = sum(stage.stage.reads_image for stage in plan.stages)
        yield "passes", f"{len(plan.stages)}, {from_image} of them from the image; {megabytes(plan.stored_bytes)} kept"
        for number, stage in enumerate(plan.stages, start=1):
            yield f"  pass {number}", _stage_line(stage)
    yield "peak memory", f"<= {megabytes(plan.peak_bytes)} beyond parameters and output"


def _stage_line(plan: "StreamPlan") -> str:
    """Return what one of several passes does, in a line."""
    stage = plan.stage
    starts = [*(["the image"] if stage.reads_image else []), *([f"{len(stage.given)} maps"] if stage.given else [])]
    kinds = ((stage.observed, "observed"), (stage.written, "whole"))
    gives = [f"{len(items)} {name}" for items, name in kinds if items]
    kept = f"; {plan.kept_graphs} of {plan.num_tiles} graphs kept" if plan.backward else ""
    return f"{gmac(plan.macs)} from {' and '.join(starts)}, gives {' and '.join(gives)}{kept}"
