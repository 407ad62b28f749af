"""The Train widget in a real napari window: check, train, stop, resume, the model in Classify, drop, close."""

import subprocess
import sys

import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_gigaclf.training.slides import Epoch
from napari_gigaclf.viewer.controllers.train import TrainState
from napari_gigaclf.viewer.widgets.curves import Curves, plots_of, ticks
from napari_gigaclf.viewer.widgets.train import TrainWidget
from napari_gigaclf.viewer.widgets.train_choices import STORED

NO_TORCH = """
import sys
import napari
from napari.settings import get_settings
get_settings(None)
viewer = napari.Viewer(show=False)
from napari_gigaclf.viewer.widgets.train import TrainWidget
widget = TrainWidget(viewer)
viewer.window.add_dock_widget(widget)
from qtpy.QtCore import QEventLoop, QTimer
loop = QEventLoop()
QTimer.singleShot(2000, loop.quit)
loop.exec()
print("torch" in sys.modules, widget.choices.recipe is not None)
widget.shut_down()
viewer.close()
"""


@pytest.fixture
def make_train(viewer, qtbot):
    """Dock Train widgets; they are shut down in the end."""
    from napari.utils._proxies import PublicOnlyProxy

    made = []

    def make():
        made.append(TrainWidget(PublicOnlyProxy(viewer)))
        viewer.window.add_dock_widget(made[-1], name="Train")
        qtbot.waitUntil(lambda: made[-1].choices.recipe is not None, timeout=20_000)
        return made[-1]

    yield make
    for widget in made:
        widget.shut_down()
        assert widget.quick.close()
        assert widget.long.close(timeout=20)


@pytest.fixture
def train(make_train):
    """The widget, docked, with its recipes read."""
    return make_train()


@pytest.fixture
def filled(train, qtbot, cohort_table, tmp_path):
    """The widget with everything chosen for a quick run of two epochs, checked."""
    choices = train.choices
    choices.output_row.set_path(tmp_path / "run")
    choices.table_row.set_path(cohort_table)
    choices.choose_model("phantom-tumour")
    choices.keep_box.setChecked(True)
    choices.pooling_box.setCurrentIndex(choices.pooling_box.findData("mean"))
    choices.scale_box.setValue(4)
    choices.batch_box.setValue(6)
    choices.epochs_box.setValue(2)
    choices.rate_box.setValue(0.02)
    choices.memory_box.setText("100MB")
    qtbot.waitUntil(train.panel.train_button.isEnabled, timeout=30_000)
    return train


def ended(train, qtbot):
    qtbot.waitUntil(lambda: not train.runs.training and train.runs.look is not None, timeout=180_000)


