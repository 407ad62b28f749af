"""The doctor looks at what is really there."""

import json
import os
import subprocess
import sys

import pytest

from napari_gigaclf.cli import doctor, main


@pytest.fixture(scope="module")
def examination():
    return doctor.examination()


def test_versions_and_formats_are_those_installed(examination):
    import tifffile
    import torch

    assert examination["packages"]["torch"] == torch.__version__.split("+")[0] or (
        examination["packages"]["torch"] == torch.__version__
    )
    assert examination["packages"]["tifffile"] == tifffile.__version__
    assert [f["why_not"] for f in examination["formats"][:4]] == [None] * 4


def test_devices_have_names_and_reasons(examination):
    devices = {d["key"].split(":")[0]: d for d in examination["devices"]}
    assert set(devices) == {"cpu", "cuda", "mps"}
    assert devices["cpu"]["why_not"] is None
    assert devices["cpu"]["name"]
    for device in devices.values():
        assert device["why_not"] is None or len(device["why_not"]) > 10


def test_the_sample_model_is_right_about_the_known_tumour(examination):
    assert examination["model_check"]["ok"], examination["model_check"]["message"]


def test_cache_is_named_and_limited(examination):
    assert examination["cache"]["folder"]
    assert 0 <= examination["cache"]["bytes"] <= examination["cache"]["limit_bytes"]


def test_text_and_json_say_the_same(examination, capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert examination["napari_gigaclf"] in text
    for device in examination["devices"]:
        assert device["name"] in text
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == examination.keys()


def test_a_missing_optional_library_names_the_command_that_installs_it(tmp_path):
    """A folder on the path in front of the real one holds a library that cannot be loaded."""
    (tmp_path / "openslide.py").write_text("raise ImportError('no libopenslide here')")
    code = "from napari_gigaclf.cli import doctor as d; print([d._format(*entry)['why_not'] for entry in d._FORMATS])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert 'no libopenslide here; pip install "napari-gigaclf[openslide]"' in done.stdout
