"""Modules that return several maps: every level of a pyramid, in the containers in which the module returns them."""

import itertools
from typing import NamedTuple

import pytest
import torch
from torch import nn

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import relative_error


class Pyramid(nn.Module):
    """Three levels, each read by the next; the first is a folded batch norm, the last has no reader."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.second, self.third = nn.Conv2d(4, 5, 3, 2, 1), nn.Conv2d(5, 6, 3, 2, 1)
        self.side = nn.Conv2d(4, 2, 5, padding=2)
        self.norm.running_mean.normal_()
        self.double().eval()

    def levels(self, x):
        one = self.norm(self.first(x))
        two = torch.relu(self.second(one))
        three = self.third(two)
        return one, self.side(one), two, three

    def forward(self, x):
        one, side, two, three = self.levels(x)
        return {"one": one, "more": [side, (two, "name", None)], "three": three, "again": two}


def maps_of(result):
    return [result["one"], *result["more"][:1], result["more"][1][0], result["three"]]


def answers(module, image, chosen):
    """Return values and all gradients for gradients of the chosen levels alone."""
    module.zero_grad()
    leaf = image.clone().requires_grad_()
    maps = maps_of(module(leaf))
    generator = torch.Generator().manual_seed(0)
    directions = [torch.randn(m.shape, generator=generator, dtype=m.dtype) for m in maps]
    torch.autograd.backward([maps[i] for i in chosen], [directions[i] for i in chosen])
    return [*maps, leaf.grad, *(p.grad for p in module.parameters())]


@pytest.mark.parametrize("chosen", [c for n in (1, 2, 4) for c in itertools.combinations(range(4), n)])
def test_every_subset_of_levels_gives_the_untiled_gradients(chosen):
    torch.manual_seed(0)
    module, image = Pyramid(), torch.randn(2, 3, 23, 18, dtype=torch.float64)
    expected, found = answers(module, image, chosen), answers(stream(module, tile=7), image, chosen)
    for one, two in zip(expected, found, strict=True):
        none = [item is None or not item.any() for item in (one, two)]
        assert all(none) if any(none) else relative_error(one, two) < 1e-10


@pytest.mark.parametrize("tile", [1, 5, (8, 30), 64])
def test_the_structure_is_the_modules_own(tile):
    module, image = Pyramid(), torch.randn(1, 3, 17, 13, dtype=torch.float64)
    with torch.no_grad():
        expected, found = module(image), stream(module, tile=tile)(image)
    assert list(found) == list(expected)
    assert type(found["more"]) is list
    assert type(found["more"][1]) is tuple
    assert found["more"][1][1:] == ("name", None)
    assert found["again"] is found["more"][1][0]
    for one, two in zip(maps_of(expected), maps_of(found), strict=True):
        assert relative_error(one, two) < 1e-10


def test_plan_names_every_shape():
    plan = stream(Pyramid(), tile=8).plan((1, 3, 17, 13))
    assert plan.output_shapes == ((1, 4, 17, 13), (1, 2, 17, 13), (1, 5, 9, 7), (1, 6, 5, 4))
    assert str(plan).count("output  ") == 4
    with pytest.raises(ValueError, match="output_shapes"):
        _ = plan.output_shape


def test_blocks_come_with_the_number_of_their_map_and_fill_each_map_once():
    streamed, image = stream(Pyramid(), tile=8), torch.randn(1, 3, 17, 13, dtype=torch.float64)
    filled = [
        torch.full(shape, float("nan"), dtype=torch.float64) for shape in streamed.plan(image.shape).output_shapes
    ]

    def take(slices, block, number):
        place = filled[number][(slice(None), slice(None), *slices)]
        assert place.isnan().all()
        place.copy_(block)

    with torch.no_grad():
        result = streamed.stream(image, on_output=take)
    for one, two in zip(maps_of(result), filled, strict=True):
        assert torch.equal(one, two)


def test_region_and_geometry_ask_which_map():
    streamed, image = stream(Pyramid(), tile=8), torch.randn(1, 3, 29, 26, dtype=torch.float64)
    with torch.no_grad():
        maps = maps_of(streamed(image))
    for number, whole in enumerate(maps):
        found = streamed.region(image, (slice(1, 4), slice(2, 5)), output=number)
        assert relative_error(whole[..., 1:4, 2:5], found) < 1e-10
    assert [streamed.geometry(number)[0].stride for number in range(4)] == [1, 1, 2, 4]
    assert [streamed.geometry(number)[0].receptive_field for number in range(4)] == [3, 7, 5, 9]
    for wrong in (None, 4, -1):
        with pytest.raises(ValueError, match="give 0 to 3"):
            streamed.region(image, (slice(1, 4), slice(2, 5)), output=wrong)
        with pytest.raises(ValueError, match="give 0 to 3"):
            streamed.geometry(wrong)


class Written(nn.Module):
    def __init__(self, code):
        super().__init__()
        self.conv, self.code, self.scale = nn.Conv2d(3, 4, 3, padding=1), code, nn.Parameter(torch.ones(4))
        self.double()

    def forward(self, x):
        return self.code(self, x)


def test_the_image_itself_may_be_returned():
    module, image = Written(lambda net, x: (x, net.conv(x))), torch.randn(1, 3, 9, 8, dtype=torch.float64)
    same, other = stream(module, tile=4)(image)
    assert torch.equal(same, image)
    assert relative_error(module(image)[1], other) < 1e-10


def overwritten(net, x):
    one = net.conv(x)
    return one, torch.relu_(one)


def test_a_map_overwritten_before_it_is_returned_has_its_new_content():
    module, image = Written(overwritten), torch.randn(1, 3, 9, 8, dtype=torch.float64)
    for one, two in zip(module(image), stream(module, tile=4)(image), strict=True):
        assert relative_error(one, two) < 1e-10


def test_an_output_is_not_overwritten_by_its_reader():
    def code(net, x):
        one = net.conv(x)
        return one, torch.relu(one)

    module, image = Written(code), torch.randn(1, 3, 9, 8, dtype=torch.float64)
    for one, two in zip(module(image), stream(module, tile=4)(image), strict=True):
        assert relative_error(one, two) < 1e-10


def test_flat_tiles_fill_every_map():
    class Source:
        shape, dtype, flat_value = (3, 40, 40), torch.float64, [0.5, 1.0, 2.0]

        def read(self, rows, columns):
            block = torch.tensor(self.flat_value, dtype=torch.float64)[:, None, None].expand(3, 40, 40).clone()
            block[:, 5, 5] = 0
            return block[:, rows, columns]

        def is_flat(self, rows, columns):
            return not (rows.start <= 5 < rows.stop and columns.start <= 5 < columns.stop)

    module, source = Pyramid(), Source()
    streamed = stream(module, tile=8)
    with torch.no_grad():
        found, expected = streamed(source), module(source.read(slice(0, 40), slice(0, 40))[None])
    assert streamed.last_report.tiles_skipped_flat > 0
    for one, two in zip(maps_of(expected), maps_of(found), strict=True):
        assert relative_error(one, two) < 1e-10


class Named(NamedTuple):
    one: torch.Tensor


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (lambda net, x: (net.conv(x), net.scale * 2), "no map over space"),
        (lambda net, x: (1, None), "returns no map"),
        (lambda net, x: Named(net.conv(x)), "cannot stream Named"),
        (lambda net, x: (net.conv(x), net.conv(x).permute(0, 2, 3, 1)), "permuted"),
    ],
)
def test_refused(code, text):
    with pytest.raises(UnsupportedOperation, match=text):
        stream(Written(code))


def test_parts_of_a_map_are_returned_as_the_module_does():
    net, image = Written(lambda net, x: net.conv(x).chunk(2, 1)).double(), torch.randn(1, 3, 19, 23).double()
    found, expected = stream(net, tile=7)(image), net(image)
    assert type(found) is type(expected)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)


class TwoHeads(nn.Module):
    """Two maps, each behind a layer of its own."""

    def __init__(self):
        super().__init__()
        self.trunk, self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1), nn.Conv2d(4, 3, 3, 2, 1)

    def forward(self, x):
        x = self.trunk(x)
        return self.one(x), self.two(x)


@pytest.mark.parametrize("used", [(0,), (1,), (0, 1)])
def test_layers_behind_unused_outputs_alone_get_no_gradient(used):
    # None and zero differ: with weight decay or momentum an optimiser moves a parameter whose gradient is zero.
    torch.manual_seed(0)
    module, image = TwoHeads().double(), torch.randn(1, 3, 20, 17, dtype=torch.float64)
    given = []
    for net in (module, stream(module, tile=8)):
        module.zero_grad()
        outputs = net(image)
        sum(0 * outputs[number].sum() for number in used).backward()
        given.append({name: p.grad is None for name, p in module.named_parameters()})
    assert given[0] == given[1]
