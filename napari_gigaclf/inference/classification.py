"""Classify a slide: one call from pixels to an answer with its map and its reasons."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_gigaclf.errors import OutputError
from napari_gigaclf.inference.map_update import MapCallback
from napari_gigaclf.inference.prediction import Prediction
from napari_gigaclf.inference.preparation import SaliencyChoice, TissueChoice, prepare
from napari_gigaclf.inference.region import Region
from napari_gigaclf.progress import CancelToken, ProgressCallback
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.pyramid import ensure_coarse_levels

if TYPE_CHECKING:
    from napari_gigaclf.models import Classifier
    from napari_gigaclf.slides import Slide

logger = logging.getLogger(__name__)


def classify(
    slide: "Slide | str | Path",
    model: "Classifier | str | Path",
    *,
    level: int | Literal["auto"] = "auto",
    um_per_px: float | None = None,
    region: Region | None = None,
    tissue: TissueChoice = True,
    saliency: SaliencyChoice = "predicted",
    device: str = "auto",
    memory: int | str | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    on_map: MapCallback | None = None,
    tile: int | tuple[int, int] | None = None,
) -> Prediction:
    """Classify a slide by streaming it through a model.

    Parameters
    ----------
    slide
        An open slide, or the path of one.
    model
        A classifier, the name of a built-in model, or a model folder.
    level
        ``"auto"`` reads the nearest finer level and resamples it to the model's scale; a number reads that level as it
        is.
    um_per_px
        Scale of the network's input instead of the model's, micrometres per pixel; also allows to enlarge by more than
        1.5.
    region
        Part of the slide, level-0 pixels: a ``Box``, a shapely polygon or points in (x, y), or polygon vertices (N, 2)
        in (y, x). Its cells get the numbers which a run over the whole slide gives them.
    tissue
        True finds the tissue, ``TissueSettings`` say how, a ``TissueMask`` is used as it is, False looks at everything.
        What is not tissue is white for the network and is not pooled.
    saliency
        Class whose logit is differentiated, ``"predicted"`` for the most probable one, None for no saliency map.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.
    memory
        Budget of the streaming engine, bytes or text such as ``"2GB"``.
    progress
        Called with each report.
    cancel
        Asked between tiles; a stopped run returns its partial result with ``complete`` False.
    on_map
        Called with each part of the probability map as it is computed.
    tile
        Side of the tiles in pixels of the network's input; None chooses.

    Returns
    -------
    Prediction
        Without probabilities, and with a message, where no tissue is found.

    Raises
    ------
    SlideError, ModelError, ScaleError, RegionError, UnsupportedOperation, GigaclfError
        One line for a person.
    Cancelled
        Stopped while coarse levels of a slide without any were computed: there is no part to return yet.
    """
    opened = open_slide(slide) if isinstance(slide, str | Path) else slide
    try:
        prepared = prepare(
            _with_coarse_levels(opened, progress, cancel),
            model,
            level=level,
            um_per_px=um_per_px,
            region=region,
            tissue=tissue,
            device=device,
            memory=memory,
            tile=tile,
        )
        return prepared.run(saliency=saliency, progress=progress, cancel=cancel, on_map=on_map)
    finally:
        if opened is not slide:
            opened.close()


def _with_coarse_levels(slide: "Slide", progress: ProgressCallback | None, cancel: CancelToken | None) -> "Slide":
    """Return the slide with coarse levels, as the viewer and the command line have it: so all give the same numbers."""
    try:
        return ensure_coarse_levels(slide, progress, cancel)
    except OutputError as error:
        logger.warning("no overview levels: %s", error)
        return slide
