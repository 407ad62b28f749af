"""The dock widget "Worklist": slides of a folder or a table one after the other, with what is known of each."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QMimeData, Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_gigaclf.viewer.bridge import GuiPost
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.canvas_keys import CanvasKeys
from napari_gigaclf.viewer.controllers.worklist import WorklistController
from napari_gigaclf.viewer.controllers.worklist_jobs import TABLES, KnownFiles, Worklist
from napari_gigaclf.viewer.returning.drawings import claim
from napari_gigaclf.viewer.returning.host import found_in, let_slides_return
from napari_gigaclf.viewer.returning.masks import num_drawn_on
from napari_gigaclf.viewer.set_aside import set_aside
from napari_gigaclf.viewer.widgets.by_keyboard import bind_within
from napari_gigaclf.viewer.widgets.controls import note
from napari_gigaclf.viewer.widgets.docked import Docked
from napari_gigaclf.viewer.widgets.path_row import PathRow
from napari_gigaclf.viewer.worker import Worker
from napari_gigaclf.viewer.worklist_commands import NEXT_KEY, PREVIOUS_KEY, STEPPERS
from napari_gigaclf.viewer.worklist_texts import (
    EMPTY,
    OPENING,
    known_text,
    known_tip,
    leaving_text,
    list_text,
    problem_status,
)

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.controllers.returning import ReturningController

COLUMNS = ("slide", "status")
LOOK_AFTER_MS = 500
"""What is known of the slides is read anew so long after something was written."""


class WorklistWidget(Docked):
    """Go through a list of slides.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it by this name.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:  # noqa: ANN401 - no stubs
        super().__init__(parent)
        self.canvas = SlideCanvas(napari_viewer)
        self.source_row = PathRow("Folder of slides, or table that names them", "folder, CSV or Parquet", _ask_folder)
        self.table_button = QPushButton("Table...")
        self.table = QTableWidget(0, len(COLUMNS))
        self.position_note = note(EMPTY)
        self.note = note()
        self.previous_button = _button("Previous (PgUp)", "Open the previous slide; press PageUp over the slide")
        self.next_button = _button("Next (PgDown)", "Open the next slide; press PageDown over the slide")
        self.again_button = _button("List again", "Read the folder or the table once more")
        self._lay_out()
        self._post = GuiPost(self)
        self.worker = Worker("gigaclf-worklist", self._post)
        self.controller = WorklistController(self, self.canvas, worker=self.worker, known=KnownFiles())
        self._look_soon = QTimer()  # our own: the window may take its children with it before we are shut down
        self._look_soon.setSingleShot(True)
        self._look_soon.setInterval(LOOK_AFTER_MS)
        self._look_soon.timeout.connect(self.controller.look_again)
        self._forget = STEPPERS.register(napari_viewer, self)
        keys = {NEXT_KEY: lambda: self.step(1), PREVIOUS_KEY: lambda: self.step(-1)}
        self.keys = CanvasKeys(napari_viewer, keys)
        bind_within(self, keys)
        self.setAcceptDrops(True)
        for field in self.findChildren(QLineEdit):
            field.setAcceptDrops(False)  # a folder is dropped on the widget, wherever that is
        self._closed = False
        self._connect()
        self.show_rows()

    def step(self, by: int) -> None:
        """Open the next (1) or the previous (-1) slide."""
        self.controller.step(by)

    def list_again(self) -> None:
        """Read the folder or the table once more."""
        path = self.source_row.path
        if path is None:
            self.show_note(EMPTY)
        else:
            self.controller.choose(path)

    # --- WorklistView -----------------------------------------------------------------------------------------------

    def show_list(self, worklist: Worklist) -> None:
        """List slides anew."""
        self.table.setRowCount(0)
        self.table.setRowCount(len(worklist.items))
        for row, item in enumerate(worklist.items):
            for column, (text, tip) in enumerate(((item.name, str(item.path)), ("", ""))):
                cell = QTableWidgetItem(text)
                cell.setFlags(Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled)
                cell.setToolTip(tip)
                self.table.setItem(row, column, cell)

    def show_rows(self) -> None:
        """Show what is known of the slides, and which is open, anew."""
        work, shown = self.controller, self.controller.open_row
        some = work.worklist is not None
        for button in (self.previous_button, self.next_button, self.again_button):
            button.setEnabled(some)
        self.position_note.setText(
            EMPTY if work.worklist is None
            else list_text(work.current, work.known, work.problems, work.worklist.left_out)
        )  # fmt: skip
        for row, known in enumerate(work.known):
            problem = work.problems[row]
            text, tip = known_text(known, is_open=row == shown), known_tip(known)
            if problem:
                text, tip = problem_status(problem, self.table.item(row, 0).text()), problem
            elif row == work.current and work.opening:
                text = OPENING
            self.table.item(row, 1).setText(text)
            self.table.item(row, 1).setToolTip(tip)
            font = self.table.item(row, 0).font()
            font.setBold(row == shown)
            self.table.item(row, 0).setFont(font)
            if problem:
                self.table.resizeRowToContents(row)  # the reason is read as a whole
        if work.current is not None:
            self.table.setCurrentCell(work.current, 0)

    def show_note(self, text: str) -> None:
        """Show one line; empty for none."""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def may_leave(self, slide: "Slide") -> bool:
        """Return whether a slide may be closed; asks a person if something would be lost."""
        window = self.main_window()
        widgets = [] if window is None else window.findChildren(Docked)
        if found_in(window) is None and len(self.canvas.slide_layers()) == 1:
            claim(self.canvas, slide.id)
        lost = [what for each in widgets if not each.is_closed for what in each.lost_with(slide.id)]
        returning = found_in(window)
        if returning is not None and returning.controller.keeps_shapes(slide.id):
            num_lost = returning.controller.not_kept(slide.id)
        else:
            num_lost = num_drawn_on(self.canvas, slide.id)
        text = leaving_text(slide.name, lost, num_lost)
        return not text or self.ask(text)

    def slide_shown(self) -> None:
        """Let a slide that was just added return as it was left."""
        self.returning()
        set_aside(self.canvas.viewer)  # what this window has imported is not searched at every step

    def returning(self) -> "ReturningController | None":
        """Return what lets slides return, which the list follows; None if a person does not want it."""
        returning = let_slides_return(self.canvas.viewer)
        if returning is None:
            return None
        returning.controller.saved = self._look_soon.start
        return returning.controller

    # --- inside -----------------------------------------------------------------------------------------------------

    def ask(self, text: str) -> bool:
        """Ask a person whether to go on; a key pressed once too often loses nothing."""
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        return bool(QMessageBox.question(self, "Worklist", text, yes | no, no) == yes)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take folders and tables that are dragged here."""
        if _dropped(event.mimeData()) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """List what is dropped."""
        source = _dropped(event.mimeData())
        if source is not None:
            event.acceptProposedAction()
            self.source_row.set_path(source)

    def shut_down(self) -> None:
        """Give the keys back and let go of the viewer; what is open stays open."""
        if self._closed:
            return
        self._closed = True
        returning = found_in(self.main_window())
        if returning is not None:
            returning.controller.saved = lambda: None
        self._let_go()
        self._look_soon.stop()
        self._forget()
        self.keys.stop()
        self._stop_watching()
        self._post.close()
        self.worker.close()

    def _ask_table(self) -> None:
        patterns = " ".join(f"*{suffix}" for suffix in TABLES)
        name = QFileDialog.getOpenFileName(self, "Table of slides", "", f"Tables ({patterns});;All files (*)")[0]
        if name:
            self.source_row.set_path(Path(name))

    def _lay_out(self) -> None:
        self.table_button.setToolTip("Choose a table (CSV or Parquet) with a column 'slide'")
        self.source_row.button.setText("Folder...")
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setAccessibleName("Worklist")
        self.table.verticalHeader().setVisible(False)
        self.table.setTabKeyNavigation(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.note.setVisible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        source, buttons = QHBoxLayout(), QHBoxLayout()
        source.addWidget(self.source_row, 1)
        source.addWidget(self.table_button)
        for button in (self.previous_button, self.next_button, self.again_button):
            buttons.addWidget(button)
        column.addLayout(source)
        column.addWidget(self.position_note)
        column.addWidget(self.table, 1)
        column.addWidget(self.note)
        column.addLayout(buttons)

    def _connect(self) -> None:
        self.source_row.changed.connect(self.list_again)
        self.table_button.clicked.connect(self._ask_table)
        self.again_button.clicked.connect(self.list_again)
        self.next_button.clicked.connect(lambda: self.step(1))
        self.previous_button.clicked.connect(lambda: self.step(-1))
        self.table.cellDoubleClicked.connect(lambda row, _column: self.controller.open(row))
        self.table.cellActivated.connect(lambda row, _column: self.controller.open(row))
        self._stop_watching = self.canvas.watch(lambda: None, lambda _layer: self.show_rows())
        worker = self.worker
        self.destroyed.connect(lambda: worker.close())


def _button(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    return button


def _dropped(data: QMimeData) -> Path | None:
    """Return the folder or table among what is dragged."""
    paths = [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
    return next((path for path in paths if path.is_dir() or path.suffix.lower() in TABLES), None)


def _ask_folder(parent: QWidget) -> str:
    return str(QFileDialog.getExistingDirectory(parent, "Folder of slides"))
