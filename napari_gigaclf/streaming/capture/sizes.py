"""Sizes that the code takes from maps and computes with: ``skip.shape[-2:]``, ``h - x.size(2)``, ``size // 2``.

They stay expressions (:mod:`..network.sizes`). Arithmetic on them is recognised here; whatever decides by them
(``if h % 2``) is refused, because while the code is read there is no image.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import fx

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.capture import windows
from napari_gigaclf.streaming.capture.calls import Call, Recognised, Recogniser
from napari_gigaclf.streaming.capture.refusals import CodeNotFollowed
from napari_gigaclf.streaming.network.graph import Graph, Node
from napari_gigaclf.streaming.network.operations import Argument, NodeRef, Operation, PlaceByPlace, references
from napari_gigaclf.streaming.network.resizing import SizedPadding
from napari_gigaclf.streaming.network.sizes import LARGE, ImageFacts, MapShape, SizeExpression, Symbolic, is_symbolic

REMEDY = "use sizes of maps only as a size to interpolate or pad to, computed with + - * // %"

ARITHMETIC: frozenset[object] = frozenset({
    operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.neg, operator.getitem,
})  # fmt: skip
"""What may be done with a size."""


def path_to(nodes: Sequence[Node], index: int) -> tuple[Operation, ...]:
    """Return operations that change sizes from the image to a map; by whatever way, joined maps have one size."""
    path: list[Operation] = []
    while index:
        if not isinstance(nodes[index].operation, PlaceByPlace):
            path.append(nodes[index].operation)
        index = nodes[index].inputs[0]
    return tuple(reversed(path))


def size_of(
    target: object, args: tuple[Argument, ...], kwargs: Mapping[str, Argument], shape_of: Callable[[NodeRef], MapShape]
) -> Symbolic | None:
    """Return the expression that a call stands for; None where it is no size.

    Parameters
    ----------
    target
        The function; for methods its name.
    args, kwargs
        With maps as references and sizes as expressions.
    shape_of
        Gives the shape of a map.
    """
    if args and isinstance(args[0], NodeRef):
        if target is getattr and args[1:] == ("shape",):
            return shape_of(args[0])
        if target == "size":
            axis = args[1] if len(args) > 1 else kwargs.get("dim")
            shape = shape_of(args[0])
            return shape if axis is None else SizeExpression(function=operator.getitem, args=(shape, axis))
    has_map = any(isinstance(ref, NodeRef) for ref in references((args, dict(kwargs))))
    if callable(target) and target in ARITHMETIC and is_symbolic(args) and not has_map:
        return SizeExpression(function=target, args=args)
    return None


@contextmanager
def others_may_follow(known: Mapping[fx.Node, Argument]) -> Iterator[None]:
    """Refuse code that takes sizes from maps for how it is written: where a map has a shape, they are numbers.

    Parameters
    ----------
    known
        What the code's values are found to be, so far.
    """
    try:
        yield
    except UnsupportedOperation as error:
        if any(is_symbolic(value) for value in known.values()):
            raise CodeNotFollowed(str(error)) from error
        raise


def check_sizes(graph: Graph) -> None:
    """Try all sizes on a large image.

    Raises
    ------
    UnsupportedOperation
        If they are not numbers, because they come from channels or from axes that there are not.
    """
    if graph.num_axes is None:
        return
    try:
        graph.sized(ImageFacts(shape=(1, 1, *(LARGE,) * graph.num_axes), double=False))
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise UnsupportedOperation(
            f"cannot stream a module that computes a size as it does ({error}); {REMEDY}"
        ) from error


def padding(call: Call) -> Recognised:
    """Recognise ``F.pad`` by plain widths or by sizes of maps (a decoder's map brought to its skip's size)."""
    bound = call.bind("input", "pad", mode="constant", value=None)
    if not is_symbolic(bound["pad"]):
        return windows.padding(call)
    amounts, value = bound["pad"], bound["value"]
    if bound["mode"] != "constant" or not isinstance(amounts, tuple | list) or len(amounts) % 2:
        raise call.refuse("its widths are computed from a map's size", "pad with a constant there")
    return SizedPadding(
        source=call.map_of(bound["input"]), amounts=tuple(amounts),
        value=float(value) if isinstance(value, int | float) else 0.0,
    )  # fmt: skip


def function_table() -> dict[object, Recogniser]:
    """Return the recogniser of padding, by the functions found in the code."""
    return dict.fromkeys([key for key, found in windows.function_table().items() if found is windows.padding], padding)
