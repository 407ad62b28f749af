"""Training from tiles: what is learnt, how a run goes on, what happens when something breaks, what the model is."""

import dataclasses
import errno
import json
import shutil
import threading
import tracemalloc
from collections import Counter

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch.optim.swa_utils import AveragedModel

from napari_gigaclf import classify
from napari_gigaclf.errors import Cancelled, CohortError, OutputError, SlideError, TrainingError
from napari_gigaclf.inference.resample import LevelImage
from napari_gigaclf.models import load_model
from napari_gigaclf.testing.cohorts import spotted_tissue, write_small_cohort
from napari_gigaclf.testing.runs import assert_same_weights, losses_of, weights_of
from napari_gigaclf.testing.tiles import write_annotated_slides
from napari_gigaclf.training.cohort import read_cohort
from napari_gigaclf.training.colour import colour_statistics, tissue_spread
from napari_gigaclf.training.from_tiles import TileRecipe, drawing, train_on_tiles
from napari_gigaclf.training.from_tiles.check import check_source
from napari_gigaclf.training.from_tiles.drawing import draw_tiles
from napari_gigaclf.training.from_tiles.network import TileNetwork, tile_network
from napari_gigaclf.training.from_tiles.start import prepared
from napari_gigaclf.training.runs import best, state
from napari_gigaclf.training.runs import run as run_module
from napari_gigaclf.training.runs.settings import with_settings
from napari_gigaclf.training.runs.workers import Workers


def go(source, recipe, folder, **options):
    return train_on_tiles(check_source(source, recipe), recipe, folder, **options)


@pytest.fixture(scope="module")
def trained(tiles_folder, tmp_path_factory):
    from napari_gigaclf.training.from_tiles import preset

    recipe = with_settings(preset("default"), ["um_per_px=4", "epochs=6", "batch_size=4", "learning_rate=0.002"])
    folder = tmp_path_factory.mktemp("runs") / "my run"
    epochs, progress = [], []
    result = go(tiles_folder, recipe, folder, on_epoch=epochs.append, progress=progress.append)
    return folder, result, epochs, progress


@pytest.fixture(scope="module")
def whole(tiles_folder, quick, tmp_path_factory):
    """The folder of a run by the quick recipe that nothing stopped."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    go(tiles_folder, quick, folder)
    return folder


@pytest.fixture
def large_tiles(tmp_path):
    """A folder of 6 tiles of noise, 128 x 128 px, of two classes and three patients."""
    for number in range(6):
        place = tmp_path / "tiles" / "ab"[number % 3 == 0] / f"patient{number // 2}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (128, 128, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    return tmp_path / "tiles"


def test_a_network_learns_from_tiles(trained):
    _, result, epochs, _ = trained
    assert epochs[-1].train_loss < 0.7 * epochs[0].train_loss
    assert result.figures["auc"] == 1.0
    assert epochs[result.best_epoch - 1].is_best


def test_progress_says_loss_and_what_remains(trained):
    _, _, _, progress = trained
    last = progress[-1]
    assert (last.done, last.total, last.unit) == (120, 120, "tile")
    assert last.note.startswith("loss 0.")
    assert progress[10].remaining_seconds > 0


def test_the_run_folder_records_what_was_done(trained, tiles_folder):
    folder = trained[0]
    expected = {"recipe.json", "tiles.csv", "record.json", "log.jsonl", "state", "model"}
    assert expected <= {path.name for path in folder.iterdir()}
    record = json.loads((folder / "record.json").read_text())
    assert record["tiles"]["source"] == str(tiles_folder)
    assert record["tiles"]["tiles"] == 24
    rows = [line.split(",") for line in (folder / "tiles.csv").read_text().splitlines()[1:]]
    by_patient = {row[3]: {other[2] for other in rows if other[3] == row[3]} for row in rows}
    assert all(len(splits) == 1 for splits in by_patient.values()), "a patient is learnt from or tuned on"
    assert {row[2] for row in rows} == {"train", "tune"}


def test_the_model_is_a_model_like_any_other(trained, tmp_path):
    result = trained[1]
    model = load_model(result.model)
    assert (model.name, model.classes, model.um_per_px) == ("my run", ("plain", "spots"), 4.0)
    assert "20 tiles" in model.card.training_data
    assert model.card.measured["tuning auc"] == 1.0
    assert f"epoch {result.best_epoch}" in model.card.measured_with
    assert (model.card.field.cells, model.card.field.px) == (1, 96)
    assert model.card.colour_statistics is not None
    write_small_cohort(tmp_path)
    plain, spots = (
        classify(str(tmp_path / f"{number}.tif"), model, saliency=None, level=0).probabilities["spots"]
        for number in (0, 1)
    )
    assert plain < spots


def test_a_tile_is_answered_as_its_cell_of_a_slide_is(trained, tiles_folder):
    """The tile's one cell sees the same 96 px as the middle cell of a slide that holds the tile."""
    model = load_model(trained[1].model)
    image = np.array(Image.open(tiles_folder / "spots" / "patient0" / "1.png"))
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        alone = TileNetwork(model).eval()(pixels)[0]
        cells = model.features(pixels)[0]
        middle = model.cell_logits(cells[:, 1, 1])
    torch.testing.assert_close(alone, middle, rtol=1e-4, atol=1e-4)


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tiles_folder, quick, tmp_path, whole):
    stop, seen = threading.Event(), []

    def stops(progress):
        seen.append(progress)
        if len(seen) in (2, 5, 6):
            stop.set()

    for resume in (False, True, True, True):
        stop.clear()
        recipe = with_settings(quick, [])
        report = check_source(tiles_folder, recipe)
        try:
            train_on_tiles(report, recipe, tmp_path / "parts", resume=resume, progress=stops, cancel=stop)
        except Cancelled:
            continue
    assert len(seen) == 10
    assert_same_weights(whole, tmp_path / "parts")
    assert losses_of(whole) == losses_of(tmp_path / "parts")


