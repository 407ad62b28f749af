"""Channels seen as several axes and back: ``view``, ``reshape``, ``flatten``, ``unflatten``, ``unsqueeze``.

As long as samples and axes of space stay what they are, a view only tells channels apart differently, and nothing has
to be done. Where the code has changed the sequence of channels in between (``view``, ``transpose``, ``view``: a channel
shuffle), they are put into that sequence, once, place by place.
"""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from napari_gigaclf.streaming.capture.calls import Call, Recognised, Recogniser
from napari_gigaclf.streaming.capture.layouts import axes_of, axis_at, numbered, place_of, placewise, unknown_channels
from napari_gigaclf.streaming.network.arrangements import Arrangement, arranged
from napari_gigaclf.streaming.network.claims import SizeClaim
from napari_gigaclf.streaming.network.operations import Argument, NodeRef
from napari_gigaclf.streaming.network.sizes import ImageFacts, SizeExpression, evaluated, is_symbolic

REMEDY = "split and merge channels only, as in x.view(b, 2, c // 2, h, w), with samples and axes of space as they are"

VIEWS = frozenset({
    "view", "view_as", "permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "unflatten", "unsqueeze",
    "squeeze",
})  # fmt: skip
"""Functions whose value always is the map's own memory. ``reshape`` and ``flatten`` may copy."""


def whole(call: Call, ref: NodeRef) -> Arrangement:
    """Return how a map is seen, with the lengths of all its channels' axes."""
    axes = axes_of(call, ref)
    if ref.seen is not None and ref.seen.sizes is not None:
        return ref.seen
    channels = call.scout.channels(ref.index, call.num_axes)
    if channels is None:
        raise unknown_channels(call)
    return Arrangement(axes, (channels,))


def is_in_sequence(seen: Arrangement | None) -> bool:
    """Return whether the code sees channels in the sequence in which they lie in memory."""
    if seen is None or seen.sizes is None:
        return True
    parts = [axis for axis in seen.axes if axis < 0 and seen.sizes[-axis - 1] > 1]
    return parts == sorted(parts, reverse=True)


def same(source: Tensor) -> Tensor:
    """Return a map as it is."""
    return source


def in_sequence(call: Call, ref: NodeRef) -> NodeRef:
    """Return a map whose channels lie in memory in the sequence in which the code sees them."""
    if ref.seen is None or ref.seen.sizes is None:
        return ref
    axes = numbered(ref.seen.kinds)
    if axes == ref.seen.axes:
        return ref
    if is_in_sequence(ref.seen):  # parts of length 1 lie anywhere
        lengths = [ref.seen.sizes[-axis - 1] for axis in ref.seen.axes if axis < 0]
        return NodeRef(ref.index, arranged(axes, lengths))
    alone = replace(call, args=(ref,), kwargs={})
    return call.append(alone, placewise(alone, same, (ref,), kinds=ref.seen.kinds))


def fits(axes: Sequence[int], lengths: Sequence[int], target: Sequence[int]) -> list[tuple[int, ...]] | None:
    """Return which axes of a target shape each run of channels becomes; None where other axes do not stay as they are.

    Parameters
    ----------
    axes, lengths
        Of the map as the code sees it.
    target
        The shape it is to have.

    Returns
    -------
    list of tuple of int
        Lengths of the new axes before, between and behind the axes that are not channels.

    Examples
    --------
    >>> fits((0, -1, 1, 2), (5, 6, 30, 20), (5, 2, 3, 30, 20)), fits((0, -1, 1, 2), (5, 6, 30, 20), (5, 180, 20))
    ([(), (2, 3), (), ()], None)
    """
    if not axes:
        return [tuple(target)] if prod(target) == 1 else None
    run = 0
    while run < len(axes) and axes[run] < 0:
        run += 1
    channels = prod(lengths[:run])
    for count in range(len(target) + 1):
        if prod(target[:count]) != channels:
            continue
        if run == len(axes):
            if count == len(target):
                return [tuple(target)]
        elif count < len(target) and target[count] == lengths[run]:
            rest = fits(axes[run + 1 :], lengths[run + 1 :], target[count + 1 :])
            if rest is not None:
                return [tuple(target[:count]), *rest]
    return None


