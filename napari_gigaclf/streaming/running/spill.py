"""Carried borders on disk, for a backward pass whose borders are more than the memory allows.

Written in raster order as their tiles finish, read back in reverse; the bytes are the tensor's own, so nothing changes.
The file has no name where the system allows that, and goes with the tape it belongs to, also after an error.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from napari_gigaclf.errors import OutputError
from napari_gigaclf.streaming.running.tiles import PieceKey

TileIndex = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a piece lies in the file, and what it is."""

    offset: int
    num_bytes: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


class SpillFile:
    """Pieces of carried border in a temporary file, by the tile that takes them."""

    def __init__(self, folder: Path | None) -> None:
        """Open a file in a folder; None: the system's folder for temporary files.

        Raises
        ------
        OutputError
            If no file can be made there.
        """
        self._folder = Path(tempfile.gettempdir()) if folder is None else folder
        self._places: dict[TileIndex, dict[PieceKey, _Place]] = {}
        self._end = 0
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed with the tape
        except OSError as error:
            raise OutputError(
                f"{self._folder}: no file for carried borders can be made ({error.strerror}); "
                "give stream(..., spill=another folder) or more memory"
            ) from error

    @property
    def num_bytes(self) -> int:
        """Bytes written."""
        return self._end

    def put(self, tile: TileIndex, pieces: Mapping[PieceKey, Tensor]) -> None:
        """Write the pieces that a tile took.

        Raises
        ------
        OutputError
            If the disk is full.
        """
        places = self._places.setdefault(tile, {})
        for key, piece in pieces.items():
            raw, strides = _raw_bytes(piece)
            try:
                self._write(memoryview(raw.numpy()))  # type: ignore[arg-type]
            except OSError as error:
                raise OutputError(
                    f"{self._folder}: no room for {raw.numel() / 1e6:.1f} MB of carried borders ({error.strerror}); "
                    "give stream(..., spill=another folder) or more memory"
                ) from error
            places[key] = _Place(
                offset=self._end, num_bytes=raw.numel(), shape=tuple(piece.shape), strides=strides, dtype=piece.dtype,
                device=piece.device,
            )  # fmt: skip
            self._end += raw.numel()

    def _write(self, view: memoryview) -> None:
        """Append bytes."""
        self._file.seek(self._end)
        while view:
            view = view[self._file.write(view) :]

    def get(self, tile: TileIndex) -> dict[PieceKey, Tensor]:
        """Read the pieces of a tile back; nothing where none was written."""
        found: dict[PieceKey, Tensor] = {}
        for key, place in self._places.get(tile, {}).items():
            raw = torch.empty(place.num_bytes, dtype=torch.uint8)
            view = memoryview(raw.numpy())  # type: ignore[arg-type]
            self._file.seek(place.offset)
            while view:
                count = self._file.readinto(view)  # type: ignore[attr-defined]
                if not count:
                    raise OutputError(f"{self._folder}: the file of carried borders was cut short")
                view = view[count:]
            found[key] = raw.view(place.dtype).as_strided(place.shape, place.strides).to(place.device)
        return found

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()

    def __del__(self) -> None:
        """Give the disk back with the tape."""
        if hasattr(self, "_file"):
            self._file.close()


def _raw_bytes(piece: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Return a piece's bytes on the CPU as they lie in memory, without gaps, and its strides."""
    dense = piece.detach().to("cpu")
    if dense.untyped_storage().nbytes() != dense.numel() * dense.element_size():
        dense = dense.contiguous().clone()
    raw = torch.empty(0, dtype=torch.uint8).set_(dense.untyped_storage())
    return raw, tuple(dense.stride())
