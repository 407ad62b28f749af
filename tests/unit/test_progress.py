"""What a report of a running job says."""

import pytest

from napari_gigaclf.progress import Progress


def test_rate_and_remaining_time() -> None:
    report = Progress(done=20, total=50, unit="tile", phase="classifying", seconds=4.0)
    assert report.rate == pytest.approx(5.0)
    assert report.remaining_seconds == pytest.approx(6.0)


@pytest.mark.parametrize(("done", "seconds"), [(0, 0.0), (0, 3.0), (2, 0.0)])
def test_nothing_is_claimed_before_anything_is_done(done: int, seconds: float) -> None:
    report = Progress(done=done, total=50, unit="tile", phase="classifying", seconds=seconds)
    assert report.rate is None
    assert report.remaining_seconds is None