def regrouped(call: Call, ref: NodeRef, given: Sequence[Argument]) -> NodeRef:
    """Return a map seen in another shape.

    Raises
    ------
    UnsupportedOperation
        If that changes more than how channels are told apart.
    """
    ref = in_sequence(call, ref)
    seen, sizes = whole(call, ref), sizes_now(call, ref)
    facts = call.scout.facts(sum(axis > 0 for axis in seen.axes))
    try:
        lengths, target = ([evaluated(item, facts) for item in items] for items in (sizes, given))
    except (TypeError, ValueError, LookupError, ArithmeticError):
        raise unknown_channels(call) from None
    if not all(type(item) is int for item in (*lengths, *target)):
        raise unknown_channels(call)
    known = prod(item for item in target if item != -1)  # type: ignore[misc]
    if target.count(-1) == 1 and known and prod(lengths) % known == 0:  # type: ignore[arg-type]
        target[target.index(-1)] = prod(lengths) // known  # type: ignore[arg-type]
    runs = fits(seen.axes, lengths, target)  # type: ignore[arg-type]
    if runs is None:
        raise call.refuse("it joins or splits axes of space or samples", REMEDY)
    others = [place for place, axis in enumerate(seen.axes) if axis >= 0]
    kinds: list[int] = [-1] * len(runs[0])
    meant: list[Argument] = list(runs[0])
    for place, run in zip(others, runs[1:], strict=True):
        kinds += [seen.axes[place], *[-1] * len(run)]
        meant += [sizes[place], *run]
    claim(call, given, meant, target, facts)
    return NodeRef(ref.index, arranged(numbered(kinds), [length for run in runs for length in run]))


def claim(
    call: Call, given: Sequence[Argument], meant: Sequence[Argument], target: Sequence[object], facts: ImageFacts
) -> None:
    """Note that sizes which the code has are those of the axes they were taken for, for every image."""
    refusal = str(call.refuse("it splits and merges other axes than channels", REMEDY))
    for item, own in zip(given, meant, strict=True):
        if item != own and evaluated(item, facts) != -1 and (is_symbolic(item) or is_symbolic(own)):
            call.claim_size(SizeClaim(given=item, meant=own, refusal=refusal))


def shape_given(call: Call, shape: Argument, facts_axes: int) -> list[Argument]:
    """Return a shape from a call's arguments, item by item."""
    if isinstance(shape, tuple | list):
        return list(shape)
    if is_symbolic(shape):  # x.view(y.shape)
        try:
            found = evaluated(shape, call.scout.facts(facts_axes))
        except (TypeError, ValueError, LookupError, ArithmeticError):
            raise unknown_channels(call) from None
        if isinstance(found, tuple):
            return [SizeExpression(function=operator.getitem, args=(shape, place)) for place in range(len(found))]
    return [shape]


def reshaped(call: Call) -> Recognised:
    """Recognise ``view`` and ``reshape``."""
    if len(call.args) > 2:  # x.view(b, 2, c // 2, h, w)
        call = replace(call, args=(call.args[0], call.args[1:]))
    names = {"size": "shape", "other": "shape"}
    bound = replace(call, kwargs={names.get(k, k): v for k, v in call.kwargs.items()}).bind("input", "shape")
    ref, shape = call.any_map_of(bound["input"]), bound["shape"]
    if isinstance(shape, torch.dtype):
        raise call.refuse("it sees the bits of numbers as other numbers", "use .to(dtype)")
    if isinstance(shape, NodeRef):  # x.view_as(y)
        shape = call.shape_of(shape)
    num_axes = sum(axis > 0 for axis in axes_of(call, ref))
    return regrouped(call, ref, shape_given(call, shape, num_axes))


def sizes_now(call: Call, ref: NodeRef) -> list[Argument]:
    """Return the shape of a map as the code sees it, item by item: numbers for channels, expressions for the rest."""
    seen, shape = whole(call, ref), call.shape_of(NodeRef(ref.index))
    return [
        (seen.sizes or ())[-axis - 1] if axis < 0
        else SizeExpression(function=operator.getitem, args=(shape, axis + 1 if axis else 0))
        for axis in seen.axes
    ]  # fmt: skip


def flattened(call: Call) -> Recognised:
    """Recognise ``flatten`` of axes that are parts of the channels."""
    bound = call.bind("input", start_dim=0, end_dim=-1)
    ref = call.any_map_of(bound["input"])
    axes_of(call, ref)
    first, last = (place_of(bound[name], ref.seen, call) for name in ("start_dim", "end_dim"))
    expect_channels(call, ref, range(first, last + 1))
    return regrouped(call, ref, _merged(sizes_now(call, ref), first, last))


