"""What a microscope would show: the magnification of a view, and the view for a magnification.

A slide that says with which objective it was scanned shows that magnification where one pixel of level 0 is one pixel
of the screen. Where it does not say, magnification is taken as 10 / (µm per pixel), as is usual (0.5 µm is 20x), and
marked with "≈". Magnification depends on the scanner and on the screen; micrometres per pixel do not, so they are
always shown beside it.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

OBJECTIVES = (1.25, 2.5, 5.0, 10.0, 20.0, 40.0)
"""Magnifications one can jump to."""
UM_AT_1X = 10.0
"""Micrometres per pixel of a magnification of 1, where the slide does not say."""
LARGEST_OBJECTIVE = 200.0
PROPERTY = "objective magnification"
SAME = 0.02
"""A view is at an objective if its magnification differs by at most this share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """How magnification and scale of one slide follow from the zoom of its view.

    Zoom is in pixels of the screen per pixel of level 0.
    """

    base: float | None
    """Magnification of level 0, as the slide says it."""
    um_per_px: float | None
    """Micrometres per pixel of level 0, mean of both axes."""

    @classmethod
    def of_slide(cls, slide: "Slide") -> "Objective":
        """Return the objective of an open slide."""
        unit = slide.um_per_px
        mean = None if unit is None else math.sqrt(unit[0] * unit[1])
        return cls(base=_magnification(slide.properties.get(PROPERTY, "")), um_per_px=mean)

    @property
    def at_level_0(self) -> float | None:
        """Magnification at which a pixel of level 0 is a pixel of the screen; None where nothing is known."""
        if self.base is not None:
            return self.base
        return None if self.um_per_px is None else UM_AT_1X / self.um_per_px

    def magnification(self, zoom: float) -> float | None:
        """Return the magnification of a view; None where nothing is known.

        Examples
        --------
        >>> Objective(base=None, um_per_px=0.5).magnification(0.25)
        5.0
        """
        return None if self.at_level_0 is None else self.at_level_0 * zoom

    def zoom_for(self, magnification: float) -> float | None:
        """Return the zoom that shows a magnification; None where nothing is known."""
        return None if self.at_level_0 is None else magnification / self.at_level_0

    def nearest(self, zoom: float) -> float | None:
        """Return which of the objectives a view is at, or None.

        Examples
        --------
        >>> Objective(base=40.0, um_per_px=0.25).nearest(0.5)
        20.0
        """
        now = self.magnification(zoom)
        fitting = [each for each in OBJECTIVES if now is not None and abs(now / each - 1) <= SAME]
        return fitting[0] if fitting else None

    def text(self, zoom: float) -> str:
        """Return a line for a person.

        Examples
        --------
        >>> Objective(base=None, um_per_px=0.5).text(1.0)
        '≈ 20x · 0.5 µm per pixel'
        >>> Objective(base=40.0, um_per_px=0.25).text(2.0)
        '80x, enlarged 2 times · 0.125 µm per pixel'
        >>> Objective(base=None, um_per_px=None).text(0.5)
        '1 : 2 · µm per pixel unknown'
        """
        now = self.magnification(zoom)
        if now is None:
            shown = f"1 : {_short(1 / zoom)}" if zoom <= 1 else f"{_short(zoom)} : 1"
        else:
            shown = f"{'' if self.base is not None else '≈ '}{_short(now)}x"
            if zoom > 1 + SAME:
                shown += f", enlarged {_short(zoom)} times"
        scale = "µm per pixel unknown" if self.um_per_px is None else f"{_short(self.um_per_px / zoom)} µm per pixel"
        return f"{shown} · {scale}"


def _magnification(text: str) -> float | None:
    """Return the number a slide gives, if it is one that an objective can have."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value <= LARGEST_OBJECTIVE else None


def _short(value: float) -> str:
    """Return a number with three significant digits and no exponent."""
    return f"{float(f'{value:.3g}'):.12g}"
