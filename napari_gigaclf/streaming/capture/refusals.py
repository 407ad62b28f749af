"""What to do instead: remedies for operations that cannot be streamed, and modules refused as a whole."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as module_hooks
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized
from torch.utils.module_tracker import ModuleTracker

from napari_gigaclf.errors import UnsupportedOperation


class CodeNotFollowed(UnsupportedOperation):
    """Refused for how the code is written, not for what it computes: another way of reading it may succeed."""


class SizeUsed(UnsupportedOperation):
    """Refused for a number made from the image's size, which is known once one size of image is looked at alone."""


REMEDIES = {
    "global": "keep it outside: stream the trunk up to this point and put the rest into the pooling and the head",
    "upsampling": "use interpolation, a transposed convolution or pixel shuffle, or keep it outside",
    "norm": "this norm needs statistics of the whole image: use batch norm in eval mode, or keep it outside",
    "random": "random numbers would differ when a tile is run again: move it into the head",
    "other": "write it with convolutions, poolings and place-by-place functions, or keep it outside",
}

HINTS = {
    "upsampling": ("interpolate", "upsample", "transpose", "pixel_shuffle", "pixelshuffle", "unpool"),
    "global": ("adaptive", "flatten", "linear", "mean", "sum", "amax", "max", "view", "reshape", "squeeze", "matmul"),
    "norm": ("syncbatchnorm", "group_norm", "groupnorm", "instance", "layer_norm", "layernorm", "rms"),
    "random": ("rand", "bernoulli", "normal"),
}


def remedy_for(kind: str) -> str:
    """Return what to do about an operation that cannot be streamed."""
    lowered = kind.lower()
    for family, words in HINTS.items():
        if any(word in lowered for word in words):
            return REMEDIES[family]
    return REMEDIES["other"]


def _has_hooks_on_all_modules() -> bool:
    """Return whether global hooks could change results; PyTorch's own counter of operations only watches."""
    registers = (
        module_hooks._global_forward_pre_hooks,
        module_hooks._global_forward_hooks,
        module_hooks._global_backward_pre_hooks,
        module_hooks._global_backward_hooks,
    )
    hooks = [hook for register in registers for hook in register.values()]
    return any(not isinstance(getattr(hook, "__self__", None), ModuleTracker) for hook in hooks)


def check_plain(module: nn.Module) -> None:
    """Refuse modules whose computation depends on more than their code and weights.

    Raises
    ------
    UnsupportedOperation
        For hooks on the module or a submodule, parametrised and lazy weights.
    """
    if _has_hooks_on_all_modules():
        raise UnsupportedOperation(
            "cannot stream while hooks for all modules are registered (torch.nn.modules.module.register_module_...): "
            "they would see tiles instead of the image; remove them"
        )
    for path, child in module.named_modules():
        where = f"module '{path}'" if path else "the outermost module"
        hooks = (child._forward_hooks, child._forward_pre_hooks, child._backward_hooks, child._backward_pre_hooks)
        if any(hooks):
            raise UnsupportedOperation(
                f"cannot stream {type(child).__name__} in {where}: it has hooks, which would see tiles instead of the "
                "image; remove them (put hooks on the streamed module itself)"
            )
        if is_parametrized(child):
            raise UnsupportedOperation(
                f"cannot stream {type(child).__name__} in {where}: its weights are parametrised; "
                "call torch.nn.utils.parametrize.remove_parametrizations first"
            )
        if any(is_lazy(parameter) for parameter in child.parameters(recurse=False)):
            raise UnsupportedOperation(
                f"cannot stream {type(child).__name__} in {where}: its weights do not exist yet; run it once first"
            )


def check_no_transform(tensors: Iterable[Tensor]) -> None:
    """Refuse what would go around the engine's own backward pass, and, where nothing is trained, be lost unnoticed.

    Parameters
    ----------
    tensors
        The image and the weights.

    Raises
    ------
    UnsupportedOperation
        Inside ``torch.func``'s transforms, and for tensors that carry a tangent.
    """
    if torch._C._functorch.peek_interpreter_stack() is not None:
        raise UnsupportedOperation(
            "cannot stream inside a transform of torch.func (grad, vjp, jvp, vmap); call the streamed module on "
            "tensors and take gradients by backward() or torch.autograd.grad"
        )
    if any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors):  # type: ignore[no-untyped-call]
        raise UnsupportedOperation(
            "cannot stream with forward-mode derivatives (a tangent, torch.autograd.forward_ad); take gradients by "
            "backward(), or use the untiled module on a crop"
        )
