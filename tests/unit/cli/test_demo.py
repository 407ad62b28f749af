"""The demonstration, without its window: the map agrees with the known truth, and the files are there."""

import json
import re

import pytest
import tifffile

from napari_gigaclf.annotations import validate_geojson
from napari_gigaclf.cli import demo, main


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Run the demonstration once; return its folder and what it printed."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("demo") / "demo"
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["demo", "--no-window", "--output", str(folder)]) == 0
    return folder, out.getvalue()


def test_it_says_how_well_the_map_agrees_and_where_the_files_are(shown):
    folder, text = shown
    auc = float(re.search(r"AUC (\d\.\d+)", text).group(1))
    assert auc >= 0.98
    assert re.search(r"tumour 0\.\d+", text) or "tumour 1.000" in text
    for name in ("prediction.json", "annotations.geojson", "probability.ome.tif", "phantom-tumour.gigaclf"):
        assert str(folder / name) in text
        assert (folder / name).exists()


def test_files_hold_the_result(shown):
    folder, _ = shown
    content = json.loads((folder / "prediction.json").read_text(encoding="utf-8"))
    assert content["complete"] is True
    assert content["saliency"]["class"] == "tumour"
    assert content["probabilities"]["tumour"] > 0.5
    assert validate_geojson(folder / "annotations.geojson") == []
    with tifffile.TiffFile(folder / "probability.ome.tif") as tif:
        assert tif.series[0].shape[0] == 2


def test_without_a_screen_it_says_what_to_do_before_it_works(tmp_path, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(demo.platform, "system", lambda: "Linux")
    assert main(["demo", "--output", str(tmp_path / "demo")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "xvfb-run" in line
    assert not (tmp_path / "demo").exists()


def test_nobody_sees_the_screen_of_xvfb_run(monkeypatch):
    monkeypatch.setenv("XAUTHORITY", "/tmp/xvfb-run.abc123/Xauthority")
    assert demo.is_virtual_screen()
    monkeypatch.setenv("XAUTHORITY", "/home/someone/.Xauthority")
    assert not demo.is_virtual_screen()
