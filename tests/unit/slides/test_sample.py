"""The sample slide that comes with the program: it opens, and its truth is that of its seed."""

import hashlib
import importlib.util
import json
import sys

import numpy as np
import pytest
import shapely

from napari_gigaclf.annotations import read_geojson, validate_geojson, write_geojson
from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.phantom import PHANTOM_VERSION
from napari_gigaclf.slides.sample import sample_path


@pytest.fixture(scope="module")
def script(repository):
    spec = importlib.util.spec_from_file_location("make_sample", repository / "sample_data" / "make_sample.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_sample"] = module
    spec.loader.exec_module(module)
    return module


def test_the_slide_opens_as_what_the_manifest_says():
    manifest = json.loads(sample_path("manifest.json").read_text())
    with open_slide(sample_path()) as slide:
        assert slide.levels[0].shape == (*manifest["shape"], 3)
        assert slide.um_per_px == (manifest["um_per_px"],) * 2
        assert slide.is_brightfield
        assert max(slide.levels[-1].shape) <= 1024


def test_the_files_are_those_of_the_manifest(script):
    manifest = json.loads(sample_path("manifest.json").read_text())
    assert (manifest["seed"], manifest["phantom_version"]) == (script.SEED, PHANTOM_VERSION)
    for name, facts in manifest["files"].items():
        data = sample_path(name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (facts["bytes"], facts["sha256"])
    assert sample_path().stat().st_size < 6_000_000


def test_the_script_makes_the_same_truth_again(script, tmp_path):
    write_geojson(tmp_path / "truth.geojson", script.truth(script.sample_slide()))
    assert (tmp_path / "truth.geojson").read_bytes() == sample_path("phantom-tumour.geojson").read_bytes()


def test_the_file_holds_the_pixels_of_its_seed(script):
    made = script.sample_slide()
    with open_slide(sample_path()) as slide:
        for y, x in ((1800, 3000), (3900, 4300)):
            difference = slide.read(0, y, y + 256, x, x + 256).astype(float) - made.read(0, y, y + 256, x, x + 256)
            assert np.abs(difference).mean() < 8.0
            assert np.abs(difference.mean(axis=(0, 1))).max() < 2.0


def test_the_truth_follows_quPaths_rules_and_has_all_sizes():
    path = sample_path("phantom-tumour.geojson")
    assert list(validate_geojson(path)) == []
    annotations = read_geojson(path)
    assert {annotation.class_name for annotation in annotations} == {"Tumour"}
    assert {annotation.name.split()[0] for annotation in annotations} == {"macro", "micro", "cells"}
    areas = [annotation.geometry.area * 0.25 for annotation in annotations]
    assert max(areas) > 500_000
    assert min(areas) < 3_000
    assert all(shapely.box(0, 0, 8192, 6144).contains(annotation.geometry) for annotation in annotations)


@pytest.mark.parametrize("name", ["nothing.tif", "../pyproject.toml", ""])
def test_an_unknown_sample_names_those_there_are(name):
    with pytest.raises(SlideError, match=r"phantom-tumour\.ome\.tif"):
        sample_path(name)
