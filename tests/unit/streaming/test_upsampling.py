"""Maps made finer: every kind of interpolation, transposed convolution, pixel shuffle, and the U-Nets made of them."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_gigaclf.errors import ImageTooSmallError, UnsupportedOperation
from napari_gigaclf.inference.network import cell_axes
from napari_gigaclf.streaming import stream
from napari_gigaclf.streaming.capture.builder import capture
from napari_gigaclf.streaming.capture.refusals import CodeNotFollowed
from napari_gigaclf.testing.networks import UNet
from napari_gigaclf.testing.oracle import answer, disagreements, relative_error


def between(layer, given=3, taken=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, given, 3, padding=1), layer, nn.Conv2d(taken, 2, 3, padding=1)).double()


LAYERS = {
    "nearest": between(nn.Upsample(scale_factor=2)),
    "nearest by 3 and 2": between(nn.Upsample(scale_factor=(3.0, 2.0))),
    "nearest by 1.7": between(nn.Upsample(scale_factor=1.7)),
    "nearest by 0.6": between(nn.Upsample(scale_factor=0.6)),
    "nearest-exact": between(nn.Upsample(scale_factor=3, mode="nearest-exact")),
    "bilinear": between(nn.Upsample(scale_factor=2, mode="bilinear")),
    "bilinear by 1.7": between(nn.Upsample(scale_factor=1.7, mode="bilinear")),
    "bilinear by 1.7, by size": between(nn.Upsample(scale_factor=1.7, mode="bilinear", recompute_scale_factor=True)),
    "bilinear by 0.6": between(nn.Upsample(scale_factor=0.6, mode="bilinear")),
    "bilinear, corners": between(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)),
    "UpsamplingNearest2d": between(nn.UpsamplingNearest2d(scale_factor=2)),
    "UpsamplingBilinear2d": between(nn.UpsamplingBilinear2d(scale_factor=2)),
    "bicubic": between(nn.Upsample(scale_factor=2, mode="bicubic")),
    "bicubic by 2.5, corners": between(nn.Upsample(scale_factor=2.5, mode="bicubic", align_corners=True)),
    "to a size": between(nn.Upsample(size=(17, 31))),
    "to a size, bilinear": between(nn.Upsample(size=(17, 31), mode="bilinear")),
    "pixel shuffle": between(nn.PixelShuffle(2), 8, 2),
    "pixel shuffle and back": between(nn.Sequential(nn.PixelShuffle(3), nn.ReLU(), nn.PixelUnshuffle(3)), 9, 9),
    "transposed 2": between(nn.ConvTranspose2d(3, 3, 2, 2)),
    "transposed 4, 2, 1": between(nn.ConvTranspose2d(3, 3, 4, 2, 1)),
    "transposed 3, 2, 1, 1": between(nn.ConvTranspose2d(3, 3, 3, 2, 1, 1)),
    "transposed with holes": between(nn.ConvTranspose2d(3, 3, (1, 2), 3, bias=False)),
    "transposed, dilated, grouped": between(nn.ConvTranspose2d(4, 6, 3, 2, 2, 1, groups=2, dilation=2), 4, 6),
    "transposed without stride": between(nn.ConvTranspose2d(3, 3, 3, padding=1)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer_agrees_whatever_the_tile(name):
    module = LAYERS[name]
    for side, tile in product((1, 2, 13), (1, 5, (4, 30))):
        image = torch.randn(2, 2, side, side + 4, dtype=torch.float64)
        if name.endswith("0.6") and side == 1:
            continue
        expected, streamed = answer(module, image), stream(module, tile=tile)
        assert disagreements(expected, answer(streamed, image)) == {}
        rows, columns = (slice(size // 3, size // 3 + (size + 2) // 3) for size in expected.value.shape[2:])
        assert relative_error(expected.value[:, :, rows, columns], streamed.region(image, (rows, columns))) < 1e-10


@pytest.mark.parametrize("num_axes", [1, 3])
@pytest.mark.parametrize("mode", ["nearest", "linear", "transposed"])
def test_one_and_three_axes(num_axes, mode):
    torch.manual_seed(0)
    conv = (nn.Conv1d, nn.Conv3d)[num_axes // 2]
    up = nn.Upsample(scale_factor=2, mode={3: "trilinear"}.get(num_axes, mode) if mode == "linear" else mode)
    if mode == "transposed":
        up = (nn.ConvTranspose1d, nn.ConvTranspose3d)[num_axes // 2](2, 2, 4, 2, 1)
    module = nn.Sequential(conv(1, 2, 3, 2, 1), up, conv(2, 1, 3)).double()
    image = torch.randn(1, 1, *(9, 11, 8)[:num_axes], dtype=torch.float64)
    for tile in (1, 4, 7):
        assert disagreements(answer(module, image), answer(stream(module, tile=tile), image)) == {}


@pytest.mark.parametrize("way", ["nearest", "bilinear", "transposed"])
@pytest.mark.parametrize("tile", [(24, 40), 13, 5])
def test_unet_agrees(way, tile):
    torch.manual_seed(0)
    module = UNet(3, 2, 3, depth=3, way=way).double().eval()
    image = torch.randn(2, 3, 48, 56, dtype=torch.float64)
    streamed, expected = stream(module, tile=tile), answer(module, image)
    assert disagreements(expected, answer(streamed, image)) == {}
    wanted = (slice(7, 30), slice(21, 22))
    found = streamed.region(image, wanted)
    assert relative_error(expected.value[(slice(None), slice(None), *wanted)], found) < 1e-10


@pytest.mark.parametrize("way", ["nearest", "bilinear", "transposed"])
@pytest.mark.parametrize("joining", ["size", "pad"])
@pytest.mark.parametrize("shape", [(53, 47), (8, 15), (31, 64)])
def test_unet_agrees_where_its_levels_do_not_divide(way, joining, shape):
    torch.manual_seed(0)
    module = UNet(3, 2, 3, depth=3, way=way, joining=joining).double().eval()
    image, streamed = torch.randn(1, 3, *shape, dtype=torch.float64), stream(module, tile=(9, 16))
    expected = answer(module, image)
    assert disagreements(expected, answer(streamed, image)) == {}
    wanted = (slice(3, 7), slice(5, 13))
    found = streamed.region(image, wanted)
    assert relative_error(expected.value[(slice(None), slice(None), *wanted)], found) < 1e-10


def test_one_wrapped_unet_takes_images_of_all_sizes():
    module = UNet(1, 1, 2, depth=2, way="bilinear", joining="size").double().eval()
    streamed = stream(module, tile=8)
    for side in (4, 9, 10, 23):
        image = torch.randn(1, 1, side, side + 3, dtype=torch.float64)
        with torch.no_grad():
            assert relative_error(module(image), streamed(image)) < 1e-10
            assert streamed.plan(image.shape).output_shape == (1, 1, side, side + 3)


class Written(nn.Module):
    """Two convolutions and a forward written in the test."""

    def __init__(self, code):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.code = code
        self.double()

    def forward(self, x):
        return self.code(self, x)


def unpacked(net, x):
    _, _, height, width = x.shape
    return F.interpolate(net.first(F.max_pool2d(x, 2)), size=(height, width))


@pytest.mark.parametrize(
    "code",
    [
        unpacked,
        lambda net, x: net.second(F.interpolate(net.first(F.avg_pool2d(x, 3)), size=x.shape[2:], mode="bilinear")),
        lambda net, x: F.interpolate(net.first(x), size=(2 * x.shape[2], x.shape[-1] * 2 - 1), mode="bicubic"),
        lambda net, x: F.interpolate(net.first(x), size=x.size(-1)),
        lambda net, x: F.pad(net.first(x), (0, 16 - x.size(dim=3) % 16, 0, 0)),
        lambda net, x: F.interpolate(net.second(net.first(x)[:, :, :]), size=[x.size()[2], 7]),
    ],
)
@pytest.mark.parametrize("shape", [(3, 5), (17, 16)])
def test_sizes_taken_from_maps(code, shape):
    torch.manual_seed(0)
    module, image = Written(code), torch.randn(2, 2, *shape, dtype=torch.float64)
    for tile in (2, (5, 4)):
        assert disagreements(answer(module, image), answer(stream(module, tile=tile), image)) == {}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (lambda net, x: F.interpolate(net.first(x), size=(x.shape[1] * 2, x.shape[2])), "computes a size"),
        (lambda net, x: F.interpolate(net.first(x), size=x.shape[1:]), "a number of channels"),
        (lambda net, x: F.interpolate(net.first(x), size=(x.shape[7], 3)), "computes a size"),
        (lambda net, x: F.interpolate(net.first(x), size=(torch.div(x.shape[2], 2), 3)), "computes with the size"),
        (lambda net, x: net.first(x) * x.shape[2], "computes with the size"),
        (lambda net, x: F.pad(net.first(x), (x.shape[2], 0), mode="reflect"), "from a map's size"),
        (lambda net, x: net.first(x) if x.shape[2] % 2 else net.first(x) * 2, "decides by looking"),
        (lambda net, x: net.first(x)[:, :, x.shape[2] // 2], "getitem"),
    ],
)
def test_other_uses_of_a_size_are_left_to_another_way_of_reading(code, text):
    with pytest.raises(CodeNotFollowed, match=text):
        capture(Written(code))


def test_geometry_of_a_fixed_size_is_refused():
    with pytest.raises(UnsupportedOperation, match="fixed size in '1'"):
        stream(LAYERS["to a size"]).geometry()


def test_unet_at_its_real_depth_computes_little_twice():
    plan = stream(UNet(3, 2, 64, depth=4, way="transposed").eval()).plan((3, 4096, 4096))
    assert plan.recomputed_macs < 0.1 * plan.untiled_macs
    assert all(side % 16 == 0 for side in plan.tile)


def test_unet_geometry():
    rows, columns = stream(UNet(3, 2, 3, depth=2, way="nearest").eval()).geometry()
    assert rows == columns
    assert (rows.stride, rows.period, rows.offset) == (1, 4, 0.0)
    module, image = UNet(1, 1, 2, depth=2, way="nearest").double().eval(), torch.rand(1, 1, 96, 96).double()
    for parameter in module.parameters():
        parameter.data.abs_()  # so that nothing is cut off by a ReLU
    for cell in range(40, 48):  # each cell depends on pixels inside its receptive field, one of them on the outermost
        leaf = image.clone().requires_grad_()
        module(leaf)[0, 0, cell, 48].backward()
        (reached,) = leaf.grad[0, 0].abs().sum(1).nonzero(as_tuple=True)
        assert reached.min() >= cell - rows.before
        assert reached.max() < cell - rows.before + rows.receptive_field


def test_geometry_of_cells_finer_than_pixels():
    (cell, _) = stream(between(nn.Upsample(scale_factor=2))).geometry()
    assert (cell.stride, cell.offset, cell.period) == (Fraction(1, 2), 0.0, 1)


def test_cells_that_are_not_alike_are_refused_by_inference():
    with pytest.raises(UnsupportedOperation, match="up-sampled"):
        cell_axes(stream(UNet(3, 2, 3, depth=2, way="nearest").eval()))


@pytest.mark.parametrize("factor", [1.3, 7.0, 41.0, 49.0])
def test_nearest_positions_are_those_of_float32(factor):
    module, image = nn.Upsample(scale_factor=factor), torch.randn(1, 1, 43)
    assert torch.equal(stream(module, tile=10)(image), module(image))


def test_float32_and_autocast_give_what_pytorch_gives():
    torch.manual_seed(0)
    image = torch.randn(1, 3, 41, 37)
    for way in ("nearest", "bilinear", "transposed"):
        module = UNet(3, 2, 3, depth=1, way=way).eval()
        image = torch.randn(1, 3, 40, 36)
        torch.testing.assert_close(stream(module, tile=16)(image), module(image), rtol=1e-4, atol=1e-5)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found, expected = stream(module, tile=16)(image), module(image)
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, rtol=3e-2, atol=3e-2)


class Glass:
    """An image of one colour with a patch of tissue, which says so."""

    flat_value = np.full(3, 1.0)

    def __init__(self):
        self.array = np.full((3, 160, 160), 1.0)
        self.array[:, 60:70, 60:70] = 3.0
        self.shape, self.dtype = self.array.shape, self.array.dtype

    def read(self, *slices):
        return self.array[(slice(None), *slices)]

    def is_flat(self, *slices):
        return any(s.stop <= 60 or s.start >= 70 for s in slices)


@pytest.mark.parametrize("way", ["nearest", "bilinear", "transposed"])
def test_glass_is_filled_only_where_its_response_is_constant(way):
    torch.manual_seed(0)
    module, source = UNet(3, 2, 3, depth=2, way=way).double().eval(), Glass()
    streamed = stream(module, tile=16)
    with torch.no_grad():
        assert relative_error(module(torch.from_numpy(source.array)[None]), streamed(source)) < 1e-10
    assert (streamed.last_report.tiles_skipped_flat > 0) == (way != "transposed")


def test_glass_of_zeros_is_filled_behind_a_transposed_convolution_without_bias():
    module, source = nn.ConvTranspose2d(3, 2, 3, 2, bias=False).double(), Glass()
    source.array -= 1
    source.flat_value = np.zeros(3)
    streamed = stream(module, tile=16)
    with torch.no_grad():
        assert relative_error(module(torch.from_numpy(source.array)[None]), streamed(source)) < 1e-10
    assert streamed.last_report.tiles_skipped_flat > 80


@pytest.mark.parametrize(
    ("mode", "before", "after"), [("nearest", 2, 82), ("nearest-exact", 2, 41), ("nearest", 14, 46)]
)
def test_the_gradient_of_the_nearest_value_goes_to_where_it_came_from(mode, before, after):
    class Brought(nn.Module):
        def forward(self, x):
            return F.interpolate(x, size=after, mode=mode)

    ramp = torch.arange(before, dtype=torch.float64)[None, None]
    came_from = Brought()(ramp).long().flatten()
    image, weights = torch.randn(1, 1, before, dtype=torch.float64), torch.randn(1, 1, after, dtype=torch.float64)
    image.requires_grad_()
    stream(Brought(), tile=1)(image).backward(weights)
    expected = torch.zeros(before, dtype=torch.float64).index_add_(0, came_from, weights.flatten())
    # Not compared with PyTorch: in one axis its gradient does not fit its own values for these sizes.
    torch.testing.assert_close(image.grad.flatten(), expected)


def test_what_divides_the_image_at_hand_need_not_divide_every_image():
    module = nn.Sequential(
        nn.MaxPool2d(2, ceil_mode=True), nn.ZeroPad2d((0, 0, 1, 3)), nn.Upsample(scale_factor=(2, 3)),
        nn.ZeroPad2d((1, 0, 0, 0)), nn.PixelUnshuffle(2),
    )  # fmt: skip
    image = torch.randn(1, 2, 20, 8, dtype=torch.float64)
    fits = image[..., :5]
    assert disagreements(answer(module, fits), answer(stream(module, tile=3), fits)) == {}
    with pytest.raises(ImageTooSmallError, match="pad or crop the image so that 2 divides it"):
        stream(module, tile=3)(image)


def test_unshuffle_refuses_a_size_as_pytorch_does():
    module = nn.PixelUnshuffle(2)
    for run in (module, stream(module)):
        with pytest.raises(RuntimeError):
            run(torch.zeros(1, 1, 5, 4))
