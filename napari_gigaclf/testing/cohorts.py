"""Small made-up cohorts for tests of training: tissue with and without dark spots, learnt in seconds."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 160
UM_PER_PX = 4
CLASSES = ("plain", "spots")
SPLITS = ("train",) * 6 + ("tune",) * 4


def spotted_tissue(side: int, seed: int, *, spots: bool) -> NDArray[np.uint8]:
    """Return a picture (side, side, 3): pink texture in the middle of glass, with a few dark discs where ``spots``."""
    rng = np.random.default_rng(seed)
    noise = np.asarray(Image.fromarray(rng.integers(0, 255, (side // 8, side // 8), np.uint8)).resize((side, side)))
    image: NDArray[np.uint8] = np.full((side, side, 3), 245, np.uint8)
    y, x = np.mgrid[:side, :side]
    inside = (y - side / 2) ** 2 + (x - side / 2) ** 2 < (0.42 * side) ** 2
    image[inside] = (np.array([220, 150, 190]) - noise[inside][:, None] // 6).astype(np.uint8)
    for _ in range(6 if spots else 0):
        cy, cx = rng.uniform(0.3 * side, 0.7 * side, 2)
        image[(y - cy) ** 2 + (x - cx) ** 2 < (side / 24) ** 2] = (90, 40, 120)
    return image


def write_small_cohort(folder: Path) -> Path:
    """Write ten slides, ``cohort.csv`` with their classes and ``scores.csv`` with a score; return the first table."""
    from tifffile import imwrite

    labels, scores = ["slide,label,split,um_per_px"], ["slide,score,split,um_per_px"]
    for seed, split in enumerate(SPLITS):
        number = seed % 2
        pixels = spotted_tissue(SIDE, seed, spots=bool(number))
        imwrite(folder / f"{seed}.tif", pixels, photometric="rgb", tile=(64, 64))
        labels.append(f"{seed}.tif,{CLASSES[number]},{split},{UM_PER_PX}")
        scores.append(f"{seed}.tif,{number + 0.1 * seed:.1f},{split},{UM_PER_PX}")
    table = folder / "cohort.csv"
    table.write_text("\n".join(labels) + "\n", encoding="utf-8")
    (folder / "scores.csv").write_text("\n".join(scores) + "\n", encoding="utf-8")
    return table
