"""Ask anywhere, and why this place."""

import numpy as np
import shapely

from napari_gigaclf.geometry import corner_to_napari_data, swap_xy
from napari_gigaclf.viewer.layers import Frame
from picture_stories.studio import Studio


def tell(studio: Studio) -> None:
    """Ask by click, box and class, then why, and take both pictures."""
    widget, slide = studio.widget, studio.slide
    studio.plan()
    studio.run()
    studio.truth.visible = False
    largest = studio.places()[0]
    draw_annotations(studio, studio.places()[:2])
    studio.look_at(largest)
    widget.probes.tool_box.setChecked(True)
    inside = largest.representative_point()
    unit = np.array(slide.um_per_px)
    x0, y0, x1, y1 = largest.bounds
    widget.asking.click(tuple(np.array([inside.y, inside.x]) * unit))
    widget.asking.box(tuple(np.array([y0, x1]) * unit), tuple(np.array([(y0 + y1) / 2, x1 + (x1 - x0) / 4]) * unit))
    widget.asking.ask_class("tumour")
    studio.wait(lambda: len(widget.probes.rows) == 3 and not widget.quick.busy, "answers")
    studio.scroll_down()
    studio.take("ask.jpg")

    widget.probes.table.selectRow(0)
    widget.asking.explain()
    studio.wait(lambda: widget.canvas.overlay(slide.id, "why") is not None, "the gradient")
    for kind in ("probability", "saliency"):
        widget.canvas.overlay(slide.id, kind).visible = False
    studio.look_at(widget.probes.rows[0].answer.outline, 1.3)
    studio.scroll_down()
    studio.take("why.jpg")
    widget.probes.tool_box.setChecked(False)


def draw_annotations(studio: Studio, places: list[shapely.Polygon]) -> None:
    """Draw outlines of a class, as a person would."""
    frame = Frame.of_slide(studio.slide)
    shapes = studio.viewer.add_shapes(
        [corner_to_napari_data(swap_xy(shapely.get_coordinates(place)[:-1:4])) for place in places],
        shape_type="polygon",
        name="my annotations",
        features={"class": ["tumour"] * len(places)},
        edge_color=np.array([[0.1, 0.5, 0.1, 1.0]] * len(places)),
        face_color="transparent",
        edge_width=frame.edge_width,
        **frame.place(),
    )
    shapes.mode = "pan_zoom"
