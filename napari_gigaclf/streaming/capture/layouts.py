"""The order of axes in which a network's code sees a map, and what moves it.

ConvNeXt and its kin move channels last (``x.permute(0, 2, 3, 1)``), normalise and mix them there, and move them back.
Nothing is moved here: a reference to a map remembers how the code sees it (:mod:`..network.arrangements`), and
functions that act place by place run on such a view. Whatever looks at neighbours takes maps as they lie in memory
alone, (batch, channels, *space).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_gigaclf.streaming.capture.calls import Call, Recognised, Recogniser
from napari_gigaclf.streaming.capture.refusals import CodeNotFollowed
from napari_gigaclf.streaming.network import norms
from napari_gigaclf.streaming.network.arrangements import CHANNELS, SAMPLES, Arrangement, arranged, own_axes
from napari_gigaclf.streaming.network.claims import SizeClaim
from napari_gigaclf.streaming.network.linear import ChannelLinear
from napari_gigaclf.streaming.network.operations import Argument, NodeRef, Pointwise, TensorRef, references
from napari_gigaclf.streaming.network.sizes import evaluated, is_symbolic

Seen = Arrangement | None


def common_arrangement(call: Call) -> Seen:
    """Return how the maps among the arguments are seen, all alike.

    Raises
    ------
    UnsupportedOperation
        If their axes do not correspond: what would meet what depends on the image's size.
    """
    found = list(dict.fromkeys(ref.seen for ref in maps_of(call)))
    if len(found) > 1 and len({None if seen is None else seen.kinds for seen in found}) > 1:
        raise call.refuse("it joins maps whose axes are in different orders", "permute them to the same order first")
    return found[0] if found else None


def maps_of(call: Call) -> list[NodeRef]:
    """Return the maps among a call's arguments."""
    return [ref for ref in references((call.args, dict(call.kwargs))) if isinstance(ref, NodeRef)]


def by_list(source: Tensor, place: int, numbers: Tensor | Sequence[int]) -> Tensor:
    """Return what lies at these numbers along an axis."""
    return source[(*(slice(None),) * place, numbers if isinstance(numbers, Tensor) else list(numbers))]


BY_CHANNEL = (F.batch_norm, F.prelu, norms.normalised, by_list)
"""Functions whose tensors have one value per channel (and sample), whatever their shape."""


def placewise(
    call: Call,
    function: Callable[..., Tensor],
    args: tuple[Argument, ...],
    kwargs: dict[str, Argument] | None = None,
    in_place: Callable[..., Tensor] | None = None,
    kinds: Sequence[int] | None = None,
) -> Pointwise:
    """Return the place-by-place function of a call, run on its maps as the code sees them.

    Parameters
    ----------
    call
        Its maps are those among the arguments.
    function, args, kwargs, in_place
        As the operation has them.
    kinds
        What each axis of the value is: samples, channels (several times, or never), axes of space. None: as in the
        maps.
    """
    named = kwargs or {}
    seen = common_arrangement(call)
    alike = len({ref.seen for ref in maps_of(call)}) < 2
    if kinds is None and alike:
        axes = None if seen is None else seen.axes
    else:
        axes = numbered(seen.kinds if kinds is None and seen is not None else kinds or ())
    if axes is not None:
        seen = with_lengths(call, axes, function, args, named)
    if not alike:  # the first map's block may be another's too, in another order
        in_place = None
    return Pointwise(function=function, args=args, kwargs=named, in_place=in_place, seen=seen)


def numbered(kinds: Sequence[int]) -> tuple[int, ...]:
    """Return axes of these kinds whose parts of the channels lie in memory as they are seen."""
    parts = iter(range(CHANNELS, CHANNELS - len(kinds), -1))
    return tuple(next(parts) if kind == CHANNELS else kind for kind in kinds)


def with_lengths(
    call: Call, axes: tuple[int, ...], function: Callable[..., Tensor], args: tuple[Argument, ...],
    kwargs: Mapping[str, Argument],
) -> Seen:  # fmt: skip
    """Return the arrangement of a function's value, whose channels' parts have the lengths that it gives."""
    count = sum(axis < 0 for axis in axes)
    if count < 2:
        return arranged(axes, () if count == 0 else None)
    shape = call.scout.shape(function, args, kwargs, call.num_axes)
    if shape is None:
        raise unknown_channels(call)
    if len(shape) != len(axes):
        raise call.refuse(f"its value has {len(shape)} axes where {len(axes)} are expected", "keep the map's axes")
    return arranged(axes, [shape[axes.index(-1 - part)] for part in range(count)])


