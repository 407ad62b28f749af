"""Layers that a person takes away by hand, or that go with their slide, while widgets are at work."""

import numpy as np
import pytest

from napari_gigaclf.inference import classify
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer.layers import Frame, prediction_layers
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.teach import TeachWidget

MODEL = "phantom-tumour"


@pytest.fixture(scope="module")
def slide():
    return PhantomSlide(seed=3, shape=(1024, 1024))


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
    cells = np.argwhere(teaching.opened.canvas.kept)
    for number, cell in enumerate((cells[3], cells[-3])):
        teaching.choose_class_at(number)
        teaching.click(slide, teaching.opened.canvas.grid.centre_of(*map(int, cell)))
    qtbot.waitUntil(lambda: teaching.painter.check is not None, timeout=60_000)
    yield widget
    widget.shut_down()
    assert all(worker.close(60) for worker in (widget.quick, widget.saver, widget.long))


def kinds(viewer):
    return [layer.metadata.get("kind") for layer in viewer.layers]


def test_what_lies_over_a_slide_stays_away_once_it_is_removed(taught, viewer, slide):
    for kind in ("tissue", "examples", "probability", "taught"):
        viewer.layers.remove(taught.canvas.overlay(slide.id, kind))
        assert kind not in kinds(viewer)
    assert "examples" not in kinds(viewer)
    assert taught.teaching.slide is slide
    taught.teaching.undo()
    assert len(taught.canvas.overlay(slide.id, "examples").data) == 1, "what is taught next is shown again"


def test_a_slide_that_is_closed_takes_everything_along(taught, viewer, slide):
    added = []
    viewer.layers.events.inserted.connect(lambda event: added.append(event.value.name))
    taught.canvas.close_slide(slide.id)
    assert added == []
    assert kinds(viewer) == []
    assert taught.teaching.slide is None
