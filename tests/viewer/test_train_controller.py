"""Training decided without a window: a check, real short runs, stops, errors, late answers, runs found in a folder."""

import json
import shutil
import threading

import pytest

from napari_gigaclf.errors import Cancelled, TrainingError
from napari_gigaclf.progress import Progress
from napari_gigaclf.training.slides import PRESETS, Epoch
from napari_gigaclf.viewer.controllers import train as module
from napari_gigaclf.viewer.controllers.train import TrainController, TrainState
from napari_gigaclf.viewer.controllers.train_jobs import look_at_run, read_choices
from napari_gigaclf.viewer.controllers.train_wishes import TrainWishes


class FakeView:
    """Remembers what it was told to show, and on which thread."""

    def __init__(self):
        self.offers, self.reports, self.runs, self.progress = [], [], [], []
        self.epochs, self.outcomes, self.models, self.threads = [], [], [], set()

    def show_offer(self, offer):
        self.threads.add(threading.current_thread())
        self.offers.append(offer)

    def show_report(self, report):
        self.reports.append(report)

    def show_run(self, look):
        self.runs.append(look)

    def show_progress(self, progress):
        self.threads.add(threading.current_thread())
        self.progress.append(progress)

    def show_epochs(self, epochs):
        self.threads.add(threading.current_thread())
        self.epochs.append(list(epochs))

    def show_outcome(self, text):
        self.outcomes.append(text)

    def show_model(self, folder, *, finished):
        self.models.append((folder, finished))


@pytest.fixture
def view():
    return FakeView()


@pytest.fixture
def runs(view, pump, make_worker):
    return TrainController(view, quick=make_worker("quick"), long=make_worker("long"), post=pump)


@pytest.fixture
def wishes(cohort_table, tmp_path, quick_settings):
    return TrainWishes(
        table=cohort_table, output=tmp_path / "run", base=PRESETS["default"], settings=quick_settings, threads=1
    )


@pytest.fixture
def ready(runs, view, pump):
    """Choose, and wait until the check and the look at the folder are answered."""

    def wait(wishes):
        runs.choose(wishes)
        pump.until(lambda: runs.report is not None and runs.look is not None)
        return view.offers[-1]

    return wait


def changed(wishes, **settings):
    names = {name: getattr(wishes, name) for name in wishes.__slots__}
    return TrainWishes(**{**names, "settings": tuple({**dict(wishes.settings), **settings}.items())})


def epoch(number, loss=1.0, *, is_best=True):
    return Epoch(number=number, train_loss=loss, tuning={"loss": loss}, is_best=is_best, seconds=1.0)


def fake_training(monkeypatch, work):
    """Let ``work(on_epoch, progress, cancel)`` stand for training; what it is given is kept."""
    calls = []

    def run_training(wishes, cohort, *, resume, progress, on_epoch, cancel):
        calls.append((wishes, cohort, resume))
        return work(on_epoch, progress, cancel)

    monkeypatch.setattr(module, "run_training", run_training)
    return calls


def until_stopped(on_epoch, progress, cancel):
    on_epoch(epoch(1))
    progress(Progress(done=1, total=2, unit="slide", phase="epochs 1 to 2", seconds=1.0))
    while not cancel.is_set():
        threading.Event().wait(0.01)
    raise Cancelled("stopped")


def test_without_a_table_nothing_is_offered(runs, view):
    runs.choose(TrainWishes(base=PRESETS["default"]))
    offer = view.offers[-1]
    assert offer.state is TrainState.NO_TABLE
    assert (offer.can_train, offer.can_resume, offer.busy) == (False, False, False)
    assert "table" in offer.note


def test_a_check_comes_before_training(ready, view, wishes):
    offer = ready(wishes)
    assert offer.state is TrainState.READY
    assert offer.can_train
    assert not offer.can_resume
    assert view.reports[-1].counts["train"] == {"plain": 3, "spots": 3}
    assert view.threads == {threading.current_thread()}


def test_a_table_in_order_without_a_folder_asks_for_one(runs, view, pump, wishes):
    runs.choose(TrainWishes(table=wishes.table, base=wishes.base))
    pump.until(lambda: runs.report is not None)
    assert not view.offers[-1].can_train
    assert "output folder" in view.offers[-1].note


def test_errors_refuse_training_unless_the_slides_are_left_out(ready, runs, view, wishes, cohort_table, tmp_path):
    for number in range(10):
        shutil.copy(cohort_table.parent / f"{number}.tif", tmp_path)
    table = tmp_path / "bad.csv"
    table.write_text(cohort_table.read_text() + "gone.tif,plain,tune,4\n")
    offer = ready(TrainWishes(table=table, output=wishes.output, base=wishes.base))
    assert offer.state is TrainState.REFUSED
    assert not offer.can_train
    assert "no such file" in view.reports[-1].errors[0].message
    runs.train(resume=False)
    assert not runs.training
    left_out = (("bad_slides", "leave-out"),)
    runs.choose(TrainWishes(table=table, output=wishes.output, base=wishes.base, settings=left_out))
    assert view.offers[-1].can_train


