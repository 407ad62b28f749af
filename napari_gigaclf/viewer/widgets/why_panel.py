"""Why this place: the class, how the gradient is made and shown, its progress, and what is on show."""

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_gigaclf.inference.noise import SMOOTHED_AT_MOST
from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer.controllers.why import WhyChoices
from napari_gigaclf.viewer.texts import progress_text
from napari_gigaclf.viewer.widgets.controls import combo_box, note, refill

SIGNED, UNSIGNED = "signed", "unsigned"
SHORT = 8
"""Letters that a list has room for at least: the panel takes the slide no more room than the one above it."""


class WhyPanel(QWidget):
    """The button, its settings, and progress."""

    why_wanted = Signal()
    cancel_wanted = Signal()
    look_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.why_button = QPushButton("Why this place?")
        self.why_button.setToolTip(
            "How the logit of the chosen answer changes with every pixel it depends on: the exact gradient (key W)"
        )
        self.cancel_button = QPushButton("Cancel")
        self.class_box = combo_box("Class whose logit is differentiated", SHORT)
        self.sign_box = combo_box("Blue lowers and orange raises the logit when brighter; or magnitude alone", SHORT)
        self.of_box = combo_box("Of the answer itself, or of all its cells alike (where the model takes the highest)")
        self.smooth_box = QCheckBox("SmoothGrad")
        self.smooth_box.setToolTip(
            "Mean over copies of the slide with noise (Smilkov et al. 2017): less grainy, slower"
        )
        self.noise_box, self.samples_box, self.seed_box = QDoubleSpinBox(), QSpinBox(), QSpinBox()
        self.settings = QWidget()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.stage_note = note()
        self.why_note = note()
        self._on_show = ""
        """What is said of the gradient that lies over the slide; empty without one."""
        self._lay_out()
        self.why_button.clicked.connect(self.why_wanted)
        self.cancel_button.clicked.connect(self.cancel_wanted)
        self.sign_box.currentIndexChanged.connect(self.look_changed)
        self.smooth_box.toggled.connect(self.settings.setVisible)
        self.show_working("")

    @property
    def signed(self) -> bool:
        """Whether the sign is shown."""
        return bool(self.sign_box.currentData() == SIGNED)

    @property
    def choices(self) -> WhyChoices:
        """How the gradient is to be made."""
        return WhyChoices(
            class_name=str(self.class_box.currentData()),
            of=self.of_box.currentData(),
            smooth=self.smooth_box.isChecked(),
            noise=self.noise_box.value() / 100,
            samples=self.samples_box.value(),
            seed=self.seed_box.value(),
        )

    def offer_classes(self, classes: Sequence[str], preferred: str) -> None:
        """List the classes of a model; with other classes than before, the preferred one is chosen."""
        known = [self.class_box.itemData(index) for index in range(self.class_box.count())]
        if list(classes) == known:
            return
        refill(self.class_box, [(name, name) for name in classes])
        self.class_box.setCurrentIndex(max(0, self.class_box.findData(preferred)))

    def show_working(self, stage: str) -> None:
        """Show that a gradient is being made, and the stage; an empty one when it has ended."""
        working = bool(stage)
        self.cancel_button.setEnabled(working)
        self.bar.setVisible(working)
        self.stage_note.setVisible(working)
        self.stage_note.setText(stage)
        if working:
            self.bar.setRange(0, 0)

    def show_progress(self, progress: Progress) -> None:
        """Show how far it is."""
        self.bar.setRange(0, max(1, progress.total))
        self.bar.setValue(progress.done)
        self.stage_note.setText(progress_text(progress))

    def show_why(self, text: str) -> None:
        """Say what is on show; an empty text says that nothing is."""
        self._on_show = text
        self.reason_gone()

    def show_refusal(self, text: str) -> None:
        """Say why something that was asked for is not done, until ``reason_gone`` is called."""
        self.why_note.setText(text)
        self.why_note.setVisible(bool(text))

    def reason_gone(self) -> None:
        """Say no more why something was refused, but what is on show."""
        self.show_refusal(self._on_show)

    def _lay_out(self) -> None:
        refill(self.sign_box, [("signed", SIGNED), ("unsigned", UNSIGNED)])
        refill(self.of_box, [("of the answer", "answer"), ("of all its cells", "cells")])
        self._set_up_numbers()
        first, second, third = QHBoxLayout(), QHBoxLayout(), QGridLayout()
        first.addWidget(self.why_button)
        first.addWidget(self.class_box, 1)
        first.addWidget(self.cancel_button)
        second.addWidget(self.sign_box)
        second.addWidget(self.of_box, 1)
        third.setContentsMargins(0, 0, 0, 0)
        names = ("noise", "copies", "seed")
        for number, box in enumerate((self.noise_box, self.samples_box, self.seed_box)):
            third.addWidget(QLabel(names[number]), number // 2, number % 2 * 2)
            third.addWidget(box, number // 2, number % 2 * 2 + 1)
        third.setColumnStretch(1, 1)
        third.setColumnStretch(3, 1)
        self.settings.setLayout(third)
        self.settings.setVisible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(first)
        layout.addLayout(second)
        for widget in (self.smooth_box, self.settings, self.bar, self.stage_note, self.why_note):
            layout.addWidget(widget)
        self.show_why("")

    def _set_up_numbers(self) -> None:
        self.noise_box.setRange(0.1, 100.0)
        self.noise_box.setDecimals(1)
        self.noise_box.setValue(10.0)
        self.noise_box.setSuffix(" %")
        self.noise_box.setToolTip("Standard deviation of the noise, of the range of pixels from black to white")
        self.samples_box.setRange(1, SMOOTHED_AT_MOST)
        self.samples_box.setValue(16)
        self.samples_box.setToolTip("Noisy copies that are averaged; each takes as long as the gradient itself")
        self.seed_box.setRange(0, 2**31 - 1)
        self.seed_box.setToolTip("The same seed gives the same noise, and the same picture")