def _merged(sizes: list[Argument], first: int, last: int) -> list[Argument]:
    lengths = [size for size in sizes[first : last + 1] if isinstance(size, int)]  # all: they are channels
    return [*sizes[:first], prod(lengths), *sizes[last + 1 :]]


def unflattened(call: Call) -> Recognised:
    """Recognise ``unflatten`` of channels, or of a part of them."""
    if len(call.args) > 3:
        call = replace(call, args=(*call.args[:2], call.args[2:]))
    bound = call.bind("input", "dim", "sizes")
    ref = call.any_map_of(bound["input"])
    axes_of(call, ref)
    place = place_of(bound["dim"], ref.seen, call)
    expect_channels(call, ref, [place])
    sizes, parts = sizes_now(call, ref), bound["sizes"]
    parts = list(parts) if isinstance(parts, tuple | list) else [parts]
    return regrouped(call, ref, [*sizes[:place], *parts, *sizes[place + 1 :]])


def unsqueezed(call: Call) -> Recognised:
    """Recognise ``unsqueeze``: another axis of channels, of length 1."""
    bound = call.bind("input", "dim")
    ref, dim = call.any_map_of(bound["input"]), bound["dim"]
    rank = len(axes_of(call, ref)) + 1
    if type(dim) is not int or not -rank <= dim < rank:
        raise call.refuse(f"a map has no place {dim!r} for another axis", f"give a number from 0 to {rank - 1}")
    return widened(call, ref, dim % rank)


def widened(call: Call, ref: NodeRef, place: int) -> NodeRef:
    """Return a map with another axis of length 1, in this place."""
    seen = whole(call, ref)
    lengths = seen.sizes or ()
    axes = [*seen.axes[:place], -1 - len(lengths), *seen.axes[place:]]
    return in_sequence(call, NodeRef(ref.index, arranged(axes, (*lengths, 1))))


def squeezed(call: Call) -> Recognised:
    """Recognise ``squeeze`` of axes of channels; where they are longer than 1, it does nothing."""
    bound = call.bind("input", dim=None)
    ref, dims = call.any_map_of(bound["input"]), bound["dim"]
    if dims is None:
        raise call.refuse("it drops whichever axes have length 1", "name the axis, as in squeeze(1)")
    axes_of(call, ref)
    places = [place_of(dim, ref.seen, call) for dim in (dims if isinstance(dims, tuple | list) else [dims])]
    expect_channels(call, ref, places)
    ref = in_sequence(call, ref)
    seen = whole(call, ref)
    lengths = seen.sizes or ()
    gone = {seen.axes[place] for place in places if lengths[-seen.axes[place] - 1] == 1}
    kinds = [max(axis, -1) for axis in seen.axes if axis not in gone]
    return NodeRef(
        ref.index, arranged(numbered(kinds), [n for part, n in enumerate(lengths) if -1 - part not in gone])
    )  # fmt: skip


def expect_channels(call: Call, ref: NodeRef, places: Sequence[int]) -> None:
    """Refuse places where the code sees something else than channels."""
    for place in places:
        if axis_at(place, ref.seen) >= 0:
            raise call.refuse(f"its axis {place} is not one of channels", REMEDY)


def made_contiguous(call: Call) -> Recognised:
    """Recognise ``contiguous``, which puts channels into the sequence in which the code sees them."""
    ref = call.any_map_of(call.bind("input", memory_format=None)["input"])
    if is_in_sequence(ref.seen):
        return placewise(call, Tensor.contiguous, (ref,), dict(call.kwargs))
    return in_sequence(call, ref)


def _names() -> Iterator[tuple[str, Recogniser]]:
    for names, recogniser in (
        (("view", "view_as", "reshape", "reshape_as"), reshaped), (("flatten",), flattened),
        (("unflatten",), unflattened), (("unsqueeze",), unsqueezed), (("squeeze",), squeezed),
        (("contiguous",), made_contiguous),
    ):  # fmt: skip
        yield from ((name, recogniser) for name in names)


def function_table() -> dict[object, Recogniser]:
    """Return the recognisers of functions that tell channels apart differently."""
    return {getattr(torch, name): recogniser for name, recogniser in _names() if hasattr(torch, name)}


def method_table() -> dict[str, Recogniser]:
    """Return the recognisers of tensor methods of the same kind."""
    return dict(_names())
