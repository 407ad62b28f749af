"""The navigator, by mouse and keys in a real window."""

import threading
import time

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer import commands
from napari_gigaclf.viewer.controllers.objective import OBJECTIVES
from napari_gigaclf.viewer.reader import open_layers
from napari_gigaclf.viewer.snapshot import save_snapshot
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
from napari_gigaclf.viewer.widgets.curtain import CurtainWidget
from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget
from napari_gigaclf.viewer.widgets.middle_cross import MiddleCross
from napari_gigaclf.viewer.widgets.navigate import NavigateWidget
from napari_gigaclf.viewer.widgets.shortcut_list import ShortcutList, show_list
from napari_gigaclf.viewer.widgets.snapshot_dialog import save_when_sharp
from napari_gigaclf.viewer.widgets.teach import TeachWidget
from napari_gigaclf.viewer.widgets.worklist import WorklistWidget

FOLLOWED_MS = 120
"""Longer than the widget waits before it follows the view."""


@pytest.fixture
def viewer(shown_viewer):
    """A window that is drawn."""
    return shown_viewer


@pytest.fixture
def navigator(viewer, qtbot):
    from napari.utils._proxies import PublicOnlyProxy

    widget = NavigateWidget(PublicOnlyProxy(viewer))
    viewer.window.add_dock_widget(widget, name="Navigate")
    yield widget
    widget.shut_down()
    assert widget.worker.close()


@pytest.fixture
def slide():
    return PhantomSlide(4, shape=(3000, 4000))


@pytest.fixture
def point(viewer):
    return Viewpoint(viewer)


@pytest.fixture
def press(viewer, qtbot):
    """Press a key over the canvas."""
    native = viewer.window._qt_viewer.canvas.native

    def key(which, modifier=Qt.KeyboardModifier.NoModifier):
        qtbot.keyClick(native, which, modifier)
        qtbot.wait(FOLLOWED_MS)

    return key


def test_shows_the_slide_on_top_and_its_objective(navigator, viewer, show, slide, point, qtbot):
    assert navigator.readout.text() == "no slide"
    assert not any(button.isEnabled() for button in navigator.objectives.values())
    layer = show(slide)
    qtbot.waitUntil(lambda: "x" in navigator.readout.text(), timeout=5000)
    qtbot.waitUntil(lambda: not navigator.map.picture_rect().isEmpty(), timeout=20_000)
    assert all(button.isEnabled() for button in navigator.objectives.values())
    for objective in OBJECTIVES:
        navigator.objectives[objective].click()
        qtbot.wait(FOLLOWED_MS)
        assert point.zoom(slide) == pytest.approx(objective / 20)
        assert navigator.readout.text().startswith(f"≈ {objective:g}x")
        assert f"{0.5 * 20 / objective:.3g} µm per pixel" in navigator.readout.text()
        assert [at for at, button in navigator.objectives.items() if button.isChecked()] == [objective]
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: navigator.readout.text() == "no slide", timeout=5000)


def test_a_click_on_the_overview_looks_there_and_the_box_follows(navigator, show, slide, point, qtbot):
    show(slide)
    qtbot.waitUntil(lambda: not navigator.map.picture_rect().isEmpty(), timeout=20_000)
    navigator.objectives[20.0].click()
    whole = navigator.map.picture_rect()
    for share in ((0.25, 0.75), (0.6, 0.4)):
        at = QPoint(round(whole.x() + share[1] * whole.width()), round(whole.y() + share[0] * whole.height()))
        qtbot.mouseClick(navigator.map, Qt.MouseButton.LeftButton, pos=at)
        centre = np.array(point.box(slide).centre) / (3000, 4000)
        assert np.allclose(centre, share, atol=0.01)
        qtbot.wait(FOLLOWED_MS)
        middle = navigator.map.view_rect().center()
        assert abs(middle.x() - at.x()) <= 2
        assert abs(middle.y() - at.y()) <= 2


def test_keys_move_zoom_fit_and_turn(navigator, show, slide, point, press):
    show(slide)
    point.set_zoom(slide, 1.0)
    point.look_at(slide, (1500.0, 2000.0))
    height = point.box(slide).y1 - point.box(slide).y0
    press(Qt.Key.Key_Down)
    assert point.box(slide).centre[0] == pytest.approx(1500 + height / 4)
    press(Qt.Key.Key_Up)
    press(Qt.Key.Key_Right)
    assert point.box(slide).centre[0] == pytest.approx(1500)
    assert point.box(slide).centre[1] > 2000
    press(Qt.Key.Key_Left)
    assert point.box(slide).centre[1] == pytest.approx(2000)
    navigator.plus.activated.emit()  # Qt passes keys to shortcuts only in a window that a window manager made active
    press(Qt.Key.Key_Equal)
    assert point.zoom(slide) == pytest.approx(2.0)
    press(Qt.Key.Key_Minus)
    assert point.zoom(slide) == pytest.approx(2**0.5)
    press(Qt.Key.Key_Home)
    assert point.box(slide).y0 <= 0
    assert point.box(slide).y1 >= 3000
    press(Qt.Key.Key_R, Qt.KeyboardModifier.AltModifier)
    assert point.exchanged
    press(Qt.Key.Key_4, Qt.KeyboardModifier.AltModifier)
    assert point.zoom(slide) == pytest.approx(0.5)


