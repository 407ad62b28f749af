"""Model folders of a person's own in a widget's list: those of earlier windows, and those that are added now."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_gigaclf.viewer.controllers.jobs import read_models
from napari_gigaclf.viewer.model_folders import RememberedModels, remember_soon, remembered_models
from napari_gigaclf.viewer.worker import Worker

if TYPE_CHECKING:
    from napari_gigaclf.models import ModelConfig


class ModelChoices(Protocol):
    """A part of a widget that lists models."""

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
        self, parent: QWidget, choices: ModelChoices, worker: Worker, problem: Callable[[str], None]
    ) -> None:  # fmt: skip
        self._parent = parent
        self._choices = choices
        self._worker = worker
        self._problem = problem

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
