import pytest

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.slides import PRESETS, dump_recipe, preset, read_recipe, with_settings


@pytest.mark.parametrize("name", PRESETS)
def test_a_recipe_is_read_as_it_was_written(name, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(dump_recipe(preset(name)))
    assert read_recipe(path) == preset(name)


def test_a_toml_file_changes_the_preset_it_names(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('preset = "small"\nepochs = 3\nfrozen = ["trunk"]\n[changes]\nhue = 0.0\n')
    found = read_recipe(path)
    assert (found.epochs, found.frozen, found.changes.hue) == (3, ("trunk",), 0.0)
    assert found.changes.stain == preset("small").changes.stain
    assert found.input_px == preset("small").input_px


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["learningrate=1"], "did you mean 'learning_rate'"),
        (["changes.brightnes=0.1"], "did you mean 'brightness'"),
        (["epochs=0"], "epochs must be at least 1"),
        (["epochs=many"], "settings.epochs must be of type int"),
        (["epochs"], "name=value"),
        (["um_per_px=0.005"], "um_per_px must lie between 0.01 and 1000, not 0.005"),
        (["um_per_px=1001"], "um_per_px must lie between"),
        (["um_per_px=NaN"], "um_per_px"),
        (["learning_rate=-1"], "learning_rate must be above 0"),
        (["changes.bend_px=100", "changes.bend_period_px=100"], "folded"),
        (["network=vgg"], "known are"),
        (["initialisation=lsuv", "start_from=phantom-tumour"], "choose one"),
        (["changes=3"], "must be an object"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_name(settings, words):
    with pytest.raises(CohortError, match=words):
        with_settings(preset("default"), settings)


@pytest.mark.parametrize("text", ["", "[", "3", '"epochs"', "epochs = ", "preset = 3", 'preset = "smal"'])
def test_a_file_that_is_no_recipe_is_one_error(text, tmp_path):
    for name in ("recipe.toml", "recipe.json"):
        path = tmp_path / name
        path.write_text(text)
        if text == "" and name.endswith("toml"):
            assert read_recipe(path) == preset("default")
            continue
        with pytest.raises(CohortError) as error:
            read_recipe(path)
        assert "\n" not in str(error.value)


def test_a_missing_preset_names_the_nearest():
    with pytest.raises(CohortError, match="did you mean 'paper-tupac16'"):
        preset("paper-tupac")
