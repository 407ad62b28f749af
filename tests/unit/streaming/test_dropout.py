"""Active dropout: one mask per call, whatever the tiles, however often a value is computed."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream
from napari_gigaclf.streaming.capture import random
from napari_gigaclf.streaming.network import dropout
from napari_gigaclf.testing.oracle import answer, disagreements

WHOLE = 1000
"""Side of a tile beyond any image here."""


def seeded(module, image, seed=0):
    torch.manual_seed(seed)
    return answer(module, image)


class DropPath(nn.Module):
    """Stochastic depth as timm has it, for a place in its library."""

    def __init__(self, p, scale_by_keep=True):
        super().__init__()
        self.drop_prob, self.scale_by_keep = p, scale_by_keep

    def forward(self, x):
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        kept = x.new_empty(shape).bernoulli_(1 - self.drop_prob)
        return x * (kept.div_(1 - self.drop_prob) if self.scale_by_keep else kept)


@pytest.fixture
def known_path(monkeypatch):
    monkeypatch.setitem(random.LIBRARIES, f"{DropPath.__module__}.{DropPath.__qualname__}", "drop_prob")


class Net(nn.Module):
    """Every kind of mask, in between convolutions so that values are computed in several tiles."""

    def __init__(self, num_axes=2):
        super().__init__()
        conv, drop = (getattr(nn, f"{name}{num_axes}d") for name in ("Conv", "Dropout"))
        self.parts = nn.Sequential(
            nn.Dropout(0.2), conv(3, 4, 3, padding=1), nn.ReLU(), nn.Dropout(0.4, inplace=True),
            conv(4, 4, 3, padding=1),
            drop(0.3), conv(4, 5, 3, 2, 1), nn.Dropout(0.5),
        )  # fmt: skip
        self.double()

    def forward(self, x):
        return F.dropout(self.parts(x), 0.1, self.training)


@pytest.mark.parametrize("num_axes", [1, 2, 3])
@pytest.mark.parametrize("tile", [1, 4, 7])
def test_tiles_do_not_change_the_mask(num_axes, tile):
    if (num_axes, tile) == (3, 1):
        tile = 2
    module = Net(num_axes)
    image = torch.randn(2, 3, *(13, 11, 6)[:num_axes], dtype=torch.float64)
    whole, tiles = stream(module, tile=WHOLE), stream(module, tile=tile)
    expected = seeded(whole, image)
    assert disagreements(expected, seeded(tiles, image)) == {}
    assert disagreements(expected, seeded(tiles, image, seed=1)) != {}


def test_the_gradient_is_that_of_the_masks_that_were_applied():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.4), nn.Conv2d(4, 2, 3)).double()
    image = torch.randn(1, 3, 9, 10, dtype=torch.float64)

    def run(x):
        torch.manual_seed(0)
        return stream(module, tile=4)(x)

    assert torch.autograd.gradcheck(run, image.requires_grad_())


def test_two_calls_and_two_layers_draw_differently():
    module = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(1, 1, 1), nn.Dropout(0.5))
    with torch.no_grad():
        module[1].weight.fill_(1)
        module[1].bias.zero_()
        streamed, image = stream(module, tile=16), torch.ones(1, 1, 64, 64)
        one, two = streamed(image), streamed(image)
    assert not torch.equal(one, two)
    assert set(one.unique().tolist()) == {0.0, 4.0}
    assert abs((one > 0).float().mean().item() - 0.25) < 0.03  # not 0.5: the two layers are independent


@pytest.mark.parametrize("most", [1, 7, 40, 10**9])
def test_how_much_is_mixed_at_once_does_not_change_the_mask(most, monkeypatch):
    module, image = Net(), torch.randn(2, 3, 13, 11, dtype=torch.float64)
    expected = seeded(stream(module, tile=WHOLE), image)
    monkeypatch.setattr(dropout, "MOST_COUNTERS", most)
    assert disagreements(expected, seeded(stream(module, tile=6), image)) == {}


def correlation(one, two):
    return torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1].item()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_distribution_of_single_values(p):
    """Rates, and correlations of neighbours, channels, samples and calls, lie within five standard errors."""
    torch.manual_seed(0)
    module, image = nn.Sequential(nn.Dropout(p)), torch.ones(2, 4, 256, 256, dtype=torch.float64)
    first, second = (stream(module, tile=(64, 96))(image) for _ in range(2))
    kept = (first > 0).double()
    count = kept.numel()
    assert abs(kept.mean().item() - (1 - p)) < 5 * (p * (1 - p) / count) ** 0.5
    torch.testing.assert_close(first[first > 0].unique(), torch.tensor([1 / (1 - p)], dtype=torch.float64))
    rates = kept.mean((2, 3))
    assert ((rates - (1 - p)).abs() < 5 * (p * (1 - p) / 65536) ** 0.5).all()
    for axis, lags in ((3, (1, 2, 3, 64, 96, 128)), (2, (1, 2, 64, 128)), (1, (1, 2)), (0, (1,))):
        for lag in lags:
            size = kept.shape[axis] - lag
            pair = kept.narrow(axis, 0, size), kept.narrow(axis, lag, size)
            assert abs(correlation(*pair)) < 5 / pair[0].numel() ** 0.5, (axis, lag)
    assert abs(correlation(kept, (second > 0).double())) < 5 / count**0.5


def test_distribution_over_seeds_of_one_place():
    streamed, image = stream(nn.Dropout(0.3), tile=8), torch.ones(1, 1, 3, 3)
    torch.manual_seed(0)
    with torch.no_grad():
        rates = torch.stack([(streamed(image) > 0).double() for _ in range(2000)]).mean(0)
    assert ((rates - 0.7).abs() < 5 * (0.3 * 0.7 / 2000) ** 0.5).all()


@pytest.mark.parametrize(("layer", "shape"), [(nn.Dropout1d(0.4), (64, 64, 9)), (nn.Dropout2d(0.4), (64, 64, 9, 5)),
                                               (nn.Dropout3d(0.4), (64, 64, 9, 5, 3))])  # fmt: skip
def test_channels_are_dropped_as_a_whole(layer, shape):
    torch.manual_seed(0)
    out = stream(nn.Sequential(layer), tile=4)(torch.ones(shape, dtype=torch.float64)).flatten(2)
    assert (out == out[..., :1]).all()
    kept = (out[..., 0] > 0).double()
    assert abs(kept.mean().item() - 0.6) < 5 * (0.24 / 4096) ** 0.5
    torch.testing.assert_close(out.max().item(), 1 / 0.6)
    assert abs(correlation(kept[1:], kept[:-1])) < 5 / 64
    assert abs(correlation(kept[:, 1:], kept[:, :-1])) < 5 / 64


@pytest.mark.parametrize("scaled", [True, False])
def test_stochastic_depth_keeps_or_drops_samples(known_path, scaled):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.path = nn.Conv2d(1, 2, 3, padding=1), DropPath(0.25, scaled)

        def forward(self, x):
            return self.path(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    torch.manual_seed(0)
    block, image = Block(), torch.randn(1000, 1, 5, 4)
    with torch.no_grad():
        out, full = stream(block, tile=3)(image), block.conv(image) / (0.75 if scaled else 1)
    kept = out.flatten(1).abs().sum(1) > 0
    assert abs(kept.double().mean().item() - 0.75) < 5 * (0.1875 / 1000) ** 0.5
    torch.testing.assert_close(out, full * kept[:, None, None, None])
    with torch.no_grad():
        torch.testing.assert_close(stream(block.eval(), tile=3)(image), block.conv(image))


def test_stochastic_depth_of_unknown_origin_is_refused():
    with pytest.raises(UnsupportedOperation):
        stream(nn.Sequential(nn.Conv2d(3, 4, 3), DropPath(0.1)))


def test_transformers_stochastic_depth():
    modeling = pytest.importorskip("transformers.models.convnext.modeling_convnext")
    block = nn.Sequential(nn.Conv2d(1, 2, 3), modeling.ConvNextDropPath(0.5))
    image = torch.ones(200, 1, 5, 4)
    torch.manual_seed(0)
    out = stream(block, tile=2)(image)
    kept = out.flatten(1).abs().sum(1) > 0
    assert 60 < kept.sum() < 140
    torch.testing.assert_close(out, 2 * block[0](image) * kept[:, None, None, None])


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint_around_it_repeats_the_masks(reentrant):
    module = Net()
    streamed, image = stream(module, tile=5), torch.randn(1, 3, 13, 11, dtype=torch.float64)
    expected = seeded(streamed, image)
    found = seeded_checkpoint(module, streamed, image, reentrant)
    assert disagreements(expected, found) == {}


def seeded_checkpoint(module, streamed, image, reentrant):
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = module.parts

        def forward(self, x):
            out = checkpoint(streamed, x, use_reentrant=reentrant)
            torch.rand(3)  # other draws in between must not disturb the recomputation
            return out

    return seeded(Checkpointed(), image)


def test_retained_graph_has_the_same_masks_in_every_backward():
    streamed, image = stream(Net(), tile=5), torch.randn(1, 3, 13, 11, dtype=torch.float64)
    out = streamed(image).sum()
    out.backward(retain_graph=True)
    once = [p.grad.clone() for p in streamed.parameters()]
    streamed(image)  # another seed
    out.backward()
    for parameter, gradient in zip(streamed.parameters(), once, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * gradient)


def test_flat_tiles_are_computed_while_dropout_is_active():
    class Glass:
        shape, dtype, flat_value = (3, 40, 40), torch.float64, [1.0, 1.0, 1.0]

        def read(self, *slices):
            return torch.ones(3, 40, 40, dtype=torch.float64)[(slice(None), *slices)]

        def is_flat(self, *slices):
            return True

    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.5)).double()
    streamed = stream(module, tile=8)
    with torch.no_grad():
        assert (streamed(Glass()) == 0).any()
        assert streamed.last_report.tiles_skipped_flat == 0
        streamed.eval()(Glass())
    assert streamed.last_report.tiles_skipped_flat > 0


def test_eval_mode_draws_nothing():
    streamed, image = stream(Net().eval(), tile=5), torch.randn(1, 3, 13, 11, dtype=torch.float64)
    state = torch.get_rng_state()
    torch.testing.assert_close(streamed(image), streamed.module(image), rtol=1e-10, atol=1e-10)
    assert torch.equal(state, torch.get_rng_state())


def test_everything_dropped_is_zero():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(1.0))
    assert not stream(module, tile=4)(torch.randn(1, 3, 9, 9)).any()


def test_half_precision_keeps_its_type():
    image = torch.randn(1, 3, 13, 11, dtype=torch.bfloat16)
    assert stream(Net().bfloat16(), tile=5)(image).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.AlphaDropout(0.1), "active alpha dropout"),
        (nn.FeatureAlphaDropout(0.1), "active alpha dropout"),
        (nn.Dropout3d(0.1), "mixes operations over"),
    ],
)
def test_refused(layer, text):
    with pytest.raises(UnsupportedOperation, match=text):
        stream(nn.Sequential(nn.Conv2d(3, 4, 3), layer))
    stream(nn.Sequential(nn.Conv2d(3, 4, 3), layer).eval()) if "alpha" in text else None


def test_dropping_channels_in_the_last_place_is_refused():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.drop = nn.Conv2d(3, 4, 3), nn.Dropout2d(0.5)

        def forward(self, x):
            return self.drop(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    with pytest.raises(UnsupportedOperation, match="permuted"):
        stream(Last())


def test_region_is_refused_while_dropout_is_active():
    streamed = stream(Net(), tile=5)
    with pytest.raises(UnsupportedOperation, match="active dropout"):
        streamed.region(torch.zeros(1, 3, 13, 11, dtype=torch.float64), (slice(0, 2), slice(0, 2)))
