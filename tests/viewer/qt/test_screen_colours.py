"""A slide shown through its own colour profile: other colours on the screen, the file's own for everybody else."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from napari_gigaclf.errors import GigaclfError
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.colour_profile import colour_profile
from napari_gigaclf.testing.slide_files import halved
from napari_gigaclf.testing.slide_files import picture as picture_of_tissue
from napari_gigaclf.viewer import commands
from napari_gigaclf.viewer.progressive.shown_level import is_sharp
from napari_gigaclf.viewer.screen_colours import ScreenColours
from napari_gigaclf.viewer.taking import PROFILED, take_snapshot
from napari_gigaclf.viewer.widgets.compare import CompareWidget


def profile_bytes():
    """Return the profile of a strange scanner, which takes red for blue."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return plain.replace(b"rXYZ", b"swap").replace(b"bXYZ", b"rXYZ").replace(b"swap", b"bXYZ")


def write(path, profile, num_levels=3):
    pixels = picture_of_tissue(1024, 1280)
    pixels[400:600, 500:700] = (230, 190, 60)
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate((pixels, halved(pixels), halved(pixels, 2))[:num_levels]):
            writer.write(
                level,
                tile=(256, 256),
                photometric="rgb",
                compression="zlib",
                iccprofile=profile,
                subfiletype=int(number > 0),
                resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER",
            )
    return path


def displayed(layer):
    return layer._slice.image.raw


def said(records):
    return records[-1].message


@pytest.fixture
def notes():
    from napari.utils.notifications import notification_manager

    return notification_manager.records


def test_on_the_screen_alone_and_back(viewer, show, tmp_path, qtbot, notes):
    profile = profile_bytes()
    slide = open_slide(write(tmp_path / "s.tif", profile))
    assert colour_profile(slide) == profile
    layer = show(slide)
    before = [level[:].copy() for level in slide.levels]

    def look():
        viewer.scene.camera.center, viewer.scene.camera.zoom = (256.0, 320.0), 2.0
        viewer.window._qt_viewer.canvas.on_draw(None)
        qtbot.waitUntil(lambda: is_sharp(layer), timeout=20_000)
        return displayed(layer).copy()

    plain = look()
    assert layer.data_level == 0
    commands.toggle_profile(viewer)
    assert "for the eye alone" in said(notes)
    shown = look()
    lcms = ImageCms.profileToProfile(
        Image.fromarray(plain), ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    )
    assert np.array_equal(shown, np.asarray(lcms))
    assert np.abs(shown[..., ::-1].astype(int) - plain).max() <= 3, "red and blue are exchanged"
    assert np.abs(shown.astype(int) - plain).max() > 100
    assert PROFILED in take_snapshot(viewer).caption
    for level, exact, of_layer in zip(slide.levels, before, layer.data, strict=True):
        assert np.array_equal(level[:], exact), "what is classified"
        assert np.array_equal(np.asarray(of_layer), exact), "what a script reads of the layer"
    commands.toggle_profile(viewer)
    assert "as they lie in the file" in said(notes)
    assert np.array_equal(look(), plain)
    assert PROFILED not in take_snapshot(viewer).caption
    viewer.layers.clear()
    slide.close()


@pytest.mark.parametrize("num_levels", [1, 3])
def test_the_coarsest_level_too_on_both_canvases(viewer, show, tmp_path, qtbot, num_levels):
    """It is what one sees of the whole slide, and all that a small picture has; napari keeps an array of it."""
    slide = open_slide(write(tmp_path / "s.tif", profile_bytes(), num_levels))
    layer = show(slide)
    compare = CompareWidget(viewer)
    viewer.window.add_dock_widget(compare, name="Compare", area="right")
    exact = np.asarray(slide.levels[-1][:]).copy()

    def seen():
        for each, drawn_by in ((viewer, viewer.window._qt_viewer), (compare.second, compare.qt_viewer)):
            each.scene.camera.zoom = 0.01
            drawn_by.canvas.on_draw(None)
            (shown,) = [layer for layer in each.layers if layer.metadata.get("slide") is not None]
            qtbot.waitUntil(lambda shown=shown: shown.data_level == num_levels - 1, timeout=20_000)
            yield displayed(shown).astype(int)

    try:
        assert all(np.array_equal(each, exact) for each in seen())
        commands.toggle_profile(viewer)
        qtbot.wait(100)
        for each in seen():
            assert np.abs(each[..., ::-1] - exact).max() <= 3, "red and blue are exchanged"
            assert np.abs(each - exact).max() > 100
        assert np.array_equal(np.asarray(layer.data[-1]), exact), "what a script reads of the layer"
        commands.toggle_profile(viewer)
        qtbot.wait(100)
        assert all(np.array_equal(each, exact) for each in seen())
    finally:
        compare.shut_down()
        viewer.layers.clear()
        slide.close()


def test_without_a_profile_and_with_a_damaged_one_it_says_so(viewer, show, tmp_path, notes):
    slides = [
        open_slide(write(tmp_path / "none.tif", None)),
        open_slide(write(tmp_path / "bad.tif", profile_bytes()[:150])),
    ]
    show(slides[0])
    commands.toggle_profile(viewer)
    assert "none.tif has no colour profile" in said(notes)
    viewer.layers.clear()
    layer = show(slides[1])
    commands.toggle_profile(viewer)
    assert "damaged" in said(notes)
    assert layer.data[0].feed.looks is None
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    with pytest.raises(GigaclfError, match="Lab pixels, not of RGB"):
        ScreenColours(lab)
    viewer.layers.clear()
    for slide in slides:
        slide.close()
