"""Tables of hundreds of rows are filled again without measuring every column at every cell, which takes seconds."""

import numpy as np
import pytest
from qtpy.QtWidgets import QHeaderView, QStyledItemDelegate

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.findings.foci import find_foci
from napari_gigaclf.inference.findings.lesions import find_lesions
from napari_gigaclf.viewer.widgets.lesion_table import LesionTable

PER_CELL = 10
"""Measurements of a cell that are fine."""


class Counting(QStyledItemDelegate):
    """Counts how often the size of a cell is asked for."""

    count = 0

    def sizeHint(self, option, index):
        self.count += 1
        return super().sizeHint(option, index)


@pytest.fixture
def lesions():
    """Two hundred lesions of one cell."""
    scores = np.zeros((40, 80), dtype=np.float32)
    scores[::4, ::4] = 1.0
    grid = PixelGrid(origin=(0.0, 0.0), step=(64.0, 64.0), shape=scores.shape)
    sections = np.ones(scores.shape, dtype=np.int32)
    return find_lesions(scores, find_foci(scores, 0.5), grid, (0.5, 0.5), sections, sized=True)


def test_lesions_again_and_again(lesions, qtbot):
    assert len(lesions) == 200
    table = LesionTable()
    qtbot.addWidget(table)
    table.show()
    counting = Counting(table)
    table.table.setItemDelegate(counting)
    table.show_lesions(lesions)
    qtbot.wait(50)
    counting.count = 0
    table.show_lesions(lesions[::-1])
    assert counting.count < PER_CELL * table.table.rowCount() * table.table.columnCount()
    assert table.table.horizontalHeader().sectionResizeMode(1) == QHeaderView.ResizeMode.ResizeToContents
