"""Reads what is chosen in the panels, once, into the record that the controllers work with."""

from typing import TYPE_CHECKING, Any

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.controllers.wishes import RegionChoice, Wishes
from napari_gigaclf.viewer.preferences import Preferences
from napari_gigaclf.viewer.widgets.choices import ChoicesPanel

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide


def wishes_of(choices: ChoicesPanel, canvas: SlideCanvas, preferences: Preferences, slide: "Slide") -> Wishes | None:
    """Return what is chosen now for a slide; None without a model.

    Raises
    ------
    RegionError
        The view does not show the slide, or no shape is selected.
    """
    if choices.model is None:
        return None
    area: Any = None
    if choices.region is RegionChoice.VIEW:
        area = canvas.view_box(slide)
    elif choices.region is RegionChoice.SHAPE:
        area = canvas.selected_area(slide)
    return Wishes(
        model=choices.model_key,
        level=choices.level_box.currentData(),
        choice=choices.region,
        area=area,
        device=str(choices.device_box.currentData()),
        saliency=str(choices.saliency_box.currentData()),
        memory=preferences.memory,
        threads=preferences.threads,
    )
