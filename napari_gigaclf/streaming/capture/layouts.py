"""The order of axes in which a network's code sees a map, and what moves it.

ConvNeXt and its kin move channels last (``x.permute(0, 2, 3, 1)``), normalise and mix them there, and move them back.
Nothing is moved here: a reference to a map remembers the order in which the code sees it, and functions that act place
by place run on a view with that order, so that whatever broadcasts from the last axis meets the axis it would meet
without streaming. Whatever looks at neighbours takes maps in their own order alone, (batch, channels, *space).
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_gigaclf.streaming.capture.calls import CHANNEL_AXIS, Call, Recognised, Recogniser
from napari_gigaclf.streaming.network import norms
from napari_gigaclf.streaming.network.linear import ChannelLinear
from napari_gigaclf.streaming.network.operations import Argument, NodeRef, Pointwise, TensorRef, references

Order = tuple[int, ...] | None


def common_order(call: Call) -> Order:
    """Return the order in which all maps among the arguments are seen.

    Raises
    ------
    UnsupportedOperation
        If they are seen in different orders: what would meet what depends on the image's size.
    """
    found = {ref.order for ref in references((call.args, dict(call.kwargs))) if isinstance(ref, NodeRef)}
    if len(found) > 1:
        raise call.refuse("it joins maps whose axes are in different orders", "permute them to the same order first")
    return found.pop() if found else None


def in_own_order(template: Argument) -> Argument:
    """Return an argument whose references no longer say in which order the code sees their maps."""
    if isinstance(template, NodeRef):
        return NodeRef(template.index)
    if isinstance(template, tuple | list):
        return type(template)(in_own_order(item) for item in template)
    if isinstance(template, dict):
        return {key: in_own_order(item) for key, item in template.items()}
    return template


BY_CHANNEL = (F.batch_norm, F.prelu, norms.normalised)
"""Functions whose tensors have one value per channel (and sample), whatever their shape."""


def placewise(
    call: Call,
    function: Callable[..., Tensor],
    args: tuple[Argument, ...],
    kwargs: dict[str, Argument] | None = None,
    in_place: Callable[..., Tensor] | None = None,
) -> Pointwise:
    """Return the place-by-place function of a call, run in the order in which the code sees its maps."""
    moved, named = in_own_order(args), in_own_order(kwargs or {})
    assert isinstance(moved, tuple)
    assert isinstance(named, dict)
    return Pointwise(function=function, args=moved, kwargs=named, in_place=in_place, order=common_order(call))


def place_of(axis: Argument, order: Order, call: Call) -> int:
    """Return an axis counted from the front.

    Raises
    ------
    UnsupportedOperation
        If it is no whole number, or counted from the back of a map whose number of axes is not known yet.
    """
    rank = len(order) if order is not None else None if call.num_axes is None else call.num_axes + 2
    if type(axis) is not int:
        raise call.refuse(f"its axis {axis} is not a whole number", "give the axis as a whole number")
    if rank is not None and not -rank <= axis < rank:
        raise call.refuse(f"a map has no axis {axis}", f"give an axis from 0 to {rank - 1}")
    if axis < 0 and rank is None:
        raise call.refuse(f"axis {axis} is counted from the end, and how many there are is not known here", "count it "
                          "from the front, or put a convolution or pooling before it")  # fmt: skip
    return axis if axis >= 0 or rank is None else axis + rank


def expect_channel_axis(axis: Argument, order: Order, call: Call) -> None:
    """Refuse an axis which is not the channels: space may only be used locally, and samples not mixed."""
    if isinstance(axis, tuple | list) and len(axis) == 1:
        axis = axis[0]
    if type(axis) is int:
        place = place_of(axis, order, call)
        if (place if order is None else order[place]) == CHANNEL_AXIS:
            return
    raise call.refuse(
        f"it works along axis {axis}, and only the channel axis ({'1' if order is None else order.index(1)}) can be "
        "used while space is streamed",
        "move it behind the streamed module (into the pooling or the head)",
    )


def constant_fits(value: Tensor, order: Order, num_axes: int | None) -> bool:
    """Return whether a constant, joined with a map seen in an order, differs from channel to channel only.

    PyTorch lines shapes up from the last axis, which is whatever axis the code sees last.
    """
    if value.numel() == 1:
        return num_axes is None or value.ndim <= num_axes + 2
    if num_axes is None or value.ndim > num_axes + 2:
        return False
    axes = tuple(range(num_axes + 2)) if order is None else order
    return all(size == 1 or axis == CHANNEL_AXIS for size, axis in zip(value.shape[::-1], axes[::-1], strict=False))


def axis_of_channels(order: Order) -> int:
    """Return where the code sees the channels."""
    return CHANNEL_AXIS if order is None else order.index(CHANNEL_AXIS)


def rearranged(ref: NodeRef, places: list[int], call: Call) -> NodeRef:
    """Return the map seen with its present axes in these places."""
    own = tuple(range(len(places)))
    order = own if ref.order is None else ref.order
    if sorted(places) != list(own) or len(order) != len(own):
        raise call.refuse(f"{tuple(places)} is not an order of the map's axes", "name every axis once")
    moved = tuple(order[place] for place in places)
    if moved[0] != 0:
        raise call.refuse("it moves the samples from the first axis", "keep the batch first")
    return NodeRef(ref.index, None if moved == own else moved)


def axes_of(call: Call, ref: NodeRef) -> int:
    """Return how many axes a map has, samples and channels included."""
    if ref.order is not None:
        return len(ref.order)
    if call.num_axes is None:
        raise call.refuse(
            "how many axes the map has is not known here", "use permute, or put a convolution or pooling before it"
        )
    return call.num_axes + 2


def permutation(call: Call) -> Recognised:
    """Recognise ``permute``, by its list of axes."""
    if len(call.args) > 2:  # x.permute(0, 2, 3, 1)
        call = replace(call, args=(call.args[0], call.args[1:]))
    bound = call.bind("input", "dims")
    ref, dims = call.any_map_of(bound["input"]), bound["dims"]
    if not isinstance(dims, tuple | list) or call.num_axes not in (None, len(dims) - 2):
        raise call.refuse("it does not name every axis of the map once", "give every axis of the map")
    own = tuple(range(len(dims)))
    return rearranged(ref, [place_of(axis, ref.order or own, call) for axis in dims], call)


def exchange(call: Call) -> Recognised:
    """Recognise ``transpose`` of two axes."""
    names = ("axis0", "axis1") if {"axis0", "axis1"} & set(call.kwargs) else ("dim0", "dim1")
    bound = call.bind("input", *names)
    ref = call.any_map_of(bound["input"])
    places = list(range(axes_of(call, ref)))
    first, second = (place_of(bound[name], ref.order, call) for name in names)
    places[first], places[second] = places[second], places[first]
    return rearranged(ref, places, call)


def movement(call: Call) -> Recognised:
    """Recognise ``movedim`` of one or several axes."""
    bound = call.bind("input", "source", "destination")
    ref = call.any_map_of(bound["input"])
    count, pairs = axes_of(call, ref), []
    for name in ("source", "destination"):
        value = bound[name]
        listed = list(value) if isinstance(value, tuple | list) else [value]
        pairs.append([place_of(axis, ref.order, call) for axis in listed])
    taken = dict(zip(pairs[1], pairs[0], strict=False))
    if len(pairs[0]) != len(pairs[1]) or len(taken) != len(pairs[0]):
        raise call.refuse("it does not name as many places as axes", "give one place per axis")
    rest = iter(axis for axis in range(count) if axis not in pairs[0])
    return rearranged(ref, [taken[place] if place in taken else next(rest) for place in range(count)], call)


def expect_channels_last(call: Call) -> tuple[int, ...]:
    """Return the order of a call's maps, refusing all but channels in the last place."""
    order = common_order(call)
    if order is None or order[-1] != CHANNEL_AXIS:
        raise call.refuse(
            "its last axis is space, of which a tile shows a part",
            "move channels last before it (x.permute(0, 2, 3, 1)), or keep it outside the streamed module",
        )
    return order


