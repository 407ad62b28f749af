"""Reads a network's code: with ``torch.fx`` where that can follow it, with ``torch.export`` where not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from napari_gigaclf.streaming.capture.builder import capture
from napari_gigaclf.streaming.capture.conditions import Conditions, ImageKind
from napari_gigaclf.streaming.capture.exported import graph_of
from napari_gigaclf.streaming.capture.exporting import error_for, exported, exported_for, exported_somehow
from napari_gigaclf.streaming.capture.refusals import CodeNotFollowed, SizeUsed, check_plain
from napari_gigaclf.streaming.network.folding import fold_batch_norms
from napari_gigaclf.streaming.network.graph import Graph

FrontEnd = Literal["auto", "fx", "export"]
FRONT_ENDS: tuple[FrontEnd, ...] = ("auto", "fx", "export")


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A network's graph, and the images it holds for."""

    graph: Graph
    conditions: Conditions | None
    """None: any image of the graph's number of channels."""

    def holds(self, image: ImageKind | None) -> bool:
        """Return whether the graph is the network's for an image; for no image in particular, always."""
        if image is None:
            return True
        if self.conditions is None:
            return self.graph.channels is None or image.shape[1:2] == (self.graph.channels,)
        return self.conditions.hold(image)


def read(
    module: nn.Module,
    front_end: FrontEnd,
    image: ImageKind | None,
    dtype: torch.dtype,
    device: torch.device,
    *,
    one_shape: bool = False,
) -> Captured:
    """Return a module's graph in its present mode.

    Parameters
    ----------
    module
        Any network.
    front_end
        ``"fx"``, ``"export"``, or ``"auto"``: the second where the first cannot follow the code.
    image
        The image it is wanted for; None: images in general.
    dtype
        Of an example image, where no image is given.
    device
        Likewise.
    one_shape
        Whether to read it for images of that shape alone, which is quicker (no inequalities to solve).

    Raises
    ------
    UnsupportedOperation
        Naming the operation, the module's path and a remedy.
    """
    if front_end != "export":
        try:
            (channels,) = (None,) if image is None else image.shape[1:2]
            return Captured(graph=capture(module, channels), conditions=None)
        except CodeNotFollowed:
            if front_end == "fx":
                raise
    check_plain(module)
    if image is None:
        found = exported_somehow(module, dtype, device)
    else:
        found = exported_for(module, image, one_shape=one_shape)
    try:
        return Captured(graph=graph_of(found), conditions=found.conditions)
    except SizeUsed:
        if found.conditions.one_shape:
            raise
    found = exported(module, found.conditions.example, one_shape=True)
    return Captured(graph=graph_of(found), conditions=found.conditions)


def captured_for(
    known: Sequence[Captured],
    module: nn.Module,
    front_end: FrontEnd,
    image: ImageKind | None,
    dtype: torch.dtype,
    device: torch.device,
) -> Captured:
    """Return which of a module's known graphs holds for an image, or a new one, as :func:`read` gives it.

    Batch norms are folded in it. An image of the wrong dimension gets any graph, and is refused by the plan; for one of
    the wrong number of channels, the module's own error is raised.
    """
    for one in known:
        if one.holds(image) or (image is not None and one.graph.num_axes not in (None, len(image.shape) - 2)):
            return one
    conditions = [one.conditions for one in known if one.conditions is not None]
    one_shape = image is not None and any(not condition.hold_in_space(image) for condition in conditions)
    with torch.inference_mode(False):  # a graph outlives the call in which it was read
        try:
            captured = read(module, front_end, image, dtype, device, one_shape=one_shape)
        except CodeNotFollowed:
            own = error_for(module, image) if known and image is not None else None
            if own is None:  # if not, it was followed for other images: this one does not suit it
                raise
            raise own from None
        return replace(captured, graph=fold_batch_norms(captured.graph))
