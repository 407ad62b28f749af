"""Hotspots of a result: accepted, rejected and relabelled places, and the lesions; and a reader's call before them."""

import tempfile
from pathlib import Path

from napari_gigaclf.viewer.demo import settle
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget
from picture_stories.studio import Studio

READER = "A. Reader"


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
