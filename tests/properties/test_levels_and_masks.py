"""Random networks that return several levels, and random networks with dropout: the same numbers whatever the tiles."""

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import answer, disagreements, relative_error
from napari_gigaclf.testing.strategies import Case, cases

QUICK = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Levels(nn.Module):
    """Returns what some layers of a chain give."""

    def __init__(self, chain: nn.Sequential, wanted: list[int]) -> None:
        super().__init__()
        self.chain, self.wanted = chain, wanted

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = {}
        for number, layer in enumerate(self.chain):
            x = layer(x)
            if number in self.wanted:
                found[f"level {number}"] = x if number % 2 else x * 1.0
        return found


@QUICK
@given(cases(), st.data())
def test_levels_agree_for_gradients_of_any_of_them(case: Case, data: st.DataObject) -> None:
    count = len(case.module)
    wanted = data.draw(st.lists(st.integers(0, count - 1), min_size=1, unique=True))
    with torch.no_grad():  # layers that overwrite what an earlier one gave would change a level, here as untiled
        shapes = [level.shape for level in Levels(case.module, wanted)(case.image.clone()).values()]
    chosen = data.draw(st.lists(st.integers(0, len(shapes) - 1), min_size=1, unique=True))
    directions = [torch.randn(shapes[i], dtype=torch.float64) for i in chosen]
    answers = []
    for module in (Levels(case.module, wanted), stream(Levels(case.module, wanted), tile=case.tile)):
        case.module.zero_grad()
        leaf = case.image.clone().requires_grad_()
        levels = module(leaf.clone())
        values = list(levels.values())
        torch.autograd.backward([values[i] for i in chosen], directions)
        answers.append([*values, leaf.grad, *(p.grad for p in case.module.parameters())])
    for one, two in zip(*answers, strict=True):
        if one is None or two is None:
            assert all(item is None or not item.any() for item in (one, two))
        else:
            assert relative_error(one, two) < 1e-10


@QUICK
@given(cases(), st.data())
def test_masks_do_not_depend_on_the_tiles(case: Case, data: st.DataObject) -> None:
    layers: list[nn.Module] = []
    axes = case.image.ndim - 2
    kinds = [nn.Dropout(0.3), nn.Dropout(0.6, inplace=True), (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)[axes - 1](0.4)]
    for layer in case.module:
        layers += [layer, *data.draw(st.lists(st.sampled_from(kinds), max_size=1))]
    module = nn.Sequential(*layers, nn.Dropout(0.1))
    answers = []
    for tile in (1 << 20, case.tile):
        torch.manual_seed(0)
        answers.append(answer(stream(module, tile=tile), case.image))
    assert disagreements(*answers) == {}