def test_a_run_that_was_killed_goes_on_from_its_last_state(tiles_folder, quick, tmp_path, whole, monkeypatch):
    class Killed(BaseException):
        pass

    def dies(progress):
        if progress.done == 28:
            raise Killed

    monkeypatch.setattr(run_module, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(run_module.Run, "keep", lambda _run: None)  # a kill writes nothing any more
    with pytest.raises(Killed):
        go(tiles_folder, quick, tmp_path / "parts", progress=dies)
    go(tiles_folder, quick, tmp_path / "parts", resume=True)
    assert_same_weights(whole, tmp_path / "parts")
    assert losses_of(whole) == losses_of(tmp_path / "parts")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("where", ["progress", "on_epoch"])
def test_whatever_breaks_a_run_all_that_was_learnt_is_kept(tiles_folder, quick, tmp_path, whole, error, where):
    def breaks(told):
        if where == "on_epoch" or told.done == 28:
            raise error

    with pytest.raises(error):
        go(tiles_folder, quick, tmp_path / "parts", **{where: breaks})
    assert len(losses_of(tmp_path / "parts")) == (5 if where == "on_epoch" else 6)
    go(tiles_folder, quick, tmp_path / "parts", resume=True)
    assert_same_weights(whole, tmp_path / "parts")
    assert losses_of(whole) == losses_of(tmp_path / "parts"), "no step is made twice"


@pytest.mark.parametrize(("place", "name", "calls"), [(AveragedModel, "update_parameters", 3), (best, "save_model", 2)])
def test_a_run_that_breaks_within_a_change_goes_on_from_the_state_before(
    tiles_folder, quick, tmp_path, whole, monkeypatch, place, name, calls
):  # fmt: skip
    unbroken, made = getattr(place, name), []

    def breaks(*args):
        made.append(args)
        if len(made) == calls:
            raise MemoryError
        return unbroken(*args)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, breaks)
        with pytest.raises(MemoryError):
            go(tiles_folder, quick, tmp_path / "parts")
    go(tiles_folder, quick, tmp_path / "parts", resume=True)
    assert_same_weights(whole, tmp_path / "parts")


def test_another_run_is_not_overwritten_nor_gone_on_with(tiles_folder, quick, tmp_path):
    go(tiles_folder, dataclasses.replace(quick, epochs=1), tmp_path / "run")
    with pytest.raises(CohortError, match="a run is there already"):
        go(tiles_folder, quick, tmp_path / "run")
    with pytest.raises(CohortError, match="another recipe or other data"):
        go(tiles_folder, quick, tmp_path / "run", resume=True)  # more epochs: another course of the learning rate
    other = tmp_path / "tiles"
    shutil.copytree(tiles_folder, other)
    Image.fromarray(np.full((96, 96, 3), 77, np.uint8)).save(other / "plain" / "patient0" / "0.png")
    with pytest.raises(CohortError, match="another recipe or other data"):
        go(other, dataclasses.replace(quick, epochs=1), tmp_path / "run", resume=True)


