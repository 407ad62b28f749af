"""Where pixels come from and where gradients go: seams through which images larger than memory stream.

A *source* is anything with a shape and a ``read``; a *sink* anything with a ``write`` or that can be assigned to by
slices (a numpy or zarr array, a tensor). A tensor in memory is a source too.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gigaclf.streaming.network.operations import Extent
from napari_gigaclf.streaming.running.arrays import ArraySource


@runtime_checkable
class Source(Protocol):
    """An image that is read region by region.

    Optional members, looked up by name: ``flat_value`` ((C,) array or None) and ``is_flat(*slices) -> bool``, which
    tells that a region is known to be that one constant everywhere (glass); the engine then skips what depends on it
    alone. ``read`` is called on a thread of the engine's own, never twice at the same time; ``is_flat`` may be asked
    meanwhile.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """``(C, *space)``, pixels."""
        ...

    @property
    def dtype(self) -> Any:  # noqa: ANN401 - a numpy or torch dtype
        """Type of the values that ``read`` returns."""
        ...

    def read(self, *slices: slice) -> Any:  # noqa: ANN401 - a numpy array or a tensor
        """Return ``(C, *block)``, one slice per spatial axis, all inside the image."""
        ...


class ArrayLike(Protocol):
    """An array ``(C, *space)``, of numpy, zarr, dask or another library, that is read by slices."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(C, *space)``, pixels."""
        ...

    @property
    def dtype(self) -> Any:  # noqa: ANN401 - a numpy dtype
        """Type of its values."""
        ...

    def __getitem__(self, slices: Any, /) -> Any:  # noqa: ANN401 - slices, and what the library returns for them
        """Return a block."""
        ...


Readable = Tensor | Source | ArrayLike
"""What can be streamed; a tensor has a batch axis in front."""


@runtime_checkable
class Sink(Protocol):
    """Takes the gradient of the image, region by region; every pixel is written once."""

    def write(self, slices: tuple[slice, ...], array: NDArray[Any]) -> None:
        """Store ``(C, *block)`` at these slices, one per spatial axis."""
        ...


def slices_of(extent: Extent) -> tuple[slice, ...]:
    """Return an extent as slices."""
    return tuple(slice(start, stop) for start, stop in extent)


class TensorImage:
    """A tensor in memory, ``(B, C, *space)``."""

    flat_value = None

    def __init__(self, tensor: Tensor, device: torch.device) -> None:
        self.tensor = tensor
        self.device = device
        self.shape = tuple(tensor.shape)
        self.dtype = tensor.dtype

    def block(self, extent: Extent) -> Tensor:
        """Return ``(B, C, *block)`` on the network's device."""
        return self.tensor[(slice(None), slice(None), *slices_of(extent))].to(self.device)

    def is_flat(self, extent: Extent) -> bool:
        """Return False: nothing is declared about a tensor."""
        return False


class SourceImage:
    """A source, seen as a batch of one."""

    def __init__(self, source: Source, device: torch.device, dtype: torch.dtype) -> None:
        self.source = source
        self.device = device
        self.shape = (1, *(int(size) for size in source.shape))
        self.float_dtype = dtype
        value = getattr(source, "flat_value", None)
        self.flat_value = None if value is None else self.tensor(np.asarray(value)).unsqueeze(0)
        self.dtype = self.tensor(np.empty(0, dtype=numpy_dtype(source.dtype))).dtype

    def tensor(self, values: Any) -> Tensor:  # noqa: ANN401 - what a source returns
        """Return values on the network's device; floating-point ones in its dtype."""
        found = torch.as_tensor(values)
        return found.to(self.device, self.float_dtype if found.is_floating_point() else found.dtype)

    def block(self, extent: Extent) -> Tensor:
        """Read ``(1, C, *block)``.

        Raises
        ------
        ValueError
            If the source returns something of another shape.
        """
        block = self.tensor(self.source.read(*slices_of(extent))).unsqueeze(0)
        expected = (*self.shape[:2], *(stop - start for start, stop in extent))
        if tuple(block.shape) != expected:
            raise ValueError(f"the source returned shape {tuple(block.shape[1:])} where {expected[1:]} was asked for")
        return block

    def is_flat(self, extent: Extent) -> bool:
        """Return whether the source declares a region to be its flat value."""
        return self.flat_value is not None and bool(self.source.is_flat(*slices_of(extent)))  # type: ignore[attr-defined]


