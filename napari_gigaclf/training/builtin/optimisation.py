"""How the built-in models' weights are stepped: Muon for layers with tied weights, AdamW for the rest.

AdamW scales each weight's step by itself; a layer's weights are a matrix, though, and a few of its directions take most
of the steps. Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) makes all singular values of a step equal.
What it is worth on PatchCamelyon's tiles stands in ``docs/models/index.md``.
"""

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from napari_gigaclf.training.averaging import decaying_groups
from napari_gigaclf.training.builtin.orientation import OrientedConv

MATRIX_DECAY = 0.05
"""Weight decay of Muon. Batch norm takes the size of a weight out; decay keeps steps from becoming small beside it."""


class Optimisation:
    """The optimisers of a network and their one-cycle schedules, stepped together.

    Parameters
    ----------
    network
        What learns.
    learning_rate, weight_decay
        AdamW's: peak of the schedule; decay of weights, not of biases and batch norm.
    matrix_rate
        Muon's peak, for the weights of ``OrientedConv``; None steps them by AdamW like the rest.
    num_steps
        Steps of the whole training.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float,
        weight_decay: float,
        matrix_rate: float | None,
        num_steps: int,
    ) -> None:
        num_steps = max(num_steps, 20)  # the schedules' rise must last longer than one step
        tied = [module.weight for module in network.modules() if isinstance(module, OrientedConv)]
        by_muon = tied if matrix_rate is not None else []
        adam = torch.optim.AdamW(decaying_groups(network, weight_decay, without=by_muon), lr=learning_rate)
        self._optimisers: list[torch.optim.Optimizer] = [adam]
        self._schedules = [OneCycleLR(adam, learning_rate, num_steps, pct_start=0.2, final_div_factor=1e3)]
        if by_muon and matrix_rate is not None:
            muon = torch.optim.Muon(by_muon, lr=matrix_rate, weight_decay=MATRIX_DECAY)
            linear = OneCycleLR(
                muon, matrix_rate, num_steps, pct_start=0.1, final_div_factor=1e3, anneal_strategy="linear",
                cycle_momentum=False,
            )  # fmt: skip
            self._optimisers.append(muon)
            self._schedules.append(linear)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Step every weight, and every schedule."""
        for optimiser, schedule in zip(self._optimisers, self._schedules, strict=True):
            optimiser.step()
            schedule.step()