def test_a_loss_that_is_not_finite_stops_and_names_batch_and_tiles(tiles_folder, quick, tmp_path):
    wild = dataclasses.replace(quick, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"epoch 1, batch \d: the loss of .*patient\d/\d+\.png"):
        go(tiles_folder, wild, tmp_path / "run")
    assert (tmp_path / "run" / "state").is_dir(), "the last good state is kept"


def test_a_tile_that_vanishes_stops_with_its_name(tiles_folder, quick, tmp_path):
    copied = tmp_path / "tiles"
    shutil.copytree(tiles_folder, copied)
    report = check_source(copied, quick)
    row = report.tiles.cohort.rows[3]
    (copied / row.name).unlink()
    with pytest.raises(CohortError, match=row.name):
        train_on_tiles(report, quick, tmp_path / "run")


def test_a_full_disk_leaves_the_last_good_state(tiles_folder, quick, tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(state, "save_file", full)
        with pytest.raises(OutputError, match="No space left"):
            go(tiles_folder, quick, tmp_path / "run")
    assert go(tiles_folder, quick, tmp_path / "run", resume=True).epochs == 2


def test_frozen_parts_stay_and_a_model_is_gone_on_with(tiles_folder, quick, tmp_path):
    start = load_model("phantom-tumour")
    recipe = dataclasses.replace(quick, start_from="phantom-tumour", frozen=("trunk",), epochs=1)
    go(tiles_folder, recipe, tmp_path / "run")
    found = weights_of(tmp_path / "run")
    for name, value in start.state_dict().items():
        if name.startswith(("trunk.", "normalise.")):
            assert torch.equal(found[name], value), name


def test_slides_are_learnt_from_a_model_of_tiles_with_its_trunk_frozen(trained, tmp_path):
    from napari_gigaclf.training.slides import preset, train

    write_small_cohort(tmp_path)
    settings = [f"start_from={trained[1].model}", 'frozen=["trunk"]', "um_per_px=4", "epochs=1", "memory=100MB"]
    recipe = with_settings(preset("default"), settings)
    result = train(read_cohort(tmp_path / "cohort.csv"), recipe, tmp_path / "slides")
    before, after = load_model(trained[1].model).state_dict(), load_model(result.model).state_dict()
    for name, value in before.items():
        if name.startswith("trunk."):
            assert torch.equal(after[name], value), name


@pytest.mark.parametrize("pooling", ["mean", "max", "attention", "highest"])
def test_a_larger_tile_is_answered_by_its_cells_pooled(pooling):
    recipe = TileRecipe(um_per_px=1, start_from="phantom-tumour", pooling=pooling)
    network = tile_network(recipe, ("a", "b"), "run").eval()
    tile = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = network(tile)
        parts = [network.cells(tile[:, :, y : y + 96, x : x + 96])[0, :, 0] for y in (0, 32) for x in (0, 32)]
        expected = network.model.cell_logits(network.model.pool(torch.stack(parts))[None])
    torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_the_kept_model_gives_the_figures_of_its_run(large_tiles, quick, tmp_path, pooling):
    changes = {"pooling": pooling, "epochs": 1, "batch_size": 2, "tune_share": 0.4, "calibrate": False}
    recipe = dataclasses.replace(quick, **changes)
    tiles = check_source(large_tiles, recipe).tiles
    result = go(large_tiles, recipe, tmp_path / "run")
    model = load_model(result.model)
    tuned = tiles.cohort.of_split("tune")
    with torch.no_grad():
        pixels = torch.from_numpy(tiles.images(tuned.rows)).permute(0, 3, 1, 2) / 255
        logits = TileNetwork(model).eval()(pixels)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(tuned.targets))
    assert result.figures["loss"] == pytest.approx(float(loss), rel=1e-4)
    assert (model.card.field.cells, model.card.field.px) == (2, 128)


def test_rare_classes_weigh_more(large_tiles, quick, tmp_path):
    recipe = dataclasses.replace(quick, batch_size=3, tune_share=0.4, label_smoothing=0.0)
    losses, batch = [], ()
    for weigh in (False, True):
        changed = dataclasses.replace(recipe, class_weights=weigh)
        tiles = check_source(large_tiles, changed).tiles
        alone = {"device": torch.device("cpu"), "workers": Workers()}
        learner = prepared(tiles, changed, tmp_path / str(weigh), resume=False, **alone).learner
        batch = learner.batches(0)[0]
        losses.append(learner.gradient(batch, 0, lambda _: None, None).losses)
    counts = Counter(row.labels[0] for row in tiles.cohort.of_split("train").rows)
    assert counts[0] != counts[1]
    weights = [sum(counts.values()) / (2 * counts[row.labels[0]]) for row in batch]
    assert losses[1] == pytest.approx([loss * weight for loss, weight in zip(losses[0], weights, strict=True)])


