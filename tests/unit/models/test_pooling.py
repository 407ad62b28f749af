"""Each pooling against its definition."""

import pytest
import torch

from napari_gigaclf.models.pooling import AttentionPooling, build_pooling, highest_cell


@pytest.fixture
def cells():
    return torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_max_and_mean(cells):
    torch.testing.assert_close(build_pooling("max", 5)(cells, cells), cells.amax(0))
    torch.testing.assert_close(build_pooling("mean", 5)(cells, cells), cells.sum(0) / 7)


def test_max_sends_its_gradient_to_one_cell_among_ties():
    tied = torch.zeros(6, 3, requires_grad=True)
    build_pooling("max", 3)(tied, tied).sum().backward()
    assert (tied.grad != 0).sum() == 3
    assert tied.grad.sum() == 3


def test_attention_is_a_weighted_mean(cells):
    torch.manual_seed(0)
    pooling = AttentionPooling(5, 4).double()
    weights = [
        torch.exp(pooling.score(torch.tanh(pooling.value(c)) * torch.sigmoid(pooling.gate(c)))).item() for c in cells
    ]
    expected = sum(w * c for w, c in zip(weights, cells, strict=True)) / sum(weights)
    torch.testing.assert_close(pooling(cells, cells), expected)


def test_highest_is_the_cell_with_the_highest_probability_of_a_class_but_the_first():
    logits = torch.tensor([[9.0, 8.0, 0.0], [0.0, 1.0, 3.0], [5.0, 0.0, 0.0]])
    probabilities = torch.softmax(logits, 1)[:, 1:].amax(1)
    assert highest_cell(logits) == int(probabilities.argmax()) == 1
    features = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(build_pooling("highest", 2)(features, logits), features[1])


def test_highest_tells_cells_apart_whose_probabilities_are_all_one_in_float32():
    logits = torch.tensor([[0.0, 40.0], [0.0, 60.0], [0.0, 50.0]])
    assert torch.softmax(logits, 1)[:, 1].unique().numel() == 1
    assert highest_cell(logits) == 1


def test_highest_of_a_model_with_one_class():
    assert highest_cell(torch.tensor([[1.0], [3.0], [2.0]])) == 1
