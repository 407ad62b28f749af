"""Small made-up tiles and annotated slides for tests of training: tissue with and without dark spots."""

from pathlib import Path

import numpy as np
from PIL import Image

from napari_gigaclf.annotations import Annotation, write_geojson
from napari_gigaclf.testing.cohorts import CLASSES, spotted_tissue

SIDE = 96
NUM_PATIENTS = 6


def write_small_tiles(folder: Path, per_patient: int = 4) -> Path:
    """Write PNG tiles of 96 x 96 px, ``class/patient/number.png``, half of them with spots; return the folder."""
    for number in range(NUM_PATIENTS * per_patient):
        kind = number % len(CLASSES)
        pixels = spotted_tissue(160, number, spots=bool(kind))[32:128, 32:128]
        place = folder / CLASSES[kind] / f"patient{number // per_patient}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def write_annotated_slides(folder: Path, count: int = 4) -> Path:
    """Write slides of 0.5 um/px, plain on the left and with spots on the right, outlined; return their table."""
    from shapely.geometry import box
    from tifffile import imwrite

    folder.mkdir(parents=True, exist_ok=True)
    lines = ["slide,annotations,group,um_per_px"]
    for number in range(count):
        halves = [spotted_tissue(400, 10 * number + part, spots=bool(part)) for part in range(2)]
        imwrite(folder / f"{number}.tif", np.concatenate(halves, axis=1), photometric="rgb", tile=(128, 128))
        outlines = [
            Annotation(geometry=box(60 + 400 * part, 60, 340 + 400 * part, 340), class_name=CLASSES[part])
            for part in range(2)
        ]
        write_geojson(folder / f"{number}.geojson", outlines)
        lines.append(f"{number}.tif,{number}.geojson,patient{number},0.5")
    table = folder / "slides.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table
