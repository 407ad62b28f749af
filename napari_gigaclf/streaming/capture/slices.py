"""Parts of a map: ``x[:, :8]``, ``chunk``, ``split``, ``unbind``, ``narrow``; of space, too: ``x[..., 1:-1, ::2]``.

A part is a view of its map, so neither may be overwritten from then on. Parts of channels are taken place by place;
parts of space are an operation with a rule of its own (:mod:`..network.parts`).
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from napari_gigaclf.errors import ImageTooSmallError
from napari_gigaclf.streaming.capture.calls import Call, Recognised, Recogniser
from napari_gigaclf.streaming.capture.layouts import (
    axes_of,
    axis_at,
    by_list,
    common_arrangement,
    expect_channel_axis,
    fixed,
    place_of,
    placewise,
)
from napari_gigaclf.streaming.capture.refusals import CodeNotFollowed
from napari_gigaclf.streaming.capture.regrouping import widened
from napari_gigaclf.streaming.network.arrangements import CHANNELS, SAMPLES
from napari_gigaclf.streaming.network.operations import Argument, NodeRef, TensorRef
from napari_gigaclf.streaming.network.parts import SizedPart
from napari_gigaclf.streaming.network.sizes import SizeExpression, is_symbolic

REMEDY = "take ranges of channels and of space, as in x[:, a:b] and x[:, :, a:b]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Several parts of a map's channels, before the code takes one of them."""

    call: Call
    source: NodeRef
    function: Callable[..., Sequence[Tensor]]
    amount: int | tuple[int, ...]
    """How many parts, how long, or where they begin: the function's second argument."""
    place: int
    """Where the code sees the axis that is cut."""
    drops: bool = False
    """Whether parts lack that axis."""
    count: int | None = None
    """How many the code unpacks them into; None where it takes them by their number."""

    def part(self, number: Argument) -> Recognised:
        """Return the operation which gives one part."""
        if type(number) is not int:
            why = "the code takes several of its parts at once"
            raise CodeNotFollowed(str(self.call.refuse(why, "take them one by one, as in parts[0]")))
        args = (self.source, self.function, self.amount, self.place, number, self.count)
        alone = replace(self.call, args=(self.source,), kwargs={})
        kinds = kinds_without(self.call, self.source, [self.place]) if self.drops else None
        return placewise(alone, one_part, args, kinds=kinds)


def kinds_without(call: Call, ref: NodeRef, places: Sequence[int]) -> list[int]:
    """Return what the axes of a map are, without those in these places."""
    return [max(axis, CHANNELS) for place, axis in enumerate(axes_of(call, ref)) if place not in places]


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
        source, amount = call.any_map_of(bound["input"]), fixed(call, bound["amount"])
        place = expect_channel_axis(bound["dim"], source.seen, call)
        if type(amount) is int:
            return Parts(call=call, source=source, function=function, amount=amount, place=place)
        if not isinstance(amount, tuple | list) or any(type(item) is not int for item in amount):
            raise call.refuse("its numbers of channels are not plain integers", "give plain integers")
        return Parts(call=call, source=source, function=function, amount=tuple(amount), place=place)

    return recognise


def unbound(call: Call) -> Parts:
    """Recognise ``unbind`` of an axis of channels."""

    def one_by_one(source: Tensor, amount: object, axis: int) -> Sequence[Tensor]:
        return source.unbind(axis)

    bound = call.bind("input", dim=0)
    source = call.any_map_of(bound["input"])
    place = expect_channel_axis(bound["dim"], source.seen, call)
    return Parts(call=call, source=source, function=one_by_one, amount=0, place=place, drops=True)


def extreme(function: Callable[..., Sequence[Tensor]]) -> Callable[[Call], Parts]:
    """Return a recogniser of ``max`` or ``min`` over channels, which gives values and numbers of channels."""

    def recognise(call: Call) -> Parts:
        bound = call.bind("input", dim=None, keepdim=False)
        source, keepdim = call.any_map_of(bound["input"]), bound["keepdim"] is True
        place = expect_channel_axis(bound["dim"], source.seen, call)

        def both(source: Tensor, amount: object, axis: int) -> Sequence[Tensor]:
            return function(source, axis, keepdim=keepdim)

        return Parts(call=call, source=source, function=both, amount=0, place=place, drops=not keepdim)

    return recognise


def of_two_maps(function: Callable[..., Tensor]) -> Recogniser:
    """Return a recogniser of ``max`` or ``min`` of two maps, place by place."""

    def recognise(call: Call) -> Recognised:
        bound = call.bind("input", other=None)
        if not is_of_two(call.args, call.kwargs):
            raise call.refuse("it is over the whole image", "name the axis of channels, or keep it outside")
        return placewise(call, function, (bound["input"], bound["other"]))

    return recognise


def is_of_two(args: Sequence[Argument], kwargs: Mapping[str, Argument]) -> bool:
    """Return whether the second argument is a map or a tensor, as in ``torch.max(x, y)``."""
    return isinstance(kwargs.get("other", args[1] if len(args) > 1 else None), NodeRef | TensorRef)


