"""Tiles stained alike come into one group, and groups are left out whole."""

import numpy as np

from napari_gigaclf.training.builtin.colour_groups import colour_groups, leave_groups_out

STAINS = np.array([[150, 80, 160], [200, 120, 120], [110, 110, 190]])


def tiles_of(num_each: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    stain = np.repeat(np.arange(len(STAINS)), num_each)
    noise = generator.integers(-20, 21, (len(stain), 24, 24, 1))
    return np.clip(STAINS[stain][:, None, None] + noise, 0, 255).astype(np.uint8), stain


def test_groups_are_stains():
    images, stain = tiles_of(20)
    groups = colour_groups(images, 3)
    assert len({(s, g) for s, g in zip(stain, groups, strict=True)}) == 3
    assert set(groups) == {0, 1, 2}


def test_white_tiles_have_a_group_too():
    images, _ = tiles_of(5)
    assert len(colour_groups(np.concatenate([images, np.full_like(images[:5], 255)]), 4)) == 20


def test_a_group_is_left_out_whole():
    groups = np.array([0, 1, 2, 0, 1, 2, 2])
    kept, left_out = leave_groups_out(groups, 1, seed=0)
    assert sorted([*kept, *left_out]) == list(range(7))
    assert set(groups[kept]).isdisjoint(groups[left_out])
    assert len(set(groups[left_out])) == 1
