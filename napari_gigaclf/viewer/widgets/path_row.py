"""A field for a file or folder, which can be typed, chosen in a dialog, or set."""

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QWidget


class PathRow(QWidget):
    """A line to type a path in, and a button that asks for one.

    Parameters
    ----------
    tooltip, placeholder
        What the path is for; what the empty line says.
    ask
        Asks a person for a path; empty if they chose none.
    """

    changed = Signal()

    def __init__(self, tooltip: str, placeholder: str, ask: Callable[[QWidget], str]) -> None:
        super().__init__()
        self._ask = ask
        self._told = ""
        self.line = QLineEdit()
        self.line.setPlaceholderText(placeholder)
        self.line.setToolTip(tooltip)
        self.line.setAccessibleName(tooltip)
        self.button = QPushButton("Choose...")
        self.button.setToolTip(tooltip)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line, 1)
        layout.addWidget(self.button)
        self.line.editingFinished.connect(self._tell)
        self.button.clicked.connect(self._choose)

    @property
    def path(self) -> Path | None:
        """The path; None where nothing is given."""
        text = self.line.text().strip()
        return Path(text).expanduser() if text else None

    def set_path(self, path: Path) -> None:
        """Show a path, with its end in view, and tell of it."""
        self.line.setText(str(path))
        self._tell()

    def _choose(self) -> None:
        chosen = self._ask(self)
        if chosen:
            self.set_path(Path(chosen))

    def _tell(self) -> None:
        if self.line.text() != self._told:
            self._told = self.line.text()
            self.changed.emit()
