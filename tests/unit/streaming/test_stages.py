"""Operations over the whole image, by name: squeeze-and-excitation, group, instance and training-mode batch norm."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.global_networks import Squeezed, se_resnet
from napari_gigaclf.testing.networks import ResNet18Trunk
from napari_gigaclf.testing.oracle import answer, disagreements, relative_error


def group_norm(channels):
    return nn.GroupNorm(2, channels)


def instance_norm(channels):
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=True)


def eval_batch_norm(channels):
    return nn.BatchNorm2d(channels).eval()


NETWORKS = {
    "SE-ResNet": se_resnet(4, eval_batch_norm),
    "SE-ResNet in training": se_resnet(4),
    "GroupNorm ResNet": se_resnet(4, group_norm),
    "InstanceNorm ResNet": se_resnet(4, instance_norm),
    "ResNet-18 in training": ResNet18Trunk(4),
    "classifier": nn.Sequential(ResNet18Trunk(2).eval(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)),
}


@pytest.mark.parametrize("memory", ["1GB", "1KB"])  # maps kept between stages, or computed again
@pytest.mark.parametrize("name", NETWORKS)
def test_named_networks_agree(name, memory):
    torch.manual_seed(0)
    module = copy.deepcopy(NETWORKS[name]).double()
    untiled = copy.deepcopy(module)
    image = torch.randn(2, 3, 75, 90, dtype=torch.float64)
    streamed = stream(module, tile=48, memory=memory)
    assert disagreements(answer(untiled, image), answer(streamed, image), 1e-9, 1e-4) == {}
    for (buffer, one), (_, two) in zip(untiled.named_buffers(), module.named_buffers(), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-10, atol=1e-12, msg=buffer)


@pytest.mark.parametrize("tile", [64, (48, 200)])
@pytest.mark.parametrize("memory", ["1GB", "1KB"])
@pytest.mark.parametrize("name", NETWORKS)
def test_arithmetic_of_all_stages_is_as_promised(name, tile, memory):
    module, image = copy.deepcopy(NETWORKS[name]), torch.randn(2, 3, 130, 150)
    streamed = stream(module, tile=tile, memory=memory)
    plan = streamed.plan(image.shape, backward=False)
    counts = []
    for run in (module, streamed):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            run(image)
        counts.append(counter.get_total_flops() // 2)
    assert [plan.untiled_macs, plan.macs] == counts
    assert streamed.last_report.reads == plan.reads


def test_kept_maps_save_the_arithmetic():
    plans = [stream(ResNet18Trunk(16), tile=64, memory=m).plan((1, 3, 256, 256)) for m in ("1GB", "1KB")]
    assert plans[0].macs < 1.2 * plans[0].untiled_macs
    assert plans[1].macs > 5 * plans[1].untiled_macs
    assert [len(plan.stages) for plan in plans] == [18, 18]
    assert plans[0].stored_bytes > 0 == plans[1].stored_bytes
    assert "18, 1 of them from the image" in str(plans[0])
    assert "18, 18 of them from the image" in str(plans[1])


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(3), nn.GroupNorm(3, 3), nn.InstanceNorm2d(3)])
def test_far_from_zero_nothing_is_lost(norm):
    torch.manual_seed(0)
    image = torch.randn(2, 3, 120, 130) + 100
    exact = answer(copy.deepcopy(norm).double(), image.double())
    errors = []
    for run in (copy.deepcopy(norm), stream(copy.deepcopy(norm), tile=16)):
        found = answer(run, image)
        errors.append([relative_error(exact.value, found.value.double()),
                       relative_error(exact.image_gradient, found.image_gradient.double())])  # fmt: skip
    assert errors[1][0] <= 1.1 * errors[0][0]
    assert errors[1][1] <= 1.1 * errors[0][1]


class Amax(nn.Module):
    def forward(self, x):
        return x.amax((2, 3), keepdim=True)


class Tied(nn.Module):
    """Adds the maximum of a map that is full of ties."""

    def __init__(self, highest):
        super().__init__()
        self.highest = highest

    def forward(self, x):
        x = torch.clamp(x, max=0.5)
        return x * 2 + self.highest(x)


@pytest.mark.parametrize("highest", [nn.AdaptiveMaxPool2d(1), Amax()])
def test_ties_get_the_gradient_that_pytorch_gives_them(highest):
    module, image = Tied(highest), torch.randn(2, 3, 40, 37, dtype=torch.float64)
    assert disagreements(answer(module, image), answer(stream(module, tile=8), image)) == {}


def test_tiles_without_the_maximum_are_not_run_again():
    module = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.AdaptiveMaxPool2d(1), nn.Flatten()).double()
    streamed, image = stream(module, tile=8), torch.randn(1, 3, 64, 64, dtype=torch.float64)
    assert disagreements(answer(module, image), answer(streamed, image)) == {}
    assert streamed.last_report.tiles_run_backward <= 4
    assert streamed.last_report.tiles_skipped_zero >= 60


class Glass:
    """An image of one colour with a patch of tissue, which says so."""

    def __init__(self):
        self.array = np.ones((3, 120, 130))
        self.array[:, 60:80, 30:40] = np.random.default_rng(0).normal(size=(3, 20, 10))
        self.shape, self.dtype, self.flat_value = self.array.shape, self.array.dtype, np.ones(3)

    def read(self, *slices):
        return self.array[(slice(None), *slices)]

    def is_flat(self, *slices):
        rows, columns = slices
        return rows.stop <= 60 or rows.start >= 80 or columns.stop <= 30 or columns.start >= 40


@pytest.mark.parametrize("memory", ["1GB", "1KB"])
def test_glass_is_filled_at_every_stage(memory):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv2d(4, 4, 3), Squeezed(4, nn.AdaptiveAvgPool2d(1), 2)
    ).double()
    source, streamed = Glass(), stream(module, tile=16, memory=memory)
    expected = answer(module, torch.from_numpy(source.array)[None])
    module.zero_grad()
    out = streamed(source)
    assert streamed.last_report.tiles_skipped_flat > 3 * 20
    assert relative_error(expected.value, out.detach()) < 1e-10
    out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(0), dtype=out.dtype))
    for name, parameter in module.named_parameters():
        assert (parameter.grad - expected.gradients[name]).norm() < 1e-8 * (1 + expected.gradients[name].norm()), name


def test_gradients_accumulate_and_graphs_can_be_kept():
    module = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), Squeezed(4, nn.AdaptiveAvgPool2d(1), 2))
    module = module.double()
    streamed, image = stream(module, tile=8), torch.randn(1, 2, 20, 20, dtype=torch.float64)
    calls = []
    module[0].weight.register_post_accumulate_grad_hook(lambda p: calls.append(1))
    out = streamed(image).sum()
    assert module[1].num_batches_tracked == 1
    out.backward(retain_graph=True)
    once = {name: p.grad.clone() for name, p in module.named_parameters()}
    out.backward()
    assert module[1].num_batches_tracked == 1
    assert len(calls) == 2
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, 2 * once[name])


def test_training_gives_the_same_losses():
    losses = []
    for wrap in (lambda m: m, lambda m: stream(m, tile=32)):
        torch.manual_seed(0)
        module = nn.Sequential(se_resnet(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)).double()
        run, image = wrap(module), torch.randn(2, 3, 64, 70, dtype=torch.float64)
        optimiser, seen = torch.optim.SGD(run.parameters(), lr=0.1, momentum=0.9), []
        for _ in range(4):
            optimiser.zero_grad()
            loss = F.cross_entropy(run(image), torch.tensor([0, 1]))
            loss.backward()
            optimiser.step()
            seen.append(loss.item())
        losses.append(seen)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)


def test_region_equals_its_part_of_the_map_and_changes_no_running_statistics():
    module = nn.Sequential(nn.InstanceNorm2d(3), nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.MaxPool2d(2))
    module, image = module.double(), torch.randn(2, 3, 40, 50, dtype=torch.float64)
    streamed = stream(module, tile=16)
    part = streamed.region(image, (slice(3, 9), slice(20, 25)))
    assert module[2].num_batches_tracked == 0
    torch.testing.assert_close(part, module(image)[:, :, 3:9, 20:25], rtol=1e-10, atol=1e-12)
    assert streamed.geometry()[0].receptive_field == 4  # what a cell sees by itself; statistics see everything


def test_sink_takes_the_gradient_where_one_pass_reads_the_image():
    module, array = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)).double(), Glass().array
    leaf = torch.from_numpy(array)[None].requires_grad_()
    (module(leaf) ** 3).sum().backward()
    gradient = np.full(array.shape, np.nan)
    (stream(module, tile=16).stream(Glass(), gradient) ** 3).sum().backward()
    np.testing.assert_allclose(gradient, leaf.grad[0].numpy(), rtol=1e-8, atol=1e-9)
    with pytest.raises(UnsupportedOperation, match="several passes read the image"):
        stream(module, tile=16, memory="1KB").stream(Glass(), gradient)


def test_progress_counts_all_passes():
    streamed, seen = stream(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)), tile=8), []
    streamed.stream(torch.randn(1, 3, 20, 20), progress=seen.append).sum().backward()
    assert [(p.done, p.total, p.phase) for p in seen] == [
        (done, 18, phase) for phase in ("forward", "backward") for done in range(1, 19)
    ]


def test_a_classifier_has_no_cells():
    streamed = stream(NETWORKS["classifier"], tile=64)
    assert streamed.plan((2, 3, 90, 90)).output_shape == (2, 3)
    with pytest.raises(ValueError, match="no map over space"):
        streamed.geometry()


def test_second_derivative_is_refused():
    streamed = stream(nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2)), tile=4)
    x = torch.randn(1, 1, 9, 9, requires_grad=True)
    with pytest.raises(UnsupportedOperation, match="twice"):
        torch.autograd.grad(streamed(x).sum(), x, create_graph=True)
