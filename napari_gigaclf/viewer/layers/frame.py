"""Where layers lie in the world of one slide."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import PixelGrid

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

LayerData = tuple[Any, dict[str, Any], str]
"""What napari's readers return: data, keyword arguments, layer type."""

AXIS_LABELS = ("y", "x")
FILE = "file"
"""In the metadata of a layer: the path of the file that it was opened from."""
COVERED = "covered"
"""In the metadata of a layer that is hidden only as long as a painted map lies over it."""
EDGE_SHARE = 500
"""An outline is 1 / 500 of the slide's longer side wide: visible on the whole slide, thin at the nucleus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """How layers lie in the world of one slide."""

    um_per_px: tuple[float, float] | None
    """Micrometres per level-0 pixel, (y, x); None: the world is in level-0 pixels."""
    shape: tuple[int, int]
    """Rows and columns of level 0."""

    @classmethod
    def of_slide(cls, slide: "Slide") -> "Frame":
        """Return the frame of an open slide."""
        finest = slide.levels[0]
        return cls(um_per_px=slide.um_per_px, shape=(finest.height, finest.width))

    @property
    def units(self) -> tuple[str, str]:
        """Units of the world axes, the same on every layer."""
        return ("um", "um") if self.um_per_px else ("pixel", "pixel")

    @property
    def edge_width(self) -> float:
        """Width of an outline in level-0 pixels."""
        return max(1.0, max(self.shape) / EDGE_SHARE)

    @property
    def level0(self) -> PixelGrid:
        """The raster of level 0 itself."""
        return PixelGrid(origin=(0.0, 0.0), step=(1.0, 1.0), shape=self.shape)

    def place(self, grid: PixelGrid | None = None) -> dict[str, Any]:
        """Return scale, translate, units and axis labels of a layer; ``grid`` None means level 0."""
        scale, translate = (grid or self.level0).napari_transform(self.um_per_px)
        return {"scale": scale, "translate": translate, "units": self.units, "axis_labels": AXIS_LABELS}


def belongs_to(metadata: dict[str, Any], slide_id: str) -> bool:
    """Return whether a layer, by its metadata, shows a slide, lies over it, or was drawn on it."""
    slide = metadata.get("slide")
    over = slide_id in (metadata.get("slide_id"), metadata.get("drawn_on"))
    return over or (slide is not None and slide.id == slide_id)


def drawn_at(layer: Any, scale: NDArray[np.float64]) -> bool:  # noqa: ANN401
    """Return whether a person drew this layer in the pixels of a slide of this scale."""
    drawn = type(layer).__name__ in ("Shapes", "Points") and "kind" not in layer.metadata
    return drawn and layer.ndim == len(scale) and np.allclose(layer.scale, scale) and not np.any(layer.translate)
