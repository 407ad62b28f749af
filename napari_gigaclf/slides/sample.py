"""Finds the sample slide that comes with the program, and its known truth.

The files are made by ``sample_data/make_sample.py``. They lie inside the installed package, or, in a checkout, in the
folder ``sample_data`` beside it.
"""

from pathlib import Path
from typing import Final

from napari_gigaclf.errors import SlideError

SAMPLE_SLIDE: Final = "phantom-tumour.ome.tif"
SAMPLE_TRUTH: Final = "phantom-tumour.geojson"

_PACKAGE: Final = Path(__file__).resolve().parents[1]


def sample_path(name: str = SAMPLE_SLIDE) -> Path:
    """Return the path of a file of the sample data.

    Parameters
    ----------
    name
        ``"phantom-tumour.ome.tif"``, ``"phantom-tumour.geojson"`` or ``"manifest.json"``.

    Raises
    ------
    SlideError
        If there is no such file: the name is wrong, or the installation is incomplete.
    """
    folders = (_PACKAGE / "sample_data", _PACKAGE.parent / "sample_data")
    if Path(name).name == name:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    known = sorted({path.name for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_file()})
    raise SlideError(name, f"there is no such sample; there is {', '.join(known) or 'none: install the package again'}")
