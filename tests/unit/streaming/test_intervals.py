"""The integer arithmetic of one axis against brute force, and the examples in the docstrings."""

import doctest

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gigaclf.streaming import module
from napari_gigaclf.streaming.network import intervals
from napari_gigaclf.streaming.network.intervals import Mirror, Span, Window

windows = st.builds(
    Window,
    kernel=st.integers(1, 5), stride=st.integers(1, 4), before=st.integers(0, 4), after=st.integers(0, 4),
    dilation=st.integers(1, 3),
)  # fmt: skip
mirrors = st.builds(
    Mirror, before=st.integers(0, 5), after=st.integers(0, 5), mode=st.sampled_from(["reflect", "replicate"])
)


def read_by(rule, output, num_in):
    """Return the inputs an output reads, by definition."""
    if isinstance(rule, Mirror):
        ring = torch.arange(num_in, dtype=torch.float32)[None, None]
        if rule.before or rule.after:
            ring = torch.nn.functional.pad(ring, (rule.before, rule.after), mode=rule.mode)
        return {int(ring[0, 0, output])}
    places = (output * rule.stride - rule.before + tap * rule.dilation for tap in range(rule.kernel))
    return {place for place in places if 0 <= place < num_in}


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.one_of(windows, mirrors), st.integers(1, 25), st.data())
def test_ready_and_source_are_what_the_definition_says(rule, num_in, data):
    size = rule.size(num_in)
    if size <= 0:
        return
    reads = [read_by(rule, output, num_in) for output in range(size)]
    for known in range(num_in + 1):
        ready = int(rule.ready(np.array([known]), num_in)[0])
        assert all(place < known for output in reads[:ready] for place in output)
        if known == num_in:
            assert ready == size
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    (found,) = rule.source(Span.of((start, stop)), num_in).tolist()
    wanted = set().union(*reads[start:stop])
    assert 0 <= found[0] < found[1] <= num_in
    if wanted:
        assert found[0] <= min(wanted)
        assert max(wanted) < found[1]
        if rule.reach == 1:
            assert found == (min(wanted), max(wanted) + 1)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(windows, st.integers(1, 30))
def test_size_is_pytorchs(rule, num_in):
    if rule.before != rule.after or rule.size(num_in) <= 0:
        return
    conv = torch.nn.Conv1d(1, 1, rule.kernel, rule.stride, rule.before, rule.dilation)
    assert conv(torch.zeros(1, 1, num_in)).shape[-1] == rule.size(num_in)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 2), st.integers(1, 30))
def test_size_of_pooling_with_ceil_is_pytorchs(kernel, stride, padding, num_in):
    if 2 * padding > kernel:
        return
    rule = Window(kernel=kernel, stride=stride, before=padding, after=padding, ceil_mode=True)
    try:
        expected = torch.nn.functional.max_pool1d(torch.zeros(1, 1, num_in), kernel, stride, padding, ceil_mode=True)
    except RuntimeError:
        assert rule.size(num_in) <= 0
    else:
        assert rule.size(num_in) == expected.shape[-1]


@pytest.mark.parametrize("documented", [intervals, module])
def test_examples_in_docstrings_run(documented):
    result = doctest.testmod(documented)
    assert result.attempted > 0
    assert result.failed == 0
