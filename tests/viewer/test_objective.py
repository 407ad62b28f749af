import pytest

from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer.controllers.objective import OBJECTIVES, Objective


@pytest.mark.parametrize("objective", [Objective(base=40.0, um_per_px=0.2431), Objective(base=None, um_per_px=0.5)])
def test_jumping_shows_what_was_asked_for(objective):
    for wanted in OBJECTIVES:
        zoom = objective.zoom_for(wanted)
        assert objective.magnification(zoom) == pytest.approx(wanted)
        assert objective.nearest(zoom) == wanted
        assert f"{wanted:g}x" in objective.text(zoom)
        assert objective.text(zoom).startswith("≈") is (objective.base is None)
    assert objective.nearest(objective.zoom_for(14.0)) is None


def test_micrometres_are_shown_whatever_is_known_of_the_objective():
    assert Objective(base=40.0, um_per_px=0.25).text(0.5) == "20x · 0.5 µm per pixel"
    assert Objective(base=40.0, um_per_px=None).text(0.5) == "20x · µm per pixel unknown"
    assert Objective(base=None, um_per_px=None).text(4.0) == "4 : 1 · µm per pixel unknown"
    assert Objective(base=None, um_per_px=None).zoom_for(20.0) is None


def test_of_a_slide():
    slide = PhantomSlide(1, shape=(600, 600), um_per_px=0.25)
    assert Objective.of_slide(slide) == Objective(base=None, um_per_px=0.25)


@pytest.mark.parametrize("said", ["", "40x", "-20", "1e9", "nan"])
def test_an_objective_that_makes_no_sense_is_unknown(said):
    slide = PhantomSlide(1, shape=(600, 600))
    slide.facts.properties["objective magnification"] = said
    assert Objective.of_slide(slide).base is None
