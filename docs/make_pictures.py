"""Makes the pictures of README and tutorial: the demo's own, and screenshots of napari with the bundled slide.

    xvfb-run -a -s "-screen 0 1920x1200x24" python docs/make_pictures.py [FOLDER] [--only NAME]

Every step presses the widget's own buttons. Pictures of tissue are JPEG: as PNG they exceed 1 MB.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import napari
import numpy as np
import shapely
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QScrollArea

from napari_gigaclf.geometry import corner_to_napari_data, swap_xy
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.slides.sample import sample_path
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.controllers.run_view import State
from napari_gigaclf.viewer.demo import WINDOW, settings_in_memory, settle, wait_until
from napari_gigaclf.viewer.layers import Frame
from napari_gigaclf.viewer.preferences import PLUGIN
from napari_gigaclf.viewer.returning.host import found_in
from napari_gigaclf.viewer.sample import sample_slide
from napari_gigaclf.viewer.snapshot import save_snapshot
from napari_gigaclf.viewer.taking import canvas_is_sharp, take_snapshot
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
from napari_gigaclf.viewer.widgets.compare import CompareWidget
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.curtain import CurtainWidget
from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget
from napari_gigaclf.viewer.widgets.navigate import NavigateWidget
from napari_gigaclf.viewer.widgets.teach import TeachWidget
from napari_gigaclf.viewer.widgets.worklist import WorklistWidget

MODEL = "phantom-tumour"
OTHER_MODEL = "lymph-node-metastasis"
PATIENCE_SECONDS = 1800.0
SMALL_WINDOW = (1280, 800)
JPEG_QUALITY = 88


class Studio:
    """A napari window with the widget, and a folder for pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.viewer: Any = napari.Viewer(show=True, show_welcome_screen=False)
        for data, kwargs, kind in sample_slide():
            getattr(self.viewer, f"add_{kind}")(data, **kwargs)
        self.widget = ClassifyWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget, name="Classify slide", area="right")
        self.slide = SlideCanvas(self.viewer).slide_layers()[0].metadata["slide"]
        self.viewer.window.resize(*WINDOW)
        settle()
        Viewpoint(self.viewer).fit(self.slide)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Let the window work until something is so."""
        if not wait_until(condition, PATIENCE_SECONDS):
            raise TimeoutError(f"waited in vain for {what}: {self.widget.run_panel.estimate_note.text()}")

    def take(self, name: str) -> None:
        """Save a picture of the whole window."""
        settle()
        pixels = np.asarray(self.viewer.screenshot(canvas_only=False, flash=False))[..., :3]
        picture = Image.fromarray(pixels)
        path = self.folder / name
        options = {"optimize": True} if path.suffix == ".png" else {"quality": JPEG_QUALITY, "subsampling": 0}
        picture.save(path, **options)
        print(f"{name}: {path.stat().st_size / 1e3:.0f} kB")

    def look_at(self, geometry: shapely.Geometry, margin: float = 1.6) -> None:
        """Zoom to a place."""
        x0, y0, x1, y1 = geometry.bounds
        unit = np.array(self.slide.um_per_px)
        extent = np.array([y1 - y0, x1 - x0]) * unit * margin
        self.viewer.scene.camera.center = tuple(np.array([(y0 + y1) / 2, (x0 + x1) / 2]) * unit)
        self.viewer.scene.camera.zoom = float((np.array(self.viewer.canvas.size) / extent).min())


def tell_the_story(studio: Studio) -> None:
    """Go through the tutorial and take a picture of every step."""
    widget, slide = studio.widget, studio.slide
    truth = studio.viewer.layers["known truth"]
    truth.visible = False
    studio.wait(lambda: bool(widget.choices.models), "the list of models")
    choose(widget.choices.model_box, MODEL)
    choose(widget.choices.saliency_box, "tumour")
    settle()
    studio.wait(lambda: widget.runs.state is State.READY, "the plan")
    studio.take("tutorial-1-plan.jpg")

    widget.choices.preview_button.click()
    studio.wait(lambda: widget.canvas.overlay(slide.id, "mask") is not None, "the tissue")
    studio.take("tutorial-2-tissue.jpg")

    widget.run_panel.run_button.click()
    done = lambda: np.isfinite(widget.canvas.overlay(slide.id, "probability").data).mean()  # noqa: E731
    studio.wait(lambda: widget.canvas.overlay(slide.id, "probability") is not None and done() > 0.2, "half of the map")
    studio.take("tutorial-3-running.jpg")

    studio.wait(lambda: slide.id in widget.runs.results and not widget.runs.running, "the result")
    truth.visible = True
    studio.viewer.layers.selection.active = widget.canvas.overlay(slide.id, "probability")
    studio.take("tutorial-4-result.jpg")

    places = [shapely.Polygon(swap_xy(ring)) for ring in truth.data]
    largest = max(places, key=lambda place: place.area)
    studio.look_at(largest)
    widget.probes.tool_box.click()
    inside, outside = largest.representative_point(), (largest.bounds[2] + 150, largest.bounds[1] + 100)
    for x, y in ((inside.x, inside.y), outside, (40.0, 40.0)):
        widget.asking.click(tuple(np.array([y, x]) * slide.um_per_px))
    studio.wait(lambda: len(widget.probes.rows) == 3, "answers")
    scroll_down(widget)
    studio.take("tutorial-5-click.jpg")
    widget.probes.tool_box.click()

    drawn = largest.centroid.buffer(0.6 * np.sqrt(largest.area / np.pi))
    shapes = studio.viewer.add_shapes(
        [corner_to_napari_data(swap_xy(shapely.get_coordinates(drawn)[:-1:6]))],
        shape_type="polygon",
        name="my annotation",
        features={"class": ["tumour"]},
        edge_color=np.array([[1.0, 0.6, 0.0, 1.0]]),
        face_color="transparent",
        edge_width=Frame.of_slide(slide).edge_width,
        **Frame.of_slide(slide).place(),
    )
    shapes.selected_data = {0}
    widget.probes.measure_button.click()
    studio.wait(lambda: len(widget.probes.rows) == 4, "the measurement")
    scroll_down(widget)
    studio.take("tutorial-6-measure.jpg")
    with tempfile.TemporaryDirectory() as folder:
        widget.export_to(Path(folder))
        studio.wait(lambda: "Exported" in widget.run_panel.estimate_note.text(), "the export")
        print(widget.run_panel.estimate_note.text())


def go_through_hotspots(studio: Studio) -> None:
    """Say what some places of the result are and take a picture in a window of 1280 x 800."""
    slide, canvas = studio.slide, studio.viewer.window._qt_viewer.canvas.native
    with tempfile.TemporaryDirectory() as folder:
        widget = HotspotsWidget(studio.viewer, reviews=Path(folder))
        studio.viewer.window.add_dock_widget(widget, name="Hotspots", area="right", tabify=True)
        studio.viewer.window.resize(*SMALL_WINDOW)
        widget.come_forward()
        widget.choices.reader_box.setText("A. Reader")
        studio.wait(lambda: bool(widget.lesions.lesions), "hotspots")
        for name in ("known truth", "my annotation"):
            if name in studio.viewer.layers:
                studio.viewer.layers[name].visible = False
        for key in "NANXN":
            QTest.keyClick(canvas, getattr(Qt.Key, f"Key_{key}"))
        widget.list.class_box.setEditText("normal")
        widget.list.relabel_button.click()
        QTest.keyClick(canvas, Qt.Key.Key_N)
        settle()
        Viewpoint(studio.viewer).fit(slide)
        studio.take("hotspots.jpg")
        widget.shut_down()


def ask_and_explain(studio: Studio) -> None:
    """Ask by click, box and class in a window of the size of a small screen, then why, and take both pictures."""
    widget, viewer, slide = studio.widget, studio.viewer, studio.slide
    run_the_model(studio)
    viewer.window.resize(*SMALL_WINDOW)
    truth = viewer.layers["known truth"]
    places = sorted((shapely.Polygon(swap_xy(ring)) for ring in truth.data), key=lambda place: -place.area)
    truth.visible = False
    frame = Frame.of_slide(slide)
    shapes = viewer.add_shapes(
        [corner_to_napari_data(swap_xy(shapely.get_coordinates(place)[:-1:4])) for place in places[:2]],
        shape_type="polygon",
        name="my annotations",
        features={"class": ["tumour"] * len(places[:2])},
        edge_color=np.array([[0.1, 0.5, 0.1, 1.0]] * len(places[:2])),
        face_color="transparent",
        edge_width=frame.edge_width,
        **frame.place(),
    )
    shapes.mode = "pan_zoom"
    studio.look_at(places[0])
    widget.probes.tool_box.setChecked(True)
    inside = places[0].representative_point()
    unit = np.array(slide.um_per_px)
    x0, y0, x1, y1 = places[0].bounds
    widget.asking.click(tuple(np.array([inside.y, inside.x]) * unit))
    widget.asking.box(tuple(np.array([y0, x1]) * unit), tuple(np.array([(y0 + y1) / 2, x1 + (x1 - x0) / 4]) * unit))
    widget.asking.ask_class("tumour")
    studio.wait(lambda: len(widget.probes.rows) == 3 and not widget.quick.busy, "answers")
    scroll_down(widget)
    studio.take("ask.jpg")
    widget.probes.table.selectRow(0)
    widget.asking.explain()
    studio.wait(lambda: widget.canvas.overlay(slide.id, "why") is not None, "the gradient")
    for kind in ("probability", "saliency"):
        widget.canvas.overlay(slide.id, kind).visible = False
    studio.look_at(widget.probes.rows[0].answer.outline, 1.3)
    settle()
    studio.wait(lambda: canvas_is_sharp(viewer), "sharp tissue")
    scroll_down(widget)
    studio.take("why.jpg")
    widget.probes.tool_box.setChecked(False)


def scroll_down(widget: ClassifyWidget) -> None:
    """Show the lower end of the widget."""
    for area in widget.findChildren(QScrollArea):
        area.verticalScrollBar().setValue(area.verticalScrollBar().maximum())


def run_the_model(studio: Studio) -> None:
    """Classify the sample, with saliency of tumour."""
    widget, slide = studio.widget, studio.slide
    studio.wait(lambda: bool(widget.choices.models), "the list of models")
    choose(widget.choices.model_box, MODEL)
    choose(widget.choices.saliency_box, "tumour")
    settle()
    studio.wait(lambda: widget.runs.state is State.READY, "the plan")
    widget.run_panel.run_button.click()
    studio.wait(lambda: slide.id in widget.runs.results and not widget.runs.running, "the result")


def show_the_navigator(studio: Studio) -> None:
    """Run, then dock the navigator in a window of the size of a small screen, and look at a tumour at 10x."""
    widget, viewer, slide = studio.widget, studio.viewer, studio.slide
    run_the_model(studio)
    viewer.window.remove_dock_widget(widget)
    navigator = NavigateWidget(viewer)
    viewer.window.add_dock_widget(navigator, name="Navigate", area="right")
    viewer.window.resize(*SMALL_WINDOW)
    settle()
    navigator.objectives[10.0].click()
    places = [shapely.Polygon(swap_xy(ring)) for ring in viewer.layers["known truth"].data]
    place = max(places, key=lambda each: each.area).centroid
    navigator.controller.look_at((place.y / slide.levels[0].height, place.x / slide.levels[0].width))
    studio.wait(lambda: canvas_is_sharp(viewer), "sharp tissue")
    settle()
    world = np.array([place.y, place.x]) * slide.um_per_px
    navigator.controller.hover((float(world[0]), float(world[1])))
    studio.take("navigate.jpg")
    with tempfile.TemporaryDirectory() as folder:
        save_snapshot(take_snapshot(viewer), Path(folder) / "snapshot.png")
        Image.open(Path(folder) / "snapshot.png").save(
            studio.folder / "snapshot.jpg", quality=JPEG_QUALITY, subsampling=0
        )
    navigator.shut_down()


def hang_the_curtain(studio: Studio) -> None:
    """Run, then hang the curtain over the edge of a tumour, in a window of the size of a small screen."""
    widget, viewer, slide = studio.widget, studio.viewer, studio.slide
    run_the_model(studio)
    viewer.window.remove_dock_widget(widget)
    curtain = CurtainWidget(viewer)
    dock = viewer.window.add_dock_widget(curtain, name="Curtain", area="right")
    viewer.window.resize(*SMALL_WINDOW)
    settle()
    viewer.window._qt_window.resizeDocks([dock], [curtain.sizeHint().width()], Qt.Orientation.Horizontal)
    settle()
    places = [shapely.Polygon(swap_xy(ring)) for ring in viewer.layers["known truth"].data]
    Viewpoint(viewer).fit(slide)
    studio.look_at(max(places, key=lambda each: each.area), 2.2)
    curtain.on_box.click()
    studio.wait(lambda: canvas_is_sharp(viewer), "sharp tissue")
    studio.take("curtain.jpg")
    curtain.shut_down()


def compare_side_by_side(studio: Studio) -> None:
    """Run, then show the map on the first canvas and the saliency on the second one, in a small window."""
    widget, viewer, slide = studio.widget, studio.viewer, studio.slide
    run_the_model(studio)
    viewer.window.remove_dock_widget(widget)
    viewer.window.resize(*SMALL_WINDOW)
    settle()
    compare = CompareWidget(viewer)
    viewer.window.add_dock_widget(compare, name="Compare", area="right")
    settle()
    places = [shapely.Polygon(swap_xy(ring)) for ring in viewer.layers["known truth"].data]
    studio.look_at(max(places, key=lambda each: each.area), 1.3)
    canvas = SlideCanvas(viewer)
    for kind in ("saliency", "tissue"):
        canvas.overlay(slide.id, kind).visible = False
    compare.fill_menu()
    for action in compare.menu.actions():
        if action.text() != "tissue" and not action.text().startswith("probability"):
            action.trigger()
    studio.wait(lambda: canvas_is_sharp(viewer) and canvas_is_sharp(compare.second), "sharp tissue")
    studio.take("compare.jpg")
    compare.shut_down()


def teach_by_clicking(studio: Studio) -> None:
    """Run the lymph node's model, teach it the phantom's tumour by clicks, and take a picture in a small window."""
    widget, viewer, slide = studio.widget, studio.viewer, studio.slide
    studio.wait(lambda: bool(widget.choices.models), "the list of models")
    choose(widget.choices.model_box, OTHER_MODEL)
    choose(widget.choices.saliency_box, "none")
    settle()
    studio.wait(lambda: widget.runs.state is State.READY, "the plan")
    widget.run_panel.run_button.click()
    studio.wait(lambda: slide.id in widget.runs.results and not widget.runs.running, "the result")
    viewer.window.remove_dock_widget(widget)
    truth = viewer.layers["known truth"]
    tumour = shapely.union_all([shapely.Polygon(swap_xy(ring)) for ring in truth.data])
    truth.visible = False
    with tempfile.TemporaryDirectory() as folder:
        teach = TeachWidget(viewer, lessons=Path(folder, "lessons"), features=Path(folder, "features"))
        viewer.window.add_dock_widget(teach, name="Teach", area="right")
        viewer.window.resize(*SMALL_WINDOW)
        studio.wait(lambda: teach.teaching.opened is not None, "features")
        Viewpoint(viewer).fit(slide)
        teach.teaching.rename_class(0, "other")
        teach.teaching.rename_class(1, "tumour")
        canvas = teach.teaching.opened.canvas
        rng = np.random.default_rng(1)
        centres = [
            canvas.grid.centre_of(int(row), int(column)) for row, column in rng.permutation(np.argwhere(canvas.kept))
        ]
        for number in (0, 1):
            teach.teaching.choose_class(number)
            for y, x in [each for each in centres if tumour.contains(shapely.Point(each[::-1])) == bool(number)][:6]:
                teach._clicked(tuple(corner_to_napari_data(np.array([y, x])) * slide.um_per_px))
                studio.wait(lambda: teach.teaching.painter.check is not None, "the map")
        settle()
        studio.take("teach.jpg")
        teach.shut_down()


def go_through_a_worklist(studio: Studio) -> None:
    """Run the first slide of a folder, go on to the third, and take a picture in a small window."""
    widget, viewer = studio.widget, studio.viewer
    viewer.layers.clear()
    with tempfile.TemporaryDirectory() as folder:
        own = {name: str(Path(folder, name)) for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME")}
        with mock.patch.dict(os.environ, own):
            slides = Path(folder, "slides")
            slides.mkdir()
            shutil.copy(sample_path("phantom-tumour.ome.tif"), slides / "case-1.ome.tif")
            for number in (2, 3, 5):
                PhantomSlide(20 + number, (1500, 2000), 1.0, tumour=number == 3).save(slides / f"case-{number}.tif")
            (slides / "case-4.tif").write_bytes((slides / "case-2.tif").read_bytes()[:3000])
            worklist = WorklistWidget(viewer)
            viewer.window.add_dock_widget(worklist, name="Worklist", area="right", tabify=True)
            viewer.window.resize(*SMALL_WINDOW)
            worklist.source_row.set_path(slides)
            work = worklist.controller
            studio.wait(lambda: work.worklist is not None, "the list")
            worklist.step(1)
            studio.wait(lambda: work.open_row == 0, "the first slide")
            studio.slide = widget.chosen_slide()
            run_the_model(studio)
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
            returning = found_in(worklist.main_window())
            if returning is not None:
                returning.shut_down()


def drop_files(studio: Studio) -> None:
    """Open slide, annotations and result in an empty window, as they are dropped, and take a picture of it."""
    widget, viewer = studio.widget, studio.viewer
    run_the_model(studio)
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"XDG_DATA_HOME": folder}):
        result = widget.runs.results[studio.slide.id][0].save(Path(folder, "phantom-tumour.gigaclf"))
        viewer.layers.clear()
        viewer.window.resize(*SMALL_WINDOW)
        settle()
        for path in (sample_path("phantom-tumour.ome.tif"), result, sample_path("phantom-tumour.geojson")):
            viewer.open(str(path), plugin=PLUGIN)
            settle()
        studio.slide = widget.chosen_slide()
        studio.wait(lambda: studio.slide.id in widget.runs.results, "the result")
        settle()
        studio.take("drop.jpg")
        returning = found_in(widget.main_window())
        if returning is not None:
            returning.shut_down()


def run_the_demo(folder: Path) -> None:
    """Take the picture which the demo leaves."""
    with tempfile.TemporaryDirectory() as output:
        subprocess.run(
            [sys.executable, "-m", "napari_gigaclf", "demo", "--output", output], check=True, stdin=subprocess.DEVNULL
        )
        shutil.copy(Path(output, "screenshot.png"), folder / "demo.png")


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent / "pictures")
    parser.add_argument(
        "--only", choices=("demo", "tutorial", "ask", "navigate", "curtain", "compare", "teach", "worklist", "drop")
    )
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.only in (None, "demo"):
        run_the_demo(folder)
    settings_in_memory()
    stories = {
        "tutorial": (tell_the_story, go_through_hotspots),
        "ask": (ask_and_explain,),
        "navigate": (show_the_navigator,),
        "curtain": (hang_the_curtain,),
        "compare": (compare_side_by_side,),
        "teach": (teach_by_clicking,),
        "worklist": (go_through_a_worklist,),
        "drop": (drop_files,),
    }
    for name, story in stories.items():
        if arguments.only in (None, name):
            studio = Studio(folder)
            for tell in story:
                tell(studio)
            studio.widget.shut_down()
            studio.viewer.close()


if __name__ == "__main__":
    main()
