"""Reads micrometres per pixel out of numbers that may be nonsense.

Many writers put 72, 96 or 300 dots per inch, or 1/1, into a TIFF because the tag must hold something. Such values are
no measurement: they would make a nucleus half a metre wide. Only values that a microscope can have are believed.
"""

import math

MIN_UM_PER_PX = 0.01
MAX_UM_PER_PX = 20.0
"""Coarser than any level 0 of a microscope (1270 dpi and below are print and screen resolutions)."""
MAX_OVERVIEW_UM_PER_PX = 200.0
"""Coarser than any overview of a slide, or map over one."""
UM_PER_INCH = 25_400.0
_UM_PER_TIFF_UNIT = {2: UM_PER_INCH, 3: 10_000.0}
_PRINT_DPI = (72, 75, 96, 100, 120, 144, 150, 180, 200, 240, 254, 300, 350, 360, 400, 600, 720, 800, 1200, 2400, 4800)

_UM_PER_UNIT = {
    "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
    "\\u00b5m": 1.0, "nm": 1e-3, "nanometer": 1e-3, "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "centimeter": 1e4,
    "m": 1e6, "meter": 1e6, "å": 1e-4, "angstrom": 1e-4, "pm": 1e-6, "inch": UM_PER_INCH,
}  # fmt: skip


def um_per_unit(unit: str | None) -> float | None:
    """Return micrometres per named unit of length; None if the name is not known (``"pixel"``)."""
    return None if unit is None else _UM_PER_UNIT.get(unit.strip().lower())


def plausible(um_per_px: tuple[float, float]) -> bool:
    """Return whether a microscope can have pixels of this size, (y, x)."""
    return all(math.isfinite(value) and MIN_UM_PER_PX <= value <= MAX_UM_PER_PX for value in um_per_px)


def plausible_overview(um_per_px: tuple[float, float]) -> bool:
    """Return whether a header that names its unit may be believed: also overviews, but no print or screen resolution.

    Converters copy a TIFF's 72 dots per inch into OME headers as 352.8 µm.
    """
    if plausible(um_per_px):
        return True
    copied = any(abs(UM_PER_INCH / value - dpi) < 0.5 for value in um_per_px if value > 0 for dpi in _PRINT_DPI)
    return not copied and all(
        math.isfinite(value) and MIN_UM_PER_PX <= value <= MAX_OVERVIEW_UM_PER_PX for value in um_per_px
    )


def number(text: str | None) -> float | None:
    """Return a positive finite number from text (a decimal comma is understood), or None."""
    if text is None:
        return None
    try:
        value = float(text.strip().strip('"').replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def from_tiff_tags(
    x_resolution: float | None, y_resolution: float | None, unit: int | None
) -> tuple[float, float] | None:
    """Return (y, x) micrometres per pixel from TIFF's resolution tags, or None where they are no measurement.

    Parameters
    ----------
    x_resolution, y_resolution
        Pixels per unit.
    unit
        TIFF's ResolutionUnit: 2 inch, 3 centimetre; anything else says nothing.

    Examples
    --------
    >>> from_tiff_tags(40000.0, 40000.0, 3)
    (0.25, 0.25)
    >>> from_tiff_tags(96.0, 96.0, 2) is None
    True
    """
    if not x_resolution or not y_resolution or unit not in _UM_PER_TIFF_UNIT:
        return None
    if not (math.isfinite(x_resolution) and math.isfinite(y_resolution)) or min(x_resolution, y_resolution) <= 0:
        return None
    um = _UM_PER_TIFF_UNIT[unit]
    dpi = x_resolution * UM_PER_INCH / um
    if any(abs(dpi - known) < 0.5 for known in _PRINT_DPI):
        return None
    found = (um / y_resolution, um / x_resolution)
    return found if plausible(found) else None
