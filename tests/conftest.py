"""A screen for each process of tests, and fixtures which every part of the test suite may use."""

import gc
import os
import shutil
import subprocess
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads: spinning threads starve other work
# Python goes through all objects, half a million of them libraries', a tenth as often: that took a tenth of all time.
gc.set_threshold(700, 10, 100)

REPOSITORY = Path(__file__).resolve().parents[1]
SCREEN = "1600x1000x24"


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker of pytest-xdist a virtual screen of its own, where there is Xvfb.

    On a screen that two workers share, the windows of one take keyboard focus and pointer away from the other's.
    """
    server = shutil.which("Xvfb")
    if "PYTEST_XDIST_WORKER" not in os.environ or server is None:
        return
    told, tells = os.pipe()
    process = subprocess.Popen(
        [server, "-displayfd", str(tells), "-screen", "0", SCREEN, "-nolisten", "tcp"],
        pass_fds=[tells], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    config.add_cleanup(process.terminate)
    os.close(tells)
    with os.fdopen(told) as pipe:
        number = pipe.readline().strip()
    if number:  # otherwise the shared screen has to do
        os.environ["DISPLAY"] = f":{number}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real slides and tissue beside the checkout; the test is skipped where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder ../shared/data with real slides beside this checkout")
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY
