"""Every damaged or odd file ends in pixels or in one SlideError, within 20 s and 1 GiB, in its own process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("open_each.py")
LIMIT_BYTES = 2**30
LIMIT_SECONDS = 20

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or not Path("/proc").is_dir(), reason="limits need fork and /proc"
)


def look_at(paths: list[Path]) -> list[dict]:
    """Open the files in one subprocess, each in a child with limits, and return what came of them."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, paths)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    # A reader which prints, or a library whose complaints reach the terminal, would show here.
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def results(shared_data: Path) -> list[dict]:
    """Return the outcome of every file of the collection."""
    return look_at(sorted((shared_data / "corrupt").iterdir()))


def test_every_file_ends_in_pixels_or_one_error(results):
    assert len(results) == 65
    assert {
        result["file"]: result["outcome"] for result in results if result["outcome"] not in ("pixels", "SlideError")
    } == {}


def test_within_time_and_memory(results):
    for result in results:
        assert result["seconds"] < LIMIT_SECONDS, result
        assert result["peak_bytes"] < LIMIT_BYTES, result


def test_errors_are_one_line_that_names_the_file(results):
    for result in results:
        if result["outcome"] == "SlideError":
            assert result["file"] in result["text"]
            assert "\n" not in result["text"]
            # What failed to be allocated was not bounded before.
            assert "not enough memory" not in result["text"], result


def test_readable_files_are_still_read(results):
    """The odd files that other readers show are not all refused: that would be too easy."""
    pixels = {result["file"] for result in results if result["outcome"] == "pixels"}
    assert {
        "imagetiff_BigTIFF.tif",
        "imagetiff_BigTIFFMotorola.tif",
        "libtiff_testfax3_bug54_1dnoEOL.tif",
        "openslide_small.svs",
        "twelvemonkeys_general-cmm-error.tif",
        "pillow_issue_2278.tif",
        "pillow_multipage_single_frame_loop.tiff",
        "twelvemonkeys_indexed-unspecified-extrasamples.tif",
    } <= pixels


def test_cut_and_empty_files(shared_data, tmp_path):
    """Whole slides cut short anywhere, and files of no bytes or of noise."""
    paths = []
    for name in ("CMU-1-Small-Region.svs", "hamamatsu-dapi.ndpi", "tcga-jpeg2000.svs", "camelyon-jpeg2000.dcm"):
        content = (shared_data / "slides" / name).read_bytes()
        for share in (0.0, 0.001, 0.3, 0.9, 0.999):
            path = tmp_path / f"{share}-{name}"
            path.write_bytes(content[: int(share * len(content))])
            paths.append(path)
    noise = tmp_path / "noise.tif"
    noise.write_bytes(b"II*\0\x08\0\0\0" + bytes(range(256)) * 8)
    outcomes = look_at([*paths, noise])
    assert {result["outcome"] for result in outcomes} <= {"pixels", "SlideError"}
    assert outcomes[-1]["outcome"] == "SlideError"
