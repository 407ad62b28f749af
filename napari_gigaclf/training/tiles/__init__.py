"""Labelled tiles: archives of the built-in models' data, folders or archives of a user's own. Nothing needs torch."""

from napari_gigaclf.training.tiles.archive import read_tar
from napari_gigaclf.training.tiles.check import TileReport, check_tiles
from napari_gigaclf.training.tiles.labelled import Tiles, split
from napari_gigaclf.training.tiles.tile_set import TileSet, write_tile_list

__all__ = ["TileReport", "TileSet", "Tiles", "check_tiles", "read_tar", "split", "write_tile_list"]
