"""Networks with operations over the whole image, streamed by stages, agree with the untiled ones to rounding."""

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.global_networks import global_cases
from napari_gigaclf.testing.oracle import answer, disagreements
from napari_gigaclf.testing.strategies import Case

QUICK = settings(
    max_examples=80,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def check(case: Case, memory: str | None = None) -> None:
    """Compare values, gradients and running statistics."""
    untiled, module = copy.deepcopy(case.module), copy.deepcopy(case.module)
    try:
        expected = answer(untiled, case.image)
    except ValueError:  # one value per channel
        with pytest.raises(ValueError, match="Expected more than 1"):
            stream(module, tile=case.tile, memory=memory)(case.image)
        return
    found = answer(stream(module, tile=case.tile, memory=memory), case.image)
    assert disagreements(expected, found, 1e-9, 1e-4) == {}
    for (name, one), (_, two) in zip(untiled.named_buffers(), module.named_buffers(), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-10, atol=1e-12, msg=name)


@QUICK
@given(global_cases())
def test_value_gradients_and_running_statistics_agree(case: Case) -> None:
    check(case)


@settings(QUICK, max_examples=40)
@given(global_cases(most_layers=4), st.sampled_from(["1 KB", "20 KB"]))
def test_maps_not_kept_are_computed_again(case: Case, memory: str) -> None:
    check(case, memory)
