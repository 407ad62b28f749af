"""The window that pictures are taken of, and hands over it: what every story needs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
import shapely
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QScrollArea

from napari_gigaclf.geometry import swap_xy
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.demo import settle, wait_until
from napari_gigaclf.viewer.returning.host import found_in
from napari_gigaclf.viewer.sample import sample_layers
from napari_gigaclf.viewer.taking import canvas_is_sharp
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.docked import dock_of

MODEL = "phantom-tumour"
OTHER_MODEL = "lymph-node-metastasis"
PATIENCE_SECONDS = 1800.0
WINDOW = (1280, 800)
"""A small screen."""
JPEG_QUALITY = 88
MOST_BYTES = 350_000
LOWEST_QUALITY = 70


class Studio:
    """A napari window with the bundled slide and the widget, and a folder for pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.viewer: Any = napari.Viewer(show=True, show_welcome_screen=False)
        for data, kwargs, kind in sample_layers():
            getattr(self.viewer, f"add_{kind}")(data, **kwargs)
        self.widget = ClassifyWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget, name="Classify slide", area="right")
        self.slide = SlideCanvas(self.viewer).slide_layers()[0].metadata["slide"]
        self.truth = self.viewer.layers["known truth"]
        self.canvas = self.viewer.window._qt_viewer.canvas.native  # napari has no public way to the canvas
        self.viewer.window.resize(*WINDOW)
        settle()
        Viewpoint(self.viewer).fit(self.slide)

    # --- pictures ---------------------------------------------------------------------------------------------------

    def take(self, name: str) -> None:
        """Save a picture of the whole window, once it is sharp."""
        self.wait(lambda: canvas_is_sharp(self.viewer), "sharp tissue")
        settle()
        pixels = np.asarray(self.viewer.screenshot(canvas_only=False, flash=False))[..., :3]
        self.save(Image.fromarray(pixels), name)

    def save(self, picture: Image.Image, name: str) -> None:
        """Save a picture as JPEG of at most 350 kB: tissue as PNG would exceed 1 MB."""
        path = self.folder / name
        for quality in range(JPEG_QUALITY, LOWEST_QUALITY - 1, -2):
            picture.save(path, quality=quality, subsampling=0 if quality > LOWEST_QUALITY else 2, optimize=True)
            if path.stat().st_size <= MOST_BYTES:
                break
        print(f"{name}: {picture.size}, quality {quality}, {path.stat().st_size / 1e3:.0f} kB")

    # --- what is done -----------------------------------------------------------------------------------------------

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Let the window work until something is so."""
        if not wait_until(condition, PATIENCE_SECONDS):
            raise TimeoutError(f"waited in vain for {what}: {self.widget.run_panel.estimate_note.text()}")

    def dock(self, widget: Any, name: str) -> Any:
        """Open a widget beside the slide, in front of the one that is there."""
        self.viewer.window.add_dock_widget(widget, name=name, area="right")
        settle()
        return widget

    def narrow(self, widget: Any, width: int) -> None:
        """Drag the edge of a widget until it is so many pixels wide."""
        self.viewer.window._qt_window.resizeDocks([dock_of(widget)], [width], Qt.Orientation.Horizontal)
        settle()

    def plan(self, model: str = MODEL, saliency: str = "tumour") -> None:
        """Choose a model and wait for its plan."""
        widget = self.widget
        self.wait(lambda: bool(widget.choices.models), "the list of models")
        assert choose(widget.choices.model_box, model), f"no model {model}"
        choose(widget.choices.saliency_box, saliency)
        settle()
        self.wait(lambda: "tiles" in widget.run_panel.estimate_note.text(), "the plan")

    def run(self) -> None:
        """Classify the slide as planned."""
        widget = self.widget
        widget.run_panel.run_button.click()
        self.wait(lambda: self.slide.id in widget.runs.results and not widget.runs.running, "the result")

    def places(self) -> list[shapely.Polygon]:
        """Return the true tumours, (x, y) level-0 pixels, the largest first."""
        return sorted((shapely.Polygon(swap_xy(ring)) for ring in self.truth.data), key=lambda place: -place.area)

    def look_at(self, geometry: shapely.Geometry, margin: float = 1.6) -> None:
        """Zoom to a place."""
        x0, y0, x1, y1 = geometry.bounds
        unit = np.array(self.slide.um_per_px)
        extent = np.array([y1 - y0, x1 - x0]) * unit * margin
        self.viewer.scene.camera.center = tuple(np.array([(y0 + y1) / 2, (x0 + x1) / 2]) * unit)
        self.viewer.scene.camera.zoom = float((np.array(self.viewer.canvas.size) / extent).min())
        settle()

    def press(self, letters: str) -> None:
        """Press keys over the slide."""
        self.canvas.setFocus()
        for letter in letters:
            QTest.keyClick(self.canvas, getattr(Qt.Key, f"Key_{letter}"))

    def click(self, place: tuple[float, float]) -> None:
        """Click a place, (y, x) level-0 pixels, that one sees."""
        box = Viewpoint(self.viewer).box(self.slide)
        height, width = self.viewer.canvas.size
        y, x = (place[0] - box.y0) / (box.y1 - box.y0), (place[1] - box.x0) / (box.x1 - box.x0)
        assert 0 < y < 1, "out of view"
        assert 0 < x < 1, "out of view"
        at = QPoint(round(x * width), round(y * height))
        QTest.mouseMove(self.canvas, at)
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, pos=at)

    def scroll_down(self) -> None:
        """Show the lower end of the widget."""
        for area in self.widget.findChildren(QScrollArea):
            area.verticalScrollBar().setValue(area.verticalScrollBar().maximum())

    def let_go(self) -> None:
        """Write what returns with slides, while its folder is still there."""
        returning = found_in(self.viewer.window._qt_window)
        if returning is not None:
            returning.shut_down()

    def close(self) -> None:
        """Close the window."""
        self.widget.shut_down()
        self.viewer.close()
