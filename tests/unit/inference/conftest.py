"""Small untrained models, small slides, and the obvious implementation they are compared with."""

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.models import Classifier, ModelCard, ModelConfig
from napari_gigaclf.models.build import build_classifier
from napari_gigaclf.slides import Slide, open_slide
from napari_gigaclf.slides.tissue import TissueMask

CELL = 32
MASK_STEP = 8
CARD = ModelCard(
    title="Test",
    summary="Untrained.",
    intended_tissue="none",
    stain="H&E",
    intended_use="tests",
    not_for="anything else",
    training_data="none",
    licence="BSD-3-Clause",
    citation=("nobody",),
    measured={},
    positive_class="tumour",
)
CONFIG = ModelConfig(
    name="test-model",
    version="1.0",
    classes=("normal", "tumour", "other"),
    um_per_px=1.0,
    activation="softmax",
    network="cell-net",
    pooling="max",
    spread=(0.25, 0.25, 0.25),
    card=CARD,
)


def texture(shape: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Return blobs and noise, (y, x, 3)."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.standard_normal((*shape, 3)), (6, 6, 0)) * 900
    return np.clip(170 + smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


def build_model(**changes: object) -> Classifier:
    """Build an untrained classifier whose cells differ."""
    torch.manual_seed(3)
    model = build_classifier(dataclasses.replace(CONFIG, **changes))
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():  # statistics of something, so that the cells differ
        image = torch.from_numpy(texture((640, 640), seed=1)).permute(2, 0, 1)[None].float() / 255
        cells = model.train().features(image)[0].flatten(1).T
        logits = model.eval().cell_logits(cells)
        model.head[-1].weight.div_(logits.std() / 2)
        model.head[-1].bias.sub_(model.cell_logits(cells).mean(dim=0))
    return model.requires_grad_(requires_grad=False)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Classifier]:
    """Return a function giving an untrained classifier of the caller's own; each kind is built once."""
    built: dict[str, Classifier] = {}

    def make(**changes: object) -> Classifier:
        kind = repr(sorted(changes.items()))
        if kind not in built:
            built[kind] = build_model(**changes)
        torch.manual_seed(3)
        return copy.deepcopy(built[kind])

    return make


@pytest.fixture(scope="session")
def pixels() -> NDArray[np.uint8]:
    """Something that is not noise alone, 331 x 397 px: neither side a multiple of a cell."""
    return texture((331, 397), seed=0)


@pytest.fixture
def slide(pixels: NDArray[np.uint8]) -> Slide:
    """The pixels as a slide at the scale of the test model."""
    return open_slide(pixels, um_per_px=1.0)


@pytest.fixture(scope="session")
def mask() -> NDArray[np.bool_]:
    """Tissue with an outline that follows no cell and glass of several tiles, 42 x 50 pixels of 8 px."""
    y, x = np.mgrid[:42, :50]
    return ((y - 17) ** 2 / 14**2 + (x - 22) ** 2 / 19**2 < 1) & ~((y - 15) ** 2 + (x - 25) ** 2 < 9)


@pytest.fixture
def tissue(mask: NDArray[np.bool_]) -> TissueMask:
    """The mask laid over the slide."""
    return TissueMask.from_array(mask, PixelGrid(origin=(0.0, 0.0), step=(MASK_STEP, MASK_STEP), shape=mask.shape))


@dataclass(frozen=True, kw_only=True)
class Untiled:
    """What the network gives on the whole masked image at once."""

    probability_map: NDArray[np.float32]
    probabilities: NDArray[np.floating]
    saliency: NDArray[np.floating]
    class_index: int


@pytest.fixture(scope="session")
def untiled() -> Callable[..., Untiled]:
    """Return the obvious implementation: mask, network, pooling, autograd, nothing tiled."""

    def compute(
        model: Classifier,
        pixels: NDArray[np.uint8],
        mask: NDArray[np.bool_] | None,
        class_index: int | None = None,
        region: NDArray[np.bool_] | None = None,
    ) -> Untiled:
        height, width, _ = pixels.shape
        shown = np.ones((height, width), dtype=bool) if mask is None else np.kron(mask, np.ones((8, 8), bool))
        shown = torch.from_numpy(shown[:height, :width])
        dtype = next(model.parameters()).dtype
        image = (torch.from_numpy(pixels).permute(2, 0, 1).float() / 255).to(dtype).requires_grad_()
        features = model.features(torch.where(shown, image, 1.0)[None])[0]
        rows, columns = features.shape[-2:]
        share = shown[: rows * CELL, : columns * CELL].float().reshape(rows, CELL, columns, CELL).mean(dim=(1, 3))
        kept = (share >= 0.25) & (True if region is None else torch.from_numpy(region))
        cells = features[:, kept].T
        logits = model.cell_logits(cells)
        slide_logits = model.cell_logits(model.pool(cells))
        index = int(slide_logits.argmax()) if class_index is None else class_index
        if model.config.pooling == "highest":
            chosen = model.probabilities(logits)[:, index] >= 0.5
            if not chosen.any():
                chosen[logits[:, index].argmax()] = True
            logits[chosen, index].sum().backward()
        else:
            slide_logits[index].backward()
        values = np.full((len(model.classes), rows, columns), np.nan, dtype=np.float32)
        values[:, kept.numpy()] = model.probabilities(logits).detach().numpy().T
        return Untiled(
            probability_map=values,
            probabilities=model.probabilities(slide_logits).detach().numpy(),
            saliency=image.grad.abs().amax(dim=0).numpy(),
            class_index=index,
        )

    return compute
