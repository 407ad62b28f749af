"""Any module as a window operation: it is called on every patch of the map, and gives one cell for each.

A patch encoder or a vision transformer on 224 pixels is a window like a convolution, only that nobody has to know what
happens inside. That its result for a patch depends on this patch alone is what the declaration means.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.network.cutting import cut
from napari_gigaclf.streaming.network.intervals import Window
from napari_gigaclf.streaming.network.operations import Blocks, NodeRef, Place, TensorRef, Windowed, border_padding

PATCHES_PER_CALL = 64


def on_patches(
    block: Tensor, call: Callable[[Tensor], Tensor], kernel: Sequence[int], stride: Sequence[int], per_call: int
) -> Tensor:
    """Return what a function makes of every patch of a block.

    Parameters
    ----------
    block
        (batch, channels, *space), padding included.
    call
        Takes (patches, channels, *kernel) and gives (patches, features).
    kernel, stride
        Per spatial axis.
    per_call
        Most patches in one call.

    Returns
    -------
    Tensor
        (batch, features, *cells).

    Raises
    ------
    ValueError
        If the function gives something of another shape.
    """
    axes = len(kernel)
    patches = block
    for axis, (size, step) in enumerate(zip(kernel, stride, strict=True)):
        patches = patches.unfold(2 + axis, size, step)  # (batch, channels, *cells, *kernel)
    cells = patches.shape[2 : 2 + axes]
    patches = patches.permute(0, *range(2, 2 + axes), 1, *range(2 + axes, 2 + 2 * axes)).flatten(0, axes)
    found = []
    for start in range(0, len(patches), per_call):
        part = patches[start : start + per_call]
        features = call(part)
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(part):
            shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise ValueError(f"the module gave {shape} for {len(part)} patches; it must give one row for each")
        found.append(features)
    joined = torch.cat(found)
    return joined.reshape(block.shape[0], *cells, joined.shape[1]).movedim(-1, 1)


def _random_states(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


class Patchwise(nn.Module):
    """Calls a module on every patch of a map: (patches, C, *kernel) to (patches, features).

    Its result must depend, for each patch, on this patch alone; batch norm in training mode and random numbers inside
    are refused. What happens inside is not looked at: its memory is not in the plan (its arithmetic is). Where patches
    overlap, a tile's pixels are held once per patch they belong to.

    Parameters
    ----------
    module
        Takes patches (N, C, *kernel), gives (N, features).
    kernel
        Side of a patch, pixels, per axis or for all.
    stride
        From one patch to the next; None: patches side by side.
    padding
        Zeros around the map.
    num_axes
        Spatial axes, where all of these are single numbers.
    patches_per_call
        Most patches in one call of the module.
    """

    def __init__(
        self,
        module: nn.Module,
        kernel: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        *,
        num_axes: int = 2,
        patches_per_call: int = PATCHES_PER_CALL,
    ) -> None:
        super().__init__()
        given = [kernel, kernel if stride is None else stride, padding]
        counts = {len(item) for item in given if not isinstance(item, int)} or {num_axes}
        if len(counts) > 1:
            raise ValueError(f"kernel, stride and padding {given} are for different numbers of axes")
        axes = counts.pop()
        sizes = [tuple(repeat(item, axes)) if isinstance(item, int) else tuple(item) for item in given]
        if min(*sizes[0], *sizes[1], patches_per_call) < 1 or min(sizes[2]) < 0:
            raise ValueError(f"kernel, stride, padding {sizes} and patches_per_call={patches_per_call} make no windows")
        self.module = module
        self.kernel, self.stride, self.padding = sizes
        self.patches_per_call = patches_per_call

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows, per axis."""
        sizes = zip(self.kernel, self.stride, self.padding, strict=True)
        return tuple(Window(kernel=k, stride=s, before=p, after=p) for k, s, p in sizes)

    def mixing(self) -> Iterator[str]:
        """Yield the paths of modules inside which would look at several patches at once."""
        for path, child in self.module.named_modules():
            if isinstance(child, nn.modules.batchnorm._BatchNorm) and (child.training or child.running_mean is None):
                yield path

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, features, *cells) for a map (B, C, *space)."""
        padded = F.pad(x, [p for p in reversed(self.padding) for _ in range(2)])
        return on_patches(padded, self.module, self.kernel, self.stride, self.patches_per_call)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchOperation(Windowed):
    """A module called on patches."""

    source: NodeRef
    module: nn.Module
    names: tuple[str, ...]
    """Of the module's parameters and buffers."""
    tensors: tuple[TensorRef, ...]
    """The same, as tensors of the graph."""
    per_call: int
    path: str
    """Of the module, for a person."""
    seen: list[int]
    """Multiply-accumulates of one patch, once the module was looked at: when the first run is planned. Empty before."""

    @property
    def macs_per_output(self) -> int:
        """Multiply-accumulates per output position, as PyTorch's counter finds them; 0 before the module was seen."""
        return self.seen[0] if self.seen else 0

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the features of the patches, padded only where they reach over the image's border."""
        padding = border_padding(self.windows, place.wanted, place.given)
        block = cut(blocks[self.source.index], padding, traced=place.traced)
        own = {name: tensors[ref.index] for name, ref in zip(self.names, self.tensors, strict=True)}

        def call(patches: Tensor) -> Tensor:
            # Tied weights come under all their names, each with a gradient of its own; these add up outside.
            found: Tensor = torch.func.functional_call(self.module, own, (patches,), tie_weights=False)
            return found

        kernel, stride = zip(*((rule.kernel, rule.stride) for rule in self.windows), strict=True)
        return on_patches(block, call if self.seen else self.watched(call), kernel, stride, self.per_call)

    def watched(self, call: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Return the function, looked at while it runs: that it draws no random numbers, and its arithmetic."""

        def watch(patches: Tensor) -> Tensor:
            states, counter = _random_states(patches.device), FlopCounterMode(display=False)
            with counter:
                found = call(patches)
            if not all(map(torch.equal, states, _random_states(patches.device))):
                raise UnsupportedOperation(
                    f"cannot stream Patchwise in module '{self.path}': its module draws random numbers, which would "
                    "differ when a tile is run again; call eval() on it, or set its dropout to 0"
                )
            self.seen[:] = [counter.get_total_flops() // (2 * len(patches))]
            return found

        return watch
