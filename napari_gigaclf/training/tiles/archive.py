"""Labelled tiles of tissue in memory: a folder per class inside a tar archive, decoded once into one uint8 array.

The archive holds ``<any>/<class index>/<name>.jpg`` (PatchCamelyon as distributed with this project's data: 96 x 96 px,
class 1 if any pixel of the central 32 x 32 is tumour).
"""

import hashlib
import io
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.tiles.labelled import Tiles

MAX_MEMBER_BYTES = 1 << 20
"""A tile larger than this as JPEG is not a tile."""
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}


def read_tar(path: Path, side_px: int = 96, cache: Path | None = None) -> Tiles:
    """Decode all tiles of an archive, sorted by name.

    Parameters
    ----------
    path
        Tar archive (uncompressed or compressed) with one folder per class index.
    side_px
        Height and width that every tile must have.
    cache
        Folder for the decoded pixels (a memory map, reused when the archive is the same); None decodes into memory.

    Raises
    ------
    CohortError
        If the archive is missing, holds no tile, or holds one of another size.
    """
    if not path.is_file():
        raise CohortError(f"{path}: no such archive of tiles")
    stored = _cache_paths(path, side_px, cache)
    if stored and all(file.is_file() for file in stored):
        return Tiles(images=np.load(stored[0], mmap_mode="r"), labels=np.load(stored[1]))
    tiles = _decode(path, side_px)
    if stored:
        stored[0].parent.mkdir(parents=True, exist_ok=True)
        _save(stored[0], tiles.images)
        _save(stored[1], tiles.labels)
    return tiles


def _save(file: Path, array: NDArray[np.generic]) -> None:
    partial = file.with_suffix(".partial.npy")
    np.save(partial, array)
    partial.replace(file)


def _cache_paths(path: Path, side_px: int, cache: Path | None) -> tuple[Path, Path] | None:
    if cache is None:
        return None
    stat = path.stat()
    key = hashlib.sha256(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns} {side_px}".encode()).hexdigest()[:16]
    return cache / f"tiles-{key}-images.npy", cache / f"tiles-{key}-labels.npy"


def _decode(path: Path, side_px: int) -> Tiles:
    try:
        with tarfile.open(path) as archive:
            members = sorted(
                (m for m in archive if m.isfile() and PurePosixPath(m.name).suffix.lower() in _IMAGE_SUFFIXES),
                key=lambda member: member.name,
            )
            images = np.empty((len(members), side_px, side_px, 3), np.uint8)
            labels = np.empty(len(members), np.int64)
            for i, member in enumerate(members):
                images[i] = _decode_member(archive, member, path, side_px)
                labels[i] = _class_of(member.name, path)
    except tarfile.TarError as error:
        raise CohortError(f"{path}: not a readable tar archive ({error})") from error
    if not members:
        raise CohortError(f"{path}: no tiles inside (expected <class index>/<name>.jpg)")
    return Tiles(images=images, labels=labels)


def _decode_member(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, side_px: int) -> NDArray[np.uint8]:
    handle = archive.extractfile(member)
    if handle is None or member.size > MAX_MEMBER_BYTES:
        raise CohortError(f"{path}: {member.name} is not a tile of {side_px} px")
    try:
        with Image.open(io.BytesIO(handle.read())) as image:
            if image.size != (side_px, side_px):
                raise CohortError(f"{path}: {member.name} has {image.size} px, expected {side_px} x {side_px}")
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise CohortError(f"{path}: {member.name} cannot be decoded ({error})") from error


def _class_of(name: str, path: Path) -> int:
    folder = PurePosixPath(name).parent.name
    if not folder.isdecimal():
        raise CohortError(f"{path}: {name} lies in no folder named by its class index")
    return int(folder)
