"""Networks of one field of view at several resolutions, trained from tiles, then from slides by streaming."""

import numpy as np
import pytest
import torch

from napari_gigaclf.inference.network import cell_axes
from napari_gigaclf.streaming import stream
from napari_gigaclf.training.experiments.climbing import Climb
from napari_gigaclf.training.experiments.configs import ResolutionExperiment
from napari_gigaclf.training.experiments.gaze_figures import gaze_figures, gaze_table
from napari_gigaclf.training.experiments.ladder import RUNGS, Ladder
from napari_gigaclf.training.experiments.looking import Gaze, lesion_cells
from napari_gigaclf.training.experiments.looking_by_resolution import gaze
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


def test_a_sham_lies_where_the_lesion_of_its_twin_does(slides):
    first, second = slides.plans[:2]
    assert first.group == second.group
    assert first.label != second.label
    found = [lesion_cells(plan, (18, 18)) for plan in (first, second)]
    assert found[0].any()
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("name", RUNGS)
def test_where_a_network_looks_is_what_the_whole_image_says(slides, name):
    """The cells of highest margin and of largest gradient, streamed, are those without the engine."""
    rung, plan = RUNGS[name], next(one for one in slides.plans if one.label == 1)
    torch.manual_seed(3)
    network = Ladder(rung).eval()
    with painted(plan, slides.pool, rung.factor) as view:
        side = 576 // rung.factor
        image = torch.from_numpy(view.whole.read(slice(0, side), slice(0, side)))[None].requires_grad_()
        cells = torch.from_numpy(view.cells(cell_axes(stream(network.features)), (18, 18)))
        tissue = view.whole.shown(slice(0, side), slice(0, side))
    found = network.features(image)[0][:, cells].T
    network.slide(found, "tumour").backward()
    raw = image.grad[0].abs().amax(0).numpy() * tissue
    salient = raw.reshape(18, rung.stride_px, 18, rung.stride_px).mean((1, 3))[cells.numpy()]
    margin = torch.diff(network.head(found), dim=1)[:, 0].detach().numpy()
    inside = lesion_cells(plan, (18, 18))[cells.numpy()]
    assert 0 < inside.mean() < 1
    looked = gaze(network, rung, plan, slides.pool)
    assert looked.slide == plan.name
    assert looked.chance == inside.mean()
    assert looked.hit == inside[margin.argmax()]
    count = round(0.01 * len(margin))
    assert looked.probability == inside[np.argsort(-margin)[:count]].mean()
    assert looked.saliency == inside[np.argsort(-salient)[:count]].mean()


def test_the_gaze_of_several_seeds_is_the_mean_of_each_slide():
    def of(*values: float) -> list[Gaze]:
        return [Gaze(slide=f"{v}", chance=0.1, probability=v, saliency=v / 2, hit=v > 0.5) for v in values]

    found = gaze_figures([of(0.0, 1.0), of(1.0, 1.0)])
    assert (found.slides, found.hits) == (2, 1.5)
    assert (found.probability.value, found.probability.low, found.probability.high) == (0.75, 0.5, 1.0)
    assert gaze_table("a | b", {"x | y": found})[-1] == (
        "| x | y | 2 | 0.10 (0.10 to 0.10) | 0.75 (0.50 to 1.00) | 0.38 (0.25 to 0.50) | 1.5 |"
    )


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
    looked = {path.name for path in (tmp_path / "looking").glob("*.json")}
    lesions = ("macro", "macro, sham", "micro", "micro, sham") if kind == "metastasis" else ()
    of_sets = [f"resolution, {each}" for each in lesions]
    assert looked == {f"{each}, {rung}, 1.json" for each in of_sets for rung in rungs}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    climb.run((1,))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")} == before
    text = write_report(tmp_path, tmp_path / "docs").read_text(encoding="utf-8")
    assert f"| {of} | half |" in text
    tiles = {one.arm: one.test for one in read_results(tmp_path, f"{name}, tiles")}
    assert {len(found.labels) for found in tiles.values()} == {len(pool.tumour) + len(pool.sham)}
    assert all(f"| {rung} | {found.auc:.3f} (" in text for rung, found in tiles.items())
    plots = [f"{name}.png", *([f"{name}-looking.png"] if looked else [])]
    assert all(2000 < (tmp_path / "docs" / plot).stat().st_size < 200_000 for plot in plots)
    assert text.count("| resolution, macro | half | 1 |") == bool(looked)
    if looked:
        _a_gaze_that_is_lost_or_of_another_network_is_measured_again(climb)


def _a_gaze_that_is_lost_or_of_another_network_is_measured_again(climb: Climb) -> None:
    results = {path: path.stat().st_mtime_ns for path in (climb.output / "results").glob("*.json")}
    path = climb.output / "looking" / "resolution, macro, half, 1.json"
    path.unlink()
    other = climb.output / "looking" / "resolution, micro, half, 1.json"
    other.write_text(other.read_text().replace('"key": "', '"key": "another '))
    climb.run((1,))
    assert path.is_file()
    assert "another" not in other.read_text()
    assert {path: path.stat().st_mtime_ns for path in (climb.output / "results").glob("*.json")} == results