def test_a_table_that_is_none_is_a_sentence(runs, view, pump, wishes, tmp_path):
    runs.choose(TrainWishes(table=tmp_path / "none.csv", output=wishes.output, base=wishes.base))
    pump.until(lambda: runs.state is TrainState.REFUSED)
    found = view.outcomes + [str(error) for report in view.reports if report for error in report.errors]
    assert any("none.csv" in text or "no such" in text.lower() for text in found)


def test_another_table_while_one_is_checked_drops_the_first_answer(runs, view, pump, wishes, monkeypatch):
    started, release = threading.Event(), threading.Event()
    real = module.check_table

    def slow(table, progress, cancel):
        if table.name == "slow.csv":
            started.set()
            release.wait(20)
        return real(table, progress, cancel)

    monkeypatch.setattr(module, "check_table", slow)
    runs.choose(TrainWishes(table=wishes.table.with_name("slow.csv"), base=wishes.base))
    assert started.wait(10)
    runs.choose(wishes)
    release.set()
    pump.until(lambda: runs.report is not None)
    pump.drain()
    assert runs.report.table.name == "cohort.csv"
    assert [report.table.name for report in view.reports if report] == ["cohort.csv"]


def test_a_check_can_be_stopped(runs, view, pump, wishes, monkeypatch):
    def endless(table, progress, cancel):
        while not cancel.is_set():
            threading.Event().wait(0.01)
        raise Cancelled("stopped")

    monkeypatch.setattr(module, "check_table", endless)
    runs.choose(wishes)
    assert view.offers[-1].busy
    runs.stop()
    pump.until(lambda: runs.state is TrainState.REFUSED)
    assert "stopped" in view.outcomes[-1]


def test_a_run_gives_epochs_a_model_and_an_outcome_and_goes_on(ready, runs, view, pump, wishes):
    ready(wishes)
    runs.train(resume=False)
    assert view.offers[-1].state is TrainState.TRAINING
    runs.choose(TrainWishes())  # a run goes on as it was begun
    pump.until(lambda: not runs.training and runs.look is not None)
    assert [one.number for one in runs.epochs] == [1, 2]
    assert view.models[-1] == (wishes.output / "model", True)
    assert (wishes.output / "model", False) in view.models
    assert "Done" in view.outcomes[-1]
    assert view.progress[-1].unit == "slide"
    assert view.progress[-1].remaining_seconds is not None
    assert view.offers[-1].can_resume
    assert not view.offers[-1].can_train
    assert "is done (2 epochs)" in view.offers[-1].note
    assert view.threads == {threading.current_thread()}
    runs.choose(changed(wishes, epochs=3))
    assert "2 finished epochs" in view.offers[-1].note
    runs.train(resume=False)
    assert not runs.training
    runs.train(resume=True)
    pump.until(lambda: not runs.training and runs.look is not None)
    assert [one.number for one in runs.epochs] == [1, 2, 3]


def test_train_right_after_another_folder_waits_for_the_look_at_it(ready, runs, pump, wishes, monkeypatch, tmp_path):
    calls = fake_training(monkeypatch, until_stopped)
    ready(wishes)
    names = {name: getattr(wishes, name) for name in wishes.__slots__}
    runs.choose(TrainWishes(**{**names, "output": tmp_path / "other"}))
    runs.train(resume=False)
    assert not runs.training
    pump.until(lambda: len(runs.epochs) == 1)
    assert calls[0][0].output == tmp_path / "other"
    runs.stop()
    pump.until(lambda: not runs.training)


def test_stop_keeps_what_was_learnt_and_says_so(ready, runs, view, pump, wishes, monkeypatch):
    fake_training(monkeypatch, until_stopped)
    ready(wishes)
    runs.train(resume=False)
    pump.until(lambda: len(runs.epochs) == 1)
    runs.stop()
    assert view.offers[-1].state is TrainState.STOPPING
    pump.until(lambda: not runs.training)
    assert view.outcomes[-1].startswith("Stopped after 1 finished epoch. What was learnt is kept")
    assert view.epochs[-1] == [epoch(1)]


def test_a_real_run_that_is_stopped_goes_on(ready, runs, view, pump, wishes):
    ready(changed(wishes, epochs=60))
    runs.train(resume=False)
    pump.until(lambda: len(runs.epochs) >= 1)
    runs.stop()
    pump.until(lambda: not runs.training and runs.look is not None)
    done = len(runs.epochs)
    assert 1 <= done < 60
    assert view.offers[-1].can_resume
    runs.choose(changed(wishes, epochs=done + 1))
    runs.train(resume=True)
    pump.until(lambda: not runs.training and runs.look is not None)
    assert [one.number for one in runs.epochs] == list(range(1, done + 2))
    assert "Done" in view.outcomes[-1]


