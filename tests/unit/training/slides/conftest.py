import pytest

from napari_gigaclf.testing.cohorts import write_small_cohort
from napari_gigaclf.training.cohort import read_cohort
from napari_gigaclf.training.slides import preset, with_settings


@pytest.fixture(scope="session")
def slides_folder(tmp_path_factory):
    """A folder with a table of small slides, with and without dark spots, of two splits; um/px 4."""
    folder = tmp_path_factory.mktemp("slides")
    write_small_cohort(folder)
    return folder


@pytest.fixture
def cohort(slides_folder):
    return read_cohort(slides_folder / "cohort.csv")


@pytest.fixture
def quick():
    """A recipe of a second or two; its network has batch norm behind its trunk."""
    settings = ["network=paper-table1", "um_per_px=4", "input_px=160", "batch_size=3", "epochs=2", "memory=100MB"]
    return with_settings(preset("default"), [*settings, "learning_rate=0.0003", "changes.stain=0.1"])
