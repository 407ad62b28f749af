"""The navigator beside a result, and the snapshot that it saves."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from napari_gigaclf.viewer.demo import settle
from napari_gigaclf.viewer.snapshot import save_snapshot
from napari_gigaclf.viewer.taking import canvas_is_sharp, take_snapshot
from napari_gigaclf.viewer.widgets.navigate import NavigateWidget
from picture_stories.studio import Studio


def tell(studio: Studio) -> None:
    """Look at a tumour at 10x with the navigator open."""
    viewer, slide = studio.viewer, studio.slide
    studio.plan()
    studio.run()
    viewer.window.remove_dock_widget(studio.widget)
    navigator = studio.dock(NavigateWidget(viewer), "Navigate")
    studio.narrow(navigator, 340)
    navigator.objectives[10.0].click()
    place = studio.places()[0].centroid
    navigator.controller.look_at((place.y / slide.levels[0].height, place.x / slide.levels[0].width))
    studio.wait(lambda: canvas_is_sharp(viewer), "sharp tissue")
    settle()
    y, x = np.array([place.y, place.x]) * slide.um_per_px
    navigator.controller.hover(viewer, (float(y), float(x)))
    studio.take("navigate.jpg")
    with tempfile.TemporaryDirectory() as folder:
        save_snapshot(take_snapshot(viewer), Path(folder) / "snapshot.png")
        studio.save(Image.open(Path(folder) / "snapshot.png"), "snapshot.jpg")
    navigator.shut_down()
