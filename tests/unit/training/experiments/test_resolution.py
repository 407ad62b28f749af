"""Networks of one field of view at several resolutions, trained from tiles, then from slides by streaming."""

import numpy as np
import pytest
import torch

from napari_gigaclf.inference.network import cell_axes
from napari_gigaclf.streaming import stream
from napari_gigaclf.training.experiments.climbing import Climb
from napari_gigaclf.training.experiments.configs import ResolutionExperiment
from napari_gigaclf.training.experiments.ladder import RUNGS, Ladder
from napari_gigaclf.training.experiments.report import write_report
from napari_gigaclf.training.experiments.resolution import SlideSet, answers, loss_of, shrunk, train_on_slides
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
def test_a_step_through_the_engine_is_that_of_the_whole_image(slides, task):
    """One epoch of one slide: the trunk's weights move as they do when the slide is one image."""
    rung, one = RUNGS["half"], SlideSet(plans=slides.plans[:1], pool=slides.pool)
    torch.manual_seed(2)
    streamed, whole = Ladder(rung).eval(), Ladder(rung).eval()
    whole.load_state_dict(streamed.state_dict())
    start = streamed.features[1].weight.detach().clone()
    train_on_slides(streamed, rung, one, ResolutionExperiment(epochs=1, batch_size=1, learning_rate=1e-2), task, 1)
    with MosaicSlide(one.plans[0], one.pool) as slide:
        view = view_of(slide, 2 * one.plans[0].um_per_px, tissue=True)
        image = torch.from_numpy(view.whole.read(slice(0, 288), slice(0, 288)))[None]
        cells = view.cells(*_axes_and_shape(whole, image))
    whole.load_state_dict({**whole.state_dict(), "gain": streamed.gain, "shift": streamed.shift})
    found = whole.slide(whole.features(image)[0][:, torch.from_numpy(cells)].T, task)
    loss_of(found, float(one.targets(task)[0]), task).backward()
    moved = (streamed.features[1].weight - start).detach().numpy()
    gradient = whole.features[1].weight.grad.numpy()
    assert np.abs(moved).max() > 1e-3
    # Adam's first step goes against the sign of the gradient.
    clear = np.abs(gradient) > 0.05 * np.abs(gradient).max()
    assert np.array_equal(np.sign(moved[clear]), -np.sign(gradient[clear]))


def _axes_and_shape(network, image):
    return cell_axes(stream(network.features)), tuple(network.features(image).shape[-2:])


def test_training_on_slides_lowers_the_loss(slides):
    torch.manual_seed(0)
    network, rung = Ladder(RUNGS["quarter"]), RUNGS["quarter"]
    experiment = ResolutionExperiment(epochs=12, batch_size=2, learning_rate=5e-3)
    losses = train_on_slides(network, rung, slides, experiment, "tumour", 1)
    assert losses[-1] < losses[0] - 0.05
    assert np.isfinite(answers(network, rung, slides, "tumour")).all()


@pytest.mark.parametrize(
    ("name", "kind", "side_px", "of"),
    [("resolution", "metastasis", 1056, "resolution, micro"), ("regression", "regression", 1344, "regression")],
)
def test_every_rung_runs_goes_on_and_is_reported(benches, tmp_path, name, kind, side_px, of):
    pool = benches().pools["train"]
    labels = np.zeros(len(pool.images), np.int64)
    labels[pool.tumour] = 1
    numbers = {"tile_epochs": 1, "num_tiles": 64, "num_tuning_tiles": 40, "num_train": 2, "num_test": 4, "epochs": 1}
    climb = Climb(
        name=name,
        experiment=ResolutionExperiment(kind=kind, side_px=side_px, **numbers),
        pools=benches().pools,
        tiles=Tiles(images=pool.images, labels=labels),
        output=tmp_path,
    )
    climb.run((1,))
    results = read_results(tmp_path, of)
    assert {one.arm for one in results} == {*RUNGS, *(f"{rung}, before" for rung in RUNGS)}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    climb.run((1,))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")} == before
    text = write_report(tmp_path, tmp_path / "docs").read_text(encoding="utf-8")
    assert f"| {of} | half |" in text
    assert (tmp_path / "docs" / f"{name}.png").stat().st_size < 200_000
