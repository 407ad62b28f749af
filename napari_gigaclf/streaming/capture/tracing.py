"""Follows a network's code with a stand-in for the image, and lists the calls it makes.

The stand-in answers as an image would, or the network is refused: what it is asked in passing (is it a tensor, is it
changed in place) must not send the code another way than a real image goes.
"""

import builtins
import dis
import operator
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, fx, nn

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.capture.following import followed
from napari_gigaclf.streaming.capture.modules import module_call
from napari_gigaclf.streaming.capture.refusals import CodeNotFollowed
from napari_gigaclf.streaming.capture.watching import watched
from napari_gigaclf.streaming.network.patches import Patchwise

INNER = "module"
"""Name of the captured module inside the tracer's outer shell."""

_plain_isinstance = isinstance
_A_TENSOR = torch.empty(0)


class Shell(nn.Module):
    """Calls a module with the image alone, so that its other arguments keep their defaults."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.add_module(INNER, module)

    def forward(self, image: Tensor) -> Tensor:
        """Return what the module gives for the image."""
        return self.get_submodule(INNER)(image)  # type: ignore[no-any-return]


def _in_place(function: Callable[..., object]) -> Callable[[fx.Proxy, object], fx.Proxy]:
    """Return the method for an operator like ``+=``, listed as what it is: every name of the map changes with it."""

    def method(self: fx.Proxy, other: object) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return method


class _StandIn(fx.Proxy):
    """Stands for a map. ``torch.fx``'s own would let ``y += 1`` become ``y = y + 1``, which other names do not see."""

    def __iter__(self) -> Iterator[fx.Proxy]:
        """Answer ``a, b = x.chunk(2, 1)``, and note how many parts the code expects; refuse loops over a map."""
        frame = sys._getframe(1)
        for step in dis.get_instructions(frame.f_code):
            if step.offset == frame.f_lasti and step.opname == "UNPACK_SEQUENCE":
                self.node.meta["unpacked"] = step.argval
                return iter([operator.getitem(self, number) for number in range(step.argval)])
        return super().__iter__()

    __iadd__ = _in_place(operator.iadd)
    __isub__ = _in_place(operator.isub)
    __imul__ = _in_place(operator.imul)
    __itruediv__ = _in_place(operator.itruediv)
    __ifloordiv__ = _in_place(operator.ifloordiv)
    __imod__ = _in_place(operator.imod)
    __ipow__ = _in_place(operator.ipow)
    __iand__ = _in_place(operator.iand)
    __ior__ = _in_place(operator.ior)
    __ixor__ = _in_place(operator.ixor)


class _Tracer(fx.Tracer):
    """Lists calls; PyTorch's own modules and their plain heirs stay whole.

    Networks that run in other threads meanwhile (a viewer plans one slide while it classifies another) are left alone.
    """

    proxy_buffer_attributes = True

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self._autocast = _autocast_state()

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _StandIn(node, self)

    def create_node(self, *args: object, **kwargs: object) -> fx.Node:
        if not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
            raise UnsupportedOperation(
                "cannot stream a module whose forward switches gradients off (torch.no_grad): the switch is not seen "
                "in its code; call requires_grad_(False) on the part that does not train"
            )
        if _autocast_state() != self._autocast:
            raise UnsupportedOperation(
                "cannot stream a module whose forward switches autocast: the switch is not seen in its code; "
                "use torch.autocast around the streamed module"
            )
        return super().create_node(*args, **kwargs)  # type: ignore[arg-type]

    def call_module(
        self, m: nn.Module, forward: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: object, parameter_proxy_cache: dict[str, fx.Proxy]) -> object:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            return False
        return (
            isinstance(m, Patchwise) or module_call(m) is not None or super().is_leaf_module(m, module_qualified_name)
        )


def trace(module: nn.Module) -> tuple[Shell, fx.Graph]:
    """Return the shell around a module and the calls that its forward makes.

    Raises
    ------
    UnsupportedOperation
        If it decides by looking at the image, draws random numbers, or switches gradients or autocast.
    """
    shell = Shell(module)

    def follow() -> fx.Graph:
        with torch.enable_grad(), watched(module), _taken_for_tensors():
            return _Tracer().trace(shell)

    try:
        return shell, followed(follow, type(module).__name__)
    except UnsupportedOperation:
        raise
    except (
        fx.proxy.TraceError,
        TypeError,
        AttributeError,
        NameError,  # a module made inside forward
        RuntimeError,
        ValueError,
        LookupError,
        NotImplementedError,
    ) as error:
        raise CodeNotFollowed(
            f"cannot stream {type(module).__name__}: its forward decides by looking at the image or its shape "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); "
            "make forward a fixed sequence of operations, or stream its convolutional part alone"
        ) from error


@contextmanager
def _taken_for_tensors() -> Iterator[None]:
    """Let ``isinstance(x, Tensor)`` in a network's code be true for the stand-in, as it is for an image.

    Only Python code outside PyTorch is answered so: PyTorch itself must be able to tell them apart.
    """

    def answered(value: object, kinds: type) -> bool:
        if type(value) is _StandIn:
            caller = sys._getframe(1)
            own = str(caller.f_globals.get("__name__", "")).partition(".")[0] == "torch"
            if not own or caller.f_code is torch.is_tensor.__code__:
                value = _A_TENSOR
        return _plain_isinstance(value, kinds)

    builtins.isinstance = answered  # type: ignore[assignment]
    try:
        yield
    finally:
        builtins.isinstance = _plain_isinstance


def _autocast_state() -> tuple[bool, ...]:
    return tuple(torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda"))