Image = TensorImage | SourceImage


def as_source(source: Source | ArrayLike) -> Source:
    """Return a source, or an array seen as one.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if hasattr(source, "read") and hasattr(source, "shape"):
        return source  # type: ignore[return-value]
    if all(hasattr(source, name) for name in ("shape", "dtype", "__getitem__")):
        return ArraySource(source)
    raise TypeError(
        f"a {type(source).__name__} cannot be streamed; give a tensor (B, C, *space), an array (C, *space), or an "
        "object with shape (C, *space), dtype and read(*slices)"
    )


def numpy_dtype(dtype: Any) -> np.dtype[Any]:  # noqa: ANN401 - a numpy or torch dtype
    """Return a numpy dtype for a numpy or torch one (bfloat16, which numpy lacks, as float32)."""
    if isinstance(dtype, torch.dtype):
        dtype = np.float32 if dtype is torch.bfloat16 else torch.empty(0, dtype=dtype).numpy().dtype
    found: np.dtype[Any] = np.dtype(dtype)
    return found


def check_sink(sink: Any, shape: Sequence[int], dtype: torch.dtype) -> None:  # noqa: ANN401
    """Refuse a sink that cannot take the gradient of an image, before hours of forward pass are spent.

    Parameters
    ----------
    sink
        The sink.
    shape
        The image's, (B, C, *space).
    dtype
        The image's.

    Raises
    ------
    ValueError
        If the image is a batch of several, or an array has another shape; if either holds whole numbers.
    TypeError
        If the sink can neither be written nor assigned to.
    """
    if shape[0] != 1:
        raise ValueError(f"a sink takes the gradient of one image, and the batch has {shape[0]}")
    if not dtype.is_floating_point:
        raise ValueError(f"an image of whole numbers ({dtype}) has no gradient for a sink; give it as float32")
    if isinstance(sink, Sink):
        return
    if not all(hasattr(sink, name) for name in ("shape", "dtype", "__setitem__")):
        raise TypeError(
            f"a {type(sink).__name__} cannot take a gradient; give an array (C, *space) of numpy or zarr, a tensor, or "
            "an object with write(slices, array)"
        )
    if tuple(sink.shape) != tuple(shape[1:]):
        raise ValueError(f"the sink has shape {tuple(sink.shape)}, and the image's gradient {tuple(shape[1:])}")
    if numpy_dtype(sink.dtype).kind in "iub":
        raise ValueError(f"the sink holds whole numbers ({sink.dtype}), and a gradient has fractions; use float32")


def write_gradient(sink: Any, extent: Extent, gradient: Tensor | None, channels: int) -> None:  # noqa: ANN401
    """Give a sink the gradient over an extent, ``(1, C, *block)``; None stands for zeros."""
    if gradient is None:
        values = np.zeros((channels, *(stop - start for start, stop in extent)), dtype=np.float32)
    else:
        values = gradient[0].float().cpu().numpy() if gradient.dtype is torch.bfloat16 else gradient[0].cpu().numpy()
    if isinstance(sink, Sink):
        sink.write(slices_of(extent), values)
    else:
        sink[(slice(None), *slices_of(extent))] = torch.from_numpy(values) if isinstance(sink, Tensor) else values


def spatial_slices(slices: Sequence[slice] | slice, sizes: Sequence[int]) -> Extent:
    """Return slices over space as an extent inside the sizes.

    Raises
    ------
    RegionError
        If a slice has a step, is empty, or their number is wrong.
    """
    from napari_gigaclf.errors import RegionError

    wanted = (slices,) if isinstance(slices, slice) else tuple(slices)
    if len(wanted) != len(sizes):
        raise RegionError(f"{len(wanted)} slices were given for {len(sizes)} spatial axes; give one per axis")
    extent = []
    for item, size in zip(wanted, sizes, strict=True):
        start, stop, step = item.indices(size)
        if step != 1 or stop <= start:
            raise RegionError(f"{item} selects no contiguous positions of {size}; give start < stop without a step")
        extent.append((start, stop))
    return tuple(extent)
