"""What the controller of hotspots asks of its widget."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.inference.findings.comparison import Comparison
from napari_gigaclf.inference.findings.foci import Tally
from napari_gigaclf.inference.findings.lesions import Lesion
from napari_gigaclf.inference.findings.ranking import Entry
from napari_gigaclf.inference.findings.reviews import ReaderCall, ReviewLog


class FindingsView(Protocol):
    """What the controller asks of the widget; all calls come on the GUI thread."""

    def show_list(self, entries: Sequence[Entry], shown: Sequence[int]) -> None:
        """Show a list anew; ``shown`` are the entries that reach the threshold or have a verdict."""
        ...

    def show_shown(self, entries: Sequence[Entry], shown: Sequence[int]) -> None:
        """Show other entries of the same list: the threshold has changed."""
        ...

    def show_entry(self, index: int, entry: Entry) -> None:
        """Show an entry anew: something was said of it."""
        ...

    def show_current(self, index: int) -> None:
        """Show which entry is the current one."""
        ...

    def go_to(self, entry: Entry) -> None:
        """Look at a place."""
        ...

    def show_thumbnail(self, index: int, pixels: NDArray[np.uint8]) -> None:
        """Show what the slide looks like at an entry."""
        ...

    def show_tally(self, found: Tally, num_hotspots: int) -> None:
        """Show how much reaches the threshold."""
        ...

    def show_lesions(self, lesions: Sequence[Lesion]) -> None:
        """Show the lesions at the threshold."""
        ...

    def show_blind(self, blind: bool) -> None:
        """Hide all that the model found, or show it: with "reader first" the reader's own call comes before."""
        ...

    def show_comparison(self, call: ReaderCall, found: Comparison) -> None:
        """Show the reader's own call beside what the model found at the threshold."""
        ...

    def show_saved(self, log: ReviewLog) -> None:
        """Show that what was said is on the disk."""
        ...

    def show_note(self, text: str) -> None:
        """Show one line: what was done, or why it cannot be."""
        ...
