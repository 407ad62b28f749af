"""The row that chooses another scene or focal plane of a slide's file; hidden for files that hold one image only."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from napari_gigaclf.viewer.widgets.controls import choose, combo_box, refill

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

SETTLE_MS = 250
"""Planes that are passed on the way to another one, by wheel or key, are not opened."""
SHORTEST = 3
"""Letters of an entry that are always visible."""


class PlaceRow(QWidget):
    """A list of scenes and one of focal planes; each is there only if the file has several.

    ``wanted`` is emitted with the number of the scene, and of the plane if one was chosen: planes of another scene are
    not known before it is open.
    """

    wanted = Signal(int, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scene_label, self.scene_box = QLabel("Scene"), combo_box("Images of the same file")
        self.z_label, self.z_box = QLabel("Focal plane"), combo_box("Focal planes of the scene, counted from 0")
        self._slide_id = ""
        self._wish: tuple[int, int | None] = (0, None)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.timeout.connect(self._emit)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for label, box in ((self.scene_label, self.scene_box), (self.z_label, self.z_box)):
            box.setMinimumContentsLength(SHORTEST)
            layout.addWidget(label)
            layout.addWidget(box, 1)
        self.scene_box.currentIndexChanged.connect(self._scene_chosen)
        self.z_box.currentIndexChanged.connect(self._plane_chosen)
        self.show_slide(None)

    def show_slide(self, slide: "Slide | None") -> None:
        """Show which scene and plane are open; a wish for this slide that has just been made is still emitted."""
        slide_id = "" if slide is None else slide.id
        if slide_id != self._slide_id:
            self._settle.stop()
        self._slide_id = slide_id
        scenes = slide.scenes if slide is not None else ()
        num_z = slide.num_z if slide is not None else 0
        _fill(self.scene_box, scenes, 0 if slide is None else slide.scene)
        _fill(self.z_box, [str(z) for z in range(num_z)], 0 if slide is None else slide.z)
        for part in (self.scene_label, self.scene_box):
            part.setVisible(len(scenes) > 1)
        for part in (self.z_label, self.z_box):
            part.setVisible(num_z > 1)
        self.setVisible(len(scenes) > 1 or num_z > 1)

    def _scene_chosen(self) -> None:
        self._wish = (self.scene_box.currentData(), None)
        self._settle.start(SETTLE_MS)

    def _plane_chosen(self) -> None:
        self._wish = (self.scene_box.currentData(), self.z_box.currentData())
        self._settle.start(SETTLE_MS)

    def _emit(self) -> None:
        self.wanted.emit(*self._wish)


def _fill(box: QComboBox, names: "tuple[str, ...] | list[str]", number: int) -> None:
    """List names with their numbers and choose one, without a word about it."""
    refill(box, [(name, index) for index, name in enumerate(names)])
    with QSignalBlocker(box):
        choose(box, number)
