"""A slide in memory, calls to the GUI thread that a test pumps itself, and workers that are joined at the end."""

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_gigaclf.slides import Slide, open_slide
from napari_gigaclf.testing.cohorts import write_small_cohort
from napari_gigaclf.testing.slide_files import write_scenes
from napari_gigaclf.viewer.worker import Worker


class Pump:
    """Stands for the window's event loop: takes posted calls from any thread, runs them on the test's thread."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def __call__(self, function: Callable[[], None]) -> None:
        self.calls.put(function)

    def run_once(self) -> bool:
        """Run one waiting call; False if there is none."""
        try:
            function = self.calls.get(timeout=0.01)
        except queue.Empty:
            return False
        function()
        return True

    def until(self, condition: Callable[[], bool], timeout: float = 200.0) -> None:
        """Run calls until a condition holds; fails after a while."""
        end = time.monotonic() + timeout
        while not condition():
            self.run_once()
            assert time.monotonic() < end, "waited in vain"

    def drain(self) -> None:
        """Run everything that waits now."""
        while self.run_once():
            pass


class Window:
    """A viewer in which slides return, as a window of napari is."""

    def __init__(self, pump, make_worker, folder):
        from napari.components import ViewerModel

        from napari_gigaclf.viewer.canvas import SlideCanvas
        from napari_gigaclf.viewer.controllers.returning import ReturningController
        from napari_gigaclf.viewer.viewpoint import Viewpoint

        self.viewer, self.notes, self.pump = ViewerModel(), [], pump
        self.viewer.canvas.size = (600, 800)
        self.canvas = SlideCanvas(self.viewer)
        self.point = Viewpoint(self.viewer)
        self.workers = make_worker("returning"), make_worker("keeping")
        self.controller = ReturningController(
            self.canvas, worker=self.workers[0], keeper=self.workers[1], post=pump, notify=self.notes.append,
            folder=folder / "slides", results=folder / "results",
        )  # fmt: skip
        events = self.viewer.layers.events
        events.inserted.connect(lambda _event: (self.controller.layers_changed(), self.controller.shapes_changed()))
        events.removing.connect(lambda _event: self.controller.removing())
        events.removed.connect(lambda event: self.controller.layer_removed(event.value))

    def show(self, *layers):
        added = [getattr(self.viewer, f"add_{kind}")(data, **kwargs) for data, kwargs, kind in layers]
        self.settle()
        return added[0]

    def open(self, slide):
        from napari_gigaclf.viewer.reader import open_layers

        return self.show(*open_layers(slide))

    def settle(self):
        for _ in range(4):
            self.pump.until(lambda: not any(worker.busy for worker in self.workers))
            self.pump.drain()

    def names(self):
        return [layer.name for layer in self.viewer.layers]


@pytest.fixture
def window(pump, make_worker, tmp_path):
    """Open windows in which slides return, all with the same files."""
    return lambda: Window(pump, make_worker, tmp_path)


@pytest.fixture
def slide_of(pixels):
    """Open the small image as a slide of 0.5 um/px."""
    return lambda: open_slide([pixels, pixels[::4, ::4]], um_per_px=0.5)


@pytest.fixture(scope="session")
def predict(model_folder):
    """Run the tiny model over a slide."""
    from napari_gigaclf.inference import classify

    return lambda slide: classify(slide, model_folder, saliency="tumour", tissue=False)


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what is kept of slides in a folder of this test's own."""
    folder = tmp_path_factory.mktemp("own")
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    monkeypatch.setattr("napari_gigaclf.viewer.returning.pieces.results_folder", lambda: folder / "results")
    return folder


@pytest.fixture
def pump() -> Pump:
    """The test's event loop."""
    return Pump()


@pytest.fixture
def make_worker(pump: Pump) -> Iterator[Callable[[str], Worker]]:
    """Make workers that post to the pump; all must have ended when the test is over."""
    workers: list[Worker] = []

    def make(name: str) -> Worker:
        workers.append(Worker(name, pump))
        return workers[-1]

    yield make
    for worker in workers:
        assert worker.close(timeout=20), f"{worker.name} did not end"


