"""Small made-up slides with a known class: tissue with or without dark spots, on glass."""

import numpy as np
from PIL import Image
from tifffile import imwrite


def tissue(side, spots, seed):
    """Return uint8 (side, side, 3): pink texture in the middle, with a few dark discs where ``spots``."""
    rng = np.random.default_rng(seed)
    noise = np.asarray(Image.fromarray(rng.integers(0, 255, (side // 8, side // 8), np.uint8)).resize((side, side)))
    image = np.full((side, side, 3), 245, np.uint8)
    y, x = np.mgrid[:side, :side]
    inside = (y - side / 2) ** 2 + (x - side / 2) ** 2 < (0.42 * side) ** 2
    image[inside] = (np.array([220, 150, 190]) - noise[inside][:, None] // 6).astype(np.uint8)
    if spots:
        for _ in range(6):
            cy, cx = rng.uniform(0.3 * side, 0.7 * side, 2)
            disc = (y - cy) ** 2 + (x - cx) ** 2 < (side / 24) ** 2
            image[disc] = (90, 40, 120)
    return image


def write_cohort_of(folder, counts, side=256, um_per_px=1.0):
    """Write slides and their table: ``counts`` says how many of each split; classes take turns."""
    lines, seed = ["slide,label,split,um_per_px"], 0
    for split, count in counts.items():
        for number in range(count):
            label, seed = ("plain", "spots")[number % 2], seed + 1
            name = f"{split}-{number}.tif"
            imwrite(folder / name, tissue(side, label == "spots", seed), photometric="rgb", tile=(128, 128))
            lines.append(f"{name},{label},{split},{um_per_px}")
    (folder / "cohort.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "cohort.csv"
