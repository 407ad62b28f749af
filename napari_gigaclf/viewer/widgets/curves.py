"""Curves of a run: the loss while learning and on the tuning slides, and below it AUC or Spearman's rho.

Painted with Qt alone: nothing to install, nothing to import. Colours are of Okabe and Ito's set, which people with the
usual colour blindnesses tell apart; each line also has a dash and a marker of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_gigaclf.viewer.train_texts import FIGURES, best_number

if TYPE_CHECKING:
    from napari_gigaclf.training.slides import Epoch

ON_LIGHT = ("#0072B2", "#D55E00", "#007E5D")
ON_DARK = ("#56B4E9", "#E69F00", "#2BC79A")
DARK_BELOW = 128
"""Lightness of the window under which it counts as dark."""
MOST_TICKS = 6
ROW_HEIGHT = 150
GAP = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve."""

    name: str
    points: tuple[tuple[int, float], ...]
    """(epoch, value)."""
    colour: int
    """Place in the set of colours."""
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Curves that share their axes."""

    lines: tuple[Line, ...]
    low: float
    high: float


def plots_of(epochs: "Sequence[Epoch]") -> tuple[Plot, ...]:
    """Return what is drawn of a run: losses, and a figure on the tuning slides if there is one."""
    losses = [
        _line("training loss", epochs, [epoch.train_loss for epoch in epochs], 0),
        _line("tuning loss", epochs, [epoch.tuning.get("loss", math.nan) for epoch in epochs], 1, dashed=True),
    ]
    shown = tuple(line for line in losses if line.points)
    if not shown:
        return ()
    highest = max(value for line in shown for _, value in line.points)
    plots = [Plot(lines=shown, low=0.0, high=1.05 * highest or 1.0)]
    for name in ("auc", "spearman"):
        line = _line(f"tuning {FIGURES[name]}", epochs, [epoch.tuning.get(name, math.nan) for epoch in epochs], 2)
        if line.points:
            low = -1.0 if min(value for _, value in line.points) < 0 else 0.0
            plots.append(Plot(lines=(line,), low=low, high=1.0))
    return tuple(plots)


def ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Return round numbers within a range, ``most`` of them at most.

    Examples
    --------
    >>> ticks(0.0, 0.73)
    [0.0, 0.2, 0.4, 0.6]
    """
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    power = 10.0 ** math.floor(math.log10(span))
    step = next(
        size * power for size in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if span / (size * power) <= most - 1 + 1e-9
    )
    first = math.ceil(low / step - 1e-9)
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(number * step, digits) for number in range(first, math.floor(high / step + 1e-9) + 1)]


