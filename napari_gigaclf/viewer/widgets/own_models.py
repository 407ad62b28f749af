"""Model folders of a person's own in a widget's list: those of earlier windows, and those that are added now.

A folder that is greyed, since it has gone or cannot be read, can be taken off the list; nothing is deleted.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QComboBox, QFileDialog, QMenu

from napari_gigaclf.viewer.controllers.jobs import read_models
from napari_gigaclf.viewer.model_folders import RememberedModels, forget, remember_soon, remembered_models
from napari_gigaclf.viewer.widgets.docked import Docked
from napari_gigaclf.viewer.worker import Worker

if TYPE_CHECKING:
    from napari_gigaclf.models import ModelConfig


MAX_LETTERS = 100
"""Of a folder's name and why it is greyed, in the menu."""
NONE_GREYED = "No folder here is greyed"
_LISTS: "WeakSet[OwnModels]" = WeakSet()
"""Those of all widgets: a folder is taken off all of them."""


class ModelChoices(Protocol):
    """A part of a widget that lists models."""

    missing: dict[str, str]
    """Why the model of a folder cannot be used, by folder: these are greyed."""

    @property
    def model_list(self) -> QComboBox:
        """Where models are listed."""
        ...

    def offer_models(self, models: "Mapping[str, ModelConfig]", missing: Mapping[str, str] | None = None) -> None:
        """List models by name or folder, and folders whose model is ``missing`` with the reason, greyed out."""
        ...

    def choose_model(self, key: str) -> None:
        """Choose a model that is listed."""
        ...


class OwnModels:
    """Lists models of folders, and remembers folders that are added; all methods belong to the GUI thread.

    Parameters
    ----------
    parent
        Over which a person is asked for a folder.
    choices
        Where models are listed.
    worker
        For their files.
    problem
        Told why something cannot be done.
    """

    def __init__(
        self, parent: Docked, choices: ModelChoices, worker: Worker, problem: Callable[[str], None]
    ) -> None:  # fmt: skip
        self._parent = parent
        self._choices = choices
        self._worker = worker
        self._problem = problem
        _LISTS.add(self)
        box = choices.model_list
        box.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        box.customContextMenuRequested.connect(self._offer_to_forget)
        delete = QShortcut(QKeySequence(Qt.Key.Key_Delete), box)
        delete.setContext(Qt.ShortcutContext.WidgetShortcut)
        delete.activated.connect(lambda: self._offer_to_forget(QPoint(0, box.height())))

    def list_remembered(self) -> None:
        """List the models of earlier windows, after those that are listed already."""

        def listed(found: RememberedModels) -> None:
            self._choices.offer_models(found.models, found.missing)

        self._worker.submit(lambda _job: remembered_models(), listed, self._problem)

    def ask(self) -> None:
        """Ask for a folder, and choose its model."""
        folder = QFileDialog.getExistingDirectory(self._parent, "Folder of a model")
        if folder:
            self.add(Path(folder), select=True)

    def add(
        self,
        folder: Path,
        *,
        select: bool,
        before: Callable[[], None] = lambda: None,
        then: Callable[[str], None] = lambda _key: None,
    ) -> None:
        """List the model of a folder from now on.

        Parameters
        ----------
        folder
            The folder.
        select
            Whether to choose it.
        before
            Called on the worker, before the folder is read.
        then
            Called with the model's key once it is listed.
        """

        def read(_job: object) -> "dict[str, ModelConfig]":
            before()
            return read_models(folder)

        def listed(models: "dict[str, ModelConfig]") -> None:
            self._choices.offer_models(models)
            for key in models:
                if select:
                    self._choices.choose_model(key)
                then(key)
            self.remember(folder)

        self._worker.submit(read, listed, self._problem)

    def remember(self, folder: Path) -> None:
        """Let a folder be listed in later windows."""
        remember_soon(self._worker, folder, self._problem)

    def forget(self, folder: str) -> None:
        """Take a greyed folder off the lists of models, here and in later windows; files stay as they are."""

        def forgotten(_done: None) -> None:
            for each in [each for each in _LISTS if not each._parent.is_closed]:
                each._drop(folder)

        self._worker.submit(lambda _job: forget(Path(folder)), forgotten, self._problem)

    def _drop(self, folder: str) -> None:
        if self._choices.missing.pop(folder, None) is not None:
            self._choices.offer_models({})

    def _offer_to_forget(self, place: QPoint) -> None:
        """Show a menu of the greyed folders under the list."""
        box = self._choices.model_list
        menu = QMenu(box)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for index in range(box.count()):
            if not box.model().item(index).isEnabled():
                folder = str(box.itemData(index))
                action = menu.addAction(f"Take off the list: {box.itemText(index)[:MAX_LETTERS]}")
                action.setToolTip(f"{folder}: no file is deleted")
                action.triggered.connect(partial(self.forget, folder))
        if menu.isEmpty():
            menu.addAction(NONE_GREYED).setEnabled(False)
        menu.setToolTipsVisible(True)
        menu.setActiveAction(menu.actions()[0])
        menu.popup(box.mapToGlobal(place))
