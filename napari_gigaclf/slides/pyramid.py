"""Gives a slide without coarse levels some: computed once, kept in a cache, shown at once the next time.

A file with one huge image shows nothing until all of it is read. Coarser levels are area means of the level before,
made block by block in bounded memory and written as a zarr array beside others into the user's cache folder, which
keeps to a size limit by forgetting what was used longest ago. Level 0 is never copied.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import Cancelled, OutputError
from napari_gigaclf.geometry import Box
from napari_gigaclf.progress import CancelToken, Progress, ProgressCallback
from napari_gigaclf.slides.array import ArraySlide, SlideFacts
from napari_gigaclf.slides.boundary import LIBRARY_ERRORS
from napari_gigaclf.slides.level import Fetch, LevelSource
from napari_gigaclf.slides.overview import needs_coarse_levels
from napari_gigaclf.slides.slide import Level, Slide
from napari_gigaclf.writing import replacing

SMALLEST_SIDE = 1024
"""The coarsest level made is at most this long."""
FIRST_FACTOR_OF_HUGE, HUGE_SIDE = 4, 16_384
"""The first level made of a level longer than this is a quarter of its side: half of it would fill the cache."""
CACHE_LIMIT_BYTES = 4 * 2**30
CHUNK = 512
BLOCK_BYTES = 48 * 2**20
"""Pixels of the finer level read at once (a chunk of the file may be larger)."""
_FORMAT_VERSION = 1
_PARTIAL_SUFFIX = ".partial"
_PARTIAL_MAX_SECONDS = 2 * 24 * 3600.0
_USED = "used"


def cache_folder() -> Path:
    """Return the folder where computed levels are kept on this machine."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("napari-gigaclf")) / "coarse-levels"


def ensure_coarse_levels(
    slide: Slide,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    *,
    folder: Path | None = None,
    limit_bytes: int = CACHE_LIMIT_BYTES,
) -> Slide:
    """Return the slide with coarse levels: itself where it has them, else with levels from the cache or made now.

    Call it on a background thread: it may read the whole coarsest level once.

    Parameters
    ----------
    slide
        An open slide.
    progress
        Told after each block (unit ``"block"``).
    cancel
        Asked before each block.
    folder
        Where computed levels are kept; by default ``cache_folder()``.
    limit_bytes
        Bytes that folder may hold; levels used longest ago are removed first, never those just made.

    Raises
    ------
    Cancelled
        If asked to stop; nothing is left behind.
    OutputError
        If the levels cannot be written.
    SlideError
        If the slide's pixels cannot be read.
    """
    if not needs_coarse_levels(slide):
        return slide
    root = cache_folder() if folder is None else folder
    finest = slide.levels[-1]
    factors = plan_factors(finest.height, finest.width)
    home = root / _key(slide)
    arrays = _from_cache(home, finest, factors)
    if arrays is None:
        with replacing(home) as partial:
            _make(partial, slide, factors, progress, cancel)
        arrays = _from_cache(home, finest, factors)
        if arrays is None:
            raise OutputError(f"{home}: the overview levels just written cannot be read")
    _mark_used(home)
    evict(root, limit_bytes, keep=home)
    base = slide if isinstance(slide, ArraySlide) else as_array_slide(slide)
    return base.replaced(base.facts, _sources(arrays, finest, factors))


