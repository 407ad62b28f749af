"""The dock widget "Hotspots": the most suspicious places one by one, what a person says of them, and the lesions.

The widget ties panels, controller and canvas together, without logic of its own. It imports no torch and needs no
network: whatever result lies over a slide, run here or opened from a file, is listed.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_gigaclf.viewer.blindfold import Blindfold
from napari_gigaclf.viewer.bridge import GuiPost
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.canvas_keys import CanvasKeys
from napari_gigaclf.viewer.controllers.findings import FindingsController
from napari_gigaclf.viewer.controllers.findings_jobs import first_class
from napari_gigaclf.viewer.findings_texts import (
    BLIND,
    NOTHING,
    ONLY_SCORES,
    empty_text,
    keys_text,
    position_text,
    tally_text,
)
from napari_gigaclf.viewer.hotspot_commands import REVIEWERS, key_actions
from napari_gigaclf.viewer.result_marks import ResultMarks
from napari_gigaclf.viewer.result_watch import Result, ResultWatch
from napari_gigaclf.viewer.slide_notes import HotspotsShown, notes_of
from napari_gigaclf.viewer.widgets.by_keyboard import bind_within
from napari_gigaclf.viewer.widgets.classify import classifiers_in
from napari_gigaclf.viewer.widgets.controls import line, note, refill, scrolling
from napari_gigaclf.viewer.widgets.docked import Docked
from napari_gigaclf.viewer.widgets.hotspot_choices import HotspotChoices
from napari_gigaclf.viewer.widgets.hotspot_list import HotspotList
from napari_gigaclf.viewer.widgets.lesion_table import LesionTable
from napari_gigaclf.viewer.widgets.reader_panel import ReaderPanel
from napari_gigaclf.viewer.widgets.resting import when_resting
from napari_gigaclf.viewer.worker import Worker
from napari_gigaclf.viewer.worklist_texts import marks_lost

if TYPE_CHECKING:
    from napari_gigaclf.inference.findings.comparison import Comparison, Place
    from napari_gigaclf.inference.findings.foci import Tally
    from napari_gigaclf.inference.findings.lesions import Lesion
    from napari_gigaclf.inference.findings.ranking import Entry
    from napari_gigaclf.inference.findings.reviews import ReaderCall, ReviewLog

SPACING = 4
"""Pixels between parts: on a small screen the list needs the room."""


class HotspotsWidget(Docked):
    """Go through the most suspicious places of a result and say what they are.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it by this name.
    reviews
        Where verdicts are kept; None takes the user's own folder.
    """

    def __init__(
        self,
        napari_viewer: Any,  # noqa: ANN401 - no stubs
        parent: QWidget | None = None,
        *,
        reviews: Path | None = None,
    ) -> None:
        super().__init__(parent)
        self.canvas = SlideCanvas(napari_viewer)
        self.marks = ResultMarks(self.canvas)
        self._notes = notes_of(napari_viewer)
        self.blindfold = Blindfold(self.canvas)
        self._seen: set[str] = set()
        """Slides whose reader has made a call."""
        self.choices = HotspotChoices()
        self.reader = ReaderPanel(self.choices.reader_box)
        self.tally_note = note(NOTHING)
        self.list = HotspotList()
        self.lesions = LesionTable()
        self.export_button = QPushButton("Export...")
        self.note = note()
        self.saved_note = note()
        self._post = GuiPost(self)
        self.quick = Worker("gigaclf-hotspots", self._post)
        self.saver = Worker("gigaclf-reviews", self._post)
        self.pictures = Worker("gigaclf-thumbnails", self._post)
        self.findings = FindingsController(
            self, quick=self.quick, saver=self.saver, pictures=self.pictures, post=self._post, folder=reviews
        )
        self._numbering = when_resting(self, lambda: self.marks.number(self.findings.entries, self.findings.shown))
        self._set_up()
        self._lay_out()
        self._forget = REVIEWERS.register(napari_viewer, self)
        actions = key_actions(napari_viewer)
        self.keys = CanvasKeys(napari_viewer, actions)
        bind_within(self, actions)
        self._closed = False
        self._connect()
        self.watch = ResultWatch(napari_viewer, self.results_changed)
        self._stop_zoom = self.canvas.watch_view(self._view_moved)
        self.results_changed()

    # --- FindingsView -----------------------------------------------------------------------------------------------

    def show_list(self, entries: "Sequence[Entry]", shown: Sequence[int]) -> None:
        """Show a list anew."""
        self.list.show_list(entries, shown)
        self.marks.put(entries, shown)
        self._say_if_empty(entries, shown)

    def show_shown(self, entries: "Sequence[Entry]", shown: Sequence[int]) -> None:
        """Show other entries of the same list."""
        self.list.show_shown(entries, shown, self.findings.current)
        self.marks.show(entries, shown)
        self._numbering.start()
        self._say_if_empty(entries, shown)

    def show_entry(self, index: int, entry: "Entry") -> None:
        """Show what was said of an entry."""
        self.list.show_entry(index, entry)
        self._show_position()
        self.marks.judge(self.findings.entries, self.findings.shown)

    def show_current(self, index: int) -> None:
        """Show which entry is the current one."""
        self.list.show_current(index, self.findings.entries[index])
        self._show_position()
        self.show_note("")
        self.marks.point_out(self.findings.entries, index)

    def go_to(self, entry: "Entry") -> None:
        """Look at a place."""
        self.marks.go_to(entry)

    def show_thumbnail(self, index: int, pixels: NDArray[np.uint8]) -> None:
        """Show what the slide looks like at an entry."""
        self.list.show_thumbnail(index, pixels)

    def show_tally(self, found: "Tally", num_hotspots: int) -> None:
        """Show how much reaches the threshold."""
        result = self.findings.found
        if result is not None:
            complete = result.prediction.complete
            self.tally_note.setText(tally_text(found, num_hotspots, result.class_name, complete=complete))

    def show_lesions(self, lesions: "Sequence[Lesion]") -> None:
        """Show the lesions at the threshold."""
        self.lesions.show_lesions(lesions)

    def show_blind(self, blind: bool) -> None:
        """Hide all that the model found, or show it."""
        opened = self.marks.opened
        if opened is not None:
            log = self.findings.log
            self._seen.discard(opened.slide_id)
            if log is not None and log.call is not None:
                self._seen.add(opened.slide_id)
                self.marks.end_own(log.call.places)
        self.reader.show_blind(blind and opened is not None)
        self._hide_maps()
        self.choices.show_threshold(not blind)
        for part in (self.tally_note, self.list, self.lesions, self.export_button):
            part.setVisible(not blind)

    def show_comparison(self, call: "ReaderCall", found: "Comparison") -> None:
        """Show the reader's own call beside what the model found."""
        result = self.findings.found
        if result is not None:
            self.reader.show_comparison(call, found, result.prediction, result.class_name)

    def show_saved(self, log: "ReviewLog") -> None:
        """Show that what was said is on the disk."""
        self.saved_note.setText(f"saved {datetime.now().astimezone():%H:%M:%S}")
        self.saved_note.setToolTip(f"{len(log.reviews)} verdicts and notes, kept in your own folder")

    def show_note(self, text: str) -> None:
        """Show one line."""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def lost_with(self, slide_id: str) -> list[str]:
        """Return what would be lost if a slide were closed now: marks of a call that was not recorded."""
        opened, log = self.marks.opened, self.findings.log
        recorded = opened is None or opened.slide_id != slide_id or log is None or log.call is not None
        return [] if recorded else marks_lost(len(self.marks.own_places()))

    # --- results ----------------------------------------------------------------------------------------------------

    def results_changed(self) -> None:
        """List the open results anew; the latest is shown."""
        self._hide_maps()
        results = {result.slide_id: result for result in self.watch.results()}
        known = {self.choices.result_box.itemData(index) for index in range(self.choices.result_box.count())}
        refill(self.choices.result_box, [(result.name, slide_id) for slide_id, result in results.items()])
        opened = self.marks.opened
        fresh = [slide_id for slide_id in results if slide_id not in known]
        if fresh:
            with QSignalBlocker(self.choices.result_box):
                self.choices.result_box.setCurrentIndex(self.choices.result_box.findData(fresh[-1]))
        chosen = results.get(str(self.choices.result_box.currentData()))
        if chosen is None:
            if opened is not None:
                self._close_result()
        elif opened is None or not _same(opened, chosen):
            self._open(chosen)

    def export_to(self, folder: Path) -> None:
        """Write hotspots with what was said of them, and lesions, into a folder."""
        opened = self.marks.opened
        if opened is None:
            self.show_note("There is no result to export: classify a slide first.")
            return
        from napari_gigaclf.annotations.origin import qupath_origin
        from napari_gigaclf.viewer.controllers.jobs import file_stem

        slide = opened.slide
        stem = opened.prediction.record.slide.name.split(".")[0] if slide is None else file_stem(slide)
        origin = (0.0, 0.0) if slide is None else qupath_origin(slide.properties)
        self.findings.export(folder, stem, origin)

    def ask_where_to_export(self) -> None:
        """Ask for a folder and write hotspots and lesions into it."""
        folder = QFileDialog.getExistingDirectory(self, "Folder for hotspots and lesions")
        if folder:
            self.export_to(Path(folder))

    def shut_down(self) -> None:
        """Write what is not yet written, give the keys back and let go of the viewer."""
        if self._closed:
            return
        self._closed = True
        for classify in classifiers_in(self.main_window()):
            classify.hide_findings(False)
        self.blindfold.apply(lambda _slide_id: False)
        self._let_go()
        self.watch.stop()
        self._stop_zoom()
        self._forget()
        self.keys.stop()
        self._post.close()
        self.findings.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _open(self, result: Result) -> None:
        self.marks.opened = result
        if result.prediction.head.config.is_regression:
            self.findings.result_gone()
            self.tally_note.setText(ONLY_SCORES)
            return
        classes = result.prediction.classes
        noted = self._notes.of(result.slide_id).hotspots
        wanted = noted.class_name if noted and noted.class_name in classes else first_class(result.prediction)
        with QSignalBlocker(self.choices.class_box):
            refill(self.choices.class_box, [(name, name) for name in classes])
            self.choices.class_box.setCurrentIndex(self.choices.class_box.findData(wanted))
        if noted is not None:
            self.findings.threshold = self.choices.take_threshold(noted.threshold)
        self.list.offer_classes([name for name in classes if name != wanted])
        self.reader.offer_classes(classes)
        self.reader.forget()
        self.tally_note.setText("looking for the highest places...")
        self.saved_note.setText("")
        self.show_note("")
        self.findings.open(result.slide, result.prediction, wanted)

    def _close_result(self) -> None:
        self.marks.close()
        self.reader.forget()
        self.findings.result_gone()
        self.lesions.show_lesions([])
        self.tally_note.setText(NOTHING)

    def _class_chosen(self) -> None:
        if self.marks.opened is not None and self.choices.class_box.count():
            wanted = str(self.choices.class_box.currentData())
            self.list.offer_classes([name for name in self.marks.opened.prediction.classes if name != wanted])
            self.findings.look(wanted)
            self._note_shown()

    def _threshold_given(self, threshold: float) -> None:
        self.findings.set_threshold(threshold)
        self._note_shown()

    def _note_shown(self) -> None:
        """Note which list is shown, so that it is there again when the slide is opened again."""
        opened = self.marks.opened
        if opened is not None and self.choices.class_box.count():
            name, threshold = str(self.choices.class_box.currentData()), self.findings.threshold
            self._notes.note_hotspots(opened.slide_id, HotspotsShown(class_name=name, threshold=threshold))

    def _result_chosen(self) -> None:
        self.marks.close()
        self.results_changed()

    def _hide_maps(self) -> None:
        """Hide the maps of slides whose reader has not made a call, if that comes first; show the others again."""
        first = self.reader.switch.isChecked()
        self.blindfold.apply(lambda slide_id: first and slide_id not in self._seen)
        slide_id = None if self.marks.opened is None else self.marks.opened.slide_id
        for classify in classifiers_in(self.main_window()):
            classify.hide_findings(first and slide_id not in self._seen)

    def _view_moved(self) -> None:
        if self.findings.entries:
            self.marks.follow_zoom(self.findings.entries)

    def _call_given(self, class_name: str) -> None:
        if self.marks.opened is not None:
            self.findings.record_call(class_name, self.marks.own_places())

    def _look_at(self, place: "Place") -> None:
        if self.marks.opened is not None:
            self.canvas.look_at(self.marks.frame, place)

    def _say_if_empty(self, entries: "Sequence[Entry]", shown: Sequence[int]) -> None:
        found = self.findings.found
        if self.findings.blind:
            self.show_note(BLIND)
            return
        if found is None or shown:
            self.show_note("")
            return
        highest = entries[0].probability if entries else None
        self.show_note(empty_text(highest, found.class_name, self.findings.threshold))

    def _show_position(self) -> None:
        findings = self.findings
        self.list.position_note.setText(position_text(findings.entries, findings.shown, findings.current))

    def _set_up(self) -> None:
        self.findings.reader = self.choices.reader_box.text()
        what = "Hotspots with verdicts, who and when, as GeoJSON for QuPath and CSV; lesions as CSV"
        self.export_button.setToolTip(what)
        self.list.setToolTip(keys_text())
        self.list.setEnabled(False)
        self.note.setVisible(False)

    def _lay_out(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(SPACING)
        last = QHBoxLayout()
        last.addWidget(self.export_button)
        last.addWidget(self.saved_note, 1)
        for part in (self.choices, self.reader, self.tally_note):
            column.addWidget(part)
        column.addWidget(self.list, 1)
        column.addWidget(self.note)
        column.addWidget(line())
        column.addWidget(self.lesions)
        column.addLayout(last)
        column.addStretch(0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scrolling(inner))

    def _connect(self) -> None:
        self.choices.result_chosen.connect(self._result_chosen)
        self.choices.class_chosen.connect(self._class_chosen)
        self.choices.reader_box.textChanged.connect(lambda text: setattr(self.findings, "reader", text))
        self.choices.threshold_given.connect(self._threshold_given)
        self.list.row_chosen.connect(self.findings.choose)
        self.list.step_wanted.connect(self.findings.step)
        self.list.judged.connect(self.findings.judge)
        self.list.note_given.connect(self.findings.note)
        self.list.undo_wanted.connect(self.findings.undo)
        self.lesions.chosen.connect(lambda lesion: self._look_at(lesion.place))
        self.reader.switched.connect(self.findings.set_reader_first)
        self.reader.mark_wanted.connect(self.marks.begin_own)
        self.reader.call_given.connect(self._call_given)
        self.reader.place_wanted.connect(self._look_at)
        self.export_button.clicked.connect(self.ask_where_to_export)
        workers = (self.saver, self.quick, self.pictures)
        self.destroyed.connect(lambda: [worker.close() for worker in workers])


def _same(one: Result, other: Result) -> bool:
    """Return whether two results are one: a layer that was added beside them changes nothing."""
    scales = [None if result.slide is None else result.slide.um_per_px for result in (one, other)]
    return one.prediction.record is other.prediction.record and scales[0] == scales[1]