def test_an_error_is_a_sentence_and_what_was_learnt_stays(ready, runs, view, pump, wishes, monkeypatch):
    def breaks(on_epoch, progress, cancel):
        on_epoch(epoch(1))
        raise TrainingError("epoch 2: the loss of slide a.tif is nan")

    fake_training(monkeypatch, breaks)
    ready(wishes)
    runs.train(resume=False)
    pump.until(lambda: not runs.training)
    assert view.outcomes[-1] == "epoch 2: the loss of slide a.tif is nan"
    assert runs.epochs == [epoch(1)]
    assert view.models == [(wishes.output / "model", False)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"memory": "lots"}, "memory"), ({"epochs": 0}, "epochs"), ({"start_from": "nowhere"}, "nowhere")],
)
def test_settings_that_make_no_sense_are_sentences(ready, runs, view, pump, wishes, settings, words):
    ready(changed(wishes, **settings))
    runs.train(resume=False)
    pump.until(lambda: not runs.training)
    assert words in view.outcomes[-1]
    assert "inside" not in view.outcomes[-1]


def test_other_settings_do_not_go_on_with_a_run(ready, runs, view, pump, wishes):
    ready(wishes)
    runs.train(resume=False)
    pump.until(lambda: not runs.training and runs.look is not None)
    runs.choose(changed(wishes, learning_rate=0.5))
    runs.train(resume=True)
    pump.until(lambda: not runs.training)
    assert "another recipe or other data" in view.outcomes[-1]


def test_a_folder_that_cannot_be_written_is_a_sentence(ready, runs, view, pump, wishes, tmp_path):
    (tmp_path / "file").write_text("in the way")
    names = {name: getattr(wishes, name) for name in wishes.__slots__}
    ready(TrainWishes(**{**names, "output": tmp_path / "file" / "run"}))
    runs.train(resume=False)
    pump.until(lambda: not runs.training)
    assert "file" in view.outcomes[-1]
    assert "inside" not in view.outcomes[-1]


def test_answers_after_closing_are_dropped(ready, runs, view, pump, wishes, monkeypatch):
    fake_training(monkeypatch, until_stopped)
    ready(wishes)
    runs.train(resume=False)
    pump.until(lambda: len(runs.epochs) == 1)
    shown = (len(view.epochs), len(view.models), list(view.outcomes))
    assert runs.close()
    pump.drain()
    assert (len(view.epochs), len(view.models), view.outcomes) == shown


def test_a_run_in_the_folder_is_shown_with_its_recipe_and_epochs(ready, runs, view, pump, wishes, monkeypatch):
    ready(wishes)
    runs.train(resume=False)
    pump.until(lambda: not runs.training and runs.look is not None)
    log = wishes.output / "log.jsonl"
    again = {"what": "epoch", "number": 2, "train_loss": 9.0, "tuning": {}, "is_best": False, "seconds": 1.0}
    with log.open("a") as file:
        file.write(json.dumps(again) + '\n{"what": "epoch", "num\n[]"epoch"\n{"what": "epoch"}\n')
    look = look_at_run(wishes.output)
    assert look.recipe.pooling == "mean"
    assert look.table == wishes.output / "cohort.csv"
    assert [one.number for one in look.epochs] == [1, 2]
    assert look.epochs[1].train_loss == 9.0
    look.table.unlink()
    assert look_at_run(wishes.output).table is None
    (wishes.output / "recipe.json").write_text("no recipe")
    runs.look_again(fill=True)
    pump.until(lambda: "recipe" in view.outcomes[-1])
    assert (view.offers[-1].can_train, view.offers[-1].can_resume) == (False, False)


def test_a_table_that_divides_nothing_is_divided(ready, runs, pump, view, wishes, cohort_table, tmp_path):
    for number in range(10):
        shutil.copy(cohort_table.parent / f"{number}.tif", tmp_path)
    table = tmp_path / "undivided.csv"
    rows = [line.split(",") for line in cohort_table.read_text().splitlines()]
    table.write_text("".join(f"{slide},{label},{scale}\n" for slide, label, _, scale in rows))
    names = {name: getattr(wishes, name) for name in wishes.__slots__}
    ready(changed(TrainWishes(**{**names, "table": table}), epochs=1))
    runs.train(resume=False)
    pump.until(lambda: not runs.training)
    assert "Done" in view.outcomes[-1]
    splits = [line.split(",")[2] for line in (wishes.output / "cohort.csv").read_text().splitlines()[1:]]
    assert set(splits) == {"train", "tune", "test"}
    assert splits.count("train") >= 6


def test_the_widget_has_all_presets_to_choose_from():
    found = read_choices()
    assert dict(found.presets) == dict(PRESETS)
    assert "phantom-tumour" in found.models
