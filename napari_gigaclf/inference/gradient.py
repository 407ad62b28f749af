"""Why this place: how a region's logit changes with every pixel that the region sees, exactly.

    g(c, y, x) = d logit / d pixel(c, y, x)            pixels in [0, 1], at the network's scale

The logit is that of the region's own answer, head(pool(cells of the region)) before the activation, or the sum of the
logits of its cells. The part of the slide that the region sees is streamed forward and backward; beyond it the gradient
is zero, and so it is on glass, whose white does not come from the slide. SmoothGrad (Smilkov et al. 2017,
arXiv:1706.03825) is the mean of g over copies of the pixels with normal noise. Known weakness: a gradient says what
would change the answer, not what it is made of.
"""

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gigaclf.errors import ModelError, RegionError
from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.noise import SMOOTHED_AT_MOST, NoisyImage
from napari_gigaclf.inference.precision import full_precision
from napari_gigaclf.inference.query import NO_TISSUE, TOO_SMALL
from napari_gigaclf.progress import CancelToken, Progress, ProgressCallback

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_gigaclf.inference.asked import Place
    from napari_gigaclf.inference.crop import Crop
    from napari_gigaclf.inference.masking import MaskedImage
    from napari_gigaclf.inference.preparation import PreparedRun
    from napari_gigaclf.streaming import StreamedModule

Logit = Literal["answer", "cells"]
"""What is differentiated: the logit of the region's answer, or the sum of the logits of its cells."""
MAX_PIXELS = 1 << 25
"""Most pixels that a region may see: 34 megapixels at the network's scale, 0.4 GB of gradient."""
CAP_PERCENTILE = 99.0
"""Percentile of the magnitudes that are not zero at which colours end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothGrad:
    """How the gradient is averaged over noisy copies of the pixels.

    Raises
    ------
    ValueError
        If a number makes no sense.
    """

    noise: float = 0.1
    """Standard deviation of the noise as a share of the range of pixels, 0 to 1."""
    samples: int = 16
    """Copies."""
    seed: int = 0
    """The same seed gives the same noise, however the slide is tiled."""

    def __post_init__(self) -> None:
        if not (0 < self.noise <= 1 and 1 <= self.samples <= SMOOTHED_AT_MOST):
            raise ValueError(f"noise must be above 0 to 1, samples 1 to {SMOOTHED_AT_MOST}")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlaceGradient:
    """The gradient of a region's logit."""

    gradient: NDArray[np.floating]
    """d logit / d pixel, (3, y, x), at the network's scale; zero where the region sees nothing, and on glass."""
    grid: PixelGrid
    """Place of its pixels over level 0."""
    outline: "BaseGeometry"
    """The region, (x, y) level-0 pixels."""
    num_cells: int
    """Tissue cells of the region."""
    class_name: str
    """Class whose logit was differentiated."""
    logit: float
    """The logit, without noise on the pixels unless it was averaged over noisy copies, then its mean over them."""
    of: Logit
    """Which logit it is."""
    smooth: SmoothGrad | None
    """How it was averaged; None for the gradient itself."""

    def signed(self) -> NDArray[np.float32]:
        """Return the sum over colours (y, x): how the logit changes when a pixel gets brighter."""
        summed: NDArray[np.float32] = self.gradient.sum(axis=0, dtype=np.float64).astype(np.float32)
        return summed

    def unsigned(self) -> NDArray[np.float32]:
        """Return the largest magnitude over colours (y, x)."""
        largest: NDArray[np.float32] = np.abs(self.gradient).max(axis=0).astype(np.float32)
        return largest

    @property
    def words(self) -> str:
        """What it is, for a person."""
        what = "the region's answer" if self.of == "answer" else f"its {self.num_cells} cells, summed"
        how = ""
        if self.smooth is not None:
            how = f", SmoothGrad: {self.smooth.samples} copies, noise {self.smooth.noise:g}, seed {self.smooth.seed}"
        return f"d logit / d pixel of {self.class_name}, of {what}{how}"


def cap_of(values: NDArray[np.floating]) -> float:
    """Return the magnitude at which colours end, the 99th percentile of those that are not zero; 1 where all are."""
    magnitudes = np.abs(values[values != 0])
    return float(np.percentile(magnitudes, CAP_PERCENTILE)) if magnitudes.size else 1.0