def unknown_channels(call: Call) -> CodeNotFollowed:
    """Return the refusal of what needs a map's number of channels before the code tells it."""
    return CodeNotFollowed(
        str(call.refuse("how many channels the map has is not known here", "put a convolution before it"))
    )


def fixed(call: Call, value: Argument) -> Argument:
    """Return an argument with numbers for what the code computes from numbers of channels, the same for all images.

    Raises
    ------
    UnsupportedOperation
        If channels are counted by something that is not known.
    """
    if isinstance(value, slice):
        return slice(*(fixed(call, item) for item in (value.start, value.stop, value.step)))
    if isinstance(value, tuple | list):
        return type(value)(fixed(call, item) for item in value)
    if not is_symbolic(value):
        return value
    try:
        number = None if call.num_axes is None else evaluated(value, call.scout.facts(call.num_axes))
    except (TypeError, ValueError, LookupError, ArithmeticError):
        number = None
    if type(number) is not int:
        raise unknown_channels(call)
    refusal = str(call.refuse("it counts channels by the image's size", "use plain numbers"))
    call.claim_size(SizeClaim(given=value, meant=number, refusal=refusal))
    return number


def place_of(axis: Argument, seen: Seen, call: Call) -> int:
    """Return an axis counted from the front.

    Raises
    ------
    UnsupportedOperation
        If it is no whole number, or counted from the back of a map whose number of axes is not known yet.
    """
    rank = len(seen.axes) if seen is not None else None if call.num_axes is None else call.num_axes + 2
    if type(axis) is not int:
        raise call.refuse(f"its axis {axis} is not a whole number", "give the axis as a whole number")
    if rank is not None and not -rank <= axis < rank:
        raise call.refuse(f"a map has no axis {axis}", f"give an axis from 0 to {rank - 1}")
    if axis < 0 and rank is None:
        raise call.refuse(f"axis {axis} is counted from the end, and how many there are is not known here", "count it "
                          "from the front, or put a convolution or pooling before it")  # fmt: skip
    return axis if axis >= 0 or rank is None else axis + rank


def axis_at(place: int, seen: Seen) -> int:
    """Return which axis of the map stands in a place, counted from the front."""
    return seen.axes[place] if seen is not None else own_axes(max(place, 1))[place]


def expect_channel_axis(axis: Argument, seen: Seen, call: Call) -> int:
    """Return the place of an axis of channels; refuse others: space may only be used locally, and samples not mixed."""
    if isinstance(axis, tuple | list) and len(axis) == 1:
        axis = axis[0]
    if type(axis) is int:
        place = place_of(axis, seen, call)
        if axis_at(place, seen) < 0:
            return place
    channels = [1] if seen is None else [place for place, kind in enumerate(seen.kinds) if kind == CHANNELS]
    raise call.refuse(
        f"it works along axis {axis}, and only the channel axis ({', '.join(map(str, channels)) or 'none here'}) can "
        "be used while space is streamed",
        "move it behind the streamed module (into the pooling or the head)",
    )


def constant_fits(value: Tensor, seen: Seen, num_axes: int | None) -> bool:
    """Return whether a constant, joined with a map as the code sees it, differs from channel to channel only.

    PyTorch lines shapes up from the last axis, which is whatever axis the code sees last.
    """
    if num_axes is None and seen is None:
        return value.numel() == 1
    axes = own_axes(num_axes or 0) if seen is None else seen.axes
    if value.ndim > len(axes):
        return False
    return all(size == 1 or axis < 0 for size, axis in zip(value.shape[::-1], axes[::-1], strict=False))


def rearranged(ref: NodeRef, places: list[int], call: Call) -> NodeRef:
    """Return the map seen with its present axes in these places."""
    own = own_axes(len(places) - 2) if ref.seen is None else ref.seen.axes
    if sorted(places) != list(range(len(own))):
        raise call.refuse(f"{tuple(places)} is not an order of the map's axes", "name every axis once")
    moved = tuple(own[place] for place in places)
    if moved[0] != SAMPLES and own[0] == SAMPLES:
        raise call.refuse("it moves the samples from the first axis", "keep the batch first")
    return NodeRef(ref.index, arranged(moved, None if ref.seen is None else ref.seen.sizes))


