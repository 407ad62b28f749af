"""What is never garbage is not searched for it in a real window, and what is garbage is given back all the same."""

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QObject
from qtpy.QtGui import QCloseEvent

from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.reader import open_layers
from napari_gigaclf.viewer.set_aside import MANY_MODULES, NAME, set_aside


@pytest.fixture
def searched(monkeypatch):
    """Modules are set aside as they are for a person; in the end all is searched once, as the viewer's fixture asks."""
    gc.unfreeze()
    monkeypatch.setattr("napari_gigaclf.viewer.set_aside.MANY_MODULES", MANY_MODULES)
    yield
    gc.unfreeze()
    gc.collect()


def added(viewer, **kwargs):
    """Add a layer that nobody holds but the viewer."""
    return weakref.ref(viewer.add_image(np.zeros((8, 8)), **kwargs))


def test_modules_are_set_aside_and_layers_are_given_back_whenever_they_came(searched, shown_viewer):
    layers = shown_viewer.layers
    before = added(shown_viewer)
    set_aside(shown_viewer)
    aside = gc.get_freeze_count()
    assert aside > 100_000
    after = added(shown_viewer)
    set_aside(shown_viewer)  # nothing was imported meanwhile: what came is no module
    assert gc.get_freeze_count() <= aside
    del layers[1]
    gc.collect()
    assert after() is None
    assert gc.get_freeze_count() > aside / 2, "a layer that came later needs no search among the modules"
    del layers[0]
    assert gc.get_freeze_count() == 0, "a layer that was set aside was taken back before it went"
    gc.collect()
    assert before() is None
    added(shown_viewer)
    layers.clear()
    assert gc.get_freeze_count() > aside / 2
    window = shown_viewer.window._qt_window
    window.findChild(QObject, NAME).eventFilter(window, QCloseEvent())  # what Qt sends first when a person closes it
    assert gc.get_freeze_count() == 0


def test_a_slide_with_its_overlays_goes_in_one_piece(searched, shown_viewer, monkeypatch):
    viewer, slide = shown_viewer, PhantomSlide(5, shape=(600, 800))
    for data, kwargs, kind in open_layers(slide):
        getattr(viewer, f"add_{kind}")(data, **kwargs)
    gone = [added(viewer, metadata={"slide_id": slide.id, "kind": "probability"}) for _ in range(3)]
    other = added(viewer)
    set_aside(viewer)
    tidied, tidy = [], gc.collect

    def counted(*generation):
        tidied.append(gc.get_freeze_count())
        return tidy(*generation)

    with monkeypatch.context() as patched:
        patched.setattr("napari._vispy.canvas.gc.collect", counted)
        SlideCanvas(viewer).close_slide(slide.id)
    assert list(viewer.layers) == [other()]
    assert tidied == [0], "once, and with all there is"
    assert [each() for each in gone] == [None] * 3
    assert gc.get_freeze_count() > 0, "set aside again before another slide comes"


def test_a_window_that_set_nothing_aside_takes_nothing_back_when_it_closes(shown_viewer):
    set_aside(shown_viewer)  # no more modules came than the fixture of all window tests allows
    aside = gc.get_freeze_count()
    assert aside > 0, "what the fixture set aside"
    window = shown_viewer.window._qt_window
    window.findChild(QObject, NAME).eventFilter(window, QCloseEvent())
    assert gc.get_freeze_count() > aside / 2