def place_gradient(
    prepared: "PreparedRun",
    region: "Place",
    class_name: str,
    *,
    of: Logit = "answer",
    smooth: SmoothGrad | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> PlaceGradient:
    """Return the exact gradient of a region's logit with respect to the pixels that the region sees.

    Parameters
    ----------
    prepared
        What runs on which slide.
    region
        A polygon, a box, or a point (y, x), which stands for the field around it; see ``PreparedRun.ask``.
    class_name
        Any class of the model.
    of
        ``"answer"``: the logit of the region's answer, pooled over its tissue cells as the model pools. ``"cells"``:
        the sum of the logits of its tissue cells, so that each of them has its say where the model pools by the
        highest cell.
    smooth
        Average over noisy copies; None for the gradient itself.
    progress
        Called after each tile.
    cancel
        Asked before each tile.

    Raises
    ------
    RegionError
        The region is empty, lies outside the slide, holds no tissue, or sees too many pixels.
    ModelError
        The model has no such class.
    Cancelled
        If ``cancel`` is set.
    """
    model = prepared.model
    if class_name not in model.classes:
        raise ModelError(f"{model.name} has no class {class_name!r}; it has {', '.join(model.classes)}")
    what = prepared.asked(region)
    cells = what.cells.only(prepared.tissue_cells)
    if not len(cells):
        raise RegionError(f"nothing to explain: {NO_TISSUE if len(what.cells) else TOO_SMALL}")
    crop = prepared.crop(cells)
    height, width = crop.source.box.shape
    if height * width > MAX_PIXELS:
        raise RegionError(
            f"the region sees {height * width / 1e6:.0f} megapixels at the network's scale; at most "
            f"{MAX_PIXELS / 1e6:.0f} are differentiated: choose a smaller region, or take the saliency of the run"
        )
    streamed = prepared.network.apart()
    rows, columns = streamed.plan(crop.source.shape).output_shape[-2:]
    kept = crop.kept(cells, (int(rows), int(columns)))
    index = model.classes.index(class_name)
    run = _Passes(prepared, streamed, crop, kept, index, of, progress, cancel, smooth.samples if smooth else 1)
    sources = [crop.source] if smooth is None else [NoisyImage(crop.source, smooth, n) for n in range(smooth.samples)]
    with full_precision(prepared.device.key), torch.enable_grad():
        for source in sources:
            run.add(source)
    return PlaceGradient(
        gradient=run.gradient,
        grid=prepared.scale.grid.part(crop.source.box),
        outline=what.outline,
        num_cells=len(cells),
        class_name=class_name,
        logit=run.logit,
        of=of,
        smooth=smooth,
    )


class _Passes:
    """Forward and backward passes over what a region sees, whose gradients are averaged."""

    def __init__(
        self,
        prepared: "PreparedRun",
        streamed: "StreamedModule",
        crop: "Crop",
        kept: NDArray[np.bool_],
        class_index: int,
        of: Logit,
        progress: ProgressCallback | None,
        cancel: CancelToken | None,
        samples: int,
    ) -> None:
        self._prepared, self._streamed, self._crop, self._kept = prepared, streamed, crop, kept
        self._class_index, self._of = class_index, of
        self._progress, self._cancel, self._samples = progress, cancel, samples
        self._done = 0
        self._start = time.perf_counter()
        dtype = next(prepared.model.parameters()).dtype
        self.gradient: NDArray[Any] = torch.zeros(crop.source.shape, dtype=dtype).numpy()
        self.logit = 0.0

    def add(self, source: "MaskedImage | NoisyImage") -> None:
        """Add the gradient for one copy of the pixels."""
        features = self._streamed.stream(
            source, sink=self, progress=self._follow, cancel=self._cancel, cells=self._kept
        )
        logit = self._logit_of(features[0].T)
        logit.backward()  # type: ignore[no-untyped-call]
        self.logit += float(logit.detach()) / self._samples
        self._done += 1

    def write(self, slices: tuple[slice, ...], array: NDArray[Any]) -> None:
        """Take the gradient (3, y, x) of a part of the source; the slide's own pixels get it, glass does not."""
        if array.any():
            self.gradient[:, *slices] += array * self._crop.source.shown(*slices) / self._samples

    def _logit_of(self, cells: Tensor) -> Tensor:
        """Return the logit that is differentiated."""
        model = self._prepared.model
        if self._of == "cells":
            return model.cell_logits(cells)[:, self._class_index].sum()
        return model.cell_logits(model.pool(cells))[self._class_index]

    def _follow(self, report: Progress) -> None:
        """Report tiles of all passes together."""
        if self._progress is None:
            return
        before = 2 * self._done + (report.phase == "backward")
        self._progress(
            dataclasses.replace(
                report,
                done=before * report.total + report.done,
                total=2 * self._samples * report.total,
                phase="gradient",
                seconds=time.perf_counter() - self._start,
            )
        )
