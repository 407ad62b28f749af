"""Layers that a person takes away by hand, or that go with their slide, while widgets are at work."""

import numpy as np
import pytest

from napari_gigaclf.inference import classify
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.opening import with_scale
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer.another_scale import rescale
from napari_gigaclf.viewer.layers import Frame, prediction_layers
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.teach import TeachWidget

MODEL = "phantom-tumour"


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return open_slide(PhantomSlide(seed=3, shape=(1024, 1024)).save(tmp_path_factory.mktemp("slide") / "phantom.tif"))


@pytest.fixture(scope="module")
def result(slide):
    return classify(slide, MODEL, saliency=None, device="cpu")


@pytest.fixture
def taught(viewer, show, slide, result, qtbot, tmp_path):
    """The Teach widget after two clicks on a slide with a result."""
    show(slide)
    for data, kwargs, kind in prediction_layers(result, Frame.of_slide(slide), "tumour"):
        getattr(viewer, f"add_{kind}")(data, **kwargs)
    widget = TeachWidget(viewer, lessons=tmp_path / "lessons", features=tmp_path / "features")
    viewer.window.add_dock_widget(widget, name="Teach")
    teaching = widget.teaching
    qtbot.waitUntil(lambda: teaching.lesson is not None, timeout=60_000)
    choose(widget.choices.model_box, MODEL)
    qtbot.waitUntil(lambda: teaching.lesson is not None and teaching.opened is not None, timeout=60_000)
    for number, cell in enumerate((3, -3)):
        teaching.choose_class_at(number)
        click(widget, cell)
    qtbot.waitUntil(lambda: teaching.painter.check is not None, timeout=60_000)
    yield widget
    widget.shut_down()
    assert all(worker.close(60) for worker in (widget.quick, widget.saver, widget.long))


def click(widget, number):
    """Give a cell of the slide the class that is chosen."""
    slide, canvas = widget.teaching.slide, widget.teaching.opened.canvas
    widget.teaching.click(slide, canvas.grid.centre_of(*map(int, np.argwhere(canvas.kept)[number])))


def kinds(viewer):
    return [layer.metadata.get("kind") for layer in viewer.layers]


def test_what_lies_over_a_slide_stays_away_once_it_is_removed(taught, viewer, slide, qtbot):
    for kind in ("tissue", "examples", "probability", "taught"):
        viewer.layers.remove(taught.canvas.overlay(slide.id, kind))
        assert kind not in kinds(viewer)
    assert "examples" not in kinds(viewer)
    assert taught.teaching.slide is slide
    click(taught, 11)
    assert len(taught.canvas.overlay(slide.id, "examples").data) == 3, "what is taught next is shown again"
    qtbot.waitUntil(lambda: "taught" in kinds(viewer), timeout=30_000)


def test_a_slide_that_is_closed_takes_everything_along(taught, viewer, slide):
    added = []
    viewer.layers.events.inserted.connect(lambda event: added.append(event.value.name))
    taught.canvas.close_slide(slide.id)
    assert added == []
    assert kinds(viewer) == []
    assert taught.teaching.slide is None


def test_features_of_another_scale_teach_nothing_once_a_person_gives_the_right_one(taught, viewer, slide, qtbot):
    rescale(taught.canvas, with_scale(slide, (1.0, 1.0), "given by a test"))
    assert taught.teaching.slide.um_per_px == (1.0, 1.0)
    qtbot.waitUntil(taught.choices.read_button.isEnabled, timeout=30_000)
    assert taught.teaching.opened is None
    assert {tuple(layer.scale) for layer in viewer.layers if layer.metadata.get("slide")} == {(1.0, 1.0)}
    assert tuple(taught.canvas.overlay(slide.id, "examples").scale) == (1.0, 1.0)


def test_the_worklist_asks_before_it_stops_a_reading(taught, viewer, slide):
    assert taught.lost_with(slide.id) == []
    rescale(taught.canvas, with_scale(slide, (1.0, 1.0), "given by a test"))
    taught.teaching.read()
    assert "Teach is reading it" in taught.lost_with(slide.id)[0]
    taught.teaching.reader.cancel()
    assert taught.lost_with(slide.id) == []
