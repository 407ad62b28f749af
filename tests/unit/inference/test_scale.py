from types import SimpleNamespace

import pytest

from napari_gigaclf.errors import ScaleError
from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.scale import plan_scale


def levels(*steps, shape=(1000, 2000)):
    grids = []
    for step in steps:
        y, x = step if isinstance(step, tuple) else (step, step)
        grids.append(PixelGrid(origin=(0.0, 0.0), step=(y, x), shape=(round(shape[0] / y), round(shape[1] / x))))
    return tuple(SimpleNamespace(grid=grid) for grid in grids)


def test_reads_the_nearest_finer_level():
    scale = plan_scale(levels(1.0, 2.0, 4.0), (0.25, 0.25), 0.97)
    assert scale.level == 1
    assert scale.factor == pytest.approx((1.94, 1.94))
    assert scale.grid.step == pytest.approx((3.88, 3.88))
    assert scale.um_per_px == (0.97, 0.97)
    assert scale.grid.shape == (258, 516)  # covers the slide: 1000 / 3.88 = 257.7
    assert "level 1 shrunk 1.94 times" in scale.note


def test_within_two_percent_nothing_is_resampled():
    scale = plan_scale(levels(1.0, 4.0), (0.2455, 0.2455), 0.97)
    assert scale.level == 1
    assert not scale.resampled
    assert scale.um_per_px == pytest.approx((0.982, 0.982))
    assert "not resampled" in scale.note


def test_pixels_that_are_not_square():
    scale = plan_scale(levels(1.0, (2.0, 4.0)), (0.25, 0.20), 1.0)
    assert scale.level == 1  # 0.5 and 0.8 um/px: both finer
    assert scale.factor == pytest.approx((2.0, 1.25))
    assert scale.grid.step == pytest.approx((4.0, 5.0))
    assert plan_scale(levels(1.0, (2.0, 8.0)), (0.25, 0.20), 1.0).level == 0  # 0.5 and 1.6: x too coarse


def test_enlarges_a_little_untold_and_a_lot_only_when_told():
    little = plan_scale(levels(1.0), (0.7, 0.7), 0.5)
    assert little.factor == pytest.approx((0.5 / 0.7, 0.5 / 0.7))
    assert "enlarged 1.4 times" in little.note
    with pytest.raises(ScaleError, match=r"2\.0 times coarser .* um_per_px=0\.5 .*--um-per-px"):
        plan_scale(levels(1.0), (1.0, 1.0), 0.5)
    told = plan_scale(levels(1.0), (1.0, 1.0), 0.97, um_per_px=0.5)
    assert told.grid.shape == (2000, 4000)


def test_unknown_scale_is_refused_with_the_option():
    with pytest.raises(ScaleError, match=r"unknown; open it with um_per_px=.*--slide-um-per-px.*--level N"):
        plan_scale(levels(1.0), None, 0.97)
    by_level = plan_scale(levels(1.0, 2.0), None, 0.97, level=1)
    assert by_level.um_per_px is None
    assert by_level.grid.step == (2.0, 2.0)
    assert plan_scale(levels(1.0), None, None).level == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level": 2}, "level 2 does not exist; the slide has levels 0 to 1"),
        ({"level": 0, "um_per_px": 1.0}, "give one of them"),
        ({"um_per_px": -1.0}, "not a positive number"),
        ({"um_per_px": float("nan")}, "not a positive number"),
    ],
)
def test_impossible_wishes(options, words):
    with pytest.raises(ScaleError, match=words):
        plan_scale(levels(1.0, 2.0), (0.5, 0.5), 0.97, **options)
