"""Lets two canvases look at the same place at the same magnification; whichever moves takes the other along.

World coordinates are micrometres for slides of known scale, so slides of different resolution match by themselves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from napari_gigaclf.viewer.viewpoint import Viewpoint


class CameraLink:
    """The link between a viewer and a second one.

    Parameters
    ----------
    first, second
        The two viewers; at the beginning the second one follows.
    """

    def __init__(self, first: Any, second: Any) -> None:  # noqa: ANN401 - napari has no stubs
        self._first, self._second = first, second
        self._offset = np.zeros(2)
        self._on = False
        self._following = False
        self._connections = (
            (first, lambda _event: self.lead(self._first)),
            (second, lambda _event: self.lead(self._second)),
        )

    @property
    def on(self) -> bool:
        """Whether the views are linked."""
        return self._on

    @property
    def offset(self) -> tuple[float, float]:
        """How much further, (y, x) in the unit of the world, the second canvas looks than the first."""
        return float(self._offset[0]), float(self._offset[1])

    def switch(self, on: bool) -> None:
        """Link the views or leave each to itself."""
        if on == self._on:
            return
        self._on = on
        for viewer, follow in self._connections:
            camera, dims = viewer.scene.camera.events, viewer.dims.events
            for emitter in (camera.center, camera.zoom, camera.orientation, dims.order):
                (emitter.connect if on else emitter.disconnect)(follow)
        if on:
            self.lead(self._first)

    def shift(self, offset: tuple[float, float]) -> None:
        """Look with the second canvas so much further, (y, x) in the unit of the world; it goes there if linked."""
        self._offset = np.asarray(offset, dtype=float)
        if self._on:
            self.lead(self._first)

    def shift_to_what_is_seen(self) -> None:
        """Keep the two places that are in the middle now together from now on."""
        second, first = Viewpoint(self._second).world_centre, Viewpoint(self._first).world_centre
        self._offset = np.subtract(second, first)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Take nobody along while layers come and go (napari fits a view to its first layer); then the first leads."""
        self._following = True
        try:
            yield
        finally:
            self._following = False
        if self._on:
            self.lead(self._first)

    def lead(self, leader: Any) -> None:  # noqa: ANN401 - napari has no stubs
        """Take the other viewer to where one of them looks."""
        if self._following:
            return
        self._following = True
        first_leads = leader is self._first
        source, target = (self._first, self._second) if first_leads else (self._second, self._first)
        try:
            seen, point = Viewpoint(source), Viewpoint(target)
            point.orient_as(seen)
            y, x = np.asarray(seen.world_centre) + self._offset * (1 if first_leads else -1)
            point.set_world((float(y), float(x)), float(source.scene.camera.zoom))
        finally:
            self._following = False
