"""Files: a worklist of slides, and what happens when files are dropped."""

import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.slides.sample import sample_path
from napari_gigaclf.viewer.demo import settle
from napari_gigaclf.viewer.preferences import PLUGIN
from napari_gigaclf.viewer.widgets.worklist import WorklistWidget
from picture_stories.studio import Studio


def tell_worklist(studio: Studio) -> None:
    """Run the first slide of a folder, go on to the third."""
    widget, viewer = studio.widget, studio.viewer
    viewer.layers.clear()
    with tempfile.TemporaryDirectory() as folder:
        own = {name: str(Path(folder, name)) for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME")}
        with mock.patch.dict(os.environ, own):
            worklist = studio.dock(WorklistWidget(viewer), "Worklist")
            worklist.source_row.set_path(write_slides(Path(folder, "slides")))
            work = worklist.controller
            studio.wait(lambda: work.worklist is not None, "the list")
            worklist.step(1)
            studio.wait(lambda: work.open_row == 0, "the first slide")
            studio.slide = widget.chosen_slide()
            studio.plan()
            studio.run()
            for row in (1, 3, 2):
                settle()
                work.open(row)
                studio.wait(lambda: not work.opening, "another slide")
            worklist.come_forward()
            worklist.source_row.line.setText("slides")  # not the name of a folder that is gone
            studio.wait(lambda: "result" in worklist.table.item(0, 1).text(), "what is known")
            settle()
            studio.take("worklist.jpg")
            worklist.shut_down()
            studio.let_go()


def write_slides(folder: Path) -> Path:
    """Write five slides, of which the fourth is damaged."""
    folder.mkdir()
    shutil.copy(sample_path("phantom-tumour.ome.tif"), folder / "case-1.ome.tif")
    for number in (2, 3, 5):
        PhantomSlide(20 + number, (1500, 2000), 1.0, tumour=number == 3).save(folder / f"case-{number}.tif")
    (folder / "case-4.tif").write_bytes((folder / "case-2.tif").read_bytes()[:3000])
    return folder


def tell_drop(studio: Studio) -> None:
    """Open slide, annotations and result in an empty window, as they are dropped."""
    widget, viewer = studio.widget, studio.viewer
    studio.plan()
    studio.run()
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"XDG_DATA_HOME": folder}):
        result = widget.runs.results[studio.slide.id][0].save(Path(folder, "phantom-tumour.gigaclf"))
        viewer.layers.clear()
        settle()
        for path in (sample_path("phantom-tumour.ome.tif"), result, sample_path("phantom-tumour.geojson")):
            viewer.open(str(path), plugin=PLUGIN)
            settle()
        studio.slide = widget.chosen_slide()
        studio.wait(lambda: studio.slide.id in widget.runs.results, "the result")
        settle()
        studio.take("drop.jpg")
        studio.let_go()
