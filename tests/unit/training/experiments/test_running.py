"""An experiment end to end: results, what is kept when it runs again, the report."""

import numpy as np
import pytest
import shapely

from napari_gigaclf.errors import CohortError
from napari_gigaclf.models.networks.cell_net import CELL_PX
from napari_gigaclf.training.experiments.arms import ARMS, SEEDED
from napari_gigaclf.training.experiments.comparing import compared, figures_of_arm
from napari_gigaclf.training.experiments.looking import lesion_cells, looking_path, read_gazes, share_in
from napari_gigaclf.training.experiments.report import write_report
from napari_gigaclf.training.experiments.results import Result, Scored, read_result, read_results, result_path
from napari_gigaclf.training.experiments.running import run_arm, run_experiment
from napari_gigaclf.training.mosaics import MosaicSettings, plan_slide, truth


def times_of(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_experiment_runs_goes_on_and_reports(benches, tmp_path):
    arms = ("colour", "cells, highest", "context")
    run_experiment("micro", benches(), (1, 2), tmp_path, arms)
    results = read_results(tmp_path, "micro")
    seeded = [("cells, highest", 1), ("colour", 1), ("context", 1), ("context", 2)]
    assert [(one.arm, one.seed) for one in results] == seeded
    for one in results:
        assert len(one.test.labels) == 6
        assert [len(part.labels) for part in one.rebuilt] == [2, 2]
    differences = [one.streamed_difference for one in results if one.arm in SEEDED]
    assert max(differences) < 1e-4
    before = times_of(tmp_path)
    run_experiment("micro", benches(), (1, 2), tmp_path, arms)
    assert times_of(tmp_path) == before
    text = write_report(tmp_path, tmp_path / "docs").read_text(encoding="utf-8")
    assert all(f"| {arm} |" in text for arm in arms)
    for plot in ("micro-auc.png", "micro-looking.png"):
        assert 2000 < (tmp_path / "docs" / plot).stat().st_size < 200_000
    gaze = read_gazes(looking_path(tmp_path, "micro", "context"))[0]
    assert 0 < gaze.chance < 1


def test_a_lost_result_is_made_again_without_training(benches, tmp_path):
    run_arm("micro", "attention", 1, benches(), tmp_path)
    path = result_path(tmp_path, "micro", "attention", 1)
    first, models = read_result(path), times_of(tmp_path / "models")
    path.unlink()
    run_arm("micro", "attention", 1, benches(), tmp_path)
    assert read_result(path).test == first.test
    assert times_of(tmp_path / "models") == models


def test_more_rebuilds_keep_the_model_and_another_recipe_does_not(benches, tmp_path):
    run_arm("micro", "attention", 1, benches(rebuilds=1), tmp_path)
    models = times_of(tmp_path / "models")
    run_arm("micro", "attention", 1, benches(rebuilds=2), tmp_path)
    found = read_result(result_path(tmp_path, "micro", "attention", 1))
    assert len(found.rebuilt) == 2
    assert len(found.train_losses) == 2
    assert times_of(tmp_path / "models") == models
    run_arm("micro", "attention", 1, benches(num_train=4), tmp_path)
    assert len(times_of(tmp_path / "models")) == 2 * len(models)


def test_tiles_cannot_tell_an_arrangement(benches, tmp_path):
    bench = benches(mosaics=MosaicSettings(side_px=960, kind="arrangement", lesions=("micro",)), num_test=4)
    for arm in ("tiles, highest", "tiles, mean of ten highest"):
        scores = ARMS[arm](bench, 1, tmp_path).score(bench.test)
        assert scores[0] == scores[1] != scores[2] == scores[3]


def test_lesion_cells_are_those_whose_middle_lies_in_the_true_outline(benches):
    bench = benches()
    pool = bench.pools["test"]
    plan = next(
        plan
        for number in range(2)
        if (plan := plan_slide(bench.experiment.mosaics, pool, seed=2, split="test", number=number)).label
    )
    outline = shapely.union_all([one.geometry for one in truth(plan, 2) if one.class_name == "Tumour"])
    side = plan.side_px // CELL_PX
    found = lesion_cells(plan, (side, side))
    assert found.any()
    for row in range(side):
        for column in range(side):
            middle = shapely.Point((column + 0.5) * CELL_PX, (row + 0.5) * CELL_PX)
            assert found[row, column] == outline.contains(middle)


def made(arm: str, scores: tuple[float, ...], rebuilt: tuple[tuple[float, ...], ...]) -> Result:
    """Return a result on twins: labels 0, 1, 0, 1, ..."""

    def of(values: tuple[float, ...]) -> Scored:
        return Scored(
            groups=tuple(f"g{k // 2}" for k in range(len(values))),
            labels=tuple(k % 2 for k in range(len(values))),
            scores=values,
        )

    return Result(experiment="micro", arm=arm, seed=1, key="", test=of(scores), rebuilt=tuple(map(of, rebuilt)))


def test_intervals_come_from_rebuilds_and_tests_from_ranks():
    good = made("context", tuple(float(k % 2) + k / 100 for k in range(40)), ((0.0, 1.0), (0.0, 1.0), (1.0, 0.0)))
    poor = made("colour", tuple(float(k % 7) for k in range(40)), ())
    figures = figures_of_arm([good])
    assert figures.by_seed == (1.0,)
    # AUCs 1, 1, 0 of the rebuilds: s = 0.577, t(0.975, 2) = 4.30.
    assert (figures.rebuilt.value, figures.rebuilt.low, figures.rebuilt.high) == (1.0, 0.0, 1.0)
    scaled = made("context", tuple(1000 * score for score in good.test.scores), ())
    assert compared([good], [[poor]]) == compared([scaled], [[poor]])
    p, holm = compared([good], [[poor]])["colour"]
    assert p == holm < 0.01
    assert compared([good], [[scaled]])["context"][0] == 1.0


def test_what_is_no_result_is_refused_with_its_path(tmp_path):
    path = result_path(tmp_path, "micro", "context", 1)
    path.parent.mkdir()
    path.write_text('{"experiment": "micro"}', encoding="utf-8")
    with pytest.raises(CohortError, match=r"micro, context, 1\.json: no result"):
        read_results(tmp_path, "micro")
    with pytest.raises(CohortError, match="no result of an experiment is there yet"):
        write_report(tmp_path / "empty", tmp_path / "docs")


def test_cells_without_gradient_are_not_salient():
    values = np.zeros(1000, np.float32)
    values[[3, 500]] = (1.0, 2.0)
    inside = np.zeros(1000, bool)
    inside[500] = True
    assert share_in(values, inside, above=0.0) == 0.5
    assert share_in(values, inside) == 0.1