def test_turned_and_mirrored_the_same_tissue_is_seen_from_another_side(
    viewer, navigator, show, pixels, settled_picture, qtbot
):
    marked = pixels.copy()
    marked[:256, :320] = (255, 0, 0)  # upper left
    slide = open_slide([marked], um_per_px=1.0)
    show(slide)
    navigator.buttons["fit"].click()

    def red_quarter():
        shot = settled_picture(viewer).astype(int)
        red = (shot[..., 0] > 200) & (shot[..., 1] < 60)
        y, x = np.argwhere(red).mean(axis=0) / np.array(shot.shape[:2])
        return ("lower" if y > 0.5 else "upper") + (" right" if x > 0.5 else " left")

    seen = [red_quarter()]
    for name in ("turn", "turn", "mirror", "upright"):
        navigator.buttons[name].click()
        navigator.buttons["fit"].click()
        qtbot.wait(FOLLOWED_MS)
        seen.append(red_quarter())
    assert seen == ["upper left", "upper right", "lower right", "lower left", "upper left"]


def test_a_key_takes_the_ruler_and_lays_it_down(navigator, show, slide, viewer, press):
    show(slide)
    press(Qt.Key.Key_D, Qt.KeyboardModifier.AltModifier)
    assert navigator.buttons["ruler"].isChecked()
    assert not viewer.scene.camera.mouse_pan
    press(Qt.Key.Key_D, Qt.KeyboardModifier.AltModifier)
    assert not navigator.buttons["ruler"].isChecked()
    assert viewer.scene.camera.mouse_pan


def test_a_length_is_measured_by_keys_alone(navigator, show, slide, viewer, point, press, qtbot):
    show(slide)
    point.set_zoom(slide, 2.0)
    qtbot.wait(FOLLOWED_MS)
    (cross,) = viewer.window._qt_viewer.canvas.native.findChildren(MiddleCross)
    canvas = cross.parentWidget()
    assert not cross.isVisible()
    press(Qt.Key.Key_E, Qt.KeyboardModifier.AltModifier)
    assert cross.isVisible()
    assert (cross.geometry().center() - canvas.rect().center()).manhattanLength() <= 1
    assert "one end under the cross" in navigator.reading.text()
    press(Qt.Key.Key_Left)
    press(Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)
    begin = np.array(point.world_centre)
    press(Qt.Key.Key_E, Qt.KeyboardModifier.AltModifier)
    assert "the other end" in navigator.reading.text()
    press(Qt.Key.Key_Right)
    (line,) = [layer for layer in viewer.layers if layer.metadata.get("kind") == "ruler"]
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Left):
        press(key, Qt.KeyboardModifier.ShiftModifier)
        assert np.allclose(line.data[0] * line.scale, [begin, point.world_centre]), "it follows"
    end = np.array(point.world_centre)
    press(Qt.Key.Key_E, Qt.KeyboardModifier.AltModifier)
    assert not cross.isVisible()
    press(Qt.Key.Key_Right)
    assert np.allclose(line.data[0] * line.scale, [begin, end])
    length = np.hypot(*(end - begin))
    assert line.features["length"].tolist() == [f"{length:.1f} µm" if length < 100 else f"{length / 1000:.3f} mm"]
    assert navigator.reading.text() == f"ruler {line.features['length'].iloc[0]}"
    assert viewer.scene.camera.mouse_pan
    for _ in range(2):
        commands.measure_by_keys(viewer)  # as the palette calls it
    viewer.layers.clear()
    point.pan(0, 0.1)
    assert not cross.isVisible()
    commands.measure_by_keys(viewer)
    assert "open a slide first" in navigator.reading.text()


