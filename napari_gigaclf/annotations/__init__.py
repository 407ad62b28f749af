"""What people drew and what models found: outlines with a class, in the slide's pixels, and the files for them."""

from napari_gigaclf.annotations.annotation import Annotation, Author, Kind, default_colour
from napari_gigaclf.annotations.geojson_read import read_geojson
from napari_gigaclf.annotations.geojson_rules import validate_geojson
from napari_gigaclf.annotations.geojson_write import write_geojson
from napari_gigaclf.annotations.origin import qupath_origin
from napari_gigaclf.annotations.table import write_csv

__all__ = [
    "Annotation",
    "Author",
    "Kind",
    "default_colour",
    "qupath_origin",
    "read_geojson",
    "validate_geojson",
    "write_csv",
    "write_geojson",
]
