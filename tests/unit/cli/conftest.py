"""A tiny model and tiny slides, real files both."""

import numpy as np
import pytest
import tifffile

from napari_gigaclf.testing.slide_files import write_scenes

CARD = {
    "title": "tiny",
    "summary": "untrained",
    "intended_tissue": "none",
    "stain": "H&E",
    "intended_use": "tests",
    "not_for": "anything else",
    "training_data": "none",
    "licence": "BSD-3-Clause",
    "citation": (),
    "measured": {},
    "positive_class": "tumour",
}


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """An untrained model of 1 um/px with classes normal and tumour."""
    import torch

    from napari_gigaclf.models import ModelCard, ModelConfig, save_model
    from napari_gigaclf.models.build import build_classifier

    config = ModelConfig(
        name="tiny",
        version="1",
        classes=("normal", "tumour"),
        um_per_px=1.0,
        activation="softmax",
        network="cell-net",
        pooling="highest",
        spread=(0.3, 0.3, 0.3),
        card=ModelCard(**CARD),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_classifier(config)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(model, folder)
    return folder


def tissue_image(side, seed):
    """White glass with a purple, grainy square of tissue, (side, side, 3)."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), 244, dtype=np.uint8)
    inner = slice(side // 4, 3 * side // 4)
    grain = rng.integers(-40, 40, (side // 2, side // 2, 1))
    image[inner, inner] = np.clip(np.array([170, 90, 160]) + grain, 0, 255)
    return image


@pytest.fixture
def make_slide():
    """Write an OME-TIFF of 1 um/px (None: unknown scale) at a path and return the path."""

    def make(path, seed=0, side=256, um_per_px=1.0):
        path.parent.mkdir(parents=True, exist_ok=True)
        sizes = {} if um_per_px is None else {f"PhysicalSize{axis}": um_per_px for axis in "XY"}
        units = {} if um_per_px is None else {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
        options = {"photometric": "rgb", "tile": (128, 128), "compression": "zlib"}
        image = tissue_image(side, seed)
        with tifffile.TiffWriter(path, ome=True) as tif:
            tif.write(image, subifds=1, metadata={"axes": "YXS", **sizes, **units}, **options)
            tif.write(image[::2, ::2], subfiletype=1, **options)
        return path

    return make


@pytest.fixture
def scenes_file(tmp_path):
    """An OME-TIFF of two scenes, with three focal planes and two, all of them different."""
    first = np.stack([tissue_image(256, seed) for seed in (1, 2, 3)])
    second = np.stack([tissue_image(192, seed) for seed in (4, 5)])
    return write_scenes(tmp_path / "many.ome.tif", [first, second])
