import numpy as np
import pytest
from PIL import Image
from tifffile import imwrite

from napari_gigaclf.training.cohort import read_cohort
from napari_gigaclf.training.slides import preset, with_settings


def tissue(side, spots, seed):
    """Return uint8 (side, side, 3): pink texture in the middle, with a few dark discs where ``spots``."""
    rng = np.random.default_rng(seed)
    noise = np.asarray(Image.fromarray(rng.integers(0, 255, (side // 8, side // 8), np.uint8)).resize((side, side)))
    image = np.full((side, side, 3), 245, np.uint8)
    y, x = np.mgrid[:side, :side]
    inside = (y - side / 2) ** 2 + (x - side / 2) ** 2 < (0.42 * side) ** 2
    image[inside] = (np.array([220, 150, 190]) - noise[inside][:, None] // 6).astype(np.uint8)
    for _ in range(6 if spots else 0):
        cy, cx = rng.uniform(0.3 * side, 0.7 * side, 2)
        image[(y - cy) ** 2 + (x - cx) ** 2 < (side / 24) ** 2] = (90, 40, 120)
    return image


@pytest.fixture(scope="session")
def slides_folder(tmp_path_factory):
    """A folder with a table of small slides, with and without dark spots, of two splits; um/px 4."""
    folder = tmp_path_factory.mktemp("slides")
    lines, scores = ["slide,label,split,um_per_px"], ["slide,score,split,um_per_px"]
    for seed, split in enumerate(["train"] * 6 + ["tune"] * 4):
        label = ("plain", "spots")[seed % 2]
        imwrite(folder / f"{seed}.tif", tissue(160, label == "spots", seed), photometric="rgb", tile=(64, 64))
        lines.append(f"{seed}.tif,{label},{split},4")
        scores.append(f"{seed}.tif,{seed % 2 + 0.1 * seed:.1f},{split},4")
    (folder / "cohort.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "scores.csv").write_text("\n".join(scores) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def cohort(slides_folder):
    return read_cohort(slides_folder / "cohort.csv")


@pytest.fixture
def quick():
    """A recipe of a second or two; its network has batch norm behind its trunk."""
    settings = ["network=paper-table1", "um_per_px=4", "input_px=160", "batch_size=3", "epochs=2", "memory=100MB"]
    return with_settings(preset("default"), [*settings, "learning_rate=0.0003", "changes.stain=0.1"])