class Curves(QWidget):
    """Draws the curves of a run."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plots: tuple[Plot, ...] = ()
        self._best = 0
        self._last = 1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Curves of the run")
        self.setVisible(False)

    def show_epochs(self, epochs: "Sequence[Epoch]") -> None:
        """Draw these epochs; without any the plot is hidden."""
        self._plots = plots_of(epochs)
        self._best = best_number(epochs)
        self._last = max((epoch.number for epoch in epochs), default=1)
        self.setAccessibleDescription(
            "; ".join(f"{line.name} {line.points[-1][1]:.4f}" for plot in self._plots for line in plot.lines)
        )
        self.setVisible(bool(self._plots))
        self.updateGeometry()
        self.update()

    @property
    def plots(self) -> tuple[Plot, ...]:
        """What is drawn."""
        return self._plots

    def sizeHint(self) -> QSize:
        """Return one height per plot."""
        return QSize(260, ROW_HEIGHT * max(1, len(self._plots)))

    def minimumSizeHint(self) -> QSize:
        """Return a width at which the ticks can be read."""
        return QSize(160, self.sizeHint().height())

    def paintEvent(self, _event: QEvent) -> None:
        """Draw the plots below each other."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for number, plot in enumerate(self._plots):
            self._draw(painter, plot, QRectF(0, number * ROW_HEIGHT, self.width(), ROW_HEIGHT - GAP))

    def _draw(self, painter: QPainter, plot: Plot, room: QRectF) -> None:
        metrics = self.fontMetrics()
        values = ticks(plot.low, plot.high)
        labels = [f"{value:g}" for value in values]
        left = max(metrics.horizontalAdvance(label) for label in labels) + GAP
        height = metrics.height()
        area = room.adjusted(left, height + GAP, -2 * GAP, -height - GAP)
        self._draw_axes(painter, plot, area, list(zip(values, labels, strict=True)))
        x = area.left()
        for line in plot.lines:
            x = self._draw_line(painter, plot, line, area, QPointF(x, room.top() + height / 2))
        if self._best:
            self._draw_best(painter, plot, area, QRectF(x, room.top(), room.right() - x, height))

    def _draw_axes(self, painter: QPainter, plot: Plot, area: QRectF, labels: list[tuple[float, str]]) -> None:
        """Draw the grid with its numbers, and where the best epoch is."""
        metrics, text = self.fontMetrics(), self._text_colour()
        faint = QColor(text)
        faint.setAlpha(70)
        height = metrics.height()
        for value, label in labels:
            y = self._place(plot, area, 1, value).y()
            painter.setPen(QPen(faint, 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(text)
            box = QRectF(0, y - height / 2, area.left() - GAP / 2, height)
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, label)
        for epoch in sorted({round(value) for value in ticks(1, max(self._last, 2))} | {1, self._last}):
            if epoch in (1, self._last) or 1 + self._last / 12 < epoch < self._last * 11 / 12:
                x = self._place(plot, area, epoch, plot.low).x()
                width = metrics.horizontalAdvance(str(epoch)) + 2
                box = QRectF(x - width / 2, area.bottom() + 2, width, height)
                painter.drawText(_within(box, self.width()), Qt.AlignmentFlag.AlignCenter, str(epoch))

    def _draw_best(self, painter: QPainter, plot: Plot, area: QRectF, key: QRectF) -> None:
        """Draw where the best epoch is, and say so where the names of the curves end."""
        painter.setPen(QPen(self._text_colour(), 1, Qt.PenStyle.DotLine))
        x = self._place(plot, area, self._best, plot.low).x()
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.drawLine(QPointF(key.left() + 2, key.top()), QPointF(key.left() + 2, key.bottom()))
        painter.setPen(self._text_colour())
        painter.drawText(key.adjusted(GAP + 2, 0, 0, 0), Qt.AlignmentFlag.AlignLeft, "best epoch")

    def _draw_line(self, painter: QPainter, plot: Plot, line: Line, area: QRectF, key: QPointF) -> float:
        """Draw a curve and its name; return where the next name may begin."""
        colour = QColor((ON_DARK if self._is_dark() else ON_LIGHT)[line.colour])
        pen = QPen(colour, 2, Qt.PenStyle.DashLine if line.dashed else Qt.PenStyle.SolidLine)
        painter.setPen(pen)
        places = [self._place(plot, area, epoch, value) for epoch, value in line.points]
        painter.drawPolyline(places)
        painter.drawLine(key, key + QPointF(18, 0))
        painter.setPen(QPen(colour, 1))
        painter.setBrush(Qt.BrushStyle.NoBrush if line.dashed else colour)
        for place in (*places, key + QPointF(9, 0)):
            painter.drawEllipse(place, 2.5, 2.5)
        painter.setPen(self._text_colour())
        width = self.fontMetrics().horizontalAdvance(line.name)
        box = QRectF(key.x() + 22, key.y() - self.fontMetrics().height() / 2, width + 2, self.fontMetrics().height())
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, line.name)
        return float(box.right() + 2 * GAP)

    def _place(self, plot: Plot, area: QRectF, epoch: int, value: float) -> QPointF:
        """Return where a value of an epoch lies; a single epoch lies in the middle."""
        across = 0.5 if self._last <= 1 else (epoch - 1) / (self._last - 1)
        up = (value - plot.low) / (plot.high - plot.low)
        return QPointF(area.left() + across * area.width(), area.bottom() - up * area.height())

    def _text_colour(self) -> QColor:
        return self.palette().color(self.foregroundRole())

    def _is_dark(self) -> bool:
        """Return whether the writing is light, so that what is behind it is dark."""
        return bool(self._text_colour().lightness() >= DARK_BELOW)


def _line(name: str, epochs: "Sequence[Epoch]", values: Sequence[float], colour: int, *, dashed: bool = False) -> Line:
    """Return the curve of the values that are numbers."""
    points = tuple((epoch.number, value) for epoch, value in zip(epochs, values, strict=True) if math.isfinite(value))
    return Line(name=name, points=points, colour=colour, dashed=dashed)


def _within(box: QRectF, width: float) -> QRectF:
    """Return a box moved so that it does not leave the widget."""
    return box.translated(min(0.0, width - box.right()) + max(0.0, -box.left()), 0)
