"""The second stage: a cell classifier learns from whole mosaics, and its answer about slides is calibrated."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from napari_gigaclf.errors import ModelError
from napari_gigaclf.inference import classify
from napari_gigaclf.inference.network import cell_axes
from napari_gigaclf.models import load_model
from napari_gigaclf.models.slide_answer import SlideAnswer
from napari_gigaclf.streaming import stream
from napari_gigaclf.training.augment import Augmentation
from napari_gigaclf.training.builtin.evaluate_slides import evaluate
from napari_gigaclf.training.builtin.on_slides import SlideStage, slide_log_odds, train_on_slides
from napari_gigaclf.training.builtin.orientation import turned
from napari_gigaclf.training.builtin.scored_slides import ScoredSlides, fitted_answer, score_slides
from napari_gigaclf.training.experiments.painted import painted
from napari_gigaclf.training.mosaics import MosaicSettings, MosaicSlide, TilePool, plan_slide
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


def drawn(count: int) -> ScoredSlides:
    """Return made-up slides whose labels follow from an answer that is known."""
    generator = np.random.default_rng(0)
    cells = generator.integers(500, 4000, count)
    means = generator.normal(1, 3, (count, 2))
    z = means @ [0.8, 0.3] - 1.5 - 0.4 * np.log2(cells / 1000)
    return ScoredSlides(
        means=means,
        num_highest=(10, 50),
        num_cells=cells,
        labels=(generator.random(count) < 1 / (1 + np.exp(-z))).astype(np.int64),
        lesions=("micro",) * count,
        groups=tuple(map(str, range(count))),
    )


def test_an_answer_is_found_again_from_slides_drawn_from_it():
    slides = drawn(40_000)
    answer = fitted_answer(slides)
    assert answer.gains == pytest.approx((0.8, 0.3), abs=0.05)
    assert (answer.shift, answer.per_doubling) == pytest.approx((-1.5, -0.4), abs=0.08)
    assert answer.num_highest == (10, 50)
    assert (answer.least_cells, answer.most_cells) == (slides.num_cells.min(), slides.num_cells.max())


def test_no_gain_is_below_0_where_more_suspicion_goes_with_fewer_lesions():
    slides = drawn(2000)
    answer = fitted_answer(dataclasses.replace(slides, means=slides.means * [1, -1]))
    assert answer.gains[0] > 0.5
    assert answer.gains[1] == 0


def test_slides_of_all_sizes_are_scored_as_a_model_answers(start, pool):
    slides = score_slides(
        start, pool, split="test", num_each=2, seed=2, num_highest=(3, 20), sides_px=(576, 672), lesions=("micro",)
    )
    assert sorted(slides.labels.tolist()) == [0, 0, 1, 1]
    assert len(set(slides.groups)) == 2
    assert slides.num_cells[0] == slides.num_cells[1] < slides.num_cells[2]
    answer = SlideAnswer(
        num_highest=(3, 20), gains=(0.5, 0.2), shift=-1.0, per_doubling=-0.3, least_cells=1, most_cells=9999
    )
    model = copy.copy(start)
    model.config = dataclasses.replace(start.config, slide_answer=answer)
    plan = plan_slide(MosaicSettings(side_px=672, lesions=("micro",)), pool, seed=2, split="test", number=1)
    with MosaicSlide(plan, pool) as slide:
        found = classify(slide, model, saliency=None).probabilities["tumour"]
    assert found == pytest.approx(1 / (1 + np.exp(-slides.log_odds(answer)[3])), abs=1e-4)


def test_without_a_calibrated_answer_there_is_nothing_to_measure(pool):
    with pytest.raises(ModelError, match="no calibrated answer"):
        evaluate(load_model("phantom-tumour"), pool, num_each=2, seed=0)
