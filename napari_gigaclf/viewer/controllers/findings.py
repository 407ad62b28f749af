"""Decides what happens in the Hotspots widget: which list is shown, which place is current, what is said of it.

Every request has a generation; an answer for a list that is not shown any more is dropped. Three workers: verdicts are
read and written by one of their own, in order and at once, so that no search or thumbnail ever delays a save.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import GigaclfError
from napari_gigaclf.inference.findings.comparison import Comparison, Place
from napari_gigaclf.inference.findings.foci import Tally
from napari_gigaclf.inference.findings.lesions import Lesion
from napari_gigaclf.inference.findings.ranking import Entry
from napari_gigaclf.inference.findings.reviews import ReaderCall, Review, ReviewLog, Verdict, now
from napari_gigaclf.viewer.controllers.findings_book import ReviewBook, says
from napari_gigaclf.viewer.controllers.findings_jobs import (
    Found,
    search,
    write_all,
)
from napari_gigaclf.viewer.controllers.findings_measuring import Gallery, Measuring
from napari_gigaclf.viewer.controllers.findings_view import FindingsView
from napari_gigaclf.viewer.worker import Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide

THRESHOLD = 0.5
"""Threshold of a list that is opened."""


class FindingsController:
    """The list of one slide's hotspots at a time.

    Parameters
    ----------
    view
        The widget, or a fake of it.
    quick, saver, pictures
        Workers for searching and measuring, for the file of verdicts, and for thumbnails.
    post
        Carries calls to the GUI thread.
    folder
        Where verdicts are kept; None takes the user's own folder.
    """

    def __init__(
        self,
        view: FindingsView,
        *,
        quick: Worker,
        saver: Worker,
        pictures: Worker,
        post: Post,
        folder: Path | None = None,
    ) -> None:
        self._view = view
        self._quick = quick
        self._saver = saver
        self._pictures = pictures
        self.reader = ""
        self.reader_first = False
        self.slide: Slide | None = None
        self.found: Found | None = None
        self.entries: list[Entry] = []
        self.shown: list[int] = []
        self.current: int | None = None
        self.threshold = THRESHOLD
        self.lesions: tuple[Lesion, ...] = ()
        self._book = ReviewBook(saver, folder, view)
        self._generation = 0
        self._measuring = Measuring(quick, post, view.show_note)
        self._gallery = Gallery(pictures, post, view.show_note)

    @property
    def log(self) -> ReviewLog | None:
        """What was said of the places of this result; None while it is not known."""
        return self._book.log

    @property
    def current_entry(self) -> Entry | None:
        """The entry one is at."""
        return None if self.current is None else self.entries[self.current]

    @property
    def blind(self) -> bool:
        """Whether what the model found is hidden: the reader's own call comes first and is not there yet."""
        return self.reader_first and (self.log is None or self.log.call is None)

    # --- which list -------------------------------------------------------------------------------------------------

    def open(self, slide: "Slide | None", prediction: "Prediction", class_name: str) -> None:
        """Show the hotspots of a result with what was said of them before."""
        self._forget()
        generation = self._generation
        self.slide = slide

        def loaded() -> None:
            if generation == self._generation:
                self._search(prediction, class_name)

        self._book.open(prediction.record, loaded)

    def look(self, class_name: str) -> None:
        """Show the hotspots of another class of the same result."""
        if self.found is not None and class_name != self.found.class_name:
            prediction = self.found.prediction
            self._forget_list()
            self._search(prediction, class_name)

    def set_threshold(self, threshold: float) -> None:
        """Show and measure what reaches another threshold."""
        self.threshold = threshold
        if self.found is None or self.blind:
            return
        self._choose_shown()
        self._view.show_shown(self.entries, self.shown)
        self._measure()

    def set_reader_first(self, on: bool) -> None:
        """Hide what the model found until the reader has made a call, or never."""
        self.reader_first = on
        if self.found is not None:
            self._present()
        else:
            self._view.show_blind(self.blind)

    def record_call(self, class_name: str, places: Sequence[Place]) -> None:
        """Keep the reader's own call, which cannot be changed afterwards, and show what the model found."""
        if self.log is None or self.found is None:
            self._view.show_note("There is no result yet: classify the slide first; what it finds stays hidden.")
            return
        if self._book.why_not:
            self._view.show_note(self._book.why_not)
            return
        try:
            call = ReaderCall(class_name=class_name, places=tuple(places), who=self._who(), when=now())
        except ValueError as error:
            self._view.show_note(f"Not taken: {error}")
            return
        self._book.write(self.log.called(call))
        self._present()

    def result_gone(self) -> None:
        """Forget everything: the result was closed. What was said is on the disk."""
        self._forget()
        self._view.show_list([], [])

    def close(self) -> bool:
        """Write what is not yet written and end the workers; True if they ended in time."""
        self._generation += 1
        self._pictures.cancel_all()
        self._quick.cancel_all()
        in_time = self._saver.flush()
        return all([self._saver.close(), self._quick.close(), self._pictures.close(), in_time])

    # --- going through it -------------------------------------------------------------------------------------------

    def step(self, by: int) -> None:
        """Go to the next place (1) or the previous one (-1) of those shown."""
        if not self.shown:
            return
        if self.current in self.shown:
            position = self.shown.index(self.current) + by
        else:
            position = 0 if by > 0 else len(self.shown) - 1
        inside = min(max(position, 0), len(self.shown) - 1)
        self.choose(self.shown[inside])
        if inside != position:
            self._view.show_note("That was the last place." if by > 0 else "That was the first place.")

    def choose(self, index: int) -> None:
        """Go to a place of the list."""
        self.current = index
        self._view.show_current(index)
        self._view.go_to(self.entries[index])

    def judge(self, verdict: Verdict, new_class: str = "") -> None:
        """Say what the current place is."""
        entry = self.current_entry
        if entry is None:
            self._view.show_note("Choose a place first: press N, or click one in the list.")
            return
        if verdict == "relabelled" and not new_class.strip():
            self._view.show_note("Give the class that it is instead.")
            return
        self._say(entry, verdict, new_class.strip(), "" if entry.review is None else entry.review.note)

    def note(self, text: str) -> None:
        """Write a note to the current place; its verdict stays."""
        entry = self.current_entry
        if entry is None:
            self._view.show_note("Choose a place first: press N, or click one in the list.")
            return
        review = entry.review
        if text.strip() == ("" if review is None else review.note):
            return
        verdict: Verdict = "open" if review is None else review.verdict
        self._say(entry, verdict, "" if review is None else review.new_class, text.strip())

    def undo(self) -> None:
        """Take the last verdict or note back, and go to its place."""
        if self.log is None or not self.log.reviews or self.blind:
            self._view.show_note("There is nothing to undo.")
            return
        if self._book.why_not:
            self._view.show_note(self._book.why_not)
            return
        last = self.log.reviews[-1]
        self._book.write(self.log.undone())
        index = self._index_of(last)
        if index is None:
            self._view.show_note(f"Undone: a place of {last.class_name} is no longer {last.verdict}.")
            return
        self._update(index)
        self.choose(index)
        self._view.show_note(f"Undone: place {self.entries[index].rank} is no longer {last.verdict}.")

    # --- export -----------------------------------------------------------------------------------------------------

    def export(self, folder: Path, stem: str, origin: tuple[float, float]) -> None:
        """Write hotspots with what was said of them, and lesions, into a folder."""
        found = self.found
        if found is None or self.blind:
            missing = "no result" if found is None else "no call of yours"
            self._view.show_note(f"There is {missing} yet: nothing to export.")
            return
        entries = [e for e in self.entries if e.probability >= self.threshold or e.review is not None]
        lesions, threshold = self.lesions, self.threshold

        def written(paths: list[Path]) -> None:
            names = ", ".join(path.name for path in paths)
            self._view.show_note(f"Exported {names} to {folder}")

        self._quick.submit(
            lambda _job: write_all(found, entries, lesions, threshold, folder / stem, origin),
            written,
            self._view.show_note,
        )

    # --- inside: searching and measuring ----------------------------------------------------------------------------

    def _search(self, prediction: "Prediction", class_name: str) -> None:
        generation, log, slide = self._generation, self.log, self.slide
        assert log is not None

        def searched(found: Found) -> None:
            if generation != self._generation:
                return
            self.found = found
            self.entries = list(found.entries)
            self._present()

        self._quick.submit(lambda _job: search(prediction, class_name, slide, log), searched, self._view.show_note)

    def _present(self) -> None:
        """Show the list, or hide it while the reader's own call comes first."""
        blind = self.blind
        self._view.show_blind(blind)
        self.current = None
        if blind:
            self.shown = []
            self._view.show_list([], [])
        else:
            self._choose_shown()
            self._view.show_list(self.entries, self.shown)
            self._measure()
            self._take_pictures()
        if self._book.why_not:
            self._view.show_note(self._book.why_not)

    def _measure(self) -> None:
        """Measure what reaches the threshold."""
        found, threshold, generation = self.found, self.threshold, self._generation
        if found is None:
            return

        def counted(result: Tally) -> None:
            if generation == self._generation and not self.blind:
                reaching = sum(entry.probability >= threshold for entry in self.entries)
                self._view.show_tally(result, reaching)

        def measured(lesions: list[Lesion], call: ReaderCall | None, both: Comparison | None) -> None:
            if generation != self._generation or self.blind:
                return
            self.lesions = tuple(lesions)
            self._view.show_lesions(lesions)
            if call is not None and both is not None:
                self._view.show_comparison(call, both)

        self._measuring.measure(found, threshold, None if self.log is None else self.log.call, counted, measured)

    def _take_pictures(self) -> None:
        """Read the thumbnails of the list one by one, those that are shown first."""
        if self.slide is None:
            return
        generation = self._generation
        hidden = sorted(set(range(len(self.entries))) - set(self.shown))

        def taken(index: int, pixels: NDArray[np.uint8]) -> None:
            if generation == self._generation:
                self._view.show_thumbnail(index, pixels)

        self._gallery.take(self.slide, [(index, self.entries[index]) for index in [*self.shown, *hidden]], taken)

    # --- inside: verdicts -------------------------------------------------------------------------------------------

    def _say(self, entry: Entry, verdict: Verdict, new_class: str, note: str) -> None:
        if self.log is None or self._book.why_not:
            self._view.show_note(self._book.why_not)
            return
        try:
            review = Review(
                place=entry.place if entry.review is None else entry.review.place,
                class_name=entry.class_name,
                probability=entry.probability,
                verdict=verdict,
                new_class=new_class,
                note=note,
                who=self._who(),
                when=now(),
            )
            if entry.review is not None and says(review) == says(entry.review):
                return  # a key pressed twice is one verdict, and one undo
            log = self.log.adding(review)
        except (GigaclfError, ValueError) as error:
            self._view.show_note(f"Not taken: {error}")
            return
        self._book.write(log)
        assert self.current is not None
        self._update(self.current)

    def _who(self) -> str:
        return self.reader.strip() or "unnamed"

    def _update(self, index: int) -> None:
        """Take what the log says of an entry."""
        assert self.log is not None
        assert self.found is not None
        entry, grid = self.entries[index], self.found.prediction.grid
        cell = grid.index_of(entry.place)
        said = [each for each in self.log.current(entry.class_name) if grid.index_of(each.place) == cell]
        self.entries[index] = dataclasses.replace(entry, review=said[-1] if said else None)
        before = list(self.shown)
        self._choose_shown(keep=index)
        self._view.show_entry(index, self.entries[index])
        if self.shown != before:
            self._view.show_shown(self.entries, self.shown)

    def _index_of(self, review: Review) -> int | None:
        """Return the entry which a verdict is about; None if it is not in this list."""
        if self.found is None or review.class_name != self.found.class_name:
            return None
        grid = self.found.prediction.grid
        cell = grid.index_of(review.place)
        return next((i for i, entry in enumerate(self.entries) if grid.index_of(entry.place) == cell), None)

    def _choose_shown(self, keep: int | None = None) -> None:
        """Choose what is shown: what reaches the threshold, has a verdict, or is to stay in view."""
        self.shown = [
            index
            for index, entry in enumerate(self.entries)
            if entry.probability >= self.threshold or entry.review is not None or index == keep
        ]

    def _forget(self) -> None:
        self._forget_list()
        self._book.close()
        self.slide = None

    def _forget_list(self) -> None:
        self._generation += 1
        self.found, self.current = None, None
        self.entries, self.shown, self.lesions = [], [], ()
        self._measuring.forget()
        self._gallery.stop()
