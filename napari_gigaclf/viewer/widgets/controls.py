"""Small controls which the panels share: lists that keep their choice, labels that wrap."""

from collections.abc import Hashable, Iterable

from qtpy.QtCore import QEvent, QObject, QSignalBlocker, QSize, Qt
from qtpy.QtWidgets import QComboBox, QFrame, QLabel, QScrollArea, QSizePolicy, QWidget


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


def combo_box(tooltip: str) -> QComboBox:
    """Return a list that may be narrower than its longest entry."""
    combo = QComboBox()
    combo.setToolTip(tooltip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return combo


def note(text: str = "", parent: QWidget | None = None) -> QLabel:
    """Return a label of several lines whose text can be copied."""
    label = QLabel(text, parent)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def line() -> QFrame:
    """Return a thin line between two parts."""
    frame = QFrame()
    frame.setFrameShape(QFrame.Shape.HLine)
    return frame


class Column(QScrollArea):
    """Scrolls up and down only: never narrower than what is in it."""

    def minimumSizeHint(self) -> QSize:
        """Return a size as wide as the content."""
        width = self.widget().minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
        return QSize(width, super().minimumSizeHint().height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the content when its own layout changes."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))