def test_opening_the_widget_imports_no_torch():
    done = subprocess.run([sys.executable, "-c", NO_TORCH], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_an_empty_widget_says_what_to_do(train):
    assert "table" in train.panel.offer_note.text()
    for name in ("check", "train", "resume", "stop", "use"):
        assert not getattr(train.panel, f"{name}_button").isEnabled()
    assert [train.choices.recipe_box.itemText(number) for number in range(2)] == ["default", "paper-camelyon17"]
    assert train.choices.settings == ()


def test_presets_fill_the_fields(train):
    train.choices.recipe_box.setCurrentIndex(train.choices.recipe_box.findData("paper-camelyon17"))
    assert train.choices.network_box.currentData() == "paper-table2-25"
    assert train.choices.input_box.value() == 8192
    assert train.choices.rate_box.text() == "0.0001"
    assert train.choices.settings == ()
    train.choices.choose_model("phantom-tumour")
    assert dict(train.choices.settings)["initialisation"] == "he"
    assert dict(train.choices.settings)["network"] is None  # that of the model


def test_problems_are_listed_errors_first(train, qtbot, cohort_table, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("slide,label,split\ngone.tif,plain,train\n")
    train.choices.table_row.set_path(bad)
    qtbot.waitUntil(lambda: train.runs.report is not None, timeout=20_000)
    lines = train.panel.problem_list.toPlainText().splitlines()
    assert "gone.tif" in lines[0]
    assert lines[0].startswith("error")
    assert lines[-1].startswith("warning")
    assert "train: 1 plain" in train.panel.counts_note.text()
    assert not train.panel.train_button.isEnabled()
    bad.write_text(cohort_table.read_text())
    train.panel.check_button.click()
    qtbot.waitUntil(lambda: train.runs.report is not None, timeout=20_000)
    assert "spots" in train.panel.counts_note.text()


def test_train_then_the_model_is_chosen_in_classify(filled, widget, qtbot, tmp_path):
    panel = filled.panel
    panel.train_button.click()
    assert panel.stop_button.isEnabled()
    assert not filled.choices.isEnabled()
    ended(filled, qtbot)
    assert "Done" in panel.outcome_note.text()
    assert panel.epoch_list.toPlainText().count("(best)") == 1
    assert len(panel.curves.plots) == 2
    key = str(tmp_path / "run" / "model")
    qtbot.waitUntil(lambda: widget.choices.model_key == key, timeout=10_000)
    assert widget.choices.model.classes == ("plain", "spots")
    assert panel.resume_button.isEnabled()
    assert not panel.train_button.isEnabled()
    filled.choices.epochs_box.setValue(3)
    panel.resume_button.click()
    ended(filled, qtbot)
    assert panel.epoch_list.toPlainText().splitlines()[-1].startswith("epoch 3")


def test_stop_then_resume(filled, qtbot):
    filled.choices.epochs_box.setValue(40)
    filled.panel.train_button.click()
    qtbot.waitUntil(lambda: len(filled.runs.epochs) >= 1, timeout=180_000)
    assert "left" in filled.panel.progress_note.text()
    filled.panel.stop_button.click()
    assert "stopping" in filled.panel.progress_note.text()
    ended(filled, qtbot)
    assert "Stopped" in filled.panel.outcome_note.text()
    done = len(filled.runs.epochs)
    filled.choices.epochs_box.setValue(done + 1)
    filled.panel.resume_button.click()
    ended(filled, qtbot)
    assert len(filled.runs.epochs) == done + 1
    assert "Done" in filled.panel.outcome_note.text()


def test_use_in_classify_opens_it_with_the_model(filled, qtbot, tmp_path):
    filled.panel.train_button.click()
    ended(filled, qtbot)
    assert filled._classify() is None
    filled.panel.use_button.click()
    classify = filled._classify()
    key = str(tmp_path / "run" / "model")
    try:
        qtbot.waitUntil(lambda: classify.choices.model_key == key, timeout=20_000)
        filled.panel.use_button.click()
        assert filled._classify() is classify
    finally:
        classify.shut_down()
    assert classify.quick.close()


def test_a_run_in_the_chosen_folder_fills_the_fields(filled, make_train, qtbot, tmp_path):
    filled.panel.train_button.click()
    ended(filled, qtbot)
    other = make_train()
    other.choices.output_row.set_path(tmp_path / "run")
    qtbot.waitUntil(other.panel.resume_button.isEnabled, timeout=30_000)
    assert other.choices.recipe_box.currentData() == STORED
    assert other.choices.pooling_box.currentData() == "mean"
    assert other.choices.keep_box.isChecked()
    assert other.choices.table_row.path == tmp_path / "run" / "cohort.csv"
    assert other.choices.settings == ()
    assert len(other.runs.epochs) == 2
    assert other.panel.use_button.isEnabled()
    other.choices.epochs_box.setValue(3)
    other.panel.resume_button.click()
    ended(other, qtbot)
    assert "Done" in other.panel.outcome_note.text()
    other.choices.output_row.set_path(tmp_path / "new")
    qtbot.waitUntil(other.panel.train_button.isEnabled, timeout=30_000)
    assert other.choices.recipe_box.findData(STORED) < 0
    assert not other.panel.use_button.isEnabled()


def test_a_table_can_be_dropped(train, qtbot, cohort_table):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(cohort_table))])
    drop = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    train.dropEvent(drop)
    assert drop.isAccepted()
    assert train.choices.table_row.path == cohort_table
    assert train.choices.output_row.path == cohort_table.parent / "cohort-run"
    qtbot.waitUntil(lambda: train.runs.report is not None, timeout=20_000)


def test_closing_while_training_stops_it_and_the_run_can_go_on(filled, make_train, viewer, qtbot, tmp_path):
    filled.choices.epochs_box.setValue(200)
    filled.panel.train_button.click()
    qtbot.waitUntil(lambda: len(filled.runs.epochs) >= 1, timeout=180_000)
    viewer.window.remove_dock_widget(filled)
    assert filled.is_closed
    assert not filled.long.busy
    seen = len(filled.runs.epochs)
    qtbot.wait(100)
    assert len(filled.runs.epochs) == seen
    other = make_train()
    other.choices.output_row.set_path(tmp_path / "run")
    qtbot.waitUntil(other.panel.resume_button.isEnabled, timeout=30_000)
    assert other.runs.state is TrainState.READY


def epoch(number, loss, tuning, *, is_best=False):
    return Epoch(number=number, train_loss=loss, tuning=tuning, is_best=is_best, seconds=1.0)


def test_curves_draw_what_there_is(qtbot):
    curves = Curves()
    qtbot.addWidget(curves)
    for epochs in (
        [],
        [epoch(1, 0.7, {})],
        [epoch(1, 0.0, {"loss": float("nan")})],
        [epoch(n, 1 / n, {"loss": 2 / n, "spearman": -0.2}, is_best=n == 3) for n in range(1, 300)],
    ):
        curves.show_epochs(epochs)
        curves.resize(240, max(1, curves.sizeHint().height()))
        assert not curves.grab().isNull()
    assert curves.plots[1].low == -1
    assert "Spearman" in curves.plots[1].lines[0].name
    assert [line.name for line in plots_of([epoch(1, 0.7, {})])[0].lines] == ["training loss"]


@pytest.mark.parametrize(("low", "high"), [(0, 1.05), (0, 1e-9), (0, 12345.0), (-1, 1), (1, 2), (1, 1)])
def test_ticks_are_few_and_inside(low, high):
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)
