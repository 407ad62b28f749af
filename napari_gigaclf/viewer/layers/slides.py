"""A slide itself as image layers: one for colour, one per channel for fluorescence."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.viewer.layers.frame import AXIS_LABELS, Frame, LayerData
from napari_gigaclf.viewer.progressive.shown_level import ShownLevel, shown_levels

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

CHANNEL_COLOURS = ("gray", "green", "magenta", "cyan", "yellow", "red", "blue")


class ChannelPlane:
    """One channel of a level as a lazy 2-D array: fluorescence is shown channel by channel, and nothing is copied."""

    def __init__(self, level: Any, channel: int) -> None:  # noqa: ANN401 - a slide's level, array-like
        self._level = level
        self._channel = channel
        self.shape: tuple[int, int] = (level.shape[0], level.shape[1])
        self.dtype = level.dtype
        self.ndim = 2
        self.size = self.shape[0] * self.shape[1]
        self.chunks: tuple[int, ...] = tuple(level.chunks[:2])

    def __getitem__(self, key: Any) -> NDArray[Any]:  # noqa: ANN401 - what numpy allows
        """Read pixels of this channel."""
        rows_columns = key if isinstance(key, tuple) else (key,)
        return np.asarray(self._level[(*rows_columns, *[slice(None)] * (2 - len(rows_columns)), self._channel)])

    def __deepcopy__(self, memo: dict[int, object]) -> "ChannelPlane":
        """Return the plane itself: it is read-only, and napari deep-copies the data of a layer it duplicates."""
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ANN401
        """Read the whole plane; napari does this with the coarsest level only."""
        del copy
        return np.asarray(self[:, :], dtype=dtype)


def plane_of(level: Any, channel: int) -> Any:  # noqa: ANN401 - array-likes
    """Return one channel of a level as a lazy 2-D array."""
    return level.plane(channel) if isinstance(level, ShownLevel) else ChannelPlane(level, channel)


def slide_layers(
    slide: "Slide",
    levels: Sequence[Any] | None = None,
    limits: Sequence[tuple[float, float]] | None = None,
    names: Sequence[str] = (),
) -> list[LayerData]:
    """Return the image layers which show a slide: one for colour images, one per channel for the others.

    Parameters
    ----------
    slide
        An open slide.
    levels
        Array-likes to show instead of the slide's own levels, fine to coarse.
    limits
        Contrast limits per channel (see ``contrast_limits``); None leaves them to the data type's range.
    names
        Names of the channels; without any they are counted.
    """
    from napari_gigaclf.slides.choice import full_name

    title = full_name(slide)
    pyramid = shown_levels(list(levels if levels is not None else slide.levels), slide.background)
    frame = Frame.of_slide(slide)
    common = {**frame.place(), "metadata": {"slide": slide}, "multiscale": True}
    if is_colour(slide):
        return [(pyramid, {**common, "name": title, "rgb": True}, "image")]
    if pyramid[0].ndim == len(AXIS_LABELS):
        planes = [pyramid]
    else:
        planes = [[plane_of(level, channel) for level in pyramid] for channel in range(slide.num_channels)]
    layers: list[LayerData] = []
    for channel, plane in enumerate(planes):
        kwargs: dict[str, Any] = {**common, "rgb": False, "blending": "additive"}
        called = names[channel] if names else f"channel {channel + 1}"
        kwargs["name"] = title if len(planes) == 1 else f"{title} {called}"
        kwargs["colormap"] = CHANNEL_COLOURS[0 if len(planes) == 1 else 1 + channel % (len(CHANNEL_COLOURS) - 1)]
        kwargs["contrast_limits"] = limits[channel] if limits else _type_range(slide.dtype)
        layers.append((plane, kwargs, "image"))
    return layers


def is_colour(slide: "Slide") -> bool:
    """Return True if the slide's channels are red, green and blue."""
    return slide.num_channels == 3 and np.dtype(slide.dtype) == np.uint8


def contrast_limits(slide: "Slide") -> list[tuple[float, float]] | None:
    """Return the 1st and 99.8th percentile of each channel in the coarsest level; None for colour images.

    Reads the coarsest level, so it is not for the GUI thread.
    """
    if is_colour(slide):
        return None
    pixels = np.asarray(slide.levels[-1][:, :])
    planes = pixels[..., None] if pixels.ndim == len(AXIS_LABELS) else pixels
    limits = []
    for channel in range(planes.shape[-1]):
        values = planes[..., channel]
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, (1.0, 99.8)) if values.size else (0.0, 1.0)
        limits.append((float(low), float(high if high > low else low + 1)))
    return limits


def _type_range(dtype: np.dtype[Any]) -> tuple[float, float]:
    if np.issubdtype(dtype, np.integer):
        return 0.0, float(np.iinfo(dtype).max)
    return 0.0, 1.0