@pytest.fixture
def pixels() -> np.ndarray:
    """A small H&E-like image: white glass, a pink block of tissue with dark dots in one half of it."""
    rng = np.random.default_rng(3)
    image = np.full((512, 640, 3), 245, dtype=np.uint8)
    tissue = rng.normal((205, 140, 180), 12, size=(320, 448, 3))
    image[96:416, 96:544] = np.clip(tissue, 0, 255).astype(np.uint8)
    for y, x in zip(rng.integers(100, 410, 500), rng.integers(320, 540, 500), strict=True):
        image[y : y + 5, x : x + 5] = (90, 50, 130)
    return image


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained cell-net of 1 um/px with classes normal and tumour, saved as a model folder."""
    import torch

    from napari_gigaclf.models import ModelCard, ModelConfig, save_model
    from napari_gigaclf.models.build import build_classifier

    card = ModelCard(
        title="tiny",
        summary="untrained",
        intended_tissue="none",
        stain="H&E",
        intended_use="tests",
        not_for="anything else",
        training_data="none",
        licence="BSD-3-Clause",
        citation=(),
        measured={},
        positive_class="tumour",
    )
    config = ModelConfig(
        name="tiny",
        version="1",
        classes=("normal", "tumour"),
        um_per_px=1.0,
        activation="softmax",
        network="cell-net",
        pooling="highest",
        spread=(0.3, 0.3, 0.3),
        card=card,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_classifier(config)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(model, folder)
    return folder


@pytest.fixture(scope="session")
def score_folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The untrained cell-net as a regression that learnt from scores from -2 to 6."""
    import dataclasses

    import torch

    from napari_gigaclf.models import load_model, save_model
    from napari_gigaclf.models.build import build_classifier

    config = load_model(model_folder).config
    card = dataclasses.replace(config.card, positive_class="", slide_score="")
    changes = {"classes": ("score",), "activation": "identity", "pooling": "mean", "score_range": (-2.0, 6.0)}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build_classifier(dataclasses.replace(config, name="grade", card=card, golden=(), **changes))
        tissue = torch.tensor([205.0, 140.0, 180.0]).reshape(3, 1, 1) + 12 * torch.randn(3, 256, 256)
    with torch.no_grad():  # scores of tissue lie around zero
        scores = model.cell_logits(model.features(tissue[None] / 255)[0].flatten(1).T)
        layer = model.head[-1]
        layer.bias.copy_((layer.bias - scores.mean()) / scores.std())
        layer.weight.div_(scores.std())
    folder = tmp_path_factory.mktemp("models") / "grade"
    save_model(model, folder)
    return folder


@pytest.fixture(scope="session")
def cohort_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of ten small slides, six to train and four to tune, of classes plain and spots."""
    return write_small_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture
def quick_settings() -> tuple[tuple[str, object], ...]:
    """Settings of a run of a second or two: a new last layer on a built-in trunk."""
    settings = {"start_from": "phantom-tumour", "frozen": ["trunk"], "pooling": "mean", "um_per_px": 4.0}
    return tuple({**settings, "batch_size": 6, "epochs": 2, "learning_rate": 0.02, "memory": "100MB"}.items())


@pytest.fixture
def slide(pixels: np.ndarray) -> Slide:
    """The small image as a slide of 1 um/px with a coarse level."""
    return open_slide([pixels, pixels[::4, ::4]], um_per_px=1.0)


@pytest.fixture
def scenes_file(tmp_path: Path, pixels: np.ndarray) -> Path:
    """An OME-TIFF of 1 um/px with two scenes: three focal planes, and two of a larger image; all of them differ."""
    first = np.stack([np.roll(pixels, 8 * z, axis=1) for z in range(3)])
    second = np.stack([np.tile(np.roll(pixels, 8 * z, axis=0), (2, 1, 1)) for z in range(2)])
    return write_scenes(tmp_path / "many.ome.tif", [first, second])
