"""The makers that describe their slides in XML inside the TIFF: OME, Leica, PerkinElmer, Philips."""

from typing import Any
from xml.etree import ElementTree

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides.resolution import number, plausible, plausible_overview, um_per_unit
from napari_gigaclf.slides.slide import UNKNOWN_SCALE, Kind
from napari_gigaclf.slides.tiff_vendor import Scale, Vendor

MAX_XML_CHARACTERS = 64 * 2**20
_UNKNOWN: Scale = (None, UNKNOWN_SCALE)


def parse_xml(path: str, text: str) -> ElementTree.Element:
    """Return the root of an XML text; a document type, which can make a small text huge, is refused."""
    if len(text) > MAX_XML_CHARACTERS:
        raise SlideError(path, f"its XML description has {len(text)} characters")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise SlideError(path, "its XML description declares a document type, which is refused")
    return ElementTree.fromstring(text)


def local_name(element: ElementTree.Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rsplit("}", 1)[-1]


def children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """Return the direct children of a name, in any namespace."""
    return [child for child in element if local_name(child) == name]


def descendants(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """Return all descendants of a name, in any namespace."""
    return [child for child in element.iter() if local_name(child) == name]


class XmlVendor(Vendor):
    """A maker whose first image carries an XML description."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - tifffile
        super().__init__(file)
        self.root = parse_xml(file.filehandle.path, self.first.description)


class Ome(XmlVendor):
    """OME-TIFF: PhysicalSizeX with its unit, one Image element per scene."""

    format = "OME-TIFF"

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - tifffile
        super().__init__(file)
        self._images = children(self.root, "Image")

    def scenes(self, images: list[Any]) -> list[Any]:
        """Return the images but for label, macro and thumbnail, in the file's order."""
        ome = [series for series in images if not self._is_extra(series)]
        return ome or images[:1]

    def _is_extra(self, series: Any) -> bool:  # noqa: ANN401 - tifffile
        return any(word in str(series.name).lower() for word in ("label", "macro", "thumbnail", "overview"))

    def _pixels(self, series: Any) -> ElementTree.Element | None:  # noqa: ANN401 - tifffile
        """Return the Pixels element of a series."""
        index = series_number(series)
        found = children(self._images[index], "Pixels") if 0 <= index < len(self._images) else []
        return found[0] if found else None

    def um_per_px(self, series: Any, scene: int) -> Scale:  # noqa: ANN401 - tifffile
        """Return PhysicalSizeY and PhysicalSizeX; the unit is µm where none is given, as the schema says."""
        pixels = self._pixels(series)
        if pixels is None:
            return _UNKNOWN
        sizes = []
        for axis in "YX":
            size = number(pixels.get(f"PhysicalSize{axis}"))
            unit = um_per_unit(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
            if size is None or unit is None:
                return _UNKNOWN
            sizes.append(size * unit)
        found = (sizes[0], sizes[1])
        return (found, "OME-XML PhysicalSizeX") if plausible_overview(found) else _UNKNOWN

    def kind(self, series: Any, scene: int) -> Kind | None:  # noqa: ANN401 - tifffile
        """Return what ContrastMethod, IlluminationType, Fluor or EmissionWavelength say."""
        pixels = self._pixels(series)
        for channel in [] if pixels is None else children(pixels, "Channel"):
            said = f"{channel.get('ContrastMethod', '')} {channel.get('IlluminationType', '')}".lower()
            if "fluorescence" in said or channel.get("Fluor") or channel.get("EmissionWavelength"):
                return "fluorescence"
            if "brightfield" in said:
                return "brightfield"
        return None

    def magnification(self) -> float | None:
        """Return the first objective's nominal magnification."""
        found = [number(objective.get("NominalMagnification")) for objective in descendants(self.root, "Objective")]
        return found[0] if found else None


class Leica(XmlVendor):
    """Leica SCN: a collection of images, of which those that cover the whole collection are the overview."""

    format = "Leica SCN"

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - tifffile
        super().__init__(file)
        self._images = descendants(self.root, "image")

    def _image(self, series: Any) -> ElementTree.Element | None:  # noqa: ANN401 - tifffile
        index = series_number(series)
        return self._images[index] if 0 <= index < len(self._images) else None

    def _is_overview(self, series: Any) -> bool:  # noqa: ANN401 - tifffile
        """Return whether an image shows the whole slide, with the label on it."""
        image = self._image(series)
        collections = descendants(self.root, "collection")
        views = [] if image is None else children(image, "view")
        if not views or not collections:
            return False
        view, whole = views[0], collections[0]
        return number(view.get("sizeX")) == number(whole.get("sizeX")) and number(view.get("sizeY")) == number(
            whole.get("sizeY")
        )

    def scenes(self, images: list[Any]) -> list[Any]:
        """Return the scanned areas, without the overview."""
        areas = [series for series in images if not self._is_overview(series)]
        return areas or images[:1]

    def associated_name(self, series: Any) -> str:  # noqa: ANN401 - tifffile
        """Return macro for the overview."""
        return "macro" if self._is_overview(series) else super().associated_name(series)

    def um_per_px(self, series: Any, scene: int) -> Scale:  # noqa: ANN401 - tifffile
        """Return the view's size in nanometres over its pixels."""
        image = self._image(series)
        views = [] if image is None else children(image, "view")
        pixels = [] if image is None else children(image, "pixels")
        if not views or not pixels:
            return _UNKNOWN
        sizes = []
        for axis in "YX":
            length_nm, count = number(views[0].get(f"size{axis}")), number(pixels[0].get(f"size{axis}"))
            if length_nm is None or count is None:
                return _UNKNOWN
            sizes.append(length_nm / 1000 / count)
        found = (sizes[0], sizes[1])
        return (found, "Leica header (view size)") if plausible(found) else _UNKNOWN

    def kind(self, series: Any, scene: int) -> Kind | None:  # noqa: ANN401 - tifffile
        """Return the illumination source."""
        image = self._image(series)
        sources = [] if image is None else descendants(image, "illuminationSource")
        said = {(source.text or "").strip().lower() for source in sources}
        if "fluorescence" in said:
            return "fluorescence"
        return "brightfield" if "brightfield" in said else None

    def magnification(self) -> float | None:
        """Return the highest objective (the overview's is lower)."""
        found = [number(objective.text) for objective in descendants(self.root, "objective")]
        return max((value for value in found if value is not None), default=None)


class PerkinElmer(XmlVendor):
    """PerkinElmer (Akoya) QPTIFF: one page per fluorescence band, or RGB pages of brightfield."""

    format = "PerkinElmer QPTIFF"

    def scenes(self, images: list[Any]) -> list[Any]:
        """Return the first image: a QPTIFF has one scene."""
        return images[:1]

    def um_per_px(self, series: Any, scene: int) -> Scale:  # noqa: ANN401 - tifffile
        """Return the resolution tags, which this maker calibrates."""
        found, _ = Vendor.um_per_px(self, series, scene)
        return _UNKNOWN if found is None else (found, "PerkinElmer header (resolution tag)")

    def kind(self, series: Any, scene: int) -> Kind | None:  # noqa: ANN401 - tifffile
        """Return brightfield for RGB and fluorescence for bands, as the format has it."""
        return "brightfield" if series.keyframe.samplesperpixel == 3 else "fluorescence"

    def magnification(self) -> float | None:
        """Return the objective."""
        found = [number((element.text or "").rstrip("xX")) for element in descendants(self.root, "Objective")]
        return found[0] if found else None


class Philips(XmlVendor):
    """Philips TIFF: DICOM attributes as XML; levels are padded to whole tiles, which tifffile takes back."""

    format = "Philips TIFF"

    def scenes(self, images: list[Any]) -> list[Any]:
        """Return the first image: a Philips file has one scene."""
        return images[:1]

    def um_per_px(self, series: Any, scene: int) -> Scale:  # noqa: ANN401 - tifffile
        """Return DICOM_PIXEL_SPACING of the first level, millimetres between rows and between columns."""
        for attribute in descendants(self.root, "Attribute"):
            if attribute.get("Name") == "DICOM_PIXEL_SPACING" and attribute.text:
                values = [number(part) for part in attribute.text.split()]
                if len(values) == 2 and values[0] is not None and values[1] is not None:
                    found = (values[0] * 1000, values[1] * 1000)
                    return (found, "Philips header (DICOM_PIXEL_SPACING)") if plausible(found) else _UNKNOWN
        return _UNKNOWN

    def kind(self, series: Any, scene: int) -> Kind | None:  # noqa: ANN401 - tifffile
        """Return brightfield: these scanners make no other images."""
        return "brightfield"


def series_number(series: Any) -> int:  # noqa: ANN401 - tifffile
    """Return the number of a series in its file; some versions of tifffile keep it as ``index``, others hide it."""
    return int(series._index if callable(series.index) else series.index)
