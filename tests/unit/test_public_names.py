"""The package's public face: few names, found lazily."""

import subprocess
import sys

import pytest

import napari_gigaclf


@pytest.mark.parametrize("module", ["napari_gigaclf", "napari_gigaclf.inference", "napari_gigaclf.models"])
def test_importing_loads_neither_torch_nor_qt_nor_napari(module):
    program = (
        f"import sys, {module} as m; dir(m)\n"
        "heavy = {'torch', 'napari', 'qtpy', 'PyQt6', 'PySide6', 'zarr', 'tifffile'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_every_public_name_exists():
    for name in napari_gigaclf.__all__:
        assert getattr(napari_gigaclf, name) is not None
        assert name in dir(napari_gigaclf)
    assert callable(napari_gigaclf.classify)
    assert len(napari_gigaclf.__all__) <= 8


def test_names_stay_callables_when_their_modules_are_imported():
    program = (
        "import napari_gigaclf.inference.classification, napari_gigaclf.inference.preparation\n"
        "from napari_gigaclf.inference import classify, prepare\n"
        "from napari_gigaclf import stream, load_model, open_slide\n"
        "assert all(callable(f) for f in (classify, prepare, stream, load_model, open_slide))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_other_names_do_not():
    with pytest.raises(AttributeError, match="no attribute 'clasify'"):
        _ = napari_gigaclf.clasify
