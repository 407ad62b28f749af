"""What the buttons of the widget "Classify slide" do, by napari's command palette and by its menu.

Each command is a function of the viewer, as napari's palette calls it, and presses the button of the widget of that
viewer, which does nothing where the button is greyed out. The widget comes into sight, for it says what became of the
wish; where none is open, it is opened.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from napari_gigaclf.viewer.addressee import Addressee

if TYPE_CHECKING:
    import napari.viewer

    from napari_gigaclf.viewer.widgets.asking import AskSection
    from napari_gigaclf.viewer.widgets.choices import ChoicesPanel
    from napari_gigaclf.viewer.widgets.run_panel import RunPanel


class Classifier(Protocol):
    """What has the buttons."""

    @property
    def choices(self) -> "ChoicesPanel":
        """What is run, on what."""
        ...

    @property
    def run_panel(self) -> "RunPanel":
        """The run."""
        ...

    @property
    def asking(self) -> "AskSection":
        """Questions about places."""
        ...

    def come_forward(self) -> None:
        """Come into sight."""
        ...


CLASSIFIERS: Addressee[Classifier] = Addressee(
    "Classify slide", "Classify slide was opened: choose a model, then do that again"
)


def run_start(viewer: "napari.viewer.Viewer") -> None:
    """Classify the slide."""
    press(viewer, lambda classifier: classifier.run_panel.run_button.click())


def run_cancel(viewer: "napari.viewer.Viewer") -> None:
    """Stop the run; what was reached stays."""
    press(viewer, lambda classifier: classifier.run_panel.cancel_button.click())


def run_tissue(viewer: "napari.viewer.Viewer") -> None:
    """Show what counts as tissue."""
    press(viewer, lambda classifier: classifier.choices.preview_button.click())


def run_export(viewer: "napari.viewer.Viewer") -> None:
    """Ask for a folder and write the result into it."""
    press(viewer, lambda classifier: classifier.run_panel.export_button.click())


def ask_clicks(viewer: "napari.viewer.Viewer") -> None:
    """Let clicks ask the model, or not."""
    press(viewer, lambda classifier: classifier.asking.probes.tool_box.toggle())


def ask_clear(viewer: "napari.viewer.Viewer") -> None:
    """Take all answers away."""
    press(viewer, lambda classifier: classifier.asking.probes.clear_button.click())


def press(viewer: "napari.viewer.Viewer", act: Callable[[Classifier], None]) -> None:
    """Bring the widget of a viewer into sight and do something with it."""

    def do(classifier: Classifier) -> None:
        classifier.come_forward()
        act(classifier)

    CLASSIFIERS.tell(viewer, do)
