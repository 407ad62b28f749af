"""What the controller of runs asks of its widget, and the states in which it shows itself."""

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer.controllers.mapping import LiveMap
from napari_gigaclf.viewer.layers import LayerData

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction, PreparedRun
    from napari_gigaclf.slides import Slide


class State(Enum):
    """What the controller is doing."""

    NO_SLIDE = "no slide"
    PREPARING = "preparing"
    REFUSED = "refused"
    READY = "ready"
    RUNNING = "running"
    CANCELLING = "cancelling"


class RunView(Protocol):
    """What the controller asks of the widget; all calls come on the GUI thread."""

    def show_state(self, state: State) -> None:
        """Enable and disable what fits the state."""
        ...

    def show_plan(self, prepared: "PreparedRun") -> None:
        """Show the estimate and the warnings of a plan."""
        ...

    def show_problem(self, text: str) -> None:
        """Show one line that says why something cannot be done."""
        ...

    def show_progress(self, progress: Progress) -> None:
        """Show how far the run is."""
        ...

    def show_map(self, slide: "Slide", live: LiveMap, layers: Sequence[LayerData]) -> None:
        """Show the (still empty) map of a run over its slide, and the outline of what it looks at."""
        ...

    def refresh_map(self, slide: "Slide") -> None:
        """Redraw the map, whose array has changed."""
        ...

    def show_look(self, slide: "Slide", live: LiveMap) -> None:
        """Redraw the map, of which another class or threshold is on show."""
        ...

    def show_result(self, slide: "Slide", prediction: "Prediction", live: LiveMap, layers: Sequence[LayerData]) -> None:
        """Show what a run found, complete or partial; ``layers`` go beside the map."""
        ...

    def show_tissue(self, slide: "Slide", layers: Sequence[LayerData]) -> None:
        """Show the tissue mask over the slide, to be painted, and its outline."""
        ...
