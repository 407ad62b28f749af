"""Follows a network's code with ``torch.export`` and an example image that has a shape but no values.

This is the second way to read code, where ``torch.fx`` (:mod:`.tracing`) cannot follow it: shapes and types are there
to look at, and calls may have any form. Operations stay whole (no decomposition), parameters keep their names, and
whatever the code decided by the example's shape is kept as conditions (:mod:`.conditions`).
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses import FakeTensorMode
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.overrides import TorchFunctionMode

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.capture.conditions import (
    Conditions,
    ImageKind,
    autocast_type,
    conditions_of,
    symbolic_axes,
)
from napari_gigaclf.streaming.capture.following import followed
from napari_gigaclf.streaming.capture.refusals import CodeNotFollowed
from napari_gigaclf.streaming.capture.tracing import INNER, Shell
from napari_gigaclf.streaming.capture.watching import watched
from napari_gigaclf.streaming.network.graph import module_weights

SIZES: Mapping[int, Sequence[tuple[int, ...]]] = {
    1: ((4160,), (192,)),
    2: ((2112, 2560), (192, 256)),
    3: ((320, 384, 448), (96, 128, 160)),
}
"""Sides of example images by number of axes: large, since streamed images are, and no memory is needed for them; even
several times over, and all different, so that decisions fall as for most images."""

MOST_GUESSES = 4
_TALKATIVE = (
    "torch.fx.experimental.symbolic_shapes", "torch._export.non_strict_utils", "torch._subclasses.fake_tensor",
)  # fmt: skip

_FAILURES = (RuntimeError, TypeError, AttributeError, NameError, ValueError, LookupError, AssertionError)
"""What other people's code and ``torch.export`` raise when they cannot be followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A followed network."""

    shell: Shell
    program: ExportedProgram
    image: fx.Node
    """The image's placeholder."""
    conditions: Conditions


_GRADIENT_HOOKS = (Tensor.register_hook, Tensor.register_post_accumulate_grad_hook)


class _WatchedShell(Shell):
    """Calls a module with the image alone and notes what its code asks about memory."""

    def __init__(self, module: nn.Module, watch: "_Watch") -> None:
        super().__init__(module)
        self.training = module.training
        self._watch = watch

    def forward(self, image: Tensor) -> Tensor:
        with self._watch, watched(self.get_submodule(INNER)):  # here, since torch.export puts attributes back itself
            return super().forward(image)


class _Watch(TorchFunctionMode):
    """Notices questions about memory layout, which an example answers differently from an image."""

    def __init__(self) -> None:
        super().__init__()
        self.layout = ""

    def __torch_function__(
        self,
        function: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if function in _GRADIENT_HOOKS:
            raise UnsupportedOperation(
                "cannot stream a module whose forward registers hooks on gradients: they would see tiles instead of "
                "the image; register them on the streamed module's result"
            )
        if function in (Tensor.is_contiguous, Tensor.stride, Tensor.data_ptr, Tensor.storage_offset):
            self.layout = getattr(function, "__name__", "stride")
        found = function(*args, **(kwargs or {}))
        if function is Tensor.contiguous and found is args[0]:
            return torch.ops.aten.alias.default(found)  # it would leave no trace, and an image may have to be copied
        return found


def guesses(module: nn.Module) -> Iterator[tuple[int, ...]]:
    """Yield shapes of example images: channels and axes as the first convolutions want them."""
    found: dict[tuple[int, int], None] = {}
    for child in module.modules():
        if isinstance(child, nn.modules.conv._ConvNd):
            found[child.in_channels, child.weight.ndim - 2] = None
    for weight in module.parameters():
        if 3 <= weight.ndim <= 5:
            found[weight.shape[1], weight.ndim - 2] = None
    for channels, axes in (*list(found)[:MOST_GUESSES], (3, 2), (1, 2)):
        for space in SIZES[axes]:
            yield (1, channels, *space)


def exported_somehow(module: nn.Module, dtype: torch.dtype, device: torch.device) -> Exported:
    """Return a network followed with the first example that it takes, or else with the likeliest for its shape alone.

    Raises
    ------
    UnsupportedOperation
        If it takes none; the reason is that of the likeliest example.
    """
    autocast = autocast_type(device)
    examples = [
        ImageKind(shape=shape, dtype=dtype, device=device, autocast=autocast)
        for shape in dict.fromkeys(guesses(module))
    ]
    refusals = []
    for example, one_shape in [*((example, False) for example in examples), (examples[0], True)]:
        try:
            return exported(module, example, one_shape=one_shape)
        except CodeNotFollowed as error:
            refusals.append(error)
    raise refusals[0]


def exported_for(module: nn.Module, example: ImageKind, *, one_shape: bool) -> Exported:
    """Return a network followed with an example; for its shape alone also where it cannot be for images in general.

    Raises
    ------
    UnsupportedOperation
        If its code cannot be followed.
    """
    try:
        return exported(module, example, one_shape=one_shape)
    except CodeNotFollowed:
        if one_shape:
            raise
    return exported(module, example, one_shape=True)


def exported(module: nn.Module, example: ImageKind, *, one_shape: bool = False) -> Exported:
    """Return a network followed with an example of this kind; ``one_shape``: for images of its shape alone.

    Raises
    ------
    UnsupportedOperation
        If its code cannot be followed, decides by values or memory layout, or draws random numbers.
    """
    name, watch = type(module).__name__, _Watch()
    shell = _WatchedShell(module, watch)
    with FakeTensorMode(allow_non_fake_inputs=True):
        image = torch.zeros(example.shape, dtype=example.dtype, device=example.device)
    varying = {} if one_shape else symbolic_axes(example.shape)

    def follow() -> torch.export.ExportedProgram:
        with _quiet(), torch.inference_mode(False), torch.enable_grad():
            return torch.export.export(shell, (image,), dynamic_shapes={"image": varying}, strict=False)

    try:
        program = followed(follow, name)
    except _FAILURES as error:
        by_values = isinstance(error, GuardOnDataDependentSymNode)  # no other example would help
        raise (UnsupportedOperation if by_values else CodeNotFollowed)(
            f"cannot stream {name}: its forward decides by looking at the image's values, or does what torch.export "
            f"cannot follow ({_first_line(error)}); make forward a fixed sequence of operations, or stream its "
            "convolutional part alone"
        ) from error
    if watch.layout:
        raise UnsupportedOperation(
            f"cannot stream {name}: its forward looks at how a map lies in memory ({watch.layout}), which differs "
            "between tiles and the image; leave that to PyTorch"
        )
    given = set(program.graph_signature.user_inputs)
    place = next(node for node in program.graph.nodes if node.op == "placeholder" and node.name in given)
    return Exported(
        shell=shell, program=program, image=place, conditions=conditions_of(place, example)
    )  # fmt: skip


def error_for(module: nn.Module, image: ImageKind) -> Exception | None:
    """Return what a module itself raises for an image of this kind; None where it raises nothing of its own."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad(), watched(module), _quiet():
        state: dict[str, Any] = {name: mode.from_tensor(tensor) for name, tensor in module_weights(module).items()}
        example = torch.zeros(image.shape, dtype=image.dtype, device=image.device)
        try:
            torch.func.functional_call(module, state, (example,))
        except (RuntimeError, ValueError) as error:
            return error if type(error) in (RuntimeError, ValueError) else None  # others tell of the example
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyTorch from printing what it tried where code cannot be followed: the error says it."""

    def refuse(record: logging.LogRecord) -> bool:
        return False

    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    for logger in loggers:
        logger.addFilter(refuse)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(refuse)


def _first_line(error: BaseException) -> str:
    """Return what an error says in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
