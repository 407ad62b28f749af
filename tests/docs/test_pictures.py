"""The pictures of the documentation can still be made: their scripts press the widgets' own buttons and keys."""

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_picture_in_the_documentation_is_made(repository, tmp_path):
    script = repository / "docs" / "make_pictures.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, stdin=subprocess.DEVNULL)
    kept = {path.name for path in (repository / "docs" / "pictures").iterdir() if not path.name.startswith("engine-")}
    assert {path.name for path in tmp_path.iterdir()} == kept
