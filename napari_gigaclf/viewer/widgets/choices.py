"""The upper half of the widget: which slide, which model, at which scale, where, on which processor."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_gigaclf.slides.slide import PHANTOM_FORMAT
from napari_gigaclf.viewer.controllers.wishes import NO_SALIENCY, PREDICTED, RegionChoice
from napari_gigaclf.viewer.texts import auto_level_text, level_text, model_text, slide_text
from napari_gigaclf.viewer.widgets.controls import (
    WholeNote,
    choose,
    combo_box,
    note,
    refill,
    refill_devices,
    refill_models,
    side_by_side,
)
from napari_gigaclf.viewer.widgets.place_row import PlaceRow

if TYPE_CHECKING:
    from napari_gigaclf.inference import Device
    from napari_gigaclf.models import ModelConfig
    from napari_gigaclf.slides import Slide

SETTLE_MS = 250
"""Changes that follow each other faster are one change."""
NEW_SLIDE_MS = 750
"""So long a slide that has just been opened is left to be drawn: planning imports torch, which would delay its first
pixels by half a second, and the scale bar's letters a fifth."""
AUTO = "auto"


class ChoicesPanel(QWidget):
    """Lists and fields of a run; ``changed`` is emitted once they have settled."""

    changed = Signal()
    slide_wanted = Signal(str)
    """A person has chosen a slide, which they want to see."""
    scale_given = Signal(float)
    preview_wanted = Signal()
    paint_wanted = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.models: dict[str, ModelConfig] = {}
        self.missing: dict[str, str] = {}
        """Why the model of a folder that is remembered cannot be used."""
        self._preferred = ""
        self.slide_box = combo_box("Slides and colour images that are open")
        self.slide_note = WholeNote("Open a slide: File > Open, or File > Open Sample > GigaCLF.")
        self.place_row = PlaceRow()
        self.scale_row, self.scale_label, self.scale_box, self.scale_button = _scale_row()
        self._scaled: Slide | None = None
        self.model_box = combo_box("Models that came with the plugin, and folders you added")
        self.model_button = QPushButton("Folder...")
        self.model_button.setToolTip("Use a model folder (config.json and model.safetensors)")
        self.model_note = WholeNote("Reading the list of models...")
        self.level_box = combo_box("Magnification the network looks at")
        self.region_box = combo_box("Where the network looks")
        self.preview_button = QPushButton("Show tissue")
        self.preview_button.setToolTip("Outline what will be looked at; paint the mask to change it")
        self.device_box = combo_box("Processor that runs the network")
        self.saliency_box = combo_box("Class whose saliency is computed after the map")
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.timeout.connect(self.changed)
        self._lay_out()
        self._connect()

    # --- what is chosen -------------------------------------------------------------------------------------------

    @property
    def model(self) -> "ModelConfig | None":
        """Config of the chosen model."""
        return self.models.get(str(self.model_box.currentData()))

    @property
    def model_key(self) -> str:
        """Name of the chosen built-in model, or the folder of another one."""
        return str(self.model_box.currentData())

    @property
    def region(self) -> RegionChoice:
        """Where to look."""
        return RegionChoice(self.region_box.currentData())

    # --- what there is to choose from -----------------------------------------------------------------------------

    def offer_slides(self, entries: Sequence[tuple[str, str]]) -> None:
        """List the open slides, (name, key)."""
        refill(self.slide_box, entries)
        self.slide_box.setEnabled(bool(entries))

    @property
    def model_list(self) -> QComboBox:
        """Where models are listed."""
        return self.model_box

    def offer_models(self, models: Mapping[str, "ModelConfig"], missing: Mapping[str, str] | None = None) -> None:
        """List models by name or folder, those from folders after the built-in ones; ``missing`` greyed out."""
        self.models |= models
        self.missing |= missing or {}
        refill_models(self.model_box, self.models, self.missing)
        self.prefer_model(self._preferred)
        self._model_chosen()

    def choose_model(self, key: str) -> None:
        """Choose a model that is listed."""
        choose(self.model_box, key)

    def prefer_model(self, key: str) -> None:
        """Choose a model, as soon as it is listed."""
        self._preferred = "" if choose(self.model_box, key) else key

    def offer_devices(self, devices: Sequence["Device"], preferred: str) -> None:
        """List processors by their real names; those that cannot be used with the reason, greyed out."""
        refill_devices(self.device_box, devices, preferred)

    def show_slide(self, slide: "Slide | None") -> None:
        """Show what the chosen slide is, its levels, and the field for its scale."""
        self.place_row.show_slide(slide)
        self._show_scale(slide)
        self.slide_note.setText(
            slide_text(slide) if slide else "Open a slide: File > Open, or File > Open Sample > GigaCLF."
        )
        entries: list[tuple[str, Any]] = [(auto_level_text(self.model), AUTO)]
        if slide is not None:
            entries += [(level_text(number, level), number) for number, level in enumerate(slide.levels)]
        refill(self.level_box, entries)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Slide", self.slide_box)
        form.addRow(self.slide_note)
        form.addRow(self.place_row)
        form.addRow(self.scale_row)
        form.addRow("Model", side_by_side(self.model_box, self.model_button))
        form.addRow(self.model_note)
        form.addRow("Level", self.level_box)
        form.addRow("Region", side_by_side(self.region_box, self.preview_button))
        form.addRow("Device", self.device_box)
        form.addRow("Saliency", self.saliency_box)
        self.scale_row.setVisible(False)
        refill(self.level_box, [("auto", AUTO)])
        refill(self.region_box, [(choice.value, choice.value) for choice in RegionChoice])
        refill(self.device_box, [("auto (the fastest there is)", AUTO)])
        refill(self.saliency_box, [("of the predicted class", PREDICTED), ("none", NO_SALIENCY)])

    def _connect(self) -> None:
        self.model_box.currentIndexChanged.connect(self._model_chosen)
        lists = (self.slide_box, self.model_box, self.level_box, self.region_box, self.device_box, self.saliency_box)
        for box in lists:
            box.currentIndexChanged.connect(self._settle_start)
        self.slide_box.activated.connect(lambda _index: self.slide_wanted.emit(str(self.slide_box.currentData())))
        self.scale_button.clicked.connect(self._give_scale)
        self.preview_button.clicked.connect(self.preview_wanted)

    def change_soon(self) -> None:
        """Emit ``changed`` once a slide that has just been opened will be on the screen."""
        self._settle.start(NEW_SLIDE_MS)

    def _settle_start(self) -> None:
        self._settle.start(SETTLE_MS)

    def _show_scale(self, slide: "Slide | None") -> None:
        """Ask for a scale that is unknown, and let one that is known be corrected; what is being typed stays."""
        # A phantom that is computed as one looks is computed in micrometres: there is nothing to correct.
        self.scale_row.setVisible(slide is not None and slide.format != PHANTOM_FORMAT)
        if slide is None or slide is self._scaled:
            return
        self._scaled = slide
        self.scale_label.setText("µm per pixel" if slide.um_per_px else "The file does not say its µm/px:")
        if slide.um_per_px:
            self.scale_box.setValue(math.sqrt(slide.um_per_px[0] * slide.um_per_px[1]))

    def _give_scale(self) -> None:
        self.scale_given.emit(self.scale_box.value())

    def _model_chosen(self) -> None:
        model = self.model
        self.model_note.setText(model_text(model) if model else "No model found.")
        if self.level_box.count():
            self.level_box.setItemText(0, auto_level_text(model))
        if model is not None:
            classes = [(f"of {name}", name) for name in model.classes]
            wanted = self.saliency_box.currentData()
            refill(self.saliency_box, [*classes, ("of the predicted class", PREDICTED), ("none", NO_SALIENCY)])
            if model.card.positive_class and wanted != NO_SALIENCY:
                # the class the map shows: saliency of another class over it would mislead
                with QSignalBlocker(self.saliency_box):
                    choose(self.saliency_box, model.card.positive_class)


def _scale_row() -> tuple[QWidget, QLabel, QDoubleSpinBox, QPushButton]:
    box = QDoubleSpinBox()
    box.setDecimals(4)
    box.setRange(0.01, 100.0)
    box.setValue(0.5)
    box.setSuffix(" µm/px")
    box.setToolTip("Micrometres per pixel of level 0; what you give wins over what the file says")
    button = QPushButton("Set scale")
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    label = note("µm per pixel")
    layout.addWidget(label)
    layout.addWidget(box)
    layout.addWidget(button)
    return row, label, box, button
