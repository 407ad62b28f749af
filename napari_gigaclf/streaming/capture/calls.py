"""One call found in a network's code, and how its arguments are read.

A call is the common form of a module (``nn.Conv2d``) and a function (``F.conv2d``): recognisers see only this form.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.capture.scouting import Scout
from napari_gigaclf.streaming.network.arrangements import Arrangement
from napari_gigaclf.streaming.network.claims import SizeClaim
from napari_gigaclf.streaming.network.operations import Argument, NodeRef, Operation, TensorRef
from napari_gigaclf.streaming.network.sizes import MapShape
from napari_gigaclf.streaming.network.spaceless import Constant


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call with at least one map among its arguments."""

    kind: str
    """Name for a person: ``"Conv2d"``, ``"torch.cat"``."""
    path: str
    """Path of the module that makes the call; empty for the outermost."""
    args: tuple[Argument, ...]
    kwargs: Mapping[str, Argument]
    constant: Callable[[TensorRef], Tensor]
    """Gives a constant's present value (for its shape)."""
    add: Callable[[Constant], TensorRef]
    """Adds a tensor without space."""
    claim_space: Callable[["Call", Sequence[int]], None]
    """Notes that the call takes these axes for all of space."""
    update: Callable[[TensorRef], None]
    """Notes a tensor that is computed once per run for what this changes."""
    num_axes: int | None
    """Spatial axes, as far as the code before this call tells."""
    named: Callable[[str], TensorRef]
    """Gives the reference to a parameter or buffer, by its name."""
    number: int
    """How many operations the code has before this call."""
    scout: Scout
    """Tells channels and shapes."""
    append: Callable[["Call", Operation], NodeRef]
    """Appends an operation that comes before the one which the call turns out to be."""
    shape_of: Callable[[NodeRef], MapShape]
    """Gives the shape of a map as the code sees it, an expression."""
    claim_size: Callable[[SizeClaim], None]
    """Notes what the code takes for granted about sizes."""

    def refuse(self, why: str, remedy: str) -> UnsupportedOperation:
        """Return the error which names this operation, its module and what to do."""
        place = f"module '{self.path}'" if self.path else "the outermost module"
        return UnsupportedOperation(f"cannot stream {self.kind} in {place}: {why}; {remedy}")

    def bind(self, *names: str, **defaults: Argument) -> dict[str, Argument]:
        """Return the arguments by name; names without default must be given.

        Raises
        ------
        UnsupportedOperation
            If an argument is missing or not among the names.
        """
        order = (*names, *defaults)
        if len(self.args) > len(order):
            raise self.refuse("it has arguments unknown here", "write it as the matching torch.nn module")
        bound: dict[str, Argument] = {**defaults, **dict(zip(order, self.args, strict=False)), **self.kwargs}
        unknown = set(bound) - set(order)
        missing = [name for name in names if name not in bound]
        if unknown or missing:
            raise self.refuse(
                f"its arguments {sorted(unknown) + missing} are not understood",
                "write it as the matching torch.nn module",
            )
        return bound

    def map_of(self, value: Argument) -> NodeRef:
        """Return the argument as a map (batch, channels, *space).

        Raises
        ------
        UnsupportedOperation
            If its axes were permuted or its channels split, or if it is a constant: a map made from nothing but weights
            has no place in a streamed network.
        """
        found = self.any_map_of(value)
        if found.seen is not None:
            way = "permute back" if found.seen.sizes is None else "bring it back by view, flatten or unsqueeze"
            raise self.refuse(
                f"its input's axes were {described(found.seen)}", f"{way} to (batch, channels, space) before it"
            )
        return found

    def any_map_of(self, value: Argument) -> NodeRef:
        """Return the argument as a map, in whatever order its axes are seen.

        Raises
        ------
        UnsupportedOperation
            If it is a constant.
        """
        if not isinstance(value, NodeRef):
            raise self.refuse("its input is not a map computed from the image", "apply it outside the streamed module")
        return value

    def with_kwargs(self, **kwargs: Argument) -> "Call":
        """Return the call with keyword arguments replaced; None removes one."""
        merged = {**self.kwargs, **kwargs}
        return replace(
            self, kwargs={key: value for key, value in merged.items() if key not in kwargs or value is not None}
        )


def described(seen: Arrangement) -> str:
    """Return how a map's axes differ from (batch, channels, space), for a person."""
    if seen.sizes is None:
        return f"permuted to {seen.order}"
    return f"changed: channels are seen as {len(seen.sizes)} axes"


Recognised = Operation | NodeRef | TensorRef
"""What a call turns out to be: an operation, or just another name for a map."""

Recogniser = Callable[[Call], Recognised]


def per_axis(value: Argument, num_axes: int, call: Call) -> tuple[int, ...]:
    """Return an int or a sequence of ints as one int per spatial axis."""
    if isinstance(value, int):
        return (value,) * num_axes
    if isinstance(value, tuple | list) and len(value) in (1, num_axes) and all(isinstance(item, int) for item in value):
        return tuple(value) * (num_axes if len(value) == 1 else 1)
    raise call.refuse(f"{value!r} is not one integer per axis", "give plain integers")
