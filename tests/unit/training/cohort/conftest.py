"""Tables of slides, and small slides for them."""

import numpy as np
import pytest
import tifffile


@pytest.fixture
def write_text(tmp_path):
    """Write a table from its lines and return its path."""

    def write(*lines, name="cohort.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def make_slide(tmp_path):
    """Write a small slide of 1 um/px (None: unknown scale) beside the table and return its name."""

    def make(name, seed=0, um_per_px=1.0):
        image = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        sizes = {} if um_per_px is None else {f"PhysicalSize{axis}": um_per_px for axis in "XY"}
        metadata = {"axes": "YXS", **sizes}
        tifffile.imwrite(tmp_path / name, image, photometric="rgb", tile=(64, 64), ome=True, metadata=metadata)
        return name

    return make
