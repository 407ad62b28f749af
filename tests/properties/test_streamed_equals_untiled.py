"""Streamed and untiled networks agree to rounding: value, every parameter gradient, input gradient."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import answer, disagreements
from napari_gigaclf.testing.strategies import Case, cases

QUICK = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
THOROUGH = settings(QUICK, max_examples=2000)


def check(case: Case) -> None:
    streamed = stream(case.module, tile=case.tile)
    assert disagreements(answer(case.module, case.image), answer(streamed, case.image)) == {}


@QUICK
@given(cases())
def test_value_and_all_gradients_agree(case: Case) -> None:
    check(case)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("num_axes", [1, 2, 3])
def test_value_and_all_gradients_agree_in_many_cases(num_axes: int) -> None:
    @THOROUGH
    @given(cases(num_axes=num_axes, most_layers=8))
    def run(case: Case) -> None:
        check(case)

    run()


@settings(QUICK, max_examples=60)
@given(cases(), st.data())
def test_region_equals_its_part_of_the_map(case: Case, data: st.DataObject) -> None:
    with torch.no_grad():
        whole = case.module(case.image)
    wanted = []
    for size in whole.shape[2:]:
        start = data.draw(st.integers(0, size - 1))
        wanted.append(slice(start, data.draw(st.integers(start + 1, size))))
    found = stream(case.module, tile=case.tile).region(case.image, wanted)
    torch.testing.assert_close(found, whole[(slice(None), slice(None), *wanted)], rtol=1e-10, atol=1e-12)


@settings(QUICK, max_examples=60)
@given(cases())
def test_tiles_make_every_output_once(case: Case) -> None:
    times = torch.zeros(case.module(case.image).shape[2:], dtype=torch.int64)

    def count(slices: tuple[slice, ...], block: torch.Tensor) -> None:
        times[slices] += 1
        assert block.shape[2:] == times[slices].shape

    stream(case.module, tile=case.tile).stream(case.image, on_output=count)
    assert (times == 1).all()
