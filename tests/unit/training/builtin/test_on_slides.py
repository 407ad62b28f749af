"""The second stage: a cell classifier learns from whole mosaics, and its answer about slides is calibrated."""

import numpy as np
import pytest
import torch

from napari_gigaclf.errors import ModelError
from napari_gigaclf.inference.network import cell_axes
from napari_gigaclf.models import load_model
from napari_gigaclf.streaming import stream
from napari_gigaclf.training.augment import Augmentation
from napari_gigaclf.training.builtin.evaluate_slides import evaluate
from napari_gigaclf.training.builtin.on_slides import SlideStage, slide_log_odds, train_on_slides
from napari_gigaclf.training.builtin.orientation import turned
from napari_gigaclf.training.builtin.scored_slides import ScoredSlides, fitted_answer, joined, score_slides
from napari_gigaclf.training.experiments.painted import painted
from napari_gigaclf.training.mosaics import MosaicSettings, TilePool, plan_slide
from napari_gigaclf.training.tiles import Tiles

SETTINGS = MosaicSettings(side_px=576, lesions=("micro",))
STAGE = SlideStage(
    steps=2, slides_per_step=1, tiles_per_step=8, mosaics=SETTINGS, augmentation=Augmentation(), num_highest=4
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pool() -> TilePool:
    """Return tiles of violet noise; tumour tiles are coarser than their partners."""
    generator = np.random.default_rng(5)
    noise = generator.normal(0, 25, (130, 96, 96, 1))
    noise[:20] = np.repeat(np.repeat(generator.normal(0, 45, (20, 12, 12, 1)), 8, 1), 8, 2)
    images = np.clip(np.array([150, 90, 160]) + noise, 0, 235).astype(np.uint8)
    places = np.arange(130)
    return TilePool(images=images, tumour=places[:20], sham=places[20:40], background=places[40:])


@pytest.fixture(scope="module")
def start():
    return load_model("lymph-node-metastasis")


@pytest.fixture(scope="module")
def trained(start, pool):
    tiles = Tiles(images=pool.images, labels=(np.arange(130) < 20).astype(np.int64))
    return train_on_slides(start, pool, tiles, STAGE)


def test_all_of_the_network_learns_and_the_start_is_left_alone(start, trained):
    before = load_model("lymph-node-metastasis").state_dict()
    assert all(torch.equal(value, before[name]) for name, value in start.state_dict().items())
    for name, value in trained.state_dict().items():
        learns = "running" not in name and "num_batches" not in name and not name.startswith("normalise")
        assert torch.allclose(value, before[name], rtol=1e-6) != learns, name


def test_weights_stay_tied_to_the_eight_orientations(trained):
    image = torch.rand(1, 3, 128, 128, dtype=torch.float64)
    model = trained.double()
    with torch.no_grad():
        expected = model.features(image)
        for orientation in (1, 4, 7):
            found = model.features(turned(image, orientation))
            torch.testing.assert_close(found, turned(expected, orientation), rtol=1e-5, atol=1e-5)
    model.float()


def test_the_gradient_of_a_slide_is_the_untiled_networks(start, pool):
    """The highest cells' log-odds, through the engine, against the network on the whole mosaic at once."""
    model = load_model("lymph-node-metastasis").double().requires_grad_()
    plan = plan_slide(SETTINGS, pool, seed=1, split="train", number=0)
    with slide_log_odds(model, stream(model.features), plan, pool) as odds:
        odds.topk(4).values.mean().backward()
        found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        shown = odds.detach()
    model.zero_grad()
    with painted(plan, pool) as view:
        image = torch.from_numpy(view.whole.read(slice(0, 576), slice(0, 576))).double()[None]
        cells = view.cells(cell_axes(stream(model.features)), (18, 18))
    logits = model.cell_logits(model.features(image)[0][:, torch.from_numpy(cells)].T)
    expected = logits[:, 1] - logits[:, 0]
    torch.testing.assert_close(shown, expected.detach(), rtol=1e-9, atol=1e-9)
    expected.topk(4).values.mean().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-8, atol=1e-10)


def test_an_answer_is_found_again_from_slides_drawn_from_it():
    generator = np.random.default_rng(0)
    count = 40_000
    cells = generator.integers(500, 4000, count)
    highest = generator.normal(1, 3, count)
    z = 0.8 * highest - 1.5 - 0.4 * np.log2(cells / 1000)
    slides = ScoredSlides(
        highest=highest,
        num_cells=cells,
        labels=(generator.random(count) < 1 / (1 + np.exp(-z))).astype(np.int64),
        lesions=("micro",) * count,
        groups=tuple(map(str, range(count))),
    )
    answer = fitted_answer(slides, 10)
    assert (answer.gain, answer.shift, answer.per_doubling) == pytest.approx((0.8, -1.5, -0.4), abs=0.05)
    assert (answer.least_cells, answer.most_cells) == (cells.min(), cells.max())
    tensor = torch.full((1500,), -9.0, dtype=torch.float64)
    tensor[:10] = 2.0
    one = ScoredSlides(
        highest=np.array([2.0]), num_cells=np.array([1500]), labels=np.array([1]), lesions=("micro",), groups=("a",)
    )
    assert one.log_odds(answer)[0] == pytest.approx(float(answer.logits(tensor)[1]), abs=1e-9)


def test_slides_of_two_stand_ins_are_joined_in_order_and_twins_stay_apart():
    parts = [
        ScoredSlides(
            highest=np.full(2, value), num_cells=np.array([500, 600]), labels=np.array([0, 1]),
            lesions=(lesion, lesion), groups=("1024 7", "1024 7"),
        )
        for value, lesion in ((1.0, "macro"), (2.0, "micro"))
    ]  # fmt: skip
    slides = joined(parts)
    assert slides.highest.tolist() == [1, 1, 2, 2]
    assert slides.num_cells.tolist() == [500, 600] * 2
    assert slides.labels.tolist() == [0, 1] * 2
    assert slides.of("micro").tolist() == [False, False, True, True]
    first, second, third, fourth = slides.groups
    assert first == second != third == fourth


def test_slides_of_all_sizes_are_scored(start, pool):
    slides = score_slides(
        start, pool, split="test", num_each=2, num_highest=3, seed=2, sides_px=(576, 672), lesions=("micro",)
    )
    assert slides.labels.tolist() in ([0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1])
    assert len(set(slides.groups)) == 2
    assert slides.num_cells[0] == slides.num_cells[1] < slides.num_cells[2]


def test_without_a_calibrated_answer_there_is_nothing_to_measure(pool):
    with pytest.raises(ModelError, match="no calibrated answer"):
        evaluate(load_model("phantom-tumour"), pool, num_each=2, seed=0)
