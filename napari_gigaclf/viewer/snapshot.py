"""A picture of the view for a report: pixels, a scale bar that is a round length, and a legend of what lies over it.

PNG is one picture. SVG keeps the pixels as a PNG inside, and bar, legend and texts as drawings that can be edited.
"""

import base64
import io
import math
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import OutputError
from napari_gigaclf.geometry import UM_PER_MM
from napari_gigaclf.writing import replacing

ROW = 38
"""Height of the strip's rows: the scale bar on the left, and one row for each legend on the right."""
LINE = 18
MARGIN = 16
BAR_SHARE = 0.25
"""The scale bar is at most this share of the picture's width."""
BAR_HEIGHT = 6
LEGEND_WIDTH, LEGEND_HEIGHT = 200, 10
NUMBER_ROOM = 30
"""Pixels beside a legend for its lowest and its highest value."""
FONT_SIZE = 13
SUFFIXES = (".png", ".svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """The colours of one overlay."""

    title: str
    colours: NDArray[np.uint8]
    """From low to high, (n, 3), as they look over white."""
    low: str
    high: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was shown, and what has to be said about it."""

    pixels: NDArray[np.uint8]
    """(h, w, 3)."""
    um_per_px: float | None
    """Micrometres per pixel of the picture; None draws no scale bar."""
    caption: tuple[str, ...]
    """Lines below bar and legend."""
    legends: tuple[Legend, ...] = ()


@dataclass(frozen=True, slots=True)
class ScaleBar:
    """A bar of a round length."""

    um: float
    pixels: float

    @property
    def text(self) -> str:
        """Its length for a person."""
        return f"{self.um / UM_PER_MM:g} mm" if self.um >= UM_PER_MM else f"{self.um:g} µm"


def scale_bar(um_per_px: float, width: int) -> ScaleBar:
    """Return the longest bar of 1, 2 or 5 times a power of ten that takes at most a quarter of a picture.

    Examples
    --------
    >>> scale_bar(0.5, 1000)
    ScaleBar(um=100.0, pixels=200.0)
    """
    most = BAR_SHARE * width * um_per_px
    power = 10.0 ** math.floor(math.log10(most))
    um = next(power * step for step in (5, 2, 1) if power * step <= most)
    return ScaleBar(um=um, pixels=um / um_per_px)


def save_snapshot(snapshot: Snapshot, path: Path) -> None:
    """Write a PNG or an SVG, by the suffix.

    Raises
    ------
    OutputError
        The suffix is neither, or the file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path}: a snapshot is a .png or an .svg file; give a name that ends so")
    svg = path.suffix.lower() == ".svg"  # with a "?" where the name of a file holds what is no text
    data = _svg(snapshot).encode(errors="replace") if svg else _png(_composed(snapshot))
    with replacing(path) as beside:
        beside.write_bytes(data)


def _composed(snapshot: Snapshot) -> NDArray[np.uint8]:
    """Return the picture with its strip, (h + strip, w, 3)."""
    from PIL import Image, ImageDraw

    height, width = snapshot.pixels.shape[:2]
    sheet = Image.new("RGB", (width, height + strip_height(snapshot)), "white")
    sheet.paste(Image.fromarray(snapshot.pixels), (0, 0))
    draw = ImageDraw.Draw(sheet)
    font = _font()
    layout = _layout(snapshot)
    if layout.bar is not None:
        y = height + layout.bar_y
        draw.rectangle((MARGIN, y, MARGIN + layout.bar.pixels - 1, y + BAR_HEIGHT - 1), fill="black")
    for legend, x, y in layout.legends:
        ramp = Image.fromarray(legend.colours[None]).resize((LEGEND_WIDTH, LEGEND_HEIGHT))
        sheet.paste(ramp, (x, height + y))
    for text, x, y, anchor in layout.texts:
        draw.text((x, height + y), text, fill="black", font=font, anchor={"start": "ls", "end": "rs"}[anchor])
    return np.asarray(sheet)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things lie in the strip, in pixels from its upper left corner; texts stand on their baselines."""

    bar: ScaleBar | None
    bar_y: int
    legends: tuple[tuple[Legend, int, int], ...]
    texts: tuple[tuple[str, int, int, str], ...]


def _layout(snapshot: Snapshot) -> _Layout:
    width = snapshot.pixels.shape[1]
    bar = None if snapshot.um_per_px is None else scale_bar(snapshot.um_per_px, width)
    texts: list[tuple[str, int, int, str]] = []
    if bar is not None:
        texts.append((bar.text, MARGIN, 18, "start"))
    legends: list[tuple[Legend, int, int]] = []
    x = max(0, width - MARGIN - NUMBER_ROOM - LEGEND_WIDTH)
    for number, legend in enumerate(snapshot.legends):
        top = number * ROW
        legends.append((legend, x, top + 24))
        texts += [
            (legend.title, x, top + 18, "start"),
            (legend.low, x - 6, top + 34, "end"),
            (legend.high, x + LEGEND_WIDTH + 6, top + 34, "start"),
        ]
    below = max(1, len(snapshot.legends)) * ROW
    texts += [(line, MARGIN, below + LINE * (number + 1), "start") for number, line in enumerate(snapshot.caption)]
    return _Layout(bar, 25, tuple(legends), tuple(texts))


def strip_height(snapshot: Snapshot) -> int:
    """Return the height of what is drawn below the picture, in pixels."""
    return max(1, len(snapshot.legends)) * ROW + LINE * len(snapshot.caption) + LINE // 2


def _font() -> Any:  # noqa: ANN401 - a font of PIL
    """Return a font that has the signs for micro and about, which PIL's own lacks; napari's drawing library has one."""
    from importlib.resources import files

    from PIL import ImageFont

    try:
        data = (files("vispy") / "util" / "fonts" / "data" / "OpenSans-Regular.ttf").read_bytes()
    except OSError:
        return ImageFont.load_default(FONT_SIZE)
    return ImageFont.truetype(io.BytesIO(data), FONT_SIZE)


def _svg(snapshot: Snapshot) -> str:
    height, width = snapshot.pixels.shape[:2]
    layout = _layout(snapshot)
    whole = height + strip_height(snapshot)
    picture = base64.b64encode(_png(snapshot.pixels)).decode()
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{whole}" '
        f'viewBox="0 0 {width} {whole}" font-family="sans-serif" font-size="{FONT_SIZE}">',
        f'<rect width="{width}" height="{whole}" fill="white"/>',
        f'<image width="{width}" height="{height}" href="data:image/png;base64,{picture}"/>',
    ]
    if layout.bar is not None:
        parts.append(
            f'<rect id="scale-bar" x="{MARGIN}" y="{height + layout.bar_y}" width="{layout.bar.pixels:g}" '
            f'height="{BAR_HEIGHT}"/>'
        )
    for number, (legend, x, y) in enumerate(layout.legends):
        last = len(legend.colours) - 1
        stops = "".join(
            f'<stop offset="{index / last:.4f}" stop-color="rgb({r},{g},{b})"/>'
            for index, (r, g, b) in enumerate(legend.colours.tolist())
        )
        parts.append(f'<linearGradient id="legend-{number}">{stops}</linearGradient>')
        parts.append(
            f'<rect x="{x}" y="{height + y}" width="{LEGEND_WIDTH}" height="{LEGEND_HEIGHT}" '
            f'fill="url(#legend-{number})"/>'
        )
    parts += [
        f'<text x="{x}" y="{height + y}" text-anchor="{anchor}">{escape(text)}</text>'
        for text, x, y, anchor in layout.texts
    ]
    return "\n".join([*parts, "</svg>\n"])


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    return buffer.getvalue()
