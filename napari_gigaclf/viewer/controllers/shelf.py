"""Keeps what is dear to make: loaded models, tissue masks, and runs that were prepared; made on a worker's thread."""

import dataclasses
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_gigaclf.viewer.controllers.wishes import Wishes
from napari_gigaclf.viewer.worker import use_torch

if TYPE_CHECKING:
    from napari_gigaclf.inference import PreparedRun
    from napari_gigaclf.models import Classifier
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.slides.tissue import TissueMask

VIEWER_TILE_SECONDS = 0.15
"""Cancel answers between tiles: a plan made for the viewer aims at half of the 0.3 s that a tile may take."""


class Shelf:
    """Models by name and tissue masks by slide; safe to use from both workers."""

    def __init__(self) -> None:
        self._models: dict[str, Classifier] = {}
        self._masks: dict[str, TissueMask] = {}
        self._painted: dict[str, TissueMask] = {}
        self._plan: tuple[tuple[object, ...], PreparedRun] | None = None
        self._lock = threading.Lock()
        """Held while something is made; the window never waits for it."""
        self._age = 0
        """Counts what makes plans and masks void that are just being made."""
        self._age_lock = threading.Lock()

    def model(self, name: str, threads: int = 0) -> "Classifier":
        """Return a model, loaded once. Imports torch."""
        use_torch(threads)
        from napari_gigaclf.models import load_model

        with self._lock:
            if name not in self._models:
                self._models[name] = load_model(name)
            return self._models[name]

    def tissue(self, slide: "Slide") -> "TissueMask":
        """Return the mask a person painted, else the one found by the program, found once."""
        from napari_gigaclf.slides.tissue import find_tissue

        with self._lock:
            if slide.id in self._painted:
                return self._painted[slide.id]
            if slide.id in self._masks:
                return self._masks[slide.id]
            age = self._age
            mask = find_tissue(slide)
            with self._age_lock:
                if age == self._age:
                    self._masks[slide.id] = mask
            return mask

    def known_tissue(self, slide_id: str) -> "TissueMask | None":
        """Return the mask a person painted, else the one that was found; None if none was looked for yet."""
        return self._painted.get(slide_id) or self._masks.get(slide_id)

    def paint(self, slide_id: str, mask: "TissueMask | None") -> None:
        """Take a painted mask for a slide; None goes back to the found one."""
        self._make_void()
        if mask is None:
            self._painted.pop(slide_id, None)
        else:
            self._painted[slide_id] = mask

    def is_painted(self, slide_id: str) -> bool:
        """Return whether a person painted the mask of a slide."""
        return slide_id in self._painted

    def rescale(self, slide: "Slide") -> None:
        """Drop what was found on a slide at the scale it had before; what a person painted holds at the new one."""
        self._make_void()
        self._masks.pop(slide.id, None)
        if slide.id in self._painted:
            self._painted[slide.id] = dataclasses.replace(self._painted[slide.id], um_per_px=slide.um_per_px)

    def forget(self, slide_id: str) -> None:
        """Drop what is kept of a slide that was closed."""
        self._make_void()
        self._painted.pop(slide_id, None)
        self._masks.pop(slide_id, None)

    def forget_model(self, name: str) -> None:
        """Drop a model whose folder was written to; a run that uses it goes on with the one it has. For a worker."""
        with self._lock:
            self._make_void()
            self._models.pop(name, None)

    def _make_void(self) -> None:
        """Drop the plan, and what is being made now when it is done."""
        with self._age_lock:
            self._age += 1
            self._plan = None

    def plan(
        self,
        slide: "Slide",
        wishes: Wishes,
        prepared: "PreparedRun | None",
        staged: Callable[[str], None],
        *,
        loading: str,
        planning: str,
    ) -> "PreparedRun":
        """Return the plan there is, else the last one that was made here for these wishes, else a new one.

        Parameters
        ----------
        prepared
            A plan for these wishes, if there is one.
        staged
            Told ``loading`` or ``planning`` before either is done, for a person who waits.

        Raises
        ------
        GigaclfError
            The wishes cannot be fulfilled on this slide; the text says why.
        """
        if prepared is not None:
            return prepared
        key = (slide.id, slide.um_per_px, wishes.question_key, wishes.area)
        with self._age_lock:
            age, known = self._age, self._plan
        if known is not None and known[0] == key:
            return known[1]
        if wishes.model not in self._models:
            staged(loading)
            self.model(wishes.model, wishes.threads)
        staged(planning)
        plan = self.prepare(slide, wishes)
        with self._age_lock:
            if age == self._age:
                self._plan = (key, plan)
        return plan

    def prepare(self, slide: "Slide", wishes: Wishes) -> "PreparedRun":
        """Return a plan of the run: model loaded, tissue found, level chosen, tiles counted.

        Raises
        ------
        GigaclfError
            The wishes cannot be fulfilled on this slide; the text says why.
        """
        model = self.model(wishes.model, wishes.threads)
        from napari_gigaclf.inference import prepare

        # A slide which the model refuses is refused before its tissue is looked for.
        tissue = self.tissue(slide) if wishes.uses_tissue and slide.is_brightfield else wishes.uses_tissue
        return prepare(
            slide,
            model,
            level=wishes.level,
            region=wishes.area,
            tissue=tissue,
            device=wishes.device,
            memory=wishes.memory,
            tile_seconds=VIEWER_TILE_SECONDS,
        )
