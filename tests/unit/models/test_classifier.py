"""A classifier's parts give the same numbers, however it is asked."""

import pytest
import torch

from napari_gigaclf.errors import ModelError


@pytest.fixture(scope="module")
def image():
    return torch.randint(0, 256, (2, 3, 130, 170), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("pooling", ["max", "mean", "attention", "highest"])
def test_forward_is_head_of_pooled_features(make_model, image, pooling):
    model = make_model(pooling=pooling)
    with torch.no_grad():
        features = model.features(image.float() / 255)
        expected = [model.head(model.pool(f.flatten(1).T)) for f in features]
        torch.testing.assert_close(model(image), torch.stack(expected))
    assert model.pooling.kind == pooling


def test_uint8_and_float_are_the_same_image(make_model, image):
    model = make_model()
    with torch.no_grad():
        torch.testing.assert_close(model(image), model(image.float() / 255))


def test_white_is_zero_after_normalisation(make_model):
    model = make_model()
    assert torch.equal(model.normalise(torch.ones(1, 3, 4, 4)), torch.zeros(1, 3, 4, 4))


def test_glass_around_an_image_changes_nothing(make_model, image):
    """Padding is glass: an image inside a white frame has the same cells as alone."""
    model = make_model()
    framed = torch.full((2, 3, 130 + 64, 170 + 64), 255, dtype=torch.uint8)
    framed[:, :, 32:-32, 32:-32] = image
    with torch.no_grad():
        alone, inside = model.features(image.float() / 255), model.features(framed.float() / 255)
    torch.testing.assert_close(inside[:, :, 1:4, 1:5], alone[:, :, :3, :4])


@pytest.mark.parametrize("shape", [(1, 1), (31, 40), (33, 96)])
def test_any_size(make_model, shape):
    assert make_model()(torch.zeros(1, 3, *shape)).shape == (1, 2)


def test_small_images_are_filled_with_white(make_model):
    model = make_model()
    small = torch.rand(1, 3, 20, 25)
    filled = torch.ones(1, 3, 32, 32)
    filled[..., :20, :25] = small
    with torch.no_grad():
        torch.testing.assert_close(model(small), model(filled))


def test_probabilities(make_model):
    logits = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    torch.testing.assert_close(make_model().probabilities(logits), torch.softmax(logits, -1))
    torch.testing.assert_close(make_model(activation="sigmoid").probabilities(logits), torch.sigmoid(logits))


def test_no_cells_is_an_error(make_model):
    with pytest.raises(ModelError, match="no cells to pool"):
        make_model().pool(torch.zeros(0, 128))


@pytest.mark.parametrize(
    ("images", "message"),
    [(torch.zeros(3, 40, 40), "must be"), (torch.zeros(1, 3, 40, 40, dtype=torch.int32), "uint8 or float")],
)
def test_wrong_images(make_model, images, message):
    with pytest.raises(ModelError, match=message):
        make_model()(images)


def test_features_share_the_weights(make_model):
    model = make_model()
    own = {id(p) for p in model.parameters()}
    assert {id(p) for p in model.features.parameters()} <= own


@pytest.mark.parametrize("pooling", ["max", "mean", "attention", "highest"])
def test_gradient_reaches_the_trunk(make_model, image, pooling):
    model = make_model(pooling=pooling)
    model(image)[:, 1].sum().backward()
    assert model.trunk[1].weight.grad.abs().sum() > 0
