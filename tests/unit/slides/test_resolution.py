"""Which numbers are believed to be micrometres per pixel."""

import math

import pytest

from napari_gigaclf.slides.resolution import plausible, plausible_overview


@pytest.mark.parametrize("um", [0.02, 0.25, 20.0, 31.04, 32.0, 64.0, 200.0])
def test_a_named_unit_is_believed_for_overviews_and_maps(um):
    assert plausible_overview((um, um))


@pytest.mark.parametrize("um", [0.0, -1.0, math.nan, math.inf, 0.001, 201.0, 25_400 / 72, 25_400 / 254, 25_400 / 600])
def test_print_resolutions_and_nonsense_are_not(um):
    assert not plausible_overview((um, um))
    assert not plausible((um, um))
