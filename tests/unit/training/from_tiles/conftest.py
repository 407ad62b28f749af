import pytest

from napari_gigaclf.testing.tiles import write_annotated_slides, write_small_tiles
from napari_gigaclf.training.from_tiles import preset
from napari_gigaclf.training.runs.settings import with_settings


@pytest.fixture(scope="session")
def tiles_folder(tmp_path_factory):
    """A folder of 24 tiles of two classes and six patients."""
    return write_small_tiles(tmp_path_factory.mktemp("tiles"))


@pytest.fixture(scope="session")
def slides_table(tmp_path_factory):
    """A table of four annotated slides of 0.5 um/px, 800 x 400 px."""
    return write_annotated_slides(tmp_path_factory.mktemp("annotated"))


@pytest.fixture(scope="session")
def quick():
    """A recipe of some seconds: 5 steps per epoch."""
    return with_settings(preset("default"), ["um_per_px=1", "epochs=2", "batch_size=4", "learning_rate=0.002"])


@pytest.fixture
def few(quick):
    """A recipe that draws two tiles of each class on each slide, and learns from them once."""
    return with_settings(quick, ["max_tiles=2", "label_px=32", "epochs=1", "tune_share=0.25"])