def test_annotated_slides_are_drawn_and_learnt_from(slides_table, quick, tmp_path):
    recipe = with_settings(quick, ["label_px=32", "max_tiles=4", "tune_share=0.25", "epochs=1"])
    result = go(slides_table, recipe, tmp_path / "run")
    assert load_model(result.model).classes == ("plain", "spots")
    rows = [line.split(",") for line in (tmp_path / "run" / "places.csv").read_text().splitlines()[1:]]
    assert len(rows) == 4 * 2 * 4
    for name, _slide, label, _, _, y0, y1, x0, x1 in rows:
        middle = [(float(a) + float(b)) / 2 for a, b in ((y0, y1), (x0, x1))]
        assert (label == "spots") == (middle[1] > 400)
        image = np.asarray(Image.open(tmp_path / "run" / "tiles" / name)).astype(float)
        assert image.shape == (96, 96, 3)
    again = go(slides_table, dataclasses.replace(recipe), tmp_path / "run", resume=True)
    assert again.best_epoch == result.best_epoch
    with pytest.raises(CohortError, match="drawn from other regions"):
        go(slides_table, dataclasses.replace(recipe, seed=1), tmp_path / "run", resume=True)
    (tmp_path / "run" / "tiles" / "drawn.json").write_text("{")
    with pytest.raises(CohortError, match="drawn from other regions"):
        go(slides_table, recipe, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tiles/a.png", "tiles: not drawn by this run"),
        ("places.csv", "places.csv: not drawn by this run"),
        ("tiles.csv", "tiles.csv: stands there, and no run wrote it"),
        ("model/notes.txt", "model: stands there, and no run wrote it"),
    ],
)
def test_what_a_person_has_in_the_folder_is_never_overwritten(slides_table, few, tmp_path, name, words):
    place = tmp_path / "run" / name
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    for resume in (False, True):
        with pytest.raises(CohortError, match=words):
            go(slides_table, few, tmp_path / "run", resume=resume)
    assert [path for path in (tmp_path / "run").rglob("*") if path.is_file()] == [place]
    assert place.read_text() == "mine"


def test_tiles_of_ones_own_are_learnt_from_beside_nothing_of_ones_own(tiles_folder, quick, tmp_path):
    (tmp_path / "tiles.csv").write_text("mine")
    with pytest.raises(CohortError, match="no run wrote it"):
        go(tiles_folder, quick, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tiles.csv"]
    assert (tmp_path / "tiles.csv").read_text() == "mine"


@pytest.mark.parametrize("name", ["tiles.csv", "places.csv"])
def test_a_run_does_not_overwrite_the_table_it_learns_from(slides_table, few, tmp_path, name):
    shutil.copytree(slides_table.parent, tmp_path / "run")
    table = (tmp_path / "run" / "slides.csv").rename(tmp_path / "run" / name)
    before = table.read_bytes()
    for resume in (False, True):
        with pytest.raises(CohortError, match="give another folder"):
            go(table, few, tmp_path / "run", resume=resume)
    assert table.read_bytes() == before


def test_a_list_of_places_that_is_lost_is_written_again(slides_table, few, tmp_path):
    go(slides_table, few, tmp_path / "run")
    places = tmp_path / "run" / "places.csv"
    before = places.read_bytes()
    places.unlink()
    go(slides_table, few, tmp_path / "run", resume=True)
    assert places.read_bytes() == before


def test_slides_that_all_train_leave_no_tile_to_tune_on(slides_table, few, tmp_path):
    shutil.copytree(slides_table.parent, tmp_path / "slides")
    table = tmp_path / "slides" / "slides.csv"
    head, *lines = table.read_text().splitlines()
    table.write_text("\n".join([f"{head},split", *(f"{line},train" for line in lines)]))
    result = go(table, few, tmp_path / "run")
    assert result.figures == {}, "nothing was kept aside"
    assert all(line.split(",")[2] == "train" for line in (tmp_path / "run" / "tiles.csv").read_text().splitlines()[1:])


def test_what_a_killed_process_drew_is_removed_and_all_is_drawn_anew(slides_table, few, tmp_path):
    drawing = check_source(slides_table, few).drawing
    left = tmp_path / "again" / ".tiles.0123abcd.partial" / "train" / "0 plain" / "patient0" / "cut.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a tile")
    drawn = []
    for run in ("once", "again"):
        draw_tiles(drawing, tmp_path / run, "note")
        files = [path for path in (tmp_path / run).rglob("*") if path.is_file()]
        drawn.append({path.relative_to(tmp_path / run): path.read_bytes() for path in files})
    assert len(drawn[0]) == 4 * 2 * 2 + 1
    assert drawn[0] == drawn[1]


