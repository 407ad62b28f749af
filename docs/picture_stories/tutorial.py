"""The case of the tutorial, from the plan to the taught class and the measured shape."""

import os
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import shapely

from napari_gigaclf.geometry import corner_to_napari_data, swap_xy
from napari_gigaclf.viewer.demo import settle
from napari_gigaclf.viewer.layers import Frame
from napari_gigaclf.viewer.taking import canvas_is_sharp
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.compare import CompareWidget
from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget
from napari_gigaclf.viewer.widgets.teach import TeachWidget
from picture_stories.studio import Studio

READER = "A. Reader"
OTHER = ((1550, 2900), (3610, 1225), (4515, 3030), (5290, 4000), (3030, 6000))
LYMPHOID = ((840, 3870), (970, 5290), (2130, 6190), (4515, 5350), (3100, 3030))
"""The ten clicks, (y, x), level-0 pixels."""


def tell(studio: Studio) -> None:
    """Go through the tutorial and take a picture of every step."""
    with tempfile.TemporaryDirectory() as folder:
        own = {name: str(Path(folder, name)) for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME")}
        with mock.patch.dict(os.environ, own):
            plan_and_run(studio)
            go_through_hotspots(studio)
            ask_why(studio)
            compare(studio)
            teach_ten_clicks(studio)
            measure(studio)
            studio.let_go()


def plan_and_run(studio: Studio) -> None:
    """Plan, see the tissue, see the map fill in, see the result beside the truth."""
    widget, slide = studio.widget, studio.slide
    studio.truth.visible = False
    studio.plan()
    studio.take("tutorial-1-plan.jpg")
    widget.choices.preview_button.click()
    studio.wait(lambda: widget.canvas.overlay(slide.id, "mask") is not None, "the tissue")
    studio.take("tutorial-2-tissue.jpg")
    widget.run_panel.run_button.click()
    done = lambda: np.isfinite(widget.canvas.overlay(slide.id, "probability").data).mean()  # noqa: E731
    studio.wait(lambda: widget.canvas.overlay(slide.id, "probability") is not None and done() > 0.2, "half of the map")
    studio.take("tutorial-3-running.jpg")
    studio.wait(lambda: slide.id in widget.runs.results and not widget.runs.running, "the result")
    studio.truth.visible = True
    studio.take("tutorial-4-result.jpg")
    studio.truth.visible = False


def go_through_hotspots(studio: Studio) -> None:
    """Accept two places, reject the third and take it back."""
    hotspots = studio.dock(HotspotsWidget(studio.viewer), "Hotspots")
    hotspots.choices.reader_box.setText(READER)
    studio.wait(lambda: bool(hotspots.lesions.lesions), "hotspots")
    studio.press("NANANXU")
    settle()
    studio.take("tutorial-5-hotspots.jpg")


def ask_why(studio: Studio) -> None:
    """Click the place that Hotspots went to, and ask why."""
    widget, slide = studio.widget, studio.slide
    widget.come_forward()
    widget.probes.tool_box.click()
    studio.click(Viewpoint(studio.viewer).box(slide).centre)
    studio.wait(lambda: len(widget.probes.rows) == 1, "an answer")
    widget.probes.tool_box.click()
    for kind in ("probability", "saliency", "hotspots"):
        widget.canvas.overlay(slide.id, kind).visible = False
    studio.press("W")
    studio.wait(lambda: widget.canvas.overlay(slide.id, "why") is not None, "the gradient")
    studio.look_at(widget.probes.rows[0].answer.outline, 1.3)
    studio.scroll_down()
    studio.take("tutorial-6-why.jpg")


def compare(studio: Studio) -> None:
    """Show the map on one canvas, the saliency on the other."""
    viewer, canvas = studio.viewer, studio.widget.canvas
    studio.widget.probes.clear_button.click()
    widget = studio.dock(CompareWidget(viewer), "Compare")
    canvas.overlay(studio.slide.id, "probability").visible = True
    canvas.overlay(studio.slide.id, "tissue").visible = False
    widget.fill_menu()
    for action in widget.menu.actions():
        if action.text().startswith("saliency"):
            action.trigger()
    studio.look_at(studio.places()[0], 1.3)
    studio.wait(lambda: canvas_is_sharp(widget.second), "sharp tissue on the second canvas")
    studio.take("tutorial-7-compare.jpg")
    viewer.window.remove_dock_widget(widget)


def teach_ten_clicks(studio: Studio) -> None:
    """Teach what is dense with small nuclei by ten clicks."""
    teach = studio.dock(TeachWidget(studio.viewer), "Teach")
    studio.wait(lambda: teach.teaching.opened is not None, "features")
    for number, name in enumerate(("other", "lymphoid")):
        teach.teaching.rename_class(number, name)
    Viewpoint(studio.viewer).fit(studio.slide)
    settle()
    for key, places in (("1", OTHER), ("2", LYMPHOID)):
        studio.press(key)
        for place in places:
            studio.click(place)
            settle(0.2)
    studio.wait(lambda: teach.teaching.painter.check is not None, "the map")
    studio.take("tutorial-8-teach.jpg")
    studio.viewer.window.remove_dock_widget(teach)
    for kind in ("examples", "suggestions", "taught"):
        studio.widget.canvas.remove(studio.slide.id, kind)


def measure(studio: Studio) -> None:
    """Draw a polygon in the largest tumour and measure it."""
    widget, slide = studio.widget, studio.slide
    widget.come_forward()
    place = studio.places()[0]
    widget.canvas.overlay(slide.id, "probability").visible = True
    studio.look_at(place, 1.3)
    drawn = place.centroid.buffer(0.6 * np.sqrt(place.area / np.pi))
    shapes = studio.viewer.add_shapes(
        [corner_to_napari_data(swap_xy(shapely.get_coordinates(drawn)[:-1:6]))],
        shape_type="polygon",
        name="my annotation",
        features={"class": ["tumour"]},
        edge_color=np.array([[0.0, 0.2, 0.7, 1.0]]),
        face_color="transparent",
        edge_width=2 * Frame.of_slide(slide).edge_width,
        **Frame.of_slide(slide).place(),
    )
    shapes.selected_data = {0}
    widget.probes.measure_button.click()
    studio.wait(lambda: len(widget.probes.rows) == 1 and not widget.quick.busy, "the measurement")
    studio.scroll_down()
    studio.take("tutorial-9-measure.jpg")
    with tempfile.TemporaryDirectory() as folder:
        widget.export_to(Path(folder))
        studio.wait(lambda: "Exported" in widget.run_panel.estimate_note.text(), "the export")
        print(widget.run_panel.estimate_note.text())