def plan_factors(height: int, width: int) -> tuple[int, ...]:
    """Return by how much each new level is coarser than the one before it.

    Examples
    --------
    >>> plan_factors(100_000, 90_000)
    (4, 2, 2, 2, 2, 2)
    """
    side = max(height, width)
    factors: list[int] = []
    while side > SMALLEST_SIDE:
        factors.append(FIRST_FACTOR_OF_HUGE if side > HUGE_SIDE and not factors else 2)
        side = -(-side // factors[-1])
    return tuple(factors)


def _key(slide: Slide) -> str:
    """Return the name of the slide's folder in the cache."""
    finest = slide.levels[-1]
    return sha256(f"{_FORMAT_VERSION} {slide.id} {finest.shape} {finest.dtype}".encode()).hexdigest()[:40]


def as_array_slide(slide: Slide) -> ArraySlide:
    """Wrap any slide, so that levels can be added to it; closing the result closes it."""

    def fetch_from(number: int) -> Fetch:
        return lambda box: slide.read(number, *box)

    return ArraySlide(
        SlideFacts(
            name=slide.name,
            path=slide.path,
            format=slide.format,
            dtype=slide.dtype,
            num_channels=slide.num_channels,
            um_per_px=slide.um_per_px,
            um_per_px_source=slide.um_per_px_source,
            properties=slide.properties,
            associated=slide.associated,
            scenes=slide.scenes,
            scene=slide.scene,
            num_z=slide.num_z,
            z=slide.z,
        ),
        [
            LevelSource(
                shape=(level.height, level.width),
                chunks=(level.chunks[0], level.chunks[1]),
                fetch=fetch_from(number),
                step=level.step,
                cached=False,
            )
            for number, level in enumerate(slide.levels)
        ],
        kind=lambda: slide.kind,
        fingerprint=lambda: slide.id,
        read_associated=slide.read_associated,
        on_close=slide.close,
    )


def _shapes(finest: Level, factors: Sequence[int]) -> list[tuple[int, int]]:
    """Return (height, width) of each new level."""
    shapes, height, width = [], finest.height, finest.width
    for factor in factors:
        height, width = -(-height // factor), -(-width // factor)
        shapes.append((height, width))
    return shapes


def _sources(arrays: list[Any], finest: Level, factors: Sequence[int]) -> list[LevelSource]:
    """Return the new levels; their steps are whole multiples of the finest one's."""
    sources, factor = [], 1
    for array, own in zip(arrays, factors, strict=True):
        factor *= own
        sources.append(
            LevelSource(
                shape=(int(array.shape[0]), int(array.shape[1])),
                chunks=(min(CHUNK, int(array.shape[0])), min(CHUNK, int(array.shape[1]))),
                fetch=_fetch(array),
                step=(finest.step[0] * factor, finest.step[1] * factor),
            )
        )
    return sources


def _fetch(array: Any) -> Fetch:  # noqa: ANN401 - zarr
    """Return the function that reads a box of a computed level."""
    return lambda box: np.asarray(array[box.slices])


def _from_cache(home: Path, finest: Level, factors: Sequence[int]) -> list[Any] | None:
    """Return the computed levels, or None where they are missing or damaged (they are made again then)."""
    import zarr

    if not home.is_dir():
        return None
    found = []
    for number, shape in enumerate(_shapes(finest, factors)):
        try:
            array = zarr.open_array(str(home / str(number)), mode="r")
        except LIBRARY_ERRORS:
            return None
        if array.shape[:2] != shape or array.dtype != finest.dtype:
            return None
        found.append(array)
    return found


def _make(
    folder: Path,
    slide: Slide,
    factors: Sequence[int],
    progress: ProgressCallback | None,
    cancel: CancelToken | None,
) -> None:
    """Compute the levels into a folder, each from the one before."""
    import zarr

    number = len(slide.levels) - 1
    finest = slide.levels[number]
    fetch: Fetch = lambda box: slide.read(number, *box)  # noqa: E731
    size, chunks = (finest.height, finest.width), (finest.chunks[0], finest.chunks[1])
    pixel_bytes = slide.num_channels * slide.dtype.itemsize
    jobs = []
    for factor, shape in zip(factors, _shapes(finest, factors), strict=True):
        jobs.append((factor, shape, size, blocks(size, chunks, factor, pixel_bytes)))
        size, chunks = shape, (CHUNK, CHUNK)
    total, done, start = sum(len(job[3]) for job in jobs), 0, time.perf_counter()
    for level, (factor, shape, _, boxes) in enumerate(jobs):
        array = zarr.create_array(
            str(folder / str(level)),
            shape=(*shape, slide.num_channels),
            chunks=(min(CHUNK, shape[0]), min(CHUNK, shape[1]), slide.num_channels),
            dtype=slide.dtype,
            fill_value=slide.background[0],
        )
        for box in boxes:
            if cancel is not None and cancel.is_set():
                raise Cancelled(f"{slide.name}: computing overview levels was stopped")
            coarse = _coarse_block(fetch, box, factor, box.shape[1] * pixel_bytes)
            y, x = box.y0 // factor, box.x0 // factor
            array[y : y + coarse.shape[0], x : x + coarse.shape[1]] = coarse
            done += 1
            if progress is not None:
                seconds = time.perf_counter() - start
                progress(
                    Progress(done=done, total=total, unit="block", phase="computing overview levels", seconds=seconds)
                )
        fetch = _fetch(array)


def blocks(size: tuple[int, int], chunks: tuple[int, int], factor: int, pixel_bytes: int) -> list[Box]:
    """Return boxes that cover a level: whole chunks where memory allows, whole chunks of the new level always.

    Parameters
    ----------
    size, chunks
        Height and width of the level read and of its chunks.
    factor
        How much coarser the new level is; the boxes' corners are multiples of ``factor * CHUNK``, so that no chunk of
        the new level is written twice.
    pixel_bytes
        Bytes of one pixel.
    """
    unit = factor * CHUNK
    # Wide chunks (strips) are read once only if a block is as wide as they are.
    wide = _rounded(max(chunks[1], unit), unit)
    tall = max(unit, BLOCK_BYTES // max(1, wide * pixel_bytes) // unit * unit)
    wide = max(wide, BLOCK_BYTES // max(1, tall * pixel_bytes) // unit * unit)
    return list(_tiling(size, tall, wide))


def _rounded(value: int, unit: int) -> int:
    """Return the value rounded up to a multiple."""
    return -(-value // unit) * unit


def _tiling(size: tuple[int, int], tall: int, wide: int) -> Iterator[Box]:
    """Yield boxes of a size that cover a level, row by row, cut at its edge."""
    for y in range(0, size[0], tall):
        for x in range(0, size[1], wide):
            yield Box(y, min(y + tall, size[0]), x, min(x + wide, size[1]))


def area_mean(block: NDArray[Any], factor: int) -> NDArray[Any]:
    """Return the mean of each factor x factor square, in the same type, rounded half up for integers.

    Squares cut by the block's far edges are the mean of the pixels they have.

    Parameters
    ----------
    block
        (h, w, c).

    Returns
    -------
    ndarray
        (ceil(h / factor), ceil(w / factor), c).
    """
    height, width = block.shape[:2]
    whole = block.dtype.kind in "ub" and block.dtype.itemsize <= 2
    # 16 bits hold the sum of 256 bytes: half the memory traffic for the usual slide.
    sum_type = np.float64 if not whole else np.uint16 if block.dtype.itemsize == 1 and factor <= 16 else np.uint32
    # Rows first: they are contiguous, so the slower strided sum over columns sees 1 / factor of the pixels.
    tall: NDArray[Any] = block[0::factor].astype(sum_type)
    for dy in range(1, min(factor, height)):
        part = block[dy::factor]
        tall[: part.shape[0]] += part
    sums = np.ascontiguousarray(tall[:, 0::factor])
    for dx in range(1, min(factor, width)):
        part = tall[:, dx::factor]
        sums[:, : part.shape[1]] += part
    counts: Any = factor * factor
    if height % factor or width % factor:
        rows = np.minimum(height - np.arange(0, height, factor), factor)
        columns = np.minimum(width - np.arange(0, width, factor), factor)
        counts = (rows[:, np.newaxis] * columns[np.newaxis, :])[..., np.newaxis].astype(sum_type)
    if whole:
        mean: NDArray[Any] = ((sums + counts // 2) // counts).astype(block.dtype)
        return mean
    exact = sums / counts
    result: NDArray[Any] = (np.floor(exact + 0.5) if block.dtype.kind in "iu" else exact).astype(block.dtype)
    return result


def _coarse_block(fetch: Fetch, box: Box, factor: int, row_bytes: int) -> NDArray[Any]:
    """Return the area means of a box, read in strips of bounded memory: a box may be as wide as the slide."""
    strip = max(1, BLOCK_BYTES // max(1, row_bytes) // factor) * factor
    tops = range(box.y0, box.y1, strip)
    return np.concatenate(
        [area_mean(fetch(Box(top, min(top + strip, box.y1), box.x0, box.x1)), factor) for top in tops]
    )


def _mark_used(home: Path) -> None:
    """Note when the levels were last used; a cache that cannot be written is used all the same."""
    try:
        (home / _USED).touch()
    except OSError:
        return


def evict(root: Path, limit_bytes: int, *, keep: Path) -> None:
    """Remove the levels used longest ago until the folder holds at most ``limit_bytes``, and what crashes left behind.

    ``keep`` is never removed, even if it is larger than the limit by itself.
    """
    entries = []
    for entry in root.iterdir():
        if entry == keep or not entry.is_dir():
            continue
        used = _last_used(entry)
        if entry.name.endswith(_PARTIAL_SUFFIX):
            if time.time() - used > _PARTIAL_MAX_SECONDS:
                shutil.rmtree(entry, ignore_errors=True)
            continue
        entries.append((used, _folder_bytes(entry), entry))
    total = _folder_bytes(keep) + sum(num_bytes for _, num_bytes, _ in entries)
    for _, num_bytes, entry in sorted(entries, key=lambda item: item[0]):
        if total <= limit_bytes:
            return
        shutil.rmtree(entry, ignore_errors=True)
        total -= num_bytes


def _last_used(entry: Path) -> float:
    """Return when a folder of the cache was last used, seconds; 0 where that is unknown."""
    for path in (entry / _USED, entry):
        try:
            return path.stat().st_mtime
        except OSError:
            continue
    return 0.0


def _folder_bytes(folder: Path) -> int:
    """Return the bytes of the files in a folder; files that vanish meanwhile count as nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
