"""What every slide must keep, as tests: the author of a new format inherits them and gives a slide.

Example
-------
A test module of a new format holds::

    class TestMyFormat(SlideContract):
        @pytest.fixture
        def slide(self, tmp_path):
            with open_slide(write_my_format(tmp_path)) as slide:
                yield slide
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_gigaclf.errors import RegionError, SlideError
from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.slides.slide import UNKNOWN_SCALE, Level, Slide

_PIECE = 97
"""Side of the pieces in which regions are read again: no multiple of any tile."""
_REGION = 300
_MIN_SIDE_COMPARED = 48


class SlideContract:
    """Tests of the ``Slide`` protocol; give a fixture ``slide`` (opened anew for each test)."""

    max_level_difference = 8.0
    """Mean absolute difference, of 255, allowed between a level and the area mean of the level before it."""

    @pytest.fixture
    def slide(self) -> Slide:
        """Return the slide under test."""
        raise NotImplementedError("a slide contract needs a fixture named slide")

    def test_keeps_the_protocols(self, slide: Slide) -> None:
        """The slide and its levels have every member."""
        assert isinstance(slide, Slide)
        assert slide.levels
        assert all(isinstance(level, Level) for level in slide.levels)

    def test_the_open_scene_and_plane_are_among_those_there_are(self, slide: Slide) -> None:
        """Scenes have names of their own; both are counted from 0."""
        assert len(set(slide.scenes)) == len(slide.scenes) >= 1
        assert 0 <= slide.scene < len(slide.scenes)
        assert 0 <= slide.z < slide.num_z

    def test_sizes_fall_and_the_aspect_holds_to_a_pixel(self, slide: Slide) -> None:
        """No label, macro or thumbnail is among the levels."""
        first = slide.levels[0]
        for fine, coarse in zip(slide.levels, slide.levels[1:], strict=False):
            assert coarse.height <= fine.height
            assert coarse.width <= fine.width
            assert coarse.height * coarse.width < fine.height * fine.width
            off_by_width = abs(first.width * coarse.height / first.height - coarse.width)
            off_by_height = abs(first.height * coarse.width / first.width - coarse.height)
            assert min(off_by_width, off_by_height) <= 1

    def test_levels_look_like_arrays(self, slide: Slide) -> None:
        """Shape, size, dtype and chunks fit together, as napari needs them."""
        for level in slide.levels:
            assert level.shape[:2] == (level.height, level.width)
            assert (level.shape[2] if len(level.shape) == 3 else 1) == slide.num_channels
            assert level.ndim == len(level.shape) == len(level.chunks)
            assert level.size == int(np.prod(level.shape, dtype=object))
            assert level.dtype == slide.dtype
            assert all(isinstance(side, int) and side >= 1 for side in level.chunks)

    def test_steps_lead_from_level_to_level(self, slide: Slide) -> None:
        """A level times its step is level 0, to within a pixel of the level."""
        assert slide.levels[0].step == (1.0, 1.0)
        for level in slide.levels:
            assert level.downsample == pytest.approx(sum(level.step) / 2)
            for side, full, step in zip(level.shape, slide.levels[0].shape, level.step, strict=False):
                assert abs(full / step - side) <= 1
            assert level.grid == PixelGrid(origin=(0.0, 0.0), step=level.step, shape=(level.height, level.width))

    def test_micrometres_follow_the_steps(self, slide: Slide) -> None:
        """Every level has the spacing of level 0 times its step; unknown stays unknown, and the source says so."""
        assert slide.um_per_px_source
        assert (slide.um_per_px is None) == (slide.um_per_px_source == UNKNOWN_SCALE)
        for level in slide.levels:
            if slide.um_per_px is None:
                assert level.um_per_px is None
            else:
                assert level.um_per_px == pytest.approx(tuple(np.multiply(slide.um_per_px, level.step)))

    def test_kind_and_background_fit(self, slide: Slide) -> None:
        """Brightfield is 8-bit RGB on white; the background has one value per channel."""
        assert slide.kind in ("brightfield", "fluorescence", "other")
        assert slide.is_brightfield == (slide.kind == "brightfield")
        assert len(slide.background) == slide.num_channels
        if slide.is_brightfield:
            assert slide.dtype == np.uint8
            assert slide.num_channels == 3
            assert slide.background == (255, 255, 255)

    def test_reads_shape_and_type(self, slide: Slide) -> None:
        """A region of every level comes in the slide's type, its own memory, always with channels."""
        for index, level in enumerate(slide.levels):
            tall, wide = min(70, level.height), min(50, level.width)
            block = slide.read(index, 0, tall, 0, wide)
            assert block.shape == (tall, wide, slide.num_channels)
            assert block.dtype == slide.dtype
            assert np.array_equal(block, slide.read(index, 0, tall, 0, wide))

    def test_regions_fit_together(self, slide: Slide) -> None:
        """A region read whole and read in pieces has the same pixels."""
        for index, level in enumerate(slide.levels[:3]):
            y0, x0 = level.height // 3, level.width // 3
            y1, x1 = min(level.height, y0 + _REGION), min(level.width, x0 + _REGION)
            whole = slide.read(index, y0, y1, x0, x1)
            for y in range(y0, y1, _PIECE):
                for x in range(x0, x1, _PIECE):
                    bottom, right = min(y + _PIECE, y1), min(x + _PIECE, x1)
                    piece = slide.read(index, y, bottom, x, right)
                    assert np.array_equal(piece, whole[y - y0 : bottom - y0, x - x0 : right - x0])

    def test_outside_is_background(self, slide: Slide) -> None:
        """Around and beyond the slide lies background; what is inside stays in its place."""
        background = np.asarray(slide.background).astype(slide.dtype)
        for index, level in enumerate(slide.levels):
            tall, wide = min(40, level.height), min(40, level.width)
            corner = slide.read(index, -5, tall, -7, wide)
            assert (corner[:5] == background).all()
            assert (corner[:, :7] == background).all()
            assert np.array_equal(corner[5:, 7:], slide.read(index, 0, tall, 0, wide))
            far = slide.read(index, level.height - tall, level.height + 3, level.width - wide, level.width + 4)
            assert (far[-3:] == background).all()
            assert (far[:, -4:] == background).all()
            inside = slide.read(index, level.height - tall, level.height, level.width - wide, level.width)
            assert np.array_equal(far[:-3, :-4], inside)
            beyond = slide.read(index, level.height + 10, level.height + 12, -30, -20)
            assert beyond.shape == (2, 10, slide.num_channels)
            assert (beyond == background).all()

    def test_refuses_empty_regions_and_missing_levels(self, slide: Slide) -> None:
        """A region without pixels, or of a level that is not there, is a RegionError."""
        for y0, y1, x0, x1 in ((5, 5, 0, 4), (0, 4, 5, 5), (6, 5, 0, 4), (0, 4, 9, 3)):
            with pytest.raises(RegionError):
                slide.read(0, y0, y1, x0, x1)
        for level in (-1, len(slide.levels)):
            with pytest.raises(RegionError):
                slide.read(level, 0, 4, 0, 4)

    def test_levels_index_like_numpy(self, slide: Slide) -> None:
        """Slices, steps, integers and Ellipsis give what numpy gives on the pixels."""
        index, level = self._small_level(slide)
        pixels = self._pixels(slide, index)
        for part in (
            (slice(None), slice(None)),
            (slice(3, 9), slice(2, 30, 3)),
            (slice(None, None, -2), slice(20, 4, -1)),
            (4,),
            (-1, -2),
            (slice(1, 5), 3),
            (Ellipsis,),
            (Ellipsis, 0),
            (slice(5, 2),),
            (slice(-8, None), slice(-3, 10_000)),
            (np.int64(2), slice(np.int64(1), np.int64(6))),
        ):
            assert np.array_equal(level[part], pixels[part]), part
        assert np.array_equal(np.asarray(level), pixels)
        for wrong in (level.height, (0, -level.width - 1), (0,) * (level.ndim + 1), "y", ([1, 2],)):
            with pytest.raises(IndexError):
                level[wrong]

    def test_levels_show_the_same_picture(self, slide: Slide) -> None:
        """Each level is the area mean of the level before, as far as the scanner's own filter allows."""
        for index in range(1, len(slide.levels)):
            level = slide.levels[index]
            if min(level.height, level.width) < _MIN_SIDE_COMPARED or slide.dtype != np.uint8:
                continue
            fine, factor = slide.levels[index - 1], level.step[0] / slide.levels[index - 1].step[0]
            if factor != round(factor) or fine.size > 50_000_000:
                continue
            whole = int(factor)
            rows, columns = min(level.height - 1, 256), min(level.width - 1, 256)
            finer = slide.read(index - 1, 0, rows * whole, 0, columns * whole).astype(np.float64)
            mean = finer.reshape(rows, whole, columns, whole, -1).mean(axis=(1, 3))
            assert np.abs(mean - slide.read(index, 0, rows, 0, columns)).mean() <= self.max_level_difference

    def test_reads_from_several_threads(self, slide: Slide) -> None:
        """Eight threads get the pixels one thread gets."""
        level = slide.levels[0]
        corners = [(level.height * i // 9, level.width * (8 - i) // 9) for i in range(8)]

        def read(corner: tuple[int, int]) -> NDArray[Any]:
            return slide.read(0, corner[0], corner[0] + 64, corner[1], corner[1] + 64)

        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(read, corners * 3))
        for corner, block in zip(corners * 3, together, strict=True):
            assert np.array_equal(block, read(corner))

    def test_id_names_the_content_alone(self, slide: Slide) -> None:
        """The id is hexadecimal, stays, and holds neither path nor name."""
        assert slide.id == slide.id
        assert len(slide.id) >= 16
        assert int(slide.id, 16) >= 0

    def test_properties_are_technical_text(self, slide: Slide) -> None:
        """Properties are short texts, and none repeats the file's name."""
        for key, value in slide.properties.items():
            assert isinstance(key, str)
            assert isinstance(value, str)
            assert len(value) < 80
            if slide.path is not None:
                assert slide.path.name not in value

    def test_associated_images_are_read_by_name_only(self, slide: Slide) -> None:
        """Associated images can be read, and an unknown name is refused."""
        for name in slide.associated:
            assert slide.read_associated(name).ndim in (2, 3)
        with pytest.raises(SlideError):
            slide.read_associated("no such image")

    def test_closes_for_good(self, slide: Slide) -> None:
        """After closing, reading is a SlideError; closing again is harmless."""
        slide.close()
        slide.close()
        with pytest.raises(SlideError):
            slide.read(0, 0, 4, 0, 4)

    def _small_level(self, slide: Slide) -> tuple[int, Level]:
        """Return the coarsest level that still has 32 pixels each way, or the first."""
        large = [(i, level) for i, level in enumerate(slide.levels) if min(level.height, level.width) >= 32]
        return large[-1] if large else (0, slide.levels[0])

    def _pixels(self, slide: Slide, index: int) -> NDArray[Any]:
        """Return a whole level in the shape its level has."""
        level = slide.levels[index]
        block = slide.read(index, 0, level.height, 0, level.width)
        return block if level.ndim == 3 else block[..., 0]
