import dataclasses
import re

import numpy as np
import pytest

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.domain import scale_warnings, stain_warnings
from napari_gigaclf.inference.scale import InputScale
from napari_gigaclf.models import ColourStatistics

REFERENCE = ColourStatistics(
    mean=(0.30, 0.50, 0.25), std=(0.1, 0.1, 0.1), between=(0.04, 0.05, 0.04), tissue_density=0.05
)


def scale(um):
    grid = PixelGrid(origin=(0.0, 0.0), step=(1.0, 1.0), shape=(100, 100))
    return InputScale(level=0, factor=(1.0, 1.0), grid=grid, um_per_px=um, note="")


def of_density(*density):
    intensity = np.clip(256 * 10 ** -np.array(density, dtype=float) - 1, 0, 255) / 255

    def read(box):
        image = np.ones((3, *box.shape), dtype=np.float32)  # half of it glass, which does not count
        image[:, ::2] = intensity[:, None, None]
        return image

    return read


def test_usual_colours_pass(make_model):
    card = dataclasses.replace(make_model().card, colour_statistics=REFERENCE)
    cells = np.ones((10, 10), dtype=bool)
    assert stain_warnings(of_density(0.33, 0.48, 0.27), cells, (32, 32), card) == ()


@pytest.mark.parametrize(
    ("density", "words"),
    [
        ((0.30, 0.60, 0.25), "much paler or darker.*0.30 / 0.60 / 0.25, training 0.30 / 0.50 / 0.25"),
        ((0.22, 0.42, 0.33), r"hue \d+ degrees away"),
        ((0.0, 0.0, 0.0), "paler than any"),
    ],
)
def test_unusual_colours_are_named(make_model, density, words):
    card = dataclasses.replace(make_model().card, colour_statistics=REFERENCE)
    (warning,) = stain_warnings(of_density(*density), np.ones((10, 10), dtype=bool), (32, 32), card)
    assert re.search(words, warning)


def test_nothing_to_compare_with(make_model):
    cells = np.ones((10, 10), dtype=bool)
    assert stain_warnings(of_density(1, 1, 1), cells, (32, 32), make_model().card) == ()
    card = dataclasses.replace(make_model().card, colour_statistics=REFERENCE)
    assert stain_warnings(of_density(1, 1, 1), ~cells, (32, 32), card) == ()


@pytest.mark.parametrize(
    ("um", "model_um", "words"),
    [((1.0, 1.0), 0.97, None), ((2.0, 2.0), 0.97, "2 um/px, but"), (None, 0.97, "unknown"), (None, None, None)],
)
def test_scale(um, model_um, words):
    found = scale_warnings(scale(um), model_um)
    assert (words is None and found == ()) or words in found[0]