def axes_of(call: Call, ref: NodeRef) -> tuple[int, ...]:
    """Return which axes the code sees of a map."""
    if ref.seen is not None:
        return ref.seen.axes
    if call.num_axes is None:
        raise call.refuse(
            "how many axes the map has is not known here", "use permute, or put a convolution or pooling before it"
        )
    return own_axes(call.num_axes)


def permutation(call: Call) -> Recognised:
    """Recognise ``permute``, by its list of axes."""
    if len(call.args) > 2:  # x.permute(0, 2, 3, 1)
        call = replace(call, args=(call.args[0], call.args[1:]))
    bound = call.bind("input", "dims")
    ref, dims = call.any_map_of(bound["input"]), bound["dims"]
    if not isinstance(dims, tuple | list) or (ref.seen is None and call.num_axes not in (None, len(dims) - 2)):
        raise call.refuse("it does not name every axis of the map once", "give every axis of the map")
    seen = ref.seen or Arrangement(own_axes(len(dims) - 2))
    return rearranged(ref, [place_of(axis, seen, call) for axis in dims], call)


def exchange(call: Call) -> Recognised:
    """Recognise ``transpose`` of two axes."""
    names = ("axis0", "axis1") if {"axis0", "axis1"} & set(call.kwargs) else ("dim0", "dim1")
    bound = call.bind("input", *names)
    ref = call.any_map_of(bound["input"])
    places = list(range(len(axes_of(call, ref))))
    first, second = (place_of(bound[name], ref.seen, call) for name in names)
    places[first], places[second] = places[second], places[first]
    return rearranged(ref, places, call)


def movement(call: Call) -> Recognised:
    """Recognise ``movedim`` of one or several axes."""
    bound = call.bind("input", "source", "destination")
    ref = call.any_map_of(bound["input"])
    count, pairs = len(axes_of(call, ref)), []
    for name in ("source", "destination"):
        value = bound[name]
        listed = list(value) if isinstance(value, tuple | list) else [value]
        pairs.append([place_of(axis, ref.seen, call) for axis in listed])
    taken = dict(zip(pairs[1], pairs[0], strict=False))
    if len(pairs[0]) != len(pairs[1]) or len(taken) != len(pairs[0]):
        raise call.refuse("it does not name as many places as axes", "give one place per axis")
    rest = iter(axis for axis in range(count) if axis not in pairs[0])
    return rearranged(ref, [taken[place] if place in taken else next(rest) for place in range(count)], call)


def expect_channels_last(call: Call) -> Arrangement:
    """Return how a call's maps are seen, refusing all but channels, or a part of them, in the last place."""
    seen = common_arrangement(call)
    if seen is None or seen.axes[-1] >= 0:
        raise call.refuse(
            "its last axis is space, of which a tile shows a part",
            "move channels last before it (x.permute(0, 2, 3, 1)), or keep it outside the streamed module",
        )
    return seen


def norm_over_channels(function: Callable[..., Tensor]) -> Recogniser:
    """Return the recogniser of a layer norm over exactly the channels, or a part of them, which are last."""

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
    """Recognise ``F.linear`` over channels, or a part of them, which are last."""
    bound = call.bind("input", "weight", bias=None)
    seen, weight, bias = expect_channels_last(call), bound["weight"], bound["bias"]
    if not isinstance(weight, TensorRef) or not isinstance(bias, TensorRef | None):
        raise call.refuse("its weight is computed from the image", "keep it outside the streamed module")
    if call.constant(weight).ndim != 2:
        raise call.refuse("its weight is no matrix", "give a matrix (channels out, channels in)")
    source = call.any_map_of(bound["input"])
    value = with_lengths(call, seen.axes, F.linear, (source, weight), {}) or seen
    groups = 1 if value.sizes is None else torch.Size(value.sizes).numel() // call.constant(weight).shape[0]
    return ChannelLinear(
        source=source, weight=weight, bias=bias, seen=value, macs_per_output=call.constant(weight).numel() * groups
    )


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
