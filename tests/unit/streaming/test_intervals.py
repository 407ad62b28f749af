"""The integer arithmetic of one axis against brute force, and the examples in the docstrings."""

import doctest
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from napari_gigaclf.streaming import module
from napari_gigaclf.streaming.network import intervals, resampling, shuffling
from napari_gigaclf.streaming.network import transposed as transposing
from napari_gigaclf.streaming.network.intervals import Mirror, Span, Window
from napari_gigaclf.streaming.network.resampling import Resample
from napari_gigaclf.streaming.network.shuffling import Coarser, Finer
from napari_gigaclf.streaming.network.transposed import Transposed

windows = st.builds(
    Window,
    kernel=st.integers(1, 5), stride=st.integers(1, 4), before=st.integers(0, 4), after=st.integers(0, 4),
    dilation=st.integers(1, 3),
)  # fmt: skip
mirrors = st.builds(
    Mirror, before=st.integers(0, 5), after=st.integers(0, 5), mode=st.sampled_from(["reflect", "replicate"])
)

finer = st.builds(Finer, factor=st.integers(1, 5))
coarser = st.builds(Coarser, factor=st.integers(1, 5))
resamplings = st.builds(
    lambda mode, scale, corners: Resample(
        mode=mode, scale=scale, nominal=(1 / Fraction(scale)).limit_denominator(32),
        align_corners=corners and mode in ("linear", "cubic"),
    ),
    st.sampled_from(["nearest", "nearest-exact", "linear", "cubic"]),
    st.sampled_from([1, 2, 3, 5, 0.5, 1.5, 2.75, 0.3]), st.booleans(),
)  # fmt: skip
transposed = st.builds(
    lambda kernel, stride, padding, dilation, share: Transposed(
        kernel=kernel, stride=stride, padding=padding, dilation=dilation,
        output_padding=int(share * max(stride, dilation)),
    ),
    st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3), st.sampled_from([0, 0.4, 0.99]),
)  # fmt: skip


def influence(rule, num_in):
    """Return which inputs change which outputs of PyTorch's interpolation, (outputs, inputs)."""
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(rule.mode, rule.mode)
    options = {"align_corners": rule.align_corners} if mode in ("bilinear", "bicubic") else {}
    units = torch.eye(num_in, dtype=torch.float64)[:, None, None, :]
    return F.interpolate(units, scale_factor=(1.0, float(rule.scale)), mode=mode, **options)[:, 0, 0].T.abs() > 1e-9


def read_by(rule, output, num_in):
    """Return the inputs an output reads, by definition."""
    if isinstance(rule, Finer):
        return {output // rule.factor}
    if isinstance(rule, Coarser):
        return set(range(output * rule.factor, (output + 1) * rule.factor))
    if isinstance(rule, Transposed):
        places = ((output + rule.padding - tap * rule.dilation) for tap in range(rule.kernel))
        return {
            place // rule.stride for place in places if place % rule.stride == 0 and 0 <= place < num_in * rule.stride
        }
    if isinstance(rule, Resample):
        return set(influence(rule, num_in)[output].nonzero()[:, 0].tolist())
    if isinstance(rule, Mirror):
        ring = torch.arange(num_in, dtype=torch.float32)[None, None]
        if rule.before or rule.after:
            ring = torch.nn.functional.pad(ring, (rule.before, rule.after), mode=rule.mode)
        return {int(ring[0, 0, output])}
    places = (output * rule.stride - rule.before + tap * rule.dilation for tap in range(rule.kernel))
    return {place for place in places if 0 <= place < num_in}


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.one_of(windows, mirrors, finer, coarser, resamplings, transposed), st.integers(1, 25), st.data())
def test_ready_and_source_are_what_the_definition_says(rule, num_in, data):
    if isinstance(rule, Coarser) and num_in % rule.factor:
        return
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
        if isinstance(rule, Mirror | Finer):
            assert found == (min(wanted), max(wanted) + 1)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.one_of(windows, finer, coarser, resamplings, transposed), st.integers(1, 25), st.data())
def test_step_lead_and_reach_hold_what_outputs_read(rule, num_in, data):
    if (isinstance(rule, Coarser) and num_in % rule.factor) or rule.size(num_in) <= 0:
        return
    output = data.draw(st.integers(0, rule.size(num_in) - 1))
    first = output * rule.step - rule.lead
    places = [place for place in read_by(rule, output, num_in) if 0 < place < num_in - 1]  # at the border all clamp
    assert all(first <= place < first + rule.reach for place in places)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.one_of(windows, finer, coarser, resamplings, transposed), st.integers(1, 25), st.data())
def test_inner_outputs_read_inner_inputs(rule, num_in, data):
    if (isinstance(rule, Coarser) and num_in % rule.factor) or rule.size(num_in) <= 0:
        return
    start = data.draw(st.integers(0, num_in - 1))
    stop = data.draw(st.integers(start + 1, num_in))
    first, end = rule.inner(start, stop, num_in)
    for output in range(max(first, 0), min(end, rule.size(num_in))):
        assert all(start <= place < stop for place in read_by(rule, output, num_in))
        if isinstance(rule, Window):
            assert output * rule.stride - rule.before >= start
            assert output * rule.stride - rule.before + rule.reach <= stop


@settings(max_examples=200, derandomize=True, deadline=None)
@given(windows, st.integers(1, 30))
def test_size_is_pytorchs(rule, num_in):
    if rule.before != rule.after or rule.size(num_in) <= 0:
        return
    conv = torch.nn.Conv1d(1, 1, rule.kernel, rule.stride, rule.before, rule.dilation)
    assert conv(torch.zeros(1, 1, num_in)).shape[-1] == rule.size(num_in)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(transposed, st.integers(1, 20))
def test_size_of_transposed_convolution_is_pytorchs(rule, num_in):
    if rule.size(num_in) <= 0:
        return
    conv = torch.nn.ConvTranspose1d(
        1, 1, rule.kernel, rule.stride, rule.padding, rule.output_padding, dilation=rule.dilation
    )
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


@pytest.mark.parametrize("documented", [intervals, module, resampling, shuffling, transposing])
def test_examples_in_docstrings_run(documented):
    result = doctest.testmod(documented)
    assert result.attempted > 0
    assert result.failed == 0