def test_the_line_of_the_ruler_is_as_thin_after_zooming_in_and_stands_out_from_tissue(
    navigator, show, slide, viewer, drag_mouse, settled_picture
):
    show(slide)
    Viewpoint(viewer).fit(slide)
    navigator.buttons["ruler"].click()
    canvas = viewer.window._qt_viewer.canvas.native
    begin = canvas.rect().center() - QPoint(60, 20)
    drag_mouse(canvas, begin, begin + QPoint(140, 0))
    (line,) = [layer for layer in viewer.layers if layer.metadata.get("kind") == "ruler"]
    navigator.buttons["ruler"].click()
    middle = np.mean(line.data[0], axis=0) * np.asarray(line.scale)[-2:]
    widths = []
    for zoom in (1, 8):
        viewer.scene.camera.center = tuple(middle)
        viewer.scene.camera.zoom *= zoom
        picture = settled_picture(viewer).astype(int)
        middle_row = picture.shape[0] // 2
        column = picture[middle_row - 7 : middle_row + 7, picture.shape[1] // 2]  # the length stands above that
        widths.append(int((np.abs(column - (0, 0, 128)).max(axis=1) < 40).sum()))
    assert all(2 <= width <= 4 for width in widths), widths
    text = tuple(np.asarray(line.text.color.constant)[:3])
    assert luminance(text) < 0.05, "dark on bright"


def luminance(colour):
    """Return the relative luminance of WCAG 2, 0 to 1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_the_palette_shows_the_properties_in_sight_though_another_tab_was_in_front(
    navigator, show, slide, viewer, qtbot
):
    viewer.window._qt_window.show()
    show(slide)
    other = CurtainWidget(viewer)
    try:
        viewer.window.add_dock_widget(other, name="Curtain")
        qtbot.waitUntil(lambda: navigator.visibleRegion().isEmpty(), timeout=10_000)
        commands.toggle_properties(viewer)
        assert navigator.properties.isVisibleTo(navigator)
        qtbot.waitUntil(lambda: not navigator.visibleRegion().isEmpty(), timeout=10_000)
        commands.toggle_properties(viewer)
        assert not navigator.properties.isVisibleTo(navigator)
    finally:
        other.shut_down()


def test_what_lies_under_the_cursor(viewer, navigator, show, slide, qtbot):
    from napari.utils.interactions import mouse_move_callbacks

    class Event:
        type, position, handled, is_dragging = "mouse_move", (300.0, 400.0), False, False

    show(slide)
    qtbot.waitUntil(lambda: navigator.controller.slide is slide, timeout=5000)
    mouse_move_callbacks(viewer, Event())
    qtbot.wait(FOLLOWED_MS)
    lines = navigator.reading.text().splitlines()
    assert lines[0] == "x 0.400 mm, y 0.300 mm"
    assert lines[1].startswith("colour ")


def test_the_slide_that_comes_to_the_top_is_shown(viewer, navigator, show, slide, pixels, qtbot):
    show(slide)
    other = open_slide([pixels], um_per_px=1.0)
    layer = show(other)
    qtbot.waitUntil(lambda: navigator.controller.slide is other, timeout=5000)
    layer.visible = False
    qtbot.waitUntil(lambda: navigator.controller.slide is slide, timeout=5000)
    layer.visible = True
    qtbot.waitUntil(lambda: navigator.controller.slide is other, timeout=5000)
    viewer.layers.move(1, 0)
    qtbot.waitUntil(lambda: navigator.controller.slide is slide, timeout=5000)


def test_properties_and_the_label_only_when_asked_for(navigator, show, shared_data, qtbot, monkeypatch):
    from qtpy.QtWidgets import QApplication

    from napari_gigaclf.viewer.widgets.properties_panel import AssociatedImage

    slide = open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs")
    read = []
    original = type(slide).read_associated
    monkeypatch.setattr(type(slide), "read_associated", lambda self, name: (read.append(name), original(self, name))[1])
    show(slide)
    navigator.buttons["properties"].click()
    qtbot.waitUntil(lambda: navigator.properties.table.rowCount() > 0, timeout=5000)
    table = navigator.properties.table
    shown = {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount())}
    assert shown["format"] == slide.format
    assert shown["µm per pixel"].startswith("0.499")
    assert not read
    navigator.properties.buttons["label"].click()

    def windows():
        return [each for each in QApplication.topLevelWidgets() if isinstance(each, AssociatedImage)]

    qtbot.waitUntil(lambda: bool(windows()), timeout=10_000)
    assert read == ["label"]
    for window in windows():
        window.close()


def test_the_list_of_keys(navigator, show, slide, qtbot):
    from qtpy.QtWidgets import QApplication

    navigator.buttons["keys"].click()
    (shown,) = [each for each in QApplication.topLevelWidgets() if isinstance(each, ShortcutList)]
    texts = keys_listed(shown)["While Navigate is open"]
    assert texts["Fit the slide"] == "Home"
    assert texts["Zoom in"] == "= or +"
    assert shown.height() < shown.screen().availableGeometry().height()
    shown.close()


def keys_listed(shown):
    """Return what the list shows: heading, what is done, key."""
    found, rows = {}, range(shown.table.rowCount())
    for what, key in ((shown.table.item(row, 0).text(), shown.table.item(row, 1)) for row in rows):
        if key is None:
            section = found.setdefault(what, {})
        else:
            section[what] = key.text()
    return found


@pytest.mark.parametrize("name", ["Classify slide", "Hotspots", "Teach", "Worklist"])
def test_the_list_has_every_key_that_a_widget_binds(viewer, name):
    kind = {"Classify slide": ClassifyWidget, "Hotspots": HotspotsWidget, "Teach": TeachWidget,
            "Worklist": WorklistWidget}[name]  # fmt: skip
    before = set(map(str, viewer.keymap))
    widget = kind(viewer)
    viewer.window.add_dock_widget(widget, name=name)
    shown = show_list(viewer)
    try:
        bound = set(map(str, viewer.keymap)) - before
        assert bound
        assert set(keys_listed(shown)[f"While {name} is open"].values()) == bound
    finally:
        shown.close()
        widget.shut_down()


def test_a_snapshot_waits_until_the_view_is_sharp(viewer, navigator, show, slide, point, qtbot, tmp_path):
    from PIL import Image

    show(slide)
    qtbot.waitUntil(navigator.objectives[20.0].isEnabled, timeout=5000)
    navigator.objectives[20.0].click()
    point.look_at(slide, (1500.0, 2000.0))
    viewer.window._qt_viewer.canvas.on_draw(None)
    path = tmp_path / "view.png"
    save_when_sharp(navigator.canvas.viewer, path)
    qtbot.waitUntil(path.exists, timeout=30_000)
    picture = np.asarray(Image.open(path))
    box = point.box(slide)
    y0, x0 = round(box.y0), round(box.x0)
    height, width = round(box.y1 - box.y0), round(box.x1 - box.x0)
    exact = slide.read(0, y0, y0 + height, x0, x0 + width).astype(int)
    shown = picture[:height, :width].astype(int)
    assert np.abs(shown[2:-2, 2:-2] - exact[2:-2, 2:-2]).mean() < 12, "half a pixel may lie between them"


def test_a_snapshot_is_written_away_from_the_window(viewer, show, slide, qtbot, tmp_path, monkeypatch):
    show(slide)
    threads, said = [], []

    def noted(snapshot, path):
        threads.append(threading.current_thread())
        save_snapshot(snapshot, path)

    monkeypatch.setattr("napari_gigaclf.viewer.widgets.snapshot_dialog.save_snapshot", noted)
    for how in ("show_info", "show_error"):
        monkeypatch.setattr(f"napari.utils.notifications.{how}", said.append)
    save_when_sharp(viewer, tmp_path / "view.svg")
    qtbot.waitUntil(lambda: len(said) == 1, timeout=30_000)
    assert said == [f"Saved view.svg to {tmp_path}"]
    assert (tmp_path / "view.svg").read_text().startswith("<svg")
    save_when_sharp(viewer, tmp_path / "no such folder" / "view.png")
    qtbot.waitUntil(lambda: len(said) == 2, timeout=30_000)
    assert "no such folder" in said[1]
    assert threading.main_thread() not in threads


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ValueError("encoder error -2"), "encoder error -2"),
    ],
)
@pytest.mark.parametrize("name", ["view.png", "view.svg"])
def test_a_snapshot_that_cannot_be_made_is_never_lost_silently(
    viewer, show, slide, qtbot, tmp_path, monkeypatch, fault, reason, name
):
    def broken(*_args, **_kwargs):
        raise fault

    show(slide)
    said, faults = [], []
    monkeypatch.setattr(threading, "excepthook", lambda args: faults.append(args.exc_value))
    monkeypatch.setattr("PIL.Image.Image.save", broken)
    monkeypatch.setattr("napari.utils.notifications.show_error", said.append)
    save_when_sharp(viewer, tmp_path / name)
    qtbot.waitUntil(lambda: len(said) == 1, timeout=30_000)
    assert f"{tmp_path / name}: the snapshot was not saved" in said[0]
    assert reason in said[0]
    assert not list(tmp_path.iterdir()), "nothing half written"
    assert faults == ([fault] if isinstance(fault, ValueError) else []), "a fault of ours is seen in full, too"


def test_nothing_is_left_bound_when_the_widget_goes(viewer, navigator):
    assert viewer.keymap
    navigator.shut_down()
    time.sleep(0)
    assert not viewer.keymap
    assert not viewer.mouse_move_callbacks


def test_the_window_closes_while_one_measures(make_napari_viewer, qtbot, slide):
    viewer = make_napari_viewer(show=True)
    widget = NavigateWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Navigate")
    for data, kwargs, kind in open_layers(slide):
        getattr(viewer, f"add_{kind}")(data, **kwargs)
    commands.measure_by_keys(viewer)
    assert widget.key_ruler.on
    viewer.window._qt_viewer.canvas.native.findChildren(MiddleCross)[0].deleteLater()
    qtbot.wait(50)
    widget.shut_down()
    assert not widget.key_ruler.on
