"""Parts of a map's channels: ``x[:, :8]``, ``chunk``, ``split``, ``narrow``, and channels in another sequence.

A part is a view of its map, so neither may be overwritten from then on.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from napari_gigaclf.streaming.capture.calls import CHANNEL_AXIS, Call, Recognised, Recogniser
from napari_gigaclf.streaming.capture.layouts import (
    axes_of,
    axis_of_channels,
    common_order,
    expect_channel_axis,
    placewise,
)
from napari_gigaclf.streaming.network.operations import Argument, NodeRef, Pointwise

REMEDY = "take channels as in x[:, a:b], and cut space outside the streamed module"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Several parts of a map's channels, before the code takes one of them."""

    call: Call
    source: NodeRef
    function: Callable[..., Sequence[Tensor]]
    amount: int | tuple[int, ...]
    """How many parts, how long, or where they begin: the function's second argument."""
    count: int | None = None
    """How many the code unpacks them into; None where it takes them by their number."""

    def part(self, number: Argument) -> Recognised:
        """Return the operation which gives one part."""
        if type(number) is not int:
            raise self.call.refuse(
                "the code takes several of its parts at once", "take them one by one, as in parts[0]"
            )
        args = (self.source, self.function, self.amount, axis_of_channels(self.source.order), number, self.count)
        return placewise(replace(self.call, args=(self.source,), kwargs={}), one_part, args)


def one_part(
    source: Tensor, function: Callable[..., Sequence[Tensor]], amount: object, axis: int, number: int, count: int | None
) -> Tensor:
    """Return one of the parts into which a function cuts a map.

    Raises
    ------
    ValueError
        If the code unpacks another number of parts, as Python raises.
    """
    parts = function(source, amount, axis)
    if count is not None and len(parts) != count:
        raise ValueError(f"the channels are cut into {len(parts)} parts, and the code unpacks {count}")
    return parts[number]


def cut(function: Callable[..., Sequence[Tensor]]) -> Callable[[Call], Parts]:
    """Return a recogniser of a function which cuts channels into parts."""
    names = {"tensor": "input", "chunks": "amount", "split_size": "amount", "split_size_or_sections": "amount",
             "indices_or_sections": "amount", "sections": "amount", "indices": "amount"}  # fmt: skip

    def recognise(call: Call) -> Parts:
        bound = replace(call, kwargs={names.get(k, k): v for k, v in call.kwargs.items()}).bind(
            "input", "amount", dim=0
        )
        source, amount = call.any_map_of(bound["input"]), bound["amount"]
        expect_channel_axis(bound["dim"], source.order, call)
        if type(amount) is int:
            return Parts(call=call, source=source, function=function, amount=amount)
        if not isinstance(amount, tuple | list) or any(type(item) is not int for item in amount):
            raise call.refuse("its numbers of channels are not plain integers", "give plain integers")
        return Parts(call=call, source=source, function=function, amount=tuple(amount))

    return recognise


def extreme(function: Callable[..., Sequence[Tensor]]) -> Callable[[Call], Parts]:
    """Return a recogniser of ``max`` or ``min`` over channels, which gives values and numbers of channels."""

    def both(source: Tensor, amount: object, axis: int) -> Sequence[Tensor]:
        return function(source, axis, keepdim=True)

    def recognise(call: Call) -> Parts:
        bound = call.bind("input", dim=None, keepdim=False)
        source = call.any_map_of(bound["input"])
        expect_channel_axis(bound["dim"], source.order, call)
        if bound["keepdim"] is not True:
            raise call.refuse("it drops the channel axis", "use keepdim=True")
        return Parts(call=call, source=source, function=both, amount=0)

    return recognise


def narrowed(call: Call) -> Recognised:
    """Recognise ``narrow`` over channels."""
    bound = call.bind("input", "dim", "start", "length")
    order = common_order(call)
    expect_channel_axis(bound["dim"], order, call)
    if type(bound["start"]) is not int or type(bound["length"]) is not int:
        raise call.refuse("where it begins and ends are not plain integers", "give plain integers")
    return placewise(call, torch.narrow, (bound["input"], axis_of_channels(order), bound["start"], bound["length"]))


def indexed(call: Call) -> Recognised:
    """Recognise ``x[:, a:b]``."""
    source, index = call.args
    ref = call.any_map_of(source)
    parts = list(index) if isinstance(index, tuple) else [index]
    if sum(part is Ellipsis for part in parts) == 1:
        place = next(i for i, part in enumerate(parts) if part is Ellipsis)
        after = parts[place + 1 :]
        missing = axes_of(call, ref) - len(parts) + 1 if after else 0
        parts = [*parts[:place], *[slice(None)] * missing, *after]
    for place, part in enumerate(parts):
        if not isinstance(part, slice) or any(
            type(end) not in (int, type(None)) for end in (part.start, part.stop, part.step)
        ):
            raise call.refuse("it takes something other than a range of channels from a map", REMEDY)
        axis = place if ref.order is None else ref.order[place] if place < len(ref.order) else -1
        if axis != CHANNEL_AXIS and (
            part.start not in (0, None) or part.stop is not None or part.step not in (1, None)
        ):
            raise call.refuse("it takes a part of space or of the samples", REMEDY)
    return placewise(call, taken, (ref, tuple(parts)))


def taken(source: Tensor, index: tuple[slice, ...]) -> Tensor:
    """Return a part of a map."""
    return source[index]


def shuffled(call: Call) -> Recognised:
    """Recognise ``channel_shuffle``, which works on the second axis."""
    bound = call.bind("input", "groups")
    if type(bound["groups"]) is not int:
        raise call.refuse("its number of groups is no plain integer", "give a plain integer")
    return Pointwise(function=torch.channel_shuffle, args=(call.map_of(bound["input"]), bound["groups"]), kwargs={})


def dropped(call: Call) -> Recognised:
    """Refuse what takes an axis from a map, or adds one."""
    raise call.refuse("it takes an axis from a map, or adds one", "keep every axis, as in x[:, 0:1] and torch.cat")


def cutting_table() -> dict[object, Callable[[Call], Parts]]:
    """Return the recognisers of functions and methods (by name) which give several maps."""
    table: dict[object, Callable[[Call], Parts]] = {}
    for name in ("chunk", "split", "tensor_split"):
        table[name] = table[getattr(torch, name)] = cut(getattr(torch.Tensor, name))
    for name in ("max", "min"):
        table[name] = table[getattr(torch, name)] = extreme(getattr(torch.Tensor, name))
    return table


def function_table() -> dict[object, Recogniser]:
    """Return the recognisers of functions which take a part of the channels, or put them in another sequence."""
    return {
        operator.getitem: indexed, torch.narrow: narrowed, torch.channel_shuffle: shuffled,
        torch.native_channel_shuffle: shuffled, torch.unbind: dropped, torch.stack: dropped, torch.select: dropped,
        torch.unsqueeze: dropped, torch.squeeze: dropped,
    }  # fmt: skip


def method_table() -> dict[str, Recogniser]:
    """Return the recognisers of tensor methods of the same kind."""
    return {"narrow": narrowed, **dict.fromkeys(("unbind", "select", "unsqueeze", "squeeze"), dropped)}
