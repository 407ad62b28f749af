"""What each maker of scanners writes into its TIFF files: pixel size, scenes, illumination, which image is the label.

Only technical fields are taken over. Descriptions, file names, dates, users and labels can hold data about a patient
and are never copied.
"""

import re
from typing import Any

from napari_gigaclf.slides.resolution import from_tiff_tags, number, plausible, um_per_unit
from napari_gigaclf.slides.slide import UNKNOWN_SCALE, Kind

Scale = tuple[tuple[float, float] | None, str]
_UNKNOWN: Scale = (None, UNKNOWN_SCALE)
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296


def tag_number(page: Any, code: int) -> float | None:  # noqa: ANN401 - tifffile has no stable types
    """Return a numeric tag (a rational becomes its quotient), or None."""
    value = page.tags.valueof(code)
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, int) for part in value):
        return value[0] / value[1] if value[1] else None
    return float(value) if isinstance(value, (int, float)) else None


class Vendor:
    """A TIFF of no particular maker; what the makers write otherwise is overridden below, one class each."""

    format = "TIFF"

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - tifffile
        self.file = file
        self.first = file.pages.first

    def scenes(self, images: list[Any]) -> list[Any]:
        """Return the series that can be chosen as a scene; the first is opened by default.

        The largest image of a TIFF of no particular maker is the slide: a label or thumbnail can come first.
        """
        return [max(images, key=lambda s: s.shape[s.axes.index("Y")] * s.shape[s.axes.index("X")])]

    def scene_name(self, series: Any, number: int) -> str:  # noqa: ANN401 - tifffile
        """Return a scene's number as its name: names in files are free text."""
        return str(number)

    def um_per_px(self, series: Any, scene: int) -> Scale:  # noqa: ANN401 - tifffile
        """Return (y, x) micrometres per pixel of level 0 and where that comes from."""
        page = series.keyframe
        unit = page.tags.valueof(_RESOLUTION_UNIT)
        found = from_tiff_tags(
            tag_number(page, _X_RESOLUTION), tag_number(page, _Y_RESOLUTION), 2 if unit is None else int(unit)
        )
        return _UNKNOWN if found is None else (found, "TIFF resolution tag")

    def kind(self, series: Any, scene: int) -> Kind | None:  # noqa: ANN401 - tifffile
        """Return how the image was made where the file says so."""
        return None

    def associated(self, others: list[Any]) -> dict[str, Any]:
        """Return the images that are no levels, by name."""
        named: dict[str, Any] = {}
        for series in others:
            name = self.associated_name(series)
            count = sum(key == name or key.startswith(f"{name} ") for key in named)
            named[f"{name} {count + 1}" if count else name] = series
        return named

    def associated_name(self, series: Any) -> str:  # noqa: ANN401 - tifffile
        """Return label, macro or thumbnail where the file says so, else ``"image"``."""
        text = f"{series.name} {series.keyframe.description[:64]}".lower()
        return next((word for word in ("label", "macro", "thumbnail", "map") if word in text), "image")

    def properties(self, series: Any) -> dict[str, str]:  # noqa: ANN401 - tifffile
        """Return technical properties."""
        page = series.keyframe
        found = {
            "compression": str(getattr(page.compression, "name", page.compression)),
            "photometric": str(getattr(page.photometric, "name", page.photometric)),
            "bits per sample": str(page.bitspersample),
        }
        magnification = self.magnification()
        if magnification is not None:
            found["objective magnification"] = f"{magnification:g}"
        return found

    def magnification(self) -> float | None:
        """Return the objective's magnification where the file says so."""
        return None


class ImageJ(Vendor):
    """ImageJ writes its unit into the description and pixels per unit into the resolution tags."""

    format = "ImageJ TIFF"

    def um_per_px(self, series: Any, scene: int) -> Scale:  # noqa: ANN401 - tifffile
        """Return pixels per named unit, where it is a length."""
        unit = um_per_unit(str((self.file.imagej_metadata or {}).get("unit", "")))
        across, down = tag_number(self.first, _X_RESOLUTION), tag_number(self.first, _Y_RESOLUTION)
        if unit is None or not across or not down or min(across, down) <= 0:
            return super().um_per_px(series, scene)
        found = (unit / down, unit / across)
        return (found, "ImageJ description (unit)") if plausible(found) else _UNKNOWN


class Aperio(Vendor):
    """Aperio writes ``|MPP = 0.4990|`` and ``|AppMag = 20|`` into the description of the first image."""

    format = "Aperio SVS"

    def _field(self, name: str) -> float | None:
        found = re.search(rf"\|\s*{name}\s*=\s*([0-9.,eE+-]{{1,32}})\s*(?:\||$)", self.first.description)
        return number(found.group(1)) if found else None

    def scenes(self, images: list[Any]) -> list[Any]:
        """Return the first image: an Aperio slide has one scene."""
        return images[:1]

    def um_per_px(self, series: Any, scene: int) -> Scale:  # noqa: ANN401 - tifffile
        """Return MPP; its resolution tags are 1/1 as a rule and are not looked at."""
        mpp = self._field("MPP")
        if mpp is None or not plausible((mpp, mpp)):
            return _UNKNOWN
        return (mpp, mpp), "Aperio header (MPP)"

    def kind(self, series: Any, scene: int) -> Kind | None:  # noqa: ANN401 - tifffile
        """Return brightfield: Aperio's fluorescence scanners write one grey file per channel."""
        return "brightfield"

    def magnification(self) -> float | None:
        """Return AppMag."""
        return self._field("AppMag")


class Hamamatsu(Vendor):
    """Hamamatsu uses private tags; its resolution tags are a calibration of the scanner and are believed."""

    format = "Hamamatsu NDPI"
    _MAGNIFICATION, _FILTER_SET = 65421, 65434

    def scenes(self, images: list[Any]) -> list[Any]:
        """Return the first image: an NDPI file has one scene."""
        return images[:1]

    def um_per_px(self, series: Any, scene: int) -> Scale:  # noqa: ANN401 - tifffile
        """Return the calibration in the resolution tags."""
        found, _ = super().um_per_px(series, scene)
        return _UNKNOWN if found is None else (found, "Hamamatsu header (resolution tag)")

    def kind(self, series: Any, scene: int) -> Kind | None:  # noqa: ANN401 - tifffile
        """Return fluorescence where a filter set is named (``"DAPI 2 (387)"``); it is absent or empty otherwise."""
        filter_set = self.first.tags.valueof(self._FILTER_SET)
        return "fluorescence" if isinstance(filter_set, str) and filter_set.strip("\0 ") else None

    def magnification(self) -> float | None:
        """Return the objective's magnification."""
        value = tag_number(self.first, self._MAGNIFICATION)
        return value if value is not None and value > 0 else None


def vendor_of(file: Any) -> Vendor:  # noqa: ANN401 - tifffile
    """Return what is known about the maker of an open TIFF file."""
    from napari_gigaclf.slides.tiff_xml import Leica, Ome, PerkinElmer, Philips

    for flag, vendor in (
        ("is_ome", Ome),
        ("is_svs", Aperio),
        ("is_ndpi", Hamamatsu),
        ("is_scn", Leica),
        ("is_qpi", PerkinElmer),
        ("is_philips", Philips),
        ("is_imagej", ImageJ),
    ):
        if getattr(file, flag):
            return vendor(file)
    return Vendor(file)
