"""Units and readers are loaded ahead in a fresh process; a registry of units that is in use stays."""

import subprocess
import sys

FRESH = """
import sys
import pint
from napari_gigaclf.viewer.warm_up import build_units, import_readers, take_units
{before}
import_readers()
built = build_units()
{between}
take_units(built)
registry = pint.get_application_registry()
print(registry.get() is built, "torch" in sys.modules, "scipy.ndimage" in sys.modules)
print(registry("1 um") == pint.get_application_registry()("0.001 mm"), {unit})
"""
IN_USE = 'held = pint.get_application_registry()("1 um")'


def run(before="", between="", unit="True"):
    script = FRESH.format(before=before, between=between, unit=unit)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert not done.stderr, done.stderr
    return done.stdout.split()


def test_units_and_readers_are_ready_and_torch_is_not_loaded():
    assert run() == ["True", "False", "True", "True", "True"]


def test_units_that_are_in_use_stay_comparable():
    comparable = "held == pint.get_application_registry()('1 um')"
    assert run(before=IN_USE, unit=comparable) == ["False", "False", "True", "True", "True"]
    assert run(between=IN_USE, unit=comparable) == ["False", "False", "True", "True", "True"]