def norm_over_channels(function: Callable[..., Tensor]) -> Recogniser:
    """Return the recogniser of a layer norm over exactly the channels, which are last."""

    def recognise(call: Call) -> Recognised:
        more: dict[str, Argument] = {"bias": None} if function is F.layer_norm else {}
        eps: dict[str, Argument] = {"eps": 1e-5 if function is F.layer_norm else None}
        if function is F.layer_norm and "cudnn_enable" in call.kwargs:
            raise call.refuse("it chooses its implementation", "leave that to PyTorch")
        bound = call.bind("input", "normalized_shape", weight=None, **more, **eps)
        expect_channels_last(call)
        shape = bound["normalized_shape"]
        if not isinstance(shape, tuple | list) or len(shape) != 1:
            raise call.refuse(
                "it needs statistics over space, of which a tile shows a part",
                "normalise over channels alone, or keep it outside the streamed module",
            )
        own = [bound["input"], tuple(shape), bound["weight"], *(bound[name] for name in more), bound["eps"]]
        return placewise(call, function, tuple(own))

    return recognise


def linear(call: Call) -> Recognised:
    """Recognise ``F.linear`` over channels, which are last."""
    bound = call.bind("input", "weight", bias=None)
    order, weight, bias = expect_channels_last(call), bound["weight"], bound["bias"]
    if not isinstance(weight, TensorRef) or not isinstance(bias, TensorRef | None):
        raise call.refuse("its weight is computed from the image", "keep it outside the streamed module")
    if call.constant(weight).ndim != 2:
        raise call.refuse("its weight is no matrix", "give a matrix (channels out, channels in)")
    return ChannelLinear(
        source=NodeRef(call.any_map_of(bound["input"]).index), weight=weight, bias=bias, order=order,
        macs_per_output=call.constant(weight).numel(),
    )  # fmt: skip


def function_table() -> dict[object, Recogniser]:
    """Return the recognisers of what moves axes, or works on channels in the last place."""
    return {
        torch.permute: permutation, torch.transpose: exchange, torch.swapaxes: exchange, torch.swapdims: exchange,
        torch.movedim: movement, torch.moveaxis: movement, F.linear: linear,
        F.layer_norm: norm_over_channels(F.layer_norm), F.rms_norm: norm_over_channels(F.rms_norm),
    }  # fmt: skip


def method_table() -> dict[str, Recogniser]:
    """Return the recognisers of tensor methods which move axes."""
    return {
        "permute": permutation, "transpose": exchange, "swapaxes": exchange, "swapdims": exchange, "movedim": movement,
        "moveaxis": movement,
    }  # fmt: skip
