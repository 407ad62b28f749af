"""Augmentation changes tiles as it says and not otherwise."""

import numpy as np
import pytest
import torch

from napari_gigaclf.training.augment import Augmentation, augment

NOTHING = Augmentation(shift_px=0, stain=0, brightness=0, contrast=0, saturation=0, tint=0, sharpness=0)


@pytest.fixture
def tiles():
    return np.random.default_rng(0).integers(1, 256, (32, 24, 24, 3), dtype=np.uint8)


def _turns(tile: np.ndarray) -> list[np.ndarray]:
    return [np.rot90(t, k) for t in (tile, tile[:, ::-1]) for k in range(4)]


def test_without_strength_only_turns_remain_and_all_eight_occur(tiles):
    out = augment(np.repeat(tiles[:1], 200, axis=0), NOTHING, torch.Generator().manual_seed(0))
    found = set()
    for image in out.permute(0, 2, 3, 1).numpy():
        matches = [k for k, turn in enumerate(_turns(tiles[0] / 255)) if np.allclose(image, turn, atol=2e-3)]
        assert len(matches) == 1
        found.add(matches[0])
    assert found == set(range(8))


def test_translation_mirrors_the_edge():
    ramp = np.broadcast_to(np.arange(10, 34, dtype=np.uint8)[None, :, None, None], (64, 24, 24, 3))
    moved = Augmentation(shift_px=3, stain=0, brightness=0, contrast=0, saturation=0, tint=0, sharpness=0)
    out = augment(ramp, moved, torch.Generator().manual_seed(0)) * 255
    assert out.min() >= 9.9
    assert out.max() <= 33.1
    steps = out[:, 0].diff(dim=1).abs().amax((1, 2)).maximum(out[:, 0].diff(dim=2).abs().amax((1, 2)))
    assert steps.max() < 1.1  # no seam


def test_white_stays_white_and_stain_is_scaled():
    stain = Augmentation(shift_px=0, stain=0.3, brightness=0, contrast=0, saturation=0, tint=0, sharpness=0)
    white = np.full((8, 16, 16, 3), 255, np.uint8)
    assert torch.allclose(augment(white, stain, torch.Generator().manual_seed(0)), torch.ones(()), atol=1e-5)
    pink = np.broadcast_to(np.array([220, 130, 180], np.uint8), (200, 16, 16, 3))
    out = augment(pink, stain, torch.Generator().manual_seed(0))
    assert out.std(dim=(2, 3)).max() < 1e-5
    assert 0.01 < out[:, 1, 0, 0].std() < 0.15
    assert abs(float(out[:, 1, 0, 0].mean()) - 130 / 255) < 0.03


def test_same_seed_same_tiles_and_range(tiles):
    first, second = (augment(tiles, Augmentation(), torch.Generator().manual_seed(5)) for _ in range(2))
    other = augment(tiles, Augmentation(), torch.Generator().manual_seed(6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.shape == (32, 3, 24, 24)
    assert first.min() >= 0
    assert first.max() <= 1


def _disc(radius: float) -> np.ndarray:
    y, x = np.mgrid[0:32, 0:32] - 15.5
    return np.where(np.hypot(y, x) < radius, 100, 200).astype(np.uint8)[None, :, :, None].repeat(3, 3)


def _still(**changes: float) -> Augmentation:
    return Augmentation(
        **{"shift_px": 0, "stain": 0, "brightness": 0, "contrast": 0, "saturation": 0, "tint": 0, "sharpness": 0}
        | changes
    )


def test_half_of_the_tiles_are_turned_by_any_angle_whatever_their_order(tiles):
    """Tiles come sorted by class: if the first half were always the softer one, softness would tell the class."""
    out = augment(np.repeat(tiles[:1], 40, axis=0), _still(turn_degrees=45), torch.Generator().manual_seed(0))
    exact = [
        any(np.allclose(image, turn, atol=2e-3) for turn in _turns(tiles[0] / 255))
        for image in out.permute(0, 2, 3, 1).numpy()
    ]
    assert sum(exact) == 20
    assert 5 <= sum(exact[:20]) <= 15


def test_a_disc_turned_is_the_disc_and_zoomed_another():
    disc = np.repeat(_disc(8), 64, axis=0)
    turned = augment(disc, _still(turn_degrees=45), torch.Generator().manual_seed(0)) * 255
    assert (turned - torch.from_numpy(_disc(8)[0, :, :, 0])).abs().mean() < 3
    dark = (augment(disc, _still(zoom=0.2), torch.Generator().manual_seed(0)) * 255 < 150).sum((2, 3))[:, 0].double()
    radius = (dark / np.pi).sqrt() / 8
    assert 0.75 < radius.min() < 0.85
    assert 1.15 < radius.max() < 1.25


def test_white_stays_white_whatever_the_hue_of_stains():
    hue = _still(stain=0.3, stain_hue=0.1)
    white = np.full((8, 16, 16, 3), 255, np.uint8)
    assert torch.allclose(augment(white, hue, torch.Generator().manual_seed(0)), torch.ones(()), atol=1e-5)
    violet = np.broadcast_to(np.array([120, 80, 160], np.uint8), (300, 4, 4, 3))
    with_hue, without = (
        augment(violet, _still(stain=0.0, stain_hue=amount), torch.Generator().manual_seed(0)) for amount in (0.1, 0.0)
    )
    assert without.std(0).max() < 1e-5
    assert (with_hue.std(0) > 0.01).all()
    assert (with_hue.mean(0) - without.mean(0)).abs().max() < 0.02
    assert with_hue.max() <= 1
