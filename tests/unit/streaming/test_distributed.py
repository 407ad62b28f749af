"""A streamed module under DistributedDataParallel gives the untiled step."""

import subprocess
import sys
from pathlib import Path


def test_distributed_step_equals_the_untiled_one(tmp_path):
    script = Path(__file__).with_name("distributed_step.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "store")], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
