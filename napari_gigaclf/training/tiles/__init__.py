"""Labelled tiles: archives of the built-in models' data, folders or archives of a user's own. Nothing needs torch."""

from napari_gigaclf.training.tiles.archive import read_tar
from napari_gigaclf.training.tiles.check import TileReport, check_tiles
from napari_gigaclf.training.tiles.labelled import Tiles, odds_by_place, split, split_by_place
from napari_gigaclf.training.tiles.same_place import same_place
from napari_gigaclf.training.tiles.tile_set import TileSet, write_tile_list

__all__ = [
    "TileReport",
    "TileSet",
    "Tiles",
    "check_tiles",
    "odds_by_place",
    "read_tar",
    "same_place",
    "split",
    "split_by_place",
    "write_tile_list",
]
