"""Writes a phantom to a file: a tiled, pyramidal OME-TIFF with JPEG tiles, as a scanner's software would.

Level 0 is computed once, a row of tiles at a time; each coarser level is the mean of 2 x 2 pixels of the one before it
(before compression), gathered in a temporary file on disk, so that memory stays bounded for any size.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.progress import Progress, ProgressCallback
from napari_gigaclf.slides.slide import Slide
from napari_gigaclf.writing import replacing

TILE: Final = 256
_COARSEST: Final = 1024
_BIG_BYTES: Final = 1 << 31
_CM_UM: Final = 10_000.0

Pixels = NDArray[np.uint8]


def halved(pixels: Pixels) -> Pixels:
    """Return the means of 2 x 2 pixels, rounded; a last odd row or column is averaged with itself."""
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    total = pixels[0::2].astype(np.uint16) + pixels[1::2]
    total = total[:, 0::2] + total[:, 1::2]
    return ((total + 2) >> 2).astype(np.uint8)


def save_pyramid(
    slide: Slide,
    path: str | Path,
    *,
    quality: int | None,
    name: str,
    progress: ProgressCallback | None,
) -> Path:
    """Write level 0 of an RGB slide and means of it as a pyramid; see ``PhantomSlide.save``.

    Without a ``quality`` the tiles are packed with deflate, and no pixel changes.
    """
    import time

    from tifffile import TiffWriter

    target = Path(path)
    start = time.perf_counter()
    shapes = [(slide.levels[0].height, slide.levels[0].width)]
    while max(shapes[-1]) > _COARSEST:
        shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
    with replacing(target) as beside, tempfile.TemporaryDirectory() as folder:
        coarse = [
            np.memmap(Path(folder) / f"{k}.raw", dtype=np.uint8, mode="w+", shape=(*shape, 3))
            for k, shape in enumerate(shapes[1:], start=1)
        ]

        def finest() -> Iterator[Pixels]:
            height, width = shapes[0]
            # Rows of tiles of all levels fall together every TILE * 2 ** levels rows; a pair is enough to halve once.
            for y in range(0, height, 2 * TILE):
                rows = slide.read(0, y, min(y + 2 * TILE, height), 0, width)
                if coarse:
                    part = halved(rows)
                    coarse[0][y // 2 : y // 2 + part.shape[0]] = part
                if progress is not None:
                    done = min(y + 2 * TILE, height)
                    seconds = time.perf_counter() - start
                    progress(Progress(done=done, total=height, unit="row", phase="writing", seconds=seconds))
                yield from _tiles(rows)

        with TiffWriter(beside, ome=True, bigtiff=3 * shapes[0][0] * shapes[0][1] > _BIG_BYTES) as tif:
            tif.write(
                finest(),
                shape=(*shapes[0], 3),
                dtype=np.uint8,
                subifds=len(coarse),
                metadata=_metadata(slide, name),
                **_options(slide, 1, quality),
            )
            for k, level in enumerate(coarse):
                if k:
                    _halve_into(coarse[k - 1], level)
                tif.write(
                    (tile for y in range(0, len(level), TILE) for tile in _tiles(level[y : y + TILE])),
                    shape=level.shape,
                    dtype=np.uint8,
                    subfiletype=1,
                    **_options(slide, 2 ** (k + 1), quality),
                )
        del coarse[:]
    return target


def _halve_into(fine: Pixels, coarse: Pixels) -> None:
    for y in range(0, len(coarse), TILE):
        coarse[y : y + TILE] = halved(np.asarray(fine[2 * y : 2 * (y + TILE)]))


def _tiles(rows: Pixels) -> Iterator[Pixels]:
    """Yield the tiles of some whole rows of tiles, padded with their last pixels at the far edges."""
    height, width = rows.shape[:2]
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            tile = np.asarray(rows[y : y + TILE, x : x + TILE])
            pad = TILE - tile.shape[0], TILE - tile.shape[1]
            yield np.pad(tile, ((0, pad[0]), (0, pad[1]), (0, 0)), mode="edge") if any(pad) else tile.copy()


def _options(slide: Slide, step: int, quality: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {"photometric": "rgb", "tile": (TILE, TILE)}
    if quality is None:
        options |= {"compression": "deflate", "predictor": True}
    else:
        options |= {"compression": "jpeg", "compressionargs": {"level": quality, "optimize": True}}
    if slide.um_per_px is not None:
        y, x = slide.um_per_px
        options |= {"resolution": (_CM_UM / (x * step), _CM_UM / (y * step)), "resolutionunit": "CENTIMETER"}
    return options


def _metadata(slide: Slide, name: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": "YXS", "Name": name}
    if slide.um_per_px is not None:
        y, x = slide.um_per_px
        metadata |= {"PhysicalSizeY": y, "PhysicalSizeX": x, "PhysicalSizeYUnit": "µm", "PhysicalSizeXUnit": "µm"}
    return metadata
