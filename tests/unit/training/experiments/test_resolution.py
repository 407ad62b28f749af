"""Networks of one field of view at several resolutions, trained from tiles, then from slides by streaming."""

import numpy as np
import pytest
import torch

from napari_gigaclf.inference.network import cell_axes
from napari_gigaclf.streaming import stream
from napari_gigaclf.training.experiments.climbing import Climb
from napari_gigaclf.training.experiments.configs import ResolutionExperiment
from napari_gigaclf.training.experiments.ladder import RUNGS, Ladder
from napari_gigaclf.training.experiments.painted import painted
from napari_gigaclf.training.experiments.report import write_report
from napari_gigaclf.training.experiments.resolution import (
    SlideSet,
    answers,
    loss_of,
    set_scale,
    shrunk,
    train_on_slides,
)
from napari_gigaclf.training.experiments.results import read_results
from napari_gigaclf.training.mosaics import MosaicSettings, MosaicSlide, plan_slide
from napari_gigaclf.training.slides.view import view_of
from napari_gigaclf.training.tiles import Tiles

SETTINGS = MosaicSettings(side_px=576, lesions=("micro",))


@pytest.fixture(scope="module")
def slides(benches) -> SlideSet:
    pool = benches().pools["train"]
    return SlideSet(plans=[plan_slide(SETTINGS, pool, seed=1, split="train", number=k) for k in range(4)], pool=pool)


@pytest.mark.parametrize("name", RUNGS)
def test_a_cell_stands_for_32_px_of_the_slide_and_sees_less_than_a_tile(name):
    rung = RUNGS[name]
    assert rung.stride_px * rung.factor == 32
    network = Ladder(rung).eval().double()
    tile = torch.rand(1, 3, 96 // rung.factor, 96 // rung.factor, dtype=torch.float64, requires_grad=True)
    network(tile)[0, 1].backward()
    seen = np.argwhere(np.abs(tile.grad[0].sum(0).numpy()) > 0)
    assert 0.5 * tile.shape[-1] < np.ptp(seen) + 1 < tile.shape[-1]


def test_the_same_parameters_at_a_quarter_as_at_full():
    count = {name: sum(p.numel() for p in Ladder(rung).features.parameters()) for name, rung in RUNGS.items()}
    assert count["quarter, as many parameters"] == pytest.approx(count["full"], rel=0.01)
    assert count["quarter"] < count["half"] < count["full"]


def test_tiles_are_shrunk_as_slides_are(benches, slides):
    plan = slides.plans[0]
    with MosaicSlide(plan, slides.pool) as slide:
        pixels = slide.read(0, 0, 576, 0, 576)
        whole = view_of(slide, 4 * plan.um_per_px, tissue=False).whole
        expected = whole.read(slice(0, 144), slice(0, 144))
    found = shrunk(pixels[None], 4)[0].transpose(2, 0, 1) / 255
    np.testing.assert_allclose(found, expected, atol=2 / 255)


@pytest.mark.parametrize("task", ["tumour", "share"])
def test_a_step_through_the_engine_is_that_of_whole_images(slides, task):
    """One mini-batch: the trunk's weights move as they do when each slide is one image."""
    rung = RUNGS["half"]
    torch.manual_seed(2)
    streamed, whole = Ladder(rung).eval(), Ladder(rung).eval()
    whole.load_state_dict(streamed.state_dict())
    start = streamed.features[1].weight.detach().clone()
    settings = ResolutionExperiment(epochs=1, batch_size=4, learning_rate=1e-3)
    train_on_slides(streamed, rung, slides, settings, task, 1)
    set_scale(whole, rung, slides, task, 4)
    for plan, target in zip(slides.plans, slides.targets(task), strict=True):
        with painted(plan, slides.pool, 2) as view:
            image = torch.from_numpy(view.whole.read(slice(0, 288), slice(0, 288)))[None]
            cells = torch.from_numpy(view.cells(cell_axes(stream(whole.features)), (18, 18)))
        found = whole.slide(whole.features(image)[0][:, cells].T, task)
        (loss_of(found, float(target), task) / 4).backward()
    moved = (streamed.features[1].weight - start).detach().numpy()
    gradient = whole.features[1].weight.grad.numpy()
    # Adam's first step has the learning rate's length, against the sign of the gradient.
    clear = np.abs(gradient) > 0.05 * np.abs(gradient).max()
    assert clear.sum() > 50
    np.testing.assert_allclose(moved[clear], -1e-3 * np.sign(gradient[clear]), rtol=1e-2)


def test_training_on_slides_lowers_the_loss(slides):
    torch.manual_seed(0)
    network, rung = Ladder(RUNGS["quarter"]), RUNGS["quarter"]
    experiment = ResolutionExperiment(epochs=8, batch_size=2, learning_rate=1e-2)
    losses = train_on_slides(network, rung, slides, experiment, "tumour", 1)
    assert losses[-1] < losses[0] - 0.05
    assert np.isfinite(answers(network, rung, slides, "tumour")).all()


@pytest.mark.parametrize(
    ("name", "kind", "side_px", "of"),
    [("resolution", "metastasis", 1056, "resolution, micro"), ("regression", "regression", 1344, "regression")],
)
def test_rungs_run_go_on_and_are_reported(large_pool, tmp_path, name, kind, side_px, of):
    pool, rungs = large_pool, ("quarter", "half")
    labels = np.zeros(len(pool.images), np.int64)
    labels[pool.tumour] = 1
    numbers = {"tile_epochs": 1, "num_tiles": 64, "num_tuning_tiles": 40, "num_train": 2, "num_test": 2, "epochs": 1}
    climb = Climb(
        name=name,
        experiment=ResolutionExperiment(kind=kind, side_px=side_px, train_side_px=side_px, **numbers),
        pools={"train": pool, "tune": pool, "test": pool},
        tiles=Tiles(images=pool.images, labels=labels),
        output=tmp_path,
        rungs=rungs,
    )
    climb.run((1,))
    results = read_results(tmp_path, of)
    assert {one.arm for one in results} == {*rungs, *(f"{rung}, before" for rung in rungs)}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    climb.run((1,))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")} == before
    text = write_report(tmp_path, tmp_path / "docs").read_text(encoding="utf-8")
    assert f"| {of} | half |" in text
    tiles = {one.arm: one.test for one in read_results(tmp_path, f"{name}, tiles")}
    assert {len(found.labels) for found in tiles.values()} == {len(pool.tumour) + len(pool.sham)}
    assert all(f"| {rung} | {found.auc:.3f} (" in text for rung, found in tiles.items())
    assert (tmp_path / "docs" / f"{name}.png").stat().st_size < 200_000
