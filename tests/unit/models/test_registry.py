"""Built-in models by name; listing them is quick."""

import subprocess
import sys

import pytest

from napari_gigaclf.errors import ModelError
from napari_gigaclf.models import load_model


def test_listing_models_imports_no_torch():
    code = "import sys; from napari_gigaclf.models import list_models; list_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["no-such-model", "../models", "", ".", "x" * 5000, "a\0b", "a\x1b[31m"])
def test_unknown_name(name):
    with pytest.raises(ModelError):
        load_model(name)


def test_a_name_without_end_is_shown_shortened():
    with pytest.raises(ModelError) as caught:
        load_model("x" * 5000)
    assert len(str(caught.value)) < 500


def test_unknown_name_lists_what_there_is():
    with pytest.raises(ModelError, match="no model 'no-such-model': neither a model folder nor a built-in model"):
        load_model("no-such-model")
