"""Whether all operations of a network agree on how many axes of space there are, and constants and frames fit these."""

from collections.abc import Sequence, Set

from torch import Tensor

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.capture.calls import Call
from napari_gigaclf.streaming.capture.layouts import Seen, constant_fits
from napari_gigaclf.streaming.network.graph import Node, check_frames


def agreed_axes(
    found: Set[int], claims: Sequence[tuple[Call, Sequence[int]]], joined: Sequence[tuple[Tensor, Seen, Call]],
    nodes: Sequence[Node],
) -> int | None:  # fmt: skip
    """Return the number of spatial axes; None where nothing says it.

    Parameters
    ----------
    found
        Numbers that operations tell.
    claims
        Calls, and the axes that each takes for all of space.
    joined
        Constants that are joined with maps, how these are seen, and the call.
    nodes
        All operations.

    Raises
    ------
    UnsupportedOperation
        If they do not agree, or a constant or a frame is of something else than channels and space.
    """
    numbers = found or {len(axes) for _, axes in claims}
    if len(numbers) > 1:
        raise UnsupportedOperation(
            f"cannot stream a module that mixes operations over {sorted(numbers)} axes; use one kind"
        )
    num_axes = next(iter(numbers)) if numbers else None
    for call, claimed in claims:
        if num_axes is not None and {axis % (num_axes + 2) for axis in claimed} != set(range(2, num_axes + 2)):
            raise call.refuse(
                f"it works along the axes {tuple(claimed)}, part of space only",
                "reduce over all of space, or over channels",
            )
    for value, seen, call in joined:
        if not constant_fits(value, seen, num_axes):
            raise call.refuse(
                f"a constant of shape {tuple(value.shape)} differs from place to place or sample to sample",
                "use one value per channel, of shape (1, channels, 1, ...), with a convolution or pooling present",
            )
    if num_axes is not None:
        check_frames(nodes, num_axes)
    return num_axes
