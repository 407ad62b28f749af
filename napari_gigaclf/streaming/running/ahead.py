"""Reads the image for coming tiles on a thread of its own, while one tile is computed.

Decoding a slide and convolving it then take as long as the longer of the two. There is one thread, so a source is never
asked twice at the same time, and nothing is read that is not used (but for a run that ends early).
"""

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from torch import Tensor

from napari_gigaclf.streaming.network.operations import Extent
from napari_gigaclf.streaming.running.source import Image, TensorImage

BLOCKS_AHEAD = 2
"""Blocks of the image that are read before they are asked for; they take memory."""


class ReadAhead:
    """An image whose coming blocks are read in the background; a context, which ends the thread.

    Parameters
    ----------
    image
        The image. What is in memory already is not read on a thread.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self._coming: OrderedDict[Extent, Future[Tensor]] = OrderedDict()
        in_memory = isinstance(image, TensorImage)
        self._thread = None if in_memory else ThreadPoolExecutor(1, thread_name_prefix="gigaclf-read")

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread; what it has not begun to read is not read."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)

    @property
    def has_room(self) -> bool:
        """Whether more may be read ahead."""
        return self._thread is not None and len(self._coming) < BLOCKS_AHEAD

    def soon(self, extent: Extent) -> None:
        """Begin to read a block that will be asked for, if there is room for it."""
        if self._thread is not None and self.has_room and extent not in self._coming:
            self._coming[extent] = self._thread.submit(self._image.block, extent)

    def block(self, extent: Extent) -> Tensor:
        """Return ``(B, C, *block)``; what the source raises is raised here."""
        if self._thread is None:
            return self._image.block(extent)
        self.soon(extent)
        future = self._coming.pop(extent, None)
        # Without room for it, it is read on the same thread all the same: a source is asked once at a time.
        return (future or self._thread.submit(self._image.block, extent)).result()
