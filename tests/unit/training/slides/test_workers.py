"""Two processes learn what one would."""

import dataclasses

import numpy as np
import pytest
import torch

from napari_gigaclf.models import load_model
from napari_gigaclf.testing.runs import lines_of, run_in_two_processes
from napari_gigaclf.training.slides import dump_recipe, train


@pytest.mark.timeout(280)
def test_two_processes_give_the_gradients_of_one(slides_folder, cohort, quick, tmp_path):
    recipe = dataclasses.replace(quick, batch_size=4, epochs=1, memory="300MB")  # batches of 4 and 2
    train(cohort, recipe, tmp_path / "one")
    (tmp_path / "recipe.json").write_text(dump_recipe(recipe))
    table, recipe_file = str(slides_folder / "cohort.csv"), str(tmp_path / "recipe.json")
    said = run_in_two_processes("train", table, "--output", str(tmp_path / "two"), "--recipe", recipe_file)
    steps = [[line for line in lines_of(tmp_path / name) if line["what"] == "step"] for name in ("one", "two")]
    assert said.count("best:") == 1
    for what in ("loss", "gradient_norm"):
        one, two = ([step[what] for step in part] for part in steps)
        np.testing.assert_allclose(two, one, rtol=1e-4)
    # Running statistics differ: each process has its own, and they are averaged after each step.
    one, two = (dict(load_model(tmp_path / name / "model").trunk.named_parameters()) for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=2e-5)
