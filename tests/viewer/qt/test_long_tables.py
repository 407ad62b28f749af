"""Tables of hundreds of rows are filled again without measuring every column at every cell, which takes seconds."""

import numpy as np
import pytest
from qtpy.QtWidgets import QHeaderView, QStyledItemDelegate

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.findings.foci import find_foci
from napari_gigaclf.inference.findings.lesions import find_lesions
from napari_gigaclf.viewer.widgets.lesion_table import LesionTable

SMALL_DOCK_PX = 266
"""Width that is left in a dock beside the slide on a screen of 1280 x 800."""
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


@pytest.mark.parametrize("um_per_px", [(0.5, 0.5), None])
def test_lesions_of_all_sizes_in_several_pieces_are_read_without_scrolling_sideways(um_per_px, qtbot):
    scores = np.zeros((400, 600), dtype=np.float32)
    scores[5:250, 5:300] = 1.0
    scores[300:310, 350:380] = scores[::80, 400] = scores[390, 590] = 1.0
    grid = PixelGrid(origin=(0.0, 0.0), step=(64.0, 64.0), shape=scores.shape)
    sections = np.ones(scores.shape, dtype=np.int32)
    sections[:, 320:] = 2
    found = find_lesions(scores, find_foci(scores, 0.5), grid, um_per_px, sections, sized=um_per_px is not None)
    sizes = {"macro", "micro", "isolated cells"} if um_per_px else {None}
    assert {each.size_class for each in found} == sizes
    table = LesionTable()
    qtbot.addWidget(table)
    table.resize(SMALL_DOCK_PX, 200)
    table.show()
    table.show_lesions(found)
    qtbot.wait(50)
    shown = table.table
    assert shown.horizontalHeader().length() <= shown.viewport().width()
    columns = [each for each in range(shown.columnCount()) if not shown.isColumnHidden(each)]
    assert {"piece"} <= {shown.horizontalHeaderItem(each).text() for each in columns}
    for column in columns:  # nothing is left out of a text
        assert shown.sizeHintForColumn(column) <= shown.columnWidth(column)
    assert "piece 1 of the tissue" in shown.item(0, 0).toolTip()
