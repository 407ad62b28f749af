"""The micrometres per pixel that a person gave a slide, given again when it is opened in a window."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.errors import ResultError
from napari_gigaclf.slides.opening import with_scale
from napari_gigaclf.slides.slide import GIVEN_BY_USER
from napari_gigaclf.viewer.returning.state_file import read_state, state_path, states_folder

if TYPE_CHECKING:
    from napari_gigaclf.slides.array import ArraySlide


def with_given_scale(slide: "ArraySlide", folder: Path | None = None) -> "ArraySlide":
    """Return a slide that is being opened with the micrometres per pixel which a person gave it the last time.

    Raises
    ------
    SlideError
        The slide cannot be read for its fingerprint.
    """
    if slide.um_per_px_source == GIVEN_BY_USER:
        return slide
    try:
        given = read_state(state_path(folder or states_folder(), slide.id), slide.id).given_um_per_px
    except ResultError:  # there is none, or it is said when the slide returns
        return slide
    return slide if given is None else with_scale(slide, given, GIVEN_BY_USER)
