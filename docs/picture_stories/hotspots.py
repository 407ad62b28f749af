"""Hotspots of a result: accepted, rejected and relabelled places, and the lesions; and a reader's call before them."""

import tempfile
from pathlib import Path

import shapely

from napari_gigaclf.viewer.demo import settle
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget
from picture_stories.studio import Studio

READER = "A. Reader"
WRONG = shapely.Point(5350, 4515)
"""Lymphoid tissue, (x, y) level-0 pixels."""


def tell(studio: Studio) -> None:
    """Say what some places of the result are."""
    studio.plan()
    studio.run()
    studio.truth.visible = False
    with tempfile.TemporaryDirectory() as folder:
        widget = studio.dock(HotspotsWidget(studio.viewer, reviews=Path(folder)), "Hotspots")
        widget.choices.reader_box.setText(READER)
        studio.wait(lambda: bool(widget.lesions.lesions), "hotspots")
        studio.press("NANXN")
        widget.list.class_box.setEditText("normal")
        widget.list.relabel_button.click()
        studio.press("N")
        settle()
        Viewpoint(studio.viewer).fit(studio.slide)
        studio.take("hotspots.jpg")
        widget.shut_down()


def tell_reader_first(studio: Studio) -> None:
    """Make a call of one's own while all is hidden, of which a place is wrong, and see both side by side."""
    studio.plan()
    studio.run()
    studio.truth.visible = False
    with tempfile.TemporaryDirectory() as folder:
        widget = studio.dock(HotspotsWidget(studio.viewer, reviews=Path(folder)), "Hotspots")
        widget.choices.reader_box.setText(READER)
        studio.wait(lambda: bool(widget.lesions.lesions), "hotspots")
        widget.reader.switch.click()
        Viewpoint(studio.viewer).fit(studio.slide)
        settle()
        widget.reader.mark_button.click()
        for place in (*(each.representative_point() for each in studio.places()[:3]), WRONG):
            studio.click((place.y, place.x))
            settle(0.2)
        choose(widget.reader.class_box, "tumour")
        widget.reader.record_button.click()
        studio.wait(lambda: widget.reader.compared.isVisible(), "the comparison")
        studio.viewer.layers.selection.active = widget.canvas.overlay(studio.slide.id, "probability")
        studio.take("reader-first.jpg")
        widget.shut_down()
