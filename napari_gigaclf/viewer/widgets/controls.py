"""Small controls which the panels share: lists that keep their choice, labels that wrap."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QSignalBlocker, QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QTableWidget,
    QWidget,
)

from napari_gigaclf.viewer.texts import model_title

if TYPE_CHECKING:
    from napari_gigaclf.inference import Device
    from napari_gigaclf.models import ModelConfig

AUTO = "auto"
"""The processor that the program chooses."""
TEXT_MARGIN = 1
"""Pixels which Qt leaves free on either side of a list's text."""


def refill(combo: QComboBox, entries: Iterable[tuple[str, Hashable]]) -> None:
    """Fill a list anew and keep what was chosen if it is still there; emits nothing."""
    chosen = combo.currentData()
    with QSignalBlocker(combo):
        combo.clear()
        for text, value in entries:
            combo.addItem(text, value)
        index = combo.findData(chosen)
        combo.setCurrentIndex(index if index >= 0 else 0)


def choose(combo: QComboBox, value: Hashable) -> bool:
    """Choose an entry by its value; False if it is not there."""
    index = combo.findData(value)
    if index >= 0:
        combo.setCurrentIndex(index)
    return bool(index >= 0)


@contextmanager
def filling(table: QTableWidget) -> Iterator[None]:
    """Measure columns as wide as their texts once at the end: Qt does so at every cell, which takes seconds."""
    header = table.horizontalHeader()
    modes = [header.sectionResizeMode(column) for column in range(header.count())]
    header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    try:
        yield
    finally:
        for column, mode in enumerate(modes):
            header.setSectionResizeMode(column, mode)


class Eliding(QComboBox):
    """A list that leaves out the middle of what does not fit: names differ at their ends; the tooltip has it whole."""

    def __init__(self, tooltip: str) -> None:
        super().__init__()
        self._about = tooltip
        self.setToolTip(tooltip)
        self.view().setTextElideMode(Qt.TextElideMode.ElideMiddle)

    def event(self, event: QEvent) -> bool:
        """Say the whole entry when the mouse rests on it."""
        if event.type() == QEvent.Type.ToolTip:
            self.setToolTip(f"{self._about}:\n{self.currentText()}" if self.currentText() else self._about)
        return bool(super().event(event))

    def paintEvent(self, _event: QEvent) -> None:
        """Draw as every list is drawn, with a shortened text."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        room = field.width() - 2 * TEXT_MARGIN
        option.currentText = self.fontMetrics().elidedText(option.currentText, Qt.TextElideMode.ElideMiddle, room)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


def combo_box(tooltip: str, letters: int = 12) -> QComboBox:
    """Return a list that may be narrower than its longest entry, but shows so many letters of it."""
    combo = Eliding(tooltip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(letters)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return combo


def note(text: str = "", parent: QWidget | None = None) -> QLabel:
    """Return a label of several lines whose text can be copied."""
    label = QLabel(text, parent)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


class WholeNote(QLabel):
    """A note for a form: as high as its lines need, since a form forgets some when a row of several lines changes."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def setText(self, text: str) -> None:
        """Show a text."""
        super().setText(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Need another height at another width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self.isVisible():  # before, it is as narrow as nothing
            self.setMinimumHeight(self.heightForWidth(self.width()))


def line() -> QFrame:
    """Return a thin line between two parts."""
    frame = QFrame()
    frame.setFrameShape(QFrame.Shape.HLine)
    return frame


def scrolling(inner: QWidget) -> "Column":
    """Return a column that shows a part of a widget that is higher than the window."""
    area = Column()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    return area


def side_by_side(*widgets: QWidget) -> QWidget:
    """Return a row of widgets, of which the first takes the room there is."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for number, widget in enumerate(widgets):
        layout.addWidget(widget, 0 if number else 1)
    return row


FORGET_TIP = "Right-click the closed list, or press Delete there, to take this folder off it"


def refill_models(
    box: QComboBox,
    models: Mapping[str, "ModelConfig"],
    missing: Mapping[str, str],
    first: Iterable[tuple[str, Hashable]] = (),
) -> None:
    """List models by name or folder; folders whose model is missing with the reason, greyed out."""
    refill(box, [*first, *((model_title(model, key), key) for key, model in models.items())])
    for folder, reason in missing.items():
        if folder not in models:
            box.addItem(f"{Path(folder).name}: {reason}", folder)
            box.setItemData(box.count() - 1, f"{folder}\n{FORGET_TIP}", Qt.ItemDataRole.ToolTipRole)
            box.model().item(box.count() - 1).setEnabled(False)


def refill_devices(box: QComboBox, devices: Sequence["Device"], preferred: str) -> None:
    """List processors by their real names; those that cannot be used with the reason, greyed out."""
    usable = [device for device in devices if device.usable]
    entries = [(f"auto ({usable[0].name})", AUTO)] if usable else []
    entries += [(f"{device.name} ({device.key})", device.key) for device in usable]
    first = box.count() <= 1
    refill(box, entries)
    for device in devices:
        if not device.usable:
            box.addItem(f"{device.name}: {device.why_not}", device.key)
            box.model().item(box.count() - 1).setEnabled(False)
    if first and (index := box.findData(preferred)) >= 0:
        box.setCurrentIndex(index)


class Column(QScrollArea):
    """Scrolls up and down only: never narrower than what is in it."""

    def minimumSizeHint(self) -> QSize:
        """Return a size as wide as the content."""
        width = self.widget().minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
        return QSize(width, super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:
        """Begin no wider than needed: what is left of the window is the slide's."""
        return QSize(self.minimumSizeHint().width(), super().sizeHint().height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the content when its own layout changes."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))
