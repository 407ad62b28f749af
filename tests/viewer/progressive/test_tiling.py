import pytest

from napari_gigaclf.geometry import Box
from napari_gigaclf.viewer.progressive.tiling import MAX_AHEAD, tile_box, tile_shape, tiles_ahead, tiles_of, travel


@pytest.mark.parametrize(
    ("chunks", "shape", "tile"),
    [
        ((512, 512), (9000, 9000), (512, 512)),
        ((256, 256), (9000, 9000), (256, 256)),
        ((128, 128), (9000, 9000), (256, 256)),
        ((8, 3840), (900, 3840), (256, 512)),
        ((4096, 4096), (9000, 9000), (512, 512)),
        ((512, 512), (300, 700), (300, 512)),
        ((1, 700), (300, 700), (256, 512)),
    ],
)
def test_tiles_follow_the_chunks_within_limits(chunks, shape, tile):
    assert tile_shape(chunks, shape) == tile


def test_tiles_cover_a_box_once_the_middle_first():
    box, tile, shape = Box(130, 777, 250, 1500), (256, 256), (1000, 1500)
    places = tiles_of(box, tile)
    assert len(set(places)) == len(places) == 4 * 6
    covered = sum(
        part.shape[0] * part.shape[1] for part in (tile_box(place, tile, shape).intersection(box) for place in places)
    )
    assert covered == box.shape[0] * box.shape[1]
    assert places[0] == (1, 3)
    assert tile_box((3, 5), tile, shape) == Box(768, 1000, 1280, 1500)


@pytest.mark.parametrize(
    ("by", "direction"),
    [((0, 60), (0, 1)), ((-60, 10), (-1, 0)), ((50, -40), (1, -1)), ((0, 0), (0, 0)), ((5000, 0), (0, 0))],
)
def test_direction_of_travel(by, direction):
    box = Box(1000, 1800, 1000, 2000)
    assert travel(box, box.shifted(*by)) == direction


def test_what_lies_ahead_is_outside_the_view_inside_the_level_and_not_too_much():
    tile, shape = (100, 100), (5000, 5000)
    box = Box(1000, 1800, 1000, 2000)
    ahead = tiles_ahead(box, (0, 1), tile, shape)
    assert {column for _, column in ahead} == {20, 21}
    assert {row for row, _ in ahead} == set(range(10, 18))
    assert ahead[0][1] == 20
    assert not set(ahead) & set(tiles_of(box, tile))
    assert tiles_ahead(box, (0, 0), tile, shape) == []
    assert tiles_ahead(Box(0, 500, 0, 500), (-1, -1), tile, shape) == []
    assert len(tiles_ahead(Box(1000, 3000, 1000, 3000), (1, 1), tile, shape)) == MAX_AHEAD
