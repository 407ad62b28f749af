"""From the bytes of a file to the pixels of a tile: 8-bit RGB of a limited size, or a reason why not."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from napari_gigaclf.training.tiles.files import MAX_FILE_BYTES

FORMATS = ("JPEG", "PNG", "TIFF")
MAX_SIDE_PX = 8192
OPAQUE = 255


class TileError(ValueError):
    """Why a file is no tile; one line without the file's name."""


def decode(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a JPEG, PNG or TIFF file, (H, W, 3).

    Raises
    ------
    TileError
        If it cannot be decoded, is too large, or holds anything but one picture of 8-bit colours or greys.
    """
    if len(data) > MAX_FILE_BYTES:
        raise TileError(f"larger than {MAX_FILE_BYTES} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags; what cannot be read raises
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return _pixels(image)
    except UnidentifiedImageError as error:
        raise TileError(f"not a picture ({', '.join(FORMATS)})") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise error if isinstance(error, TileError) else TileError(f"cannot be decoded ({error})") from error


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    if max(image.size) > MAX_SIDE_PX:
        raise TileError(f"{image.width} x {image.height} px; at most {MAX_SIDE_PX} px on a side are read")
    if getattr(image, "n_frames", 1) > 1:
        raise TileError("holds several pictures")
    if image.mode not in ("RGB", "RGBA", "L", "P"):
        raise TileError(f"colours of the kind {image.mode!r}; tiles are 8-bit RGB")
    if image.mode in ("RGBA", "P"):
        pixels = np.asarray(image.convert("RGBA"))
        if (pixels[..., 3] != OPAQUE).any():
            raise TileError("partly transparent; what is behind it is not known")
        return np.ascontiguousarray(pixels[..., :3])
    return np.asarray(image.convert("RGB"))


def centre(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Return the middle of a tile (H, W, 3), (side_px, side_px, 3).

    Raises
    ------
    TileError
        If it is smaller.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < side_px:
        raise TileError(f"{width} x {height} px, smaller than {side_px} px")
    y, x = (height - side_px) // 2, (width - side_px) // 2
    return pixels[y : y + side_px, x : x + side_px]
