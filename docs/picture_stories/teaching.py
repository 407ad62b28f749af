"""Teach on the features of a model that was made for other tissue."""

import tempfile
from pathlib import Path

import numpy as np
import shapely

from napari_gigaclf.viewer.demo import settle
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.teach import TeachWidget
from picture_stories.studio import OTHER_MODEL, Studio


def tell(studio: Studio) -> None:
    """Teach the lymph node's model the phantom's tumour by twelve clicks."""
    studio.plan(OTHER_MODEL, saliency="none")
    studio.run()
    studio.viewer.window.remove_dock_widget(studio.widget)
    tumour = shapely.union_all(studio.places())
    studio.truth.visible = False
    with tempfile.TemporaryDirectory() as folder:
        teach = TeachWidget(studio.viewer, lessons=Path(folder, "lessons"), features=Path(folder, "features"))
        studio.dock(teach, "Teach")
        studio.wait(lambda: teach.teaching.opened is not None, "features")
        Viewpoint(studio.viewer).fit(studio.slide)
        teach.teaching.rename_class(0, "other")
        teach.teaching.rename_class(1, "tumour")
        canvas = teach.teaching.opened.canvas
        cells = np.random.default_rng(1).permutation(np.argwhere(canvas.kept))
        centres = [canvas.grid.centre_of(int(row), int(column)) for row, column in cells]
        for number in (0, 1):
            teach.teaching.choose_class(number)
            for y, x in [each for each in centres if tumour.contains(shapely.Point(each[::-1])) == bool(number)][:6]:
                studio.click((y, x))
                studio.wait(lambda: teach.teaching.painter.check is not None, "the map")
        settle()
        studio.take("teach.jpg")
        teach.shut_down()
