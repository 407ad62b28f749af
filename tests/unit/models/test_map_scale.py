"""What the numbers of a map are called, and from where to where they are drawn."""

import dataclasses
import json

import numpy as np
import pytest

from napari_gigaclf.models import list_models
from napari_gigaclf.models.config import dump_config, parse_config
from napari_gigaclf.models.map_scale import PROBABILITY, map_scale
from napari_gigaclf.models.records import ConfigError


@pytest.fixture
def regression():
    config = list_models()[0]
    card = dataclasses.replace(config.card, positive_class="")
    return dataclasses.replace(
        config, classes=("score",), activation="identity", golden=(), slide_answer=None, card=card
    )


def test_probabilities_are_drawn_from_0_to_1_whatever_the_map():
    scale = map_scale(list_models()[0])
    assert scale == PROBABILITY
    assert scale.over(np.array([0.2, 0.3])) is scale
    assert scale.name_of("tumour") == "probability of tumour"


def test_scores_are_drawn_over_the_range_that_was_learnt_from(regression):
    scale = map_scale(dataclasses.replace(regression, score_range=(-1.0, 3.0)))
    assert (scale.low, scale.high, scale.word) == (-1.0, 3.0, "score")
    assert scale.over(np.array([-7.0, 9.0])) is scale
    assert (scale.name_of("score"), scale.name_of("mitoses")) == ("score", "score of mitoses")


def test_where_that_is_unknown_over_the_range_of_the_map(regression):
    scale = map_scale(regression)
    found = scale.over(np.array([[np.nan, 4.0], [-2.5, 1.0]]))
    assert (found.low, found.high, found.is_score, found.is_known) == (-2.5, 4.0, True, False)
    assert scale.over(np.full((2, 2), np.nan)) is scale
    flat = scale.over(np.full((2, 2), 7.0))
    assert (flat.low, flat.high) == (6.5, 7.5)


def test_the_range_survives_the_config_and_an_empty_one_is_refused(regression):
    config = dataclasses.replace(regression, score_range=(-1.0, 3.0))
    assert parse_config(dump_config(config)) == config
    raw = json.loads(dump_config(config))
    del raw["score_range"]
    assert parse_config(json.dumps(raw)).score_range is None, "as configs were written before"
    raw["score_range"] = [3.0, 3.0]
    with pytest.raises(ConfigError, match="the first number must be below the second"):
        parse_config(json.dumps(raw))
