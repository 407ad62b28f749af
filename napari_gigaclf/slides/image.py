"""Opens a photograph: PNG or JPEG, which can only be decoded as a whole and is kept in memory after its first read."""

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import SlideError
from napari_gigaclf.geometry import Box
from napari_gigaclf.slides.array import ArraySlide, SlideFacts
from napari_gigaclf.slides.boundary import slide_errors
from napari_gigaclf.slides.colour import UINT8, over_white
from napari_gigaclf.slides.fingerprint import file_fingerprint
from napari_gigaclf.slides.kinds import kind_of_rgb
from napari_gigaclf.slides.level import LevelSource
from napari_gigaclf.slides.limits import MAX_WHOLE_PIXELS
from napari_gigaclf.slides.resolution import UM_PER_INCH, from_tiff_tags
from napari_gigaclf.slides.slide import UNKNOWN_SCALE

MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_DTYPES: dict[str, np.dtype[Any]] = {
    "L": UINT8,
    "I;16": np.dtype(np.uint16),
    "I;16B": np.dtype(np.uint16),
    "I": np.dtype(np.int32),
}
"""Pillow's modes that stay grey; all others become RGB."""
_INCH = 2


def open_image(path: Path) -> ArraySlide:
    """Open a PNG or JPEG file; its header is read.

    Raises
    ------
    SlideError
        If it is damaged, or has more pixels than can be decoded at once.
    """
    from PIL import Image

    with slide_errors(path, "cannot be opened", Image.DecompressionBombError), warnings.catch_warnings():
        # The limit below says the same in one line.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            width, height = image.size
            mode, kind_name = image.mode, str(image.format)
            dpi = image.info.get("dpi")
    if width * height > MAX_WHOLE_PIXELS:
        raise SlideError(
            path,
            f"a {kind_name} of {height} x {width} pixels; at most {MAX_WHOLE_PIXELS} pixels are decoded as a whole: "
            "convert it into a tiled pyramid first",
        )
    dtype = _DTYPES.get(mode, UINT8)
    num_channels = 1 if mode in _DTYPES else 3
    pixels = _Pixels(path, grey=mode in _DTYPES, dtype=dtype)
    found = from_tiff_tags(float(dpi[0]), float(dpi[1]), _INCH) if dpi else None
    return ArraySlide(
        SlideFacts(
            name=path.name,
            path=path,
            format=kind_name,
            dtype=dtype,
            num_channels=num_channels,
            um_per_px=found,
            um_per_px_source=UNKNOWN_SCALE if found is None else f"{kind_name} resolution ({UM_PER_INCH:g} / dpi)",
            properties={"mode": mode},
        ),
        [LevelSource(shape=(height, width), chunks=(height, width), fetch=pixels.fetch, cached=False)],
        kind=pixels.kind if num_channels == 3 else "other",
        fingerprint=lambda: file_fingerprint(path),
        on_close=pixels.forget,
    )


class _Pixels:
    """Decodes the image once, when first asked."""

    def __init__(self, path: Path, *, grey: bool, dtype: np.dtype[Any]) -> None:
        self._path = path
        self._grey = grey
        self._dtype = dtype
        self._array: NDArray[Any] | None = None
        self._lock = threading.Lock()

    def _whole(self) -> NDArray[Any]:
        """Return all pixels, (h, w, c)."""
        from PIL import Image

        with self._lock:
            if self._array is None:
                with Image.open(self._path, formats=("PNG", "JPEG")) as image:
                    self._array = self._decode(image)
            return self._array

    def _decode(self, image: Any) -> NDArray[Any]:  # noqa: ANN401 - Pillow
        """Return a Pillow image as grey or RGB; transparency is laid over white."""
        if self._grey:
            return np.asarray(image, self._dtype)[..., np.newaxis]
        if "A" in image.getbands() or "transparency" in image.info:
            return over_white(np.asarray(image.convert("RGBA")))
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))

    def fetch(self, box: Box) -> NDArray[Any]:
        """Return a copy of a box."""
        part: NDArray[Any] = self._whole()[box.slices].copy()
        return part

    def kind(self) -> Any:  # noqa: ANN401 - Kind
        """Decide how the image was made from every eighth pixel each way."""
        return kind_of_rgb([self._whole()[::8, ::8]])

    def forget(self) -> None:
        """Give the memory back."""
        with self._lock:
            self._array = None
