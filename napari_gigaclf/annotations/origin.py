"""Where another program puts (0, 0) on a slide.

QuPath crops slides that OpenSlide gives bounds for (MRXS above all) to these bounds when it opens them: its pixel
(0, 0) is then level 0's pixel (bounds-x, bounds-y), and so are the coordinates in its GeoJSON files.
"""

from collections.abc import Mapping


def qupath_origin(properties: Mapping[str, str]) -> tuple[float, float]:
    """Return (x, y), level-0 pixels, of the corner that QuPath calls (0, 0).

    Parameters
    ----------
    properties
        Technical properties of the slide (``slide.properties``).

    Examples
    --------
    >>> qupath_origin({"openslide.bounds-x": "1024", "openslide.bounds-y": "4096"})
    (1024.0, 4096.0)
    >>> qupath_origin({})
    (0.0, 0.0)
    """
    x, y = (float(properties.get(f"openslide.bounds-{axis}", "0")) for axis in "xy")
    return x, y
