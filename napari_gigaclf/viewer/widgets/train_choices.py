"""The upper half of the Train widget: table, recipe, the settings people change, where to begin, where to write."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from qtpy.QtCore import QSignalBlocker, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from napari_gigaclf.models.config import NetworkName, Pooling
from napari_gigaclf.viewer.controllers.train_jobs import RunLook
from napari_gigaclf.viewer.controllers.train_wishes import LEAVE_OUT
from napari_gigaclf.viewer.widgets.controls import (
    AUTO,
    choose,
    combo_box,
    refill,
    refill_devices,
    refill_models,
    side_by_side,
)
from napari_gigaclf.viewer.widgets.path_row import PathRow

if TYPE_CHECKING:
    from napari_gigaclf.inference import Device
    from napari_gigaclf.models import ModelConfig
    from napari_gigaclf.training.slides import Recipe

SETTLE_MS = 250
"""Changes that follow each other faster are one change."""
FRESH = ""
"""What the recipe calls beginning with fresh weights."""
USUAL = ""
"""Stands for no network by name: the recipe then takes that of the model to begin with, or the usual one."""
STORED = "the run in the output folder"
TABLES = (".csv", ".parquet")
TRUNK = "trunk"
POOLINGS = tuple(name for name in get_args(Pooling) if name != "highest")


class Decimal(QDoubleSpinBox):
    """A field for a number, without zeros at its end."""

    def textFromValue(self, value: float) -> str:
        """Return the number as it is shown."""
        text = str(self.locale().toString(value, "f", self.decimals()))
        point = self.locale().decimalPoint()
        return text.rstrip("0").removesuffix(point) if point in text else text


class TrainChoices(QWidget):
    """Fields of a training run; ``changed`` is emitted once they have settled."""

    changed = Signal()
    folder_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.recipes: dict[str, Recipe] = {}
        self._models: dict[str, ModelConfig] = {}
        self.missing: dict[str, str] = {}
        self._shown: dict[str, object] = {}
        """The fields as the recipe filled them: what differs was changed by a person."""
        self.table_row = PathRow("Table of slides with their labels or scores", "CSV or Parquet", _ask_table)
        self.recipe_box = combo_box("Recipe that fills the settings below")
        self.start_box = combo_box("Weights to begin with: fresh ones, or those of a model")
        self.start_button = QPushButton("Folder...")
        self.start_button.setToolTip("Begin with a model folder of your own (config.json and model.safetensors)")
        self.keep_box = QCheckBox("Keep its trunk, train the rest")
        self.keep_box.setToolTip("Only what comes after the feature map is trained; many times faster")
        self.network_box = combo_box("Network that is trained")
        self.pooling_box = combo_box("How the feature map becomes the slide's answer")
        self.scale_box = _decimal(0.05, 50.0, 3, " µm/px", "Scale at which the network sees slides")
        self.input_box = _whole(0, 1_000_000, " px", "Side of the input; larger slides are cropped at random")
        self.input_box.setSpecialValueText("as large as the tissue")
        self.epochs_box = _whole(1, 100_000, "", "How often all training slides are learnt from")
        self.batch_box = _whole(1, 10_000, "", "Slides whose gradients are added up before the weights change")
        self.rate_box = _decimal(1e-7, 10.0, 7, "", "Size of the steps (of Adam)")
        self.rate_box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.memory_box = QLineEdit()
        self.memory_box.setPlaceholderText("little; more is faster, such as 2GB")
        self.memory_box.setToolTip("The most that the engine may hold")
        self.device_box = combo_box("Processor that trains the network")
        self.leave_out_box = QCheckBox("Leave out slides that cannot be read")
        self.output_row = PathRow("Folder for the run: model, log and state", "new folder", _ask_folder)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.timeout.connect(self.changed)
        self._lay_out()
        self._connect()

    # --- what is chosen ---------------------------------------------------------------------------------------------

    @property
    def recipe(self) -> "Recipe | None":
        """The recipe that filled the fields."""
        return self.recipes.get(str(self.recipe_box.currentData()))

    @property
    def settings(self) -> tuple[tuple[str, object], ...]:
        """What was changed of it, by name."""
        changed = {name: value for name, value in self._fields().items() if value != self._shown.get(name)}
        if changed.get("start_from"):
            changed["initialisation"] = "he"  # the other ways would write over the weights to begin with
        if "frozen" in changed:
            changed["frozen"] = [TRUNK] if changed["frozen"] else []
        return tuple(changed.items())

    # --- what there is to choose from -------------------------------------------------------------------------------

    def offer_recipes(self, recipes: "Mapping[str, Recipe]") -> None:
        """List recipes; the first fills the fields, unless one is chosen already."""
        had = self.recipe
        self.recipes |= recipes
        refill(self.recipe_box, [(name, name) for name in self.recipes])
        if self.recipe is not had:
            self._fill()

    @property
    def model_list(self) -> QComboBox:
        """Where models are listed."""
        return self.start_box

    def offer_models(self, models: "Mapping[str, ModelConfig]", missing: Mapping[str, str] | None = None) -> None:
        """List models to begin with; ``missing`` greyed out with the reason."""
        self._models |= models
        self.missing |= missing or {}
        refill_models(self.start_box, self._models, self.missing, first=[("fresh weights", FRESH)])

    def choose_model(self, key: str) -> None:
        """Begin with a model that is listed."""
        choose(self.start_box, key)

    def offer_devices(self, devices: "Sequence[Device]", preferred: str) -> None:
        """List processors by their real names."""
        refill_devices(self.device_box, devices, preferred)

    def show_run(self, look: RunLook) -> None:
        """Fill the fields from the run in the chosen folder; without one, presets are what there is."""
        if look.recipe is None:
            if self.recipes.pop(STORED, None) is not None:
                refill(self.recipe_box, [(name, name) for name in self.recipes])
                self._fill()
            return
        self.recipes[STORED] = look.recipe
        refill(self.recipe_box, [(name, name) for name in self.recipes])
        with QSignalBlocker(self.recipe_box):
            choose(self.recipe_box, STORED)
        self._fill()
        if look.table is not None and self.table_row.path is None:
            self.table_row.set_path(look.table)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _fields(self) -> dict[str, object]:
        """Return what stands in the fields, by the recipe's names; ``frozen`` as whether anything is."""
        return {
            "start_from": str(self.start_box.currentData() or FRESH),
            "frozen": self.keep_box.isChecked() and bool(self.start_box.currentData()),
            "network": str(self.network_box.currentData() or "") or None,
            "pooling": str(self.pooling_box.currentData()),
            "um_per_px": float(self.scale_box.value()),
            "input_px": int(self.input_box.value()),
            "epochs": int(self.epochs_box.value()),
            "batch_size": int(self.batch_box.value()),
            "learning_rate": float(self.rate_box.value()),
            "memory": self.memory_box.text().strip(),
            "bad_slides": LEAVE_OUT if self.leave_out_box.isChecked() else "stop",
        }

    def _fill(self) -> None:
        """Show the chosen recipe's settings."""
        recipe = self.recipe
        if recipe is None:
            return
        if recipe.start_from and self.start_box.findData(recipe.start_from) < 0:
            self.start_box.addItem(Path(recipe.start_from).name, recipe.start_from)
        with QSignalBlocker(self.start_box):
            choose(self.start_box, recipe.start_from)
        self.keep_box.setChecked(bool(recipe.frozen))
        choose(self.network_box, recipe.network or USUAL)
        if self.pooling_box.findData(recipe.pooling) < 0:
            self.pooling_box.addItem(recipe.pooling, recipe.pooling)
        choose(self.pooling_box, recipe.pooling)
        self.scale_box.setValue(recipe.um_per_px)
        self.input_box.setValue(recipe.input_px)
        self.epochs_box.setValue(recipe.epochs)
        self.batch_box.setValue(recipe.batch_size)
        self.rate_box.setValue(recipe.learning_rate)
        self.memory_box.setText(recipe.memory)
        self.leave_out_box.setChecked(recipe.bad_slides == LEAVE_OUT)
        self._shown = self._fields()
        self._started()
        self._settle.start(SETTLE_MS)

    def _start_chosen(self) -> None:
        """Look at slides as the model to begin with does."""
        model = self._models.get(str(self.start_box.currentData()))
        if model is not None:
            if model.um_per_px is not None:
                self.scale_box.setValue(model.um_per_px)
            choose(self.network_box, USUAL)
        self._started()

    def _started(self) -> None:
        """Name and enable what depends on whether weights are taken from a model, which brings its network."""
        has_model = bool(self.start_box.currentData())
        self.keep_box.setEnabled(has_model)
        self.network_box.setItemText(0, "that of the model" if has_model else "paper-table1 (usual)")

    def _table_chosen(self) -> None:
        """Suggest an output folder beside the table, where none is given."""
        table = self.table_row.path
        if table is not None and self.output_row.path is None:
            self.output_row.set_path(table.with_name(f"{table.stem}-run"))
        self._settle.start(SETTLE_MS)

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Table", self.table_row)
        form.addRow("Output", self.output_row)
        form.addRow("Recipe", self.recipe_box)
        form.addRow("Begin with", side_by_side(self.start_box, self.start_button))
        form.addRow("", self.keep_box)
        form.addRow("Network", self.network_box)
        form.addRow("Pooling", self.pooling_box)
        form.addRow("Scale", self.scale_box)
        form.addRow("Input", self.input_box)
        form.addRow("Epochs", self.epochs_box)
        form.addRow("Slides per step", self.batch_box)
        form.addRow("Learning rate", self.rate_box)
        form.addRow("Memory", self.memory_box)
        form.addRow("Device", self.device_box)
        form.addRow("", self.leave_out_box)
        refill(self.start_box, [("fresh weights", FRESH)])
        refill(self.network_box, [("usual", USUAL), *((name, name) for name in get_args(NetworkName))])
        refill(self.pooling_box, [(name, name) for name in POOLINGS])
        refill(self.device_box, [("auto (the fastest there is)", AUTO)])

    def _connect(self) -> None:
        self.table_row.changed.connect(self._table_chosen)
        self.output_row.changed.connect(self._settle_start)
        self.recipe_box.currentIndexChanged.connect(self._fill)
        self.start_box.currentIndexChanged.connect(self._start_chosen)
        self.start_button.clicked.connect(self.folder_wanted)
        self.memory_box.textChanged.connect(self._settle_start)
        for box in (self.start_box, self.network_box, self.pooling_box, self.device_box):
            box.currentIndexChanged.connect(self._settle_start)
        for number in (self.scale_box, self.input_box, self.epochs_box, self.batch_box, self.rate_box):
            number.valueChanged.connect(self._settle_start)
        for check in (self.keep_box, self.leave_out_box):
            check.toggled.connect(self._settle_start)

    def _settle_start(self) -> None:
        self._settle.start(SETTLE_MS)


def _whole(low: int, high: int, suffix: str, tooltip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(low, high)
    box.setSuffix(suffix)
    box.setToolTip(tooltip)
    return box


def _decimal(low: float, high: float, decimals: int, suffix: str, tooltip: str) -> Decimal:
    box = Decimal()
    box.setDecimals(decimals)
    box.setRange(low, high)
    box.setSuffix(suffix)
    box.setToolTip(tooltip)
    return box


def _ask_table(parent: QWidget) -> str:
    patterns = " ".join(f"*{suffix}" for suffix in TABLES)
    return str(QFileDialog.getOpenFileName(parent, "Table of slides", "", f"Tables ({patterns});;All files (*)")[0])


def _ask_folder(parent: QWidget) -> str:
    return str(QFileDialog.getExistingDirectory(parent, "Folder for the run"))
