"""For which images a graph holds that was read with an example: what the code asked about the example's shape.

``torch.export`` follows a network's code with a symbol for each size of the image. Where the code, or PyTorch inside an
operation, decides by a size, the decision becomes a guard: an inequality or equation in the symbols. A graph is the
network's for exactly those images which meet all guards; for any other image the code is read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from napari_gigaclf.errors import UnsupportedOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageKind:
    """What code can ask about an image before it looks at the values."""

    shape: tuple[int, ...]
    """(B, C, *space)."""
    dtype: torch.dtype
    device: torch.device
    autocast: torch.dtype | None
    """The type that autocast computes in; None where it is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The images a graph holds for."""

    example: ImageKind
    sizes: tuple[Any, ...]
    """Per axis of the image, batch first, the one size allowed or the symbol (of sympy) which stands for it."""
    bounds: tuple[tuple[Any, int, int | None], ...]
    """Symbols with their least and greatest allowed value; None: no limit."""
    guards: tuple[Any, ...]
    """Statements of sympy in the symbols, all of which must be true."""

    @property
    def one_shape(self) -> bool:
        """Whether they admit images of one shape only."""
        return all(isinstance(size, int) for size in self.sizes)

    def hold(self, image: ImageKind) -> bool:
        """Return whether the graph is the network's for this image."""
        batch = self.sizes[0]
        return (image.shape[0] == batch if isinstance(batch, int) else image.shape[0] > 1) and self.hold_in_space(image)

    def hold_in_space(self, image: ImageKind) -> bool:
        """Return whether it is, had the image the right number of samples."""
        ours = self.example
        if (image.dtype, image.device, image.autocast) != (ours.dtype, ours.device, ours.autocast):
            return False
        if len(image.shape) != len(self.sizes):
            return False
        values: dict[Any, int] = {}
        for axis, (size, allowed) in enumerate(zip(image.shape, self.sizes, strict=True)):
            if isinstance(allowed, int):
                if axis > 0 and size != allowed:
                    return False
            elif values.setdefault(allowed, size) != size:
                return False
        if any(values[s] < least or (most is not None and values[s] > most) for s, least, most in self.bounds):
            return False
        return all(bool(guard.subs(values)) for guard in self.guards)


def conditions_of(image: fx.Node, example: ImageKind) -> Conditions:
    """Return the conditions that were found while an example was followed.

    Parameters
    ----------
    image
        The image's placeholder in the exported graph.
    example
        What the code was followed with.

    Raises
    ------
    UnsupportedOperation
        If a guard is about something other than the image's shape.
    """
    value = image.meta["val"]
    environment = value.fake_mode.shape_env
    sizes = tuple(size if isinstance(size, int) else _symbol(size) for size in value.shape)
    symbols = {size for size in sizes if not isinstance(size, int)}
    guards = tuple(guard.expr for guard in environment.guards)
    strangers = {symbol for guard in guards for symbol in guard.free_symbols} - symbols
    if strangers or environment.deferred_runtime_asserts:
        raise UnsupportedOperation(
            "cannot stream a module whose code decides by the image's values; make forward a fixed sequence of "
            "operations"
        )
    bounds = tuple((symbol, *_limits(environment.var_to_range.get(symbol))) for symbol in symbols)
    return Conditions(example=example, sizes=sizes, bounds=bounds, guards=guards)


def _symbol(size: torch.SymInt) -> Any:  # noqa: ANN401 - sympy has no types
    """Return a size's symbol; a number where the code fixed it."""
    expression = size.node._expr
    return int(expression) if expression.is_number else expression


def _limits(bounds: Any) -> tuple[int, int | None]:  # noqa: ANN401 - torch's ValueRanges
    """Return a range's ends; a symbol without one stands for 2 or more, since 0 and 1 are never symbols."""
    if bounds is None:
        return 2, None
    return int(bounds.lower), int(bounds.upper) if bounds.upper.is_Integer else None


def autocast_type(device: torch.device) -> torch.dtype | None:
    """Return the type that autocast computes in on a device; None where it is off."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


def symbolic_axes(shape: Sequence[int]) -> dict[int, Any]:
    """Return for ``torch.export`` which axes of an image may vary: all but channels, and but those of size 1."""
    return {axis: torch.export.Dim.AUTO for axis, size in enumerate(shape) if axis != 1 and size > 1}
