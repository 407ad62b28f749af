"""Layers with tied weights are stepped as matrices, the rest as ever."""

import torch
from torch import nn

from napari_gigaclf.training.builtin.optimisation import Optimisation
from napari_gigaclf.training.builtin.orientation import OrientedConv


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    lifting = OrientedConv(3, 4, 3, 1, lifting=True, joining=False)
    joining = OrientedConv(4, 6, 1, 1, lifting=False, joining=True)
    return nn.Sequential(lifting, joining, nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(6, 2))


def _one_step(matrix_rate: float | None) -> tuple[nn.Sequential, list[torch.Tensor]]:
    """Return a network after a step, and what the step added to each parameter."""
    network = _network()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimisation = Optimisation(
        network, learning_rate=0.01, weight_decay=0.0, matrix_rate=matrix_rate, num_steps=10
    )  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    logits = network(torch.rand(8, 3, 12, 12, generator=generator))
    nn.functional.cross_entropy(logits, torch.arange(8) % 2).backward()
    optimisation.step()
    return network, [new.detach() - old for new, old in zip(network.parameters(), before, strict=True)]


def _spread(step: torch.Tensor) -> float:
    """Return the largest singular value of a step over the smallest."""
    values = torch.linalg.svdvals(step)
    return float(values[0] / values[-1])


def test_all_directions_of_a_tied_weight_move_alike():
    network, steps = _one_step(0.02)
    weight = network[0].weight
    (step,) = [
        step for step, (_, parameter) in zip(steps, network.named_parameters(), strict=True) if parameter is weight
    ]
    assert step.shape == (4, 27)
    assert _spread(step) < 2
    assert _spread(weight.grad) > 4


def test_what_is_no_tied_weight_moves_as_without():
    (network, with_muon), (_, without) = _one_step(0.02), _one_step(None)
    for (name, parameter), first, second in zip(network.named_parameters(), with_muon, without, strict=True):
        if parameter.ndim == 2 and not name.startswith("4"):
            assert not torch.allclose(first, second), name
        else:
            torch.testing.assert_close(first, second)
            assert first.any(), name


def test_forgotten_gradients_do_not_add_up():
    network = _network()
    optimisation = Optimisation(network, learning_rate=0.01, weight_decay=0.0, matrix_rate=0.02, num_steps=4)
    network(torch.rand(4, 3, 8, 8)).sum().backward()
    optimisation.zero_grad()
    assert all(parameter.grad is None for parameter in network.parameters())
