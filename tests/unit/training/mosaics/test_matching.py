"""Matching: pairs of like colours, nearest first, balanced on average; refused where there is nothing to match."""

import numpy as np
import pytest

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.mosaics import match_colours
from napari_gigaclf.training.mosaics.balance import balanced
from napari_gigaclf.training.mosaics.colours import colour_features
from napari_gigaclf.training.mosaics.matching import distinct, nearest_pairs


@pytest.fixture(scope="module")
def colours():
    """Features of 200 tiles; tumour lies one standard deviation off in the first two."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    features = generator.normal(size=(200, 6)).astype(np.float32)
    features[labels == 1, :2] += 1.0
    return features, labels


def test_nearest_pairs_takes_the_nearest_first_and_each_once():
    first, second = np.array([[0.0], [1.0], [5.0]]), np.array([[0.9], [0.2], [9.0]])
    assert nearest_pairs(first, second, 2).tolist() == [[1, 0], [0, 1]]
    assert nearest_pairs(first, second, 9).tolist() == [[1, 0], [0, 1], [2, 2]]


def test_balanced_leaves_out_what_makes_the_mean_differ():
    differences = np.array([[0.1], [-0.1], [3.0], [0.2], [-0.2]])
    assert balanced(differences, 4).tolist() == [0, 1, 3, 4]


def test_balance_shortens_the_mean_difference():
    differences = np.random.default_rng(1).normal(0.1, 1.0, (200, 10))
    kept = balanced(differences, 140)
    assert len(kept) == 140
    assert np.linalg.norm(differences[kept].mean(0)) < 0.1 * np.linalg.norm(differences.mean(0))


def test_partners_are_alike_where_classes_are_not(monkeypatch, colours):
    monkeypatch.setattr("napari_gigaclf.training.mosaics.matching._COMPONENTS", 4)
    features, labels = colours
    found = match_colours(features, labels, share=0.4, seed=1)
    assert len(found.tumour) == len(found.sham) == 28
    assert (labels[found.tumour] == 1).all()
    assert (labels[found.sham] == 0).all()
    assert len(found.background) == 72
    gap = features[labels == 1].mean(0) - features[labels == 0].mean(0)
    left = features[found.tumour].mean(0) - features[found.sham].mean(0)
    assert np.linalg.norm(left) < 0.3 * np.linalg.norm(gap)
    again = match_colours(features, labels, share=0.4, seed=1)
    np.testing.assert_array_equal(again.tumour, found.tumour)
    np.testing.assert_array_equal(again.sham, found.sham)


def test_colour_features_do_not_see_where_pixels_are(archive_tiles):
    image = archive_tiles.images[:1]
    shuffled = np.random.default_rng(0).permutation(image.reshape(-1, 3)).reshape(image.shape)
    np.testing.assert_allclose(colour_features(image), colour_features(shuffled), atol=1e-5)


def test_tiles_stored_twice_are_used_once(archive_tiles):
    assert len(distinct(archive_tiles.images)) == 150


def test_what_cannot_be_matched_is_refused(colours):
    features, labels = colours
    with pytest.raises(CohortError, match=r"normal \(0\) and tumour \(1\)"):
        match_colours(features, labels + 1)
    with pytest.raises(CohortError, match="24 of each"):
        match_colours(features[90:], labels[90:])
    with pytest.raises(CohortError, match="a share of 2"):
        match_colours(features, labels, share=2)