def stacked(call: Call) -> Recognised:
    """Recognise ``stack`` of maps along an axis of its own, which becomes one of channels."""
    bound = call.bind("tensors", dim=0)
    tensors, dim = bound["tensors"], bound["dim"]
    if not isinstance(tensors, tuple | list) or not all(isinstance(item, NodeRef) for item in tensors):
        raise call.refuse("it joins something that is not a map", "stack maps only")
    common_arrangement(call)
    kinds = kinds_without(call, tensors[0], [])
    rank = len(kinds) + 1
    if type(dim) is not int or not -rank <= dim < rank:
        raise call.refuse(f"maps have no place {dim!r} for another axis", f"give a number from 0 to {rank - 1}")
    kinds.insert(dim % rank, CHANNELS)
    return placewise(call, torch.stack, (list(tensors), dim % rank), kinds=kinds)


def narrowed(call: Call) -> Recognised:
    """Recognise ``narrow`` over channels or an axis of space."""
    bound = call.bind("input", "dim", "start", "length")
    ref, start, length = call.any_map_of(bound["input"]), bound["start"], bound["length"]
    if not all(type(item) is int or is_symbolic(item) for item in (start, length)):
        raise call.refuse("where it begins and ends are not plain integers", "give plain integers")
    place = place_of(bound["dim"], ref.seen, call)
    if axis_at(place, ref.seen) < 0:
        return placewise(call, Tensor.narrow, (ref, place, fixed(call, start), fixed(call, length)))
    args = (start, length, SizeExpression(function=operator.getitem, args=(call.shape_of(ref), place)))
    ends = (SizeExpression(function=end, args=args) for end in (first_of_narrow, end_of_narrow))
    return part_of(call, ref, {place: slice(*ends)}, [])


def first_of_narrow(start: int, length: int, size: int) -> int:
    """Return where ``narrow`` begins, counted from the front.

    Raises
    ------
    ImageTooSmallError
        If the axis is not long enough, as PyTorch raises.
    """
    first = start + size if start < 0 else start
    if first < 0 or length < 0 or first + length > size:
        raise ImageTooSmallError(
            f"narrow takes {length} places from {start} on, and the map has {size}; use a larger image"
        )
    return first


def end_of_narrow(start: int, length: int, size: int) -> int:
    """Return where ``narrow`` ends."""
    return first_of_narrow(start, length, size) + length


def selected(call: Call) -> Recognised:
    """Recognise ``select`` of one channel."""
    bound = call.bind("input", "dim", "index")
    ref = call.any_map_of(bound["input"])
    return part_of(call, ref, {place_of(bound["dim"], ref.seen, call): bound["index"]}, [])


def picked(call: Call) -> Recognised:
    """Recognise ``index_select`` of channels by their numbers."""
    bound = call.bind("input", "dim", "index")
    ref, index = call.any_map_of(bound["input"]), bound["index"]
    place = expect_channel_axis(bound["dim"], ref.seen, call)
    if not isinstance(index, TensorRef):
        raise call.refuse("it takes channels by numbers computed from the image", "use numbers that are fixed")
    return placewise(call, by_list, (ref, place, index))


def indexed(call: Call) -> Recognised:
    """Recognise ``x[:, a:b]``, ``x[:, 0]``, ``x[:, None]``, ``x[..., 1:-1, ::2]`` and what is made of these."""
    source, index = call.args
    ref = call.any_map_of(source)
    items = list(index) if isinstance(index, tuple) else [index]
    if any(isinstance(item, TensorRef | list | tuple) for item in items):
        return by_numbers(call, ref, items)
    if not all(item in (None, Ellipsis) or isinstance(item, slice) or type(item) is int or is_symbolic(item)
               for item in items):  # fmt: skip
        raise call.refuse("it takes something other than ranges from a map", REMEDY)
    counted = [item for item in items if item is not None]
    if Ellipsis in counted:
        place = items.index(Ellipsis)
        behind = items[place + 1 :]
        if behind and ref.seen is None and call.num_axes is None:
            return from_behind(call, ref, items[:place], behind)
        missing = len(axes_of(call, ref)) - len(counted) + 1 if behind else 0
        items = [*items[:place], *[slice(None)] * missing, *behind]
    taken = dict(enumerate(item for item in items if item is not None))
    return part_of(call, ref, taken, [place for place, item in enumerate(items) if item is None], items)


def from_behind(call: Call, ref: NodeRef, before: Sequence[Argument], behind: Sequence[Argument]) -> Recognised:
    """Return a part of the last axes, before it is known how many there are."""
    if any(item != slice(None) for item in before) or not all(isinstance(item, slice) for item in behind):
        axes_of(call, ref)  # refuses
    return SizedPart(source=ref, ranges=tuple(behind), first=-len(behind))  # type: ignore[arg-type]


