"""Reader first, with slides that return with their result and a second canvas: hidden until the call, not longer."""

import numpy as np
import pytest
from PIL import Image

from napari_gigaclf.inference import classify
from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.returning.host import let_slides_return
from napari_gigaclf.viewer.returning.pieces import result_layers
from napari_gigaclf.viewer.widgets.compare import CompareWidget
from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget
from napari_gigaclf.viewer.worklist_commands import next_slide, previous_slide


@pytest.fixture
def folder(tmp_path, pixels, model_folder):
    """Two slides, and a result of the first one."""
    folder = tmp_path / "case"
    folder.mkdir()
    for number, name in enumerate(("a.png", "b.png")):
        Image.fromarray(np.roll(pixels, 20 * number, axis=0)).save(folder / name)
    with open_slide(folder / "a.png", um_per_px=1.0) as slide:
        classify(slide, model_folder, saliency="tumour", device="cpu").save(tmp_path / "a.gigaclf")
    return folder


@pytest.fixture
def worklist(dock_worklist, folder):
    """The worklist on the folder; its slides return."""
    return dock_worklist(folder, rows=2)


@pytest.fixture
def go(viewer, worklist, qtbot):
    """Step, and wait until the slide has returned as it was left."""

    def step(command, row):
        command(viewer)
        qtbot.waitUntil(lambda: worklist.controller.open_row == row and not worklist.controller.opening, timeout=20_000)
        slide = next(layer.metadata["slide"] for layer in viewer.layers if layer.metadata.get("slide"))
        keeps = let_slides_return(viewer).controller.keeps_shapes
        qtbot.waitUntil(lambda: keeps(slide.id), timeout=20_000)
        return slide

    return step


def maps(viewer):
    wanted = ("probability", "saliency")
    return {kind: layer.visible for layer in viewer.layers if (kind := layer.metadata.get("kind")) in wanted}


def test_a_map_that_returns_is_hidden_until_the_call_and_shown_after_it(widget, viewer, go, tmp_path, qtbot):
    hotspots, compare = HotspotsWidget(viewer), CompareWidget(viewer)
    viewer.window.add_dock_widget(hotspots, name="Hotspots")
    viewer.window.add_dock_widget(compare, name="Compare")
    slide = go(next_slide, 0)
    for data, kwargs, kind in result_layers(tmp_path / "a.gigaclf", slide, "tumour"):
        getattr(viewer, f"add_{kind}")(data, **kwargs)
    (overlay,) = (each for each in compare.controller.overlays() if each.name == "probability of tumour")
    compare.controller.show_overlay(overlay.key, True)
    hotspots.reader.switch.click()
    assert maps(viewer) == {"probability": False, "saliency": False}

    for _ in range(2):
        go(next_slide, 1)
        assert maps(viewer) == maps(compare.second) == {}
        go(previous_slide, 0)
        qtbot.waitUntil(lambda: slide.id in widget.runs.results, timeout=20_000)
        qtbot.waitUntil(lambda: len(compare.second.layers) == 2, timeout=20_000)
        assert maps(viewer) == {"probability": False, "saliency": False}
        assert maps(compare.second) == {"probability": False}
    qtbot.waitUntil(lambda: hotspots.findings.found is not None, timeout=20_000)
    hotspots.reader.record_button.click()
    assert maps(viewer) == {"probability": True, "saliency": True}
    assert maps(compare.second) == {"probability": True}
    go(next_slide, 1)
    go(previous_slide, 0)
    qtbot.waitUntil(lambda: maps(viewer) == {"probability": True, "saliency": True}, timeout=20_000)
    hotspots.shut_down()
    compare.shut_down()


def test_a_step_asks_before_marks_are_lost_and_not_before_what_returns(
    widget, viewer, worklist, go, tmp_path, qtbot, monkeypatch
):
    hotspots = HotspotsWidget(viewer)
    viewer.window.add_dock_widget(hotspots, name="Hotspots")
    slide = go(next_slide, 0)
    for data, kwargs, kind in result_layers(tmp_path / "a.gigaclf", slide, "tumour"):
        getattr(viewer, f"add_{kind}")(data, **kwargs)
    hotspots.reader.switch.click()
    hotspots.reader.mark_button.click()
    widget.canvas.overlay(slide.id, "own call").add([100.0, 100.0])
    qtbot.waitUntil(lambda: widget.runs.slide is slide, timeout=20_000)
    widget.runs.preview_tissue()
    qtbot.waitUntil(lambda: widget.canvas.overlay(slide.id, "mask") is not None, timeout=20_000)
    widget.canvas.overlay(slide.id, "mask").paint((3, 3), 1)
    asked = []
    monkeypatch.setattr(worklist, "ask", lambda text: asked.append(text))
    next_slide(viewer)
    assert worklist.controller.open_row == 0, "the person did not say yes"
    (text,) = asked
    assert "1 mark of your own call would not be kept" in text
    assert "mask" not in text, "it is there again when one comes back"
    hotspots.shut_down()
