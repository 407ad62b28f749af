import numpy as np
import pytest
import torch
from torch import nn

from napari_gigaclf.models.networks import build
from napari_gigaclf.training.runs.networks import he_initialise
from napari_gigaclf.training.slides.initialise import Moments, colour_spread, unit_variance
from napari_gigaclf.training.slides.view import open_view


class Pixels:
    """A source of the engine over an array."""

    def __init__(self, seed, side):
        self.array = np.random.default_rng(seed).random((3, side, side + 7), dtype=np.float32)
        self.shape, self.dtype = self.array.shape, self.array.dtype

    def read(self, *slices):
        return self.array[(slice(None), *slices)]


RESNET = pytest.param("resnet18", 64, marks=pytest.mark.slow)


@pytest.mark.parametrize(("name", "side"), [("paper-table1", 200), ("cell-net", 128), RESNET])
def test_every_convolution_has_unit_variance_afterwards(name, side):
    torch.manual_seed(0)
    trunk = build(name).trunk
    he_initialise(trunk)
    slides = [Pixels(seed, side + 8 * seed) for seed in range(2)]
    trunk.eval()
    before = unit_variance(trunk, lambda: slides, "50MB")
    found = {}
    hooks = [
        module.register_forward_hook(lambda _, inputs, output, name=name: found.setdefault(name, []).append(output))
        for name, module in trunk.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad():
        for slide in slides:
            trunk(torch.from_numpy(slide.array)[None])
    for hook in hooks:
        hook.remove()
    assert set(before) == set(found)
    weights = np.array([slide.array[0].size for slide in slides]) / sum(slide.array[0].size for slide in slides)
    for outputs in found.values():
        mean = sum(w * y.double().mean((0, 2, 3)) for w, y in zip(weights, outputs, strict=True))
        square = sum(w * y.double().square().mean((0, 2, 3)) for w, y in zip(weights, outputs, strict=True))
        np.testing.assert_allclose((square - mean**2).numpy(), 1.0, rtol=2e-3)


def test_moments_are_means():
    x = torch.rand(1, 3, 5, 6)
    torch.testing.assert_close(Moments(nn.Identity())(x).flatten(), torch.cat([x, x * x], 1).mean((0, 2, 3)))


def test_the_spread_of_colours_is_that_of_tissue(slides_folder):
    views = [open_view(slides_folder / f"{i}.tif", um_per_px=4, slide_um_per_px=4, tissue=True) for i in range(2)]
    spread = colour_spread(views, seed=0)
    whole = slice(0, 160), slice(0, 160)
    pixels = np.concatenate([view.whole.read(*whole)[:, view.whole.shown(*whole)] for view in views], axis=1)
    for view in views:
        view.slide.close()
    np.testing.assert_allclose(spread, pixels.std(axis=1), rtol=0.15)
