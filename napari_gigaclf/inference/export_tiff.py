"""A map as a pyramidal OME-TIFF: QuPath, ASAP and Fiji open it as an image with one channel per class.

Values are float32 as computed; NaN stays NaN. The size of a pixel is that of a cell in micrometres. OME has no place
for "lies on that other image": the corner of the map on the slide is given as the stage position of its planes, and
together with the rest of the record in the image's description, as JSON.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_gigaclf.inference.map_image import MapImage
from napari_gigaclf.writing import replacing

TILE = 256
_CM_IN_UM = 10_000.0


def write_ome_tiff(path: str | Path, image: MapImage) -> Path:
    """Write a map with its coarser copies (SubIFDs), tiled and compressed without loss.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    from tifffile import TiffWriter

    from napari_gigaclf import __version__

    target = Path(path)
    levels = image.pyramid()
    options: dict[str, Any] = {
        "photometric": "minisblack",
        "tile": (TILE, TILE),
        "compression": "zlib",
        "software": f"napari-gigaclf {__version__}",
    }
    with replacing(target) as beside, TiffWriter(beside, ome=True, bigtiff=image.values.nbytes > 2**31) as tif:
        metadata = _metadata(image)
        tif.write(image.values, subifds=len(levels) - 1, metadata=metadata, **_resolution(image), **options)
        for level in levels[1:]:
            tif.write(level.values, subfiletype=1, **_resolution(level), **options)
    return target


def _metadata(image: MapImage) -> dict[str, Any]:
    count = len(image.channels)
    metadata: dict[str, Any] = {
        "axes": "CYX",
        "Name": image.name,
        "Description": json.dumps({**image.place, **image.notes}, ensure_ascii=False),
        "Channel": {"Name": list(image.channels)},
    }
    if image.cell_um is not None and image.um_per_px is not None:
        y_um = image.grid.origin[0] * image.um_per_px[0]
        x_um = image.grid.origin[1] * image.um_per_px[1]
        metadata |= {
            "PhysicalSizeY": image.cell_um[0],
            "PhysicalSizeX": image.cell_um[1],
            "PhysicalSizeYUnit": "µm",
            "PhysicalSizeXUnit": "µm",
            "Plane": {
                "PositionY": [y_um] * count,
                "PositionX": [x_um] * count,
                "PositionYUnit": ["µm"] * count,
                "PositionXUnit": ["µm"] * count,
            },
        }
    return metadata


def _resolution(image: MapImage) -> dict[str, Any]:
    """Return TIFF's own resolution tags: pixels per centimetre, (x, y)."""
    if image.cell_um is None:
        return {}
    pixels_per_cm = _CM_IN_UM / np.array(image.cell_um[::-1])
    return {"resolution": tuple(pixels_per_cm.tolist()), "resolutionunit": "CENTIMETER"}