def by_numbers(call: Call, ref: NodeRef, items: Sequence[Argument]) -> Recognised:
    """Return channels taken by a list of their numbers, ``x[:, [0, 2, 1]]``."""
    places = [place for place, item in enumerate(items) if isinstance(item, TensorRef | list | tuple)]
    (place, *more), full = places, all(item == slice(None) for i, item in enumerate(items) if i not in places)
    numbers = items[place]
    plain = isinstance(numbers, list | tuple) and all(type(number) is int for number in numbers)
    whole = isinstance(numbers, TensorRef) and is_list_of_numbers(call.constant(numbers))
    if more or not full or not (plain or whole):
        raise call.refuse("it takes something other than ranges, or a list of channels, from a map", REMEDY)
    place = expect_channel_axis(place, ref.seen, call)
    return placewise(call, by_list, (ref, place, tuple(numbers) if plain else numbers))  # type: ignore[arg-type]


def is_list_of_numbers(value: Tensor) -> bool:
    """Return whether a tensor names channels by their numbers."""
    return value.ndim == 1 and not value.is_floating_point() and value.dtype != torch.bool


def part_of(
    call: Call, ref: NodeRef, taken: Mapping[int, Argument], added: Sequence[int], items: Sequence[Argument] = ()
) -> Recognised:
    """Return a part of a map.

    Parameters
    ----------
    call
        To refuse what is no part of channels or space.
    ref
        The map.
    taken
        A range or a number by place.
    added
        Places of new axes of length 1 among the items.
    items
        What stands in brackets, in order; nothing where no axis is added.
    """
    ranges: dict[int, slice] = {}
    index: dict[int, Argument] = {}
    for place, item in taken.items():
        axis = axis_at(place_of(place, ref.seen, call), ref.seen)
        if axis > 0 and isinstance(item, slice):
            ranges |= {} if is_all(item) else {axis: item}
        elif axis < 0:
            index |= {} if isinstance(item, slice) and is_all(item) else {place: fixed(call, item)}
        elif axis != SAMPLES or not isinstance(item, slice) or not is_all(item):
            what = "one place of space" if axis > 0 else "a part of the samples"
            raise call.refuse(f"it takes {what}", REMEDY)
    ref = spatial_part(call, ref, ranges)
    gone = [place for place, item in index.items() if type(item) is int]
    if index:
        alone = replace(call, args=(ref,), kwargs={})
        last = max(index)
        args = (ref, tuple(index.get(place, slice(None)) for place in range(last + 1)))
        kinds = kinds_without(call, ref, gone) if gone else None
        operation = placewise(alone, chosen, args, kinds=kinds)
        if not added:
            return operation
        ref = call.append(alone, operation)
    for place in added:
        ref = widened(call, ref, place - sum(type(item) is int for item in items[:place]))
    return ref


def is_all(item: slice) -> bool:
    """Return whether a range is all of an axis."""
    return item.start in (0, None) and item.stop is None and item.step in (1, None)


def spatial_part(call: Call, ref: NodeRef, ranges: Mapping[int, slice]) -> NodeRef:
    """Return a map's part of space, by axis of space, counted from 1."""
    if not ranges:
        return ref
    for taken in ranges.values():
        if type(taken.step) not in (int, type(None)) or (taken.step or 1) < 1:
            raise call.refuse(f"its step is {taken.step!r}", "give a plain integer above 0")
    first, last = min(ranges), max(ranges)
    listed = tuple(ranges.get(axis, slice(None)) for axis in range(first, last + 1))
    part = call.append(call, SizedPart(source=NodeRef(ref.index), ranges=listed, first=first - 1))
    return replace(part, seen=ref.seen)


def chosen(source: Tensor, index: tuple[slice | int, ...]) -> Tensor:
    """Return a part of a map."""
    return source[index]


def shuffled(call: Call) -> Recognised:
    """Recognise ``channel_shuffle``, which works on the second axis."""
    bound = call.bind("input", "groups")
    if type(bound["groups"]) is not int:
        raise call.refuse("its number of groups is no plain integer", "give a plain integer")
    return placewise(call, torch.channel_shuffle, (call.map_of(bound["input"]), bound["groups"]))


def cutting_table() -> dict[object, Callable[[Call], Parts]]:
    """Return the recognisers of functions and methods (by name) which give several maps."""
    table: dict[object, Callable[[Call], Parts]] = {}
    for name in ("chunk", "split", "tensor_split"):
        table[name] = table[getattr(torch, name)] = cut(getattr(torch.Tensor, name))
    for name in ("max", "min"):
        table[name] = table[getattr(torch, name)] = extreme(getattr(torch.Tensor, name))
    table["unbind"] = table[torch.unbind] = unbound
    return table


def function_table() -> dict[object, Recogniser]:
    """Return the recognisers of functions which take a part of a map, or put channels in another sequence."""
    return {
        operator.getitem: indexed, torch.narrow: narrowed, torch.channel_shuffle: shuffled,
        torch.native_channel_shuffle: shuffled, torch.stack: stacked, torch.select: selected,
        torch.index_select: picked, torch.max: of_two_maps(torch.maximum), torch.min: of_two_maps(torch.minimum),
    }  # fmt: skip


def method_table() -> dict[str, Recogniser]:
    """Return the recognisers of tensor methods of the same kind."""
    return {
        "narrow": narrowed, "select": selected, "index_select": picked, "max": of_two_maps(torch.maximum),
        "min": of_two_maps(torch.minimum),
    }  # fmt: skip
