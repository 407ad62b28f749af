"""Settings that fit no slide are refused in one line."""

import pytest

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.mosaics import MosaicSettings


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "other"}, "no mosaics of kind 'other'"),
        ({"lesions": ()}, "lesions cannot be"),
        ({"lesions": ("huge",)}, "one or more of macro, micro, isolated"),
        ({"kind": "arrangement"}, "leave out 'isolated'"),
        ({"overlap_px": 33}, "overlap by 1 to 32 px, not 33"),
        ({"overlap_px": 0}, "overlap by 1 to 32 px, not 0"),
        ({"side_px": 500}, "too small: 576 px or more"),
        ({"tissue": (0.5, 0.95)}, "share of tissue"),
        ({"stain": 0.7}, "stains' factor"),
        ({"um_per_px": 0.0}, "0.0 um wide"),
    ],
)
def test_refused(changes, said):
    with pytest.raises(CohortError, match=said):
        MosaicSettings(**changes)
