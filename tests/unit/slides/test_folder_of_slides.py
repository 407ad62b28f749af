"""A folder of slides is not one slide, even if a DICOM file lies in it."""

from pathlib import Path

import pytest
from PIL import Image

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides import open_slide


def test_the_error_names_a_slide_to_open(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "white").save(tmp_path / "a.png")
    (tmp_path / "b.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(SlideError, match=r"a folder of slides.*a\.png"):
        open_slide(tmp_path)