def test_glass_in_outlines_of_two_classes_and_splits_is_warned_of(tmp_path, quick):
    table = write_annotated_slides(tmp_path / "slides")
    for slide in (tmp_path / "slides").glob("*.tif"):
        pixels = tifffile.imread(slide)
        pixels[:280] = 255
        tifffile.imwrite(slide, pixels, photometric="rgb", tile=(128, 128))
    recipe = with_settings(quick, ["label_px=32", "epochs=1", "tune_share=0.25", "tissue=false"])
    report = check_source(table, recipe)
    assert not report.errors
    result = train_on_tiles(report, recipe, tmp_path / "run")
    white = [
        path.relative_to(tmp_path / "run" / "tiles").parts[:2]
        for path in (tmp_path / "run" / "tiles").rglob("*.png")
        if (np.asarray(Image.open(path)) == 255).all()
    ]
    assert len(set(white)) == 4, "both classes, both splits"
    of_another_class = sum(class_name == "1 spots" for _, class_name in white)
    assert result.warnings == (
        f"{len(white) - 1} tiles look the same as others, as glass does; {of_another_class} of them of another class, "
        f"{white.count(('tune', '0 plain'))} in another split",
    )


def test_a_slide_that_cannot_be_read_is_no_failed_write_and_leaves_nothing(
    slides_table, quick, tmp_path, monkeypatch
):  # fmt: skip
    class Failing:
        def __init__(self, view):
            self.slide, self.whole, self.reads = view.slide, self, 0
            self._read = view.whole.read

        def read(self, *slices):
            self.reads += 1
            if self.reads > 3:
                raise OSError(errno.EIO, "Input/output error")
            return self._read(*slices)

    whole = drawing.open_view
    monkeypatch.setattr(drawing, "open_view", lambda *args, **options: Failing(whole(*args, **options)))
    with pytest.raises(SlideError, match=r"0\.tif: cannot be read: Input/output error"):
        go(slides_table, with_settings(quick, ["label_px=32", "tune_share=0.25"]), tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def test_drawn_tiles_are_what_classify_shows_the_network(slides_table, quick, tmp_path):
    from napari_gigaclf import open_slide
    from napari_gigaclf.inference.scale import plan_scale

    recipe = with_settings(quick, ["tissue=false", "max_tiles=2", "tune_share=0.25", "epochs=1", "label_px=40"])
    go(slides_table, recipe, tmp_path / "run")
    line = (tmp_path / "run" / "places.csv").read_text().splitlines()[1].split(",")
    with open_slide(slides_table.parent / line[1], um_per_px=0.5) as slide:
        scale = plan_scale(slide.levels, slide.um_per_px, 1.0)
        level = slide.levels[scale.level]
        image = LevelImage(slide, scale.level, (level.height, level.width), scale.factor, scale.grid.shape)
        y, x = round(float(line[5]) / 2), round(float(line[7]) / 2)
        expected = image.read(y, y + 96, x, x + 96)
    tile = np.asarray(Image.open(tmp_path / "run" / "tiles" / line[0])).transpose(2, 0, 1) / 255
    assert np.abs(tile - expected).max() <= 0.5 / 255 + 1e-6


def test_colours_are_measured_tile_by_tile_in_little_memory(tmp_path, quick):
    side, count = 256, 40
    for number in range(count):
        place = tmp_path / "tiles" / "ab"[number % 2] / f"patient{number // 8}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(spotted_tissue(side, number, spots=bool(number % 2))).save(place / f"{number}.png")
    tiles = check_source(tmp_path / "tiles", quick).tiles
    rows = tiles.cohort.of_split("train").rows
    images = tiles.images(rows)
    alone = {"device": torch.device("cpu"), "workers": Workers()}
    prepared(tiles, quick, tmp_path / "first", resume=False, **alone).board.close()  # what it needs is imported
    tracemalloc.start()
    run = prepared(tiles, quick, tmp_path / "run", resume=False, **alone)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    run.close()
    assert run.learner.model.card.colour_statistics == colour_statistics(images)
    expected = 1 / torch.tensor(tissue_spread(images))
    torch.testing.assert_close(run.learner.model.normalise.scale.flatten(), expected, rtol=0, atol=0)
    assert images.nbytes > 30 * side * side * 3
    assert peak < 30 * side * side * 3, "arithmetic on one tile needs about 20 times its bytes"
