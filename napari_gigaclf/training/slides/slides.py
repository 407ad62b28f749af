"""The slides of a run: opened when they are needed, a few kept open, drawn the same way whenever they are asked for."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from napari_gigaclf.errors import Cancelled, ModelError, ScaleError, SlideError
from napari_gigaclf.inference.masking import MaskedImage
from napari_gigaclf.progress import CancelToken
from napari_gigaclf.slides.tissue import TissueMask
from napari_gigaclf.training.cohort import CohortRow
from napari_gigaclf.training.slides.changes import draw_changes
from napari_gigaclf.training.slides.recipe import Recipe
from napari_gigaclf.training.slides.view import SlideView, open_view
from napari_gigaclf.training.slides.window import Window, draw_box

BAD_SLIDE = (SlideError, ScaleError, ModelError, OSError)
"""What a slide that cannot be read raises."""
VIEWS_KEPT = 32
"""Slides that stay open."""


@dataclass(slots=True)
class Slides:
    """Gives slides as sources of the engine."""

    recipe: Recipe
    _views: "OrderedDict[str, SlideView]" = field(default_factory=OrderedDict)
    _masks: dict[str, TissueMask] = field(default_factory=dict)
    """Of all slides seen so far: small, and slow to find."""

    def view(self, row: CohortRow) -> SlideView:
        """Return a slide, opened, its tissue found."""
        key = str(row.slide)
        if key in self._views:
            self._views.move_to_end(key)
            return self._views[key]
        recipe = self.recipe
        found = open_view(
            row.slide,
            um_per_px=recipe.um_per_px,
            slide_um_per_px=row.um_per_px,
            tissue=self._masks.get(key, recipe.tissue),
        )
        if found.tissue is not None:
            self._masks[key] = found.tissue
        self._views[key] = found
        if len(self._views) > VIEWS_KEPT:
            self._views.popitem(last=False)[1].slide.close()
        return found

    def readable(self, rows: Iterable[CohortRow], cancel: CancelToken | None = None) -> Iterator[CohortRow]:
        """Yield rows whose slides open; one that does not is passed over where the recipe leaves such slides out.

        Raises
        ------
        SlideError
            If a slide cannot be read and the recipe says "stop".
        Cancelled
            If the caller asked to stop.
        """
        for row in rows:
            if cancel is not None and cancel.is_set():
                raise Cancelled("stopped")
            try:
                self.view(row)
            except BAD_SLIDE:
                if self.recipe.bad_slides == "stop":
                    raise
                continue
            yield row

    def drawn(self, row: CohortRow, epoch: int) -> Window:
        """Return a slide as an epoch sees it: a function of seed, epoch and row alone."""
        view, recipe = self.view(row), self.recipe
        generator = np.random.default_rng([recipe.seed, epoch, row.number])
        box = draw_box(view, recipe.input_px, generator)
        return Window(view, box, draw_changes(recipe.changes, box.shape, generator))

    def whole(self, row: CohortRow) -> MaskedImage:
        """Return a slide as ``classify`` sees it."""
        return self.view(row).whole

    def close(self) -> None:
        """Close all slides."""
        while self._views:
            self._views.popitem()[1].slide.close()
