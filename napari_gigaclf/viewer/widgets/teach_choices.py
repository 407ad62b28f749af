"""The upper part of the Teach widget: the model whose features are taught on, the lesson, and the slide's features."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QInputDialog,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer.texts import progress_text
from napari_gigaclf.viewer.widgets.controls import choose, combo_box, note, refill, refill_models, side_by_side

if TYPE_CHECKING:
    from napari_gigaclf.models import ModelConfig


class TeachChoices(QWidget):
    """Lists of slides, models and lessons, and what is known of the slide's features."""

    slide_chosen = Signal(str)
    model_chosen = Signal(str)
    lesson_chosen = Signal(object)
    lesson_renamed = Signal(str)
    read_wanted = Signal()
    stop_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.slide_box = combo_box("The slide that is taught on: the one on top")
        self.model_box = combo_box("The model whose features are taught on")
        self.folder_button = QPushButton("Folder...")
        self.folder_button.setToolTip("Use a model folder (config.json and model.safetensors)")
        self.lesson_box = combo_box("What was taught on this model before, on any slide")
        self.new_button = QPushButton("New")
        self.new_button.setToolTip("Begin a new lesson; the others stay in the list")
        self.rename_button = QPushButton("Rename...")
        self.rename_button.setToolTip("Give the lesson another name; it stays in its file")
        self.features_note = note()
        self.read_button = QPushButton("Read slide")
        self.read_button.setToolTip("Stream the slide through the model once and keep its features")
        self.stop_button = QPushButton("Stop")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.models: dict[str, ModelConfig] = {}
        self.missing: dict[str, str] = {}
        self._lay_out()
        self._connect()
        self.show_features("", ready=False, readable=False, reading=False)

    def offer_slides(self, entries: Sequence[tuple[str, str]], top: str) -> None:
        """List the open slides (name, id), with the one on top chosen."""
        refill(self.slide_box, entries)
        with QSignalBlocker(self.slide_box):
            self.slide_box.setCurrentIndex(self.slide_box.findData(top))

    @property
    def model_list(self) -> QComboBox:
        """Where models are listed."""
        return self.model_box

    def offer_models(self, models: "Mapping[str, ModelConfig]", missing: Mapping[str, str] | None = None) -> None:
        """List models by name or folder; ``missing`` greyed out with the reason."""
        self.models |= models
        self.missing |= missing or {}
        refill_models(self.model_box, self.models, self.missing)

    def choose_model(self, key: str) -> None:
        """Choose a model that is listed."""
        choose(self.model_box, key)

    def show_lessons(self, lessons: Sequence[tuple[str, Path | None]], chosen: Path | None) -> None:
        """List the lessons with the one that is taught."""
        refill(self.lesson_box, [(name, str(path)) for name, path in lessons])
        with QSignalBlocker(self.lesson_box):
            self.lesson_box.setCurrentIndex(self.lesson_box.findData(str(chosen)))

    def ask_lesson_name(self) -> None:
        """Ask for another name of the lesson that is taught."""
        before = self.lesson_box.currentText()
        name, given = QInputDialog.getText(self, "Rename the lesson", "Name of the lesson", text=before)
        if given:
            self.lesson_renamed.emit(name)

    def show_features(self, text: str, *, ready: bool, readable: bool, reading: bool) -> None:
        """Say whether the slide's features are there."""
        self.features_note.setText(text)
        self.read_button.setEnabled(readable)
        self.read_button.setVisible(not ready)
        self.stop_button.setVisible(reading)
        self.bar.setVisible(reading)
        if not reading:
            self.bar.setRange(0, 0)

    def show_progress(self, progress: Progress) -> None:
        """Show how far the reading of a slide is."""
        if self.bar.isVisibleTo(self):
            self.bar.setRange(0, max(1, progress.total))
            self.bar.setValue(progress.done)
            self.features_note.setText(progress_text(progress))

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Slide", self.slide_box)
        form.addRow("Model", side_by_side(self.model_box, self.folder_button))
        form.addRow("Lesson", side_by_side(self.lesson_box, self.rename_button, self.new_button))
        row = QHBoxLayout()
        row.addWidget(self.read_button)
        row.addWidget(self.stop_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.features_note)
        layout.addWidget(self.bar)
        layout.addLayout(row)

    def _connect(self) -> None:
        self.slide_box.currentIndexChanged.connect(lambda: self.slide_chosen.emit(str(self.slide_box.currentData())))
        self.model_box.currentIndexChanged.connect(lambda: self.model_chosen.emit(str(self.model_box.currentData())))
        self.lesson_box.currentIndexChanged.connect(
            lambda: self.lesson_chosen.emit(Path(str(self.lesson_box.currentData())))
        )
        self.new_button.clicked.connect(lambda: self.lesson_chosen.emit(None))
        self.rename_button.clicked.connect(self.ask_lesson_name)
        self.read_button.clicked.connect(self.read_wanted)
        self.stop_button.clicked.connect(self.stop_wanted)
