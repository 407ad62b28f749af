"""Labelled tiles in their files: what each is called, its class, its split, and its pixels when they are asked for."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.cohort import Cohort, CohortRow
from napari_gigaclf.training.tiles.files import TileFiles
from napari_gigaclf.training.tiles.pixels import TileError, centre, decode
from napari_gigaclf.writing import reason_of, replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSet:
    """Tiles of some classes; a row of the cohort is a tile, its group what must not be divided."""

    cohort: Cohort
    files: TileFiles
    side_px: int
    """Height and width; larger ones are looked at in their middle."""
    digests: Mapping[str, str]
    """SHA-256 of each file, by the tile's name."""

    def images(self, rows: Sequence[CohortRow]) -> NDArray[np.uint8]:
        """Read tiles, (B, side_px, side_px, 3), RGB.

        Raises
        ------
        CohortError
            If one cannot be read any more; the text names it.
        """
        images = np.empty((len(rows), self.side_px, self.side_px, 3), np.uint8)
        for place, image in enumerate(self.each(rows)):
            images[place] = image
        return images

    def each(self, rows: Iterable[CohortRow]) -> Iterator[NDArray[np.uint8]]:
        """Read tiles one after the other, (side_px, side_px, 3), RGB.

        Raises
        ------
        CohortError
            If one cannot be read any more; the text names it.
        """
        for row in rows:
            try:
                image = centre(decode(self.files.read(row.name)), self.side_px)
            except (TileError, OSError) as error:
                reason = reason_of(error) if isinstance(error, OSError) else str(error)
                raise CohortError(f"{self.files.path}: tile {row.name}: {reason}") from error
            yield image

    def close(self) -> None:
        """Close the archive."""
        self.files.close()


def write_tile_list(tiles: TileSet, path: Path) -> None:
    """Write which tiles there are, with class, split, group and digest.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tile", "label", "split", "group", "sha256"])
        for row in tiles.cohort.rows:
            label = tiles.cohort.label_text(row)
            writer.writerow([row.name, label, row.split or "", row.group, tiles.digests[row.name]])
