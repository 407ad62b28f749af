"""What one can do with the view, by key, by napari's command palette and by its menu: one table for all three.

Each command is a function of the viewer, as napari's palette calls it. The manifest names them; a test compares.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from napari_gigaclf.viewer.addressee import Addressee
from napari_gigaclf.viewer.canvas import BLINDFOLDED
from napari_gigaclf.viewer.controllers.objective import Objective
from napari_gigaclf.viewer.viewpoint import Viewpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    import napari.viewer
    from qtpy.QtWidgets import QPushButton

PAN_SHARE = 0.25
"""An arrow key moves the view by this share of the canvas."""
NUDGE_SHARE = 0.02
"""With Shift, by this one."""
ZOOM_STEP = 2.0**0.5
CURTAIN_STEPS = 2
"""A key of the canvas moves the curtain by so many of its steps."""
SWAPPED = "The curtain's sides are swapped; it does not hang yet: press K over the slide, or Curtain: on or off."
NOTHING_CUT = "Curtain: both sides show the same, since nothing one sees lies over the slide yet."
HIDDEN = "This is hidden until you have recorded your own call (Hotspots, Reader first)."
PLUS = "+"
"""napari knows no key of this name: it arrives as unknown. The navigator listens for it itself."""


class Button(Protocol):
    """What can be pressed with the mouse."""

    def click(self) -> None:
        """Press it; nothing happens where it is greyed out."""
        ...


class Navigator(Protocol):
    """What has the buttons of Navigate."""

    @property
    def buttons(self) -> "Mapping[str, QPushButton]":
        """By name."""
        ...

    def come_forward(self) -> None:
        """Come into sight."""
        ...

    def measure_by_keys(self) -> None:
        """Begin to measure, or take one end, or the other."""
        ...


NAVIGATORS: Addressee[Navigator] = Addressee("Navigate", "Navigate was opened: do that again, or press its button")
LINKS: Addressee[Button] = Addressee("Compare", "Compare was opened: the second canvas looks where this one does")
"""The box of each viewer's second canvas that links the two."""


def fit_slide(viewer: "napari.viewer.Viewer") -> None:
    """Show the whole slide."""
    point = Viewpoint(viewer)
    if (slide := point.slide()) is not None:
        point.fit(slide)


def pan_left(viewer: "napari.viewer.Viewer") -> None:
    """Move the view to the left."""
    Viewpoint(viewer).pan(0, -PAN_SHARE)


def pan_right(viewer: "napari.viewer.Viewer") -> None:
    """Move the view to the right."""
    Viewpoint(viewer).pan(0, PAN_SHARE)


def pan_up(viewer: "napari.viewer.Viewer") -> None:
    """Move the view up."""
    Viewpoint(viewer).pan(-PAN_SHARE, 0)


def pan_down(viewer: "napari.viewer.Viewer") -> None:
    """Move the view down."""
    Viewpoint(viewer).pan(PAN_SHARE, 0)


def nudge_left(viewer: "napari.viewer.Viewer") -> None:
    """Move the view a little to the left."""
    Viewpoint(viewer).pan(0, -NUDGE_SHARE)


def nudge_right(viewer: "napari.viewer.Viewer") -> None:
    """Move the view a little to the right."""
    Viewpoint(viewer).pan(0, NUDGE_SHARE)


def nudge_up(viewer: "napari.viewer.Viewer") -> None:
    """Move the view a little up."""
    Viewpoint(viewer).pan(-NUDGE_SHARE, 0)


def nudge_down(viewer: "napari.viewer.Viewer") -> None:
    """Move the view a little down."""
    Viewpoint(viewer).pan(NUDGE_SHARE, 0)


def zoom_in(viewer: "napari.viewer.Viewer") -> None:
    """Magnify around the middle of the view."""
    Viewpoint(viewer).magnify(ZOOM_STEP)


def zoom_out(viewer: "napari.viewer.Viewer") -> None:
    """Show more around the middle of the view."""
    Viewpoint(viewer).magnify(1 / ZOOM_STEP)


def objective_1(viewer: "napari.viewer.Viewer") -> None:
    """Show the slide at 1.25x."""
    jump(viewer, 1.25)


def objective_2(viewer: "napari.viewer.Viewer") -> None:
    """Show the slide at 2.5x."""
    jump(viewer, 2.5)


def objective_5(viewer: "napari.viewer.Viewer") -> None:
    """Show the slide at 5x."""
    jump(viewer, 5.0)


def objective_10(viewer: "napari.viewer.Viewer") -> None:
    """Show the slide at 10x."""
    jump(viewer, 10.0)


def objective_20(viewer: "napari.viewer.Viewer") -> None:
    """Show the slide at 20x."""
    jump(viewer, 20.0)


def objective_40(viewer: "napari.viewer.Viewer") -> None:
    """Show the slide at 40x."""
    jump(viewer, 40.0)


def turn_view(viewer: "napari.viewer.Viewer") -> None:
    """Turn the slide by a quarter, clockwise."""
    Viewpoint(viewer).turn()


def flip_view(viewer: "napari.viewer.Viewer") -> None:
    """Mirror the view, left and right."""
    Viewpoint(viewer).flip()


def upright_view(viewer: "napari.viewer.Viewer") -> None:
    """Show the slide as its file has it."""
    Viewpoint(viewer).upright()


def toggle_probability(viewer: "napari.viewer.Viewer") -> None:
    """Show or hide the probability map."""
    _toggle(viewer, "probability", "taught")


def toggle_saliency(viewer: "napari.viewer.Viewer") -> None:
    """Show or hide the saliency."""
    _toggle(viewer, "saliency")


def toggle_curtain(viewer: "napari.viewer.Viewer") -> None:
    """Hang the curtain between the slide and what lies over it, or take it away."""
    from napari.utils.notifications import show_info

    from napari_gigaclf.viewer.widgets.curtain_line import make_curtain_line

    line = make_curtain_line(viewer)
    if line is None:
        return
    line.curtain.switch(not line.curtain.on)
    if line.curtain.on and not line.curtain.cuts(line.layers):
        show_info(NOTHING_CUT)


def curtain_left(viewer: "napari.viewer.Viewer") -> None:
    """Move the curtain to the left."""
    _step_curtain(viewer, -CURTAIN_STEPS)


def curtain_right(viewer: "napari.viewer.Viewer") -> None:
    """Move the curtain to the right."""
    _step_curtain(viewer, CURTAIN_STEPS)


def swap_curtain(viewer: "napari.viewer.Viewer") -> None:
    """Draw on the right what the curtain has on the left, and the other way round."""
    from napari.utils.notifications import show_info

    from napari_gigaclf.viewer.widgets.curtain_line import make_curtain_line

    line = make_curtain_line(viewer)
    if line is None:
        return
    line.curtain.swap(line.layers)
    if not line.curtain.on:
        show_info(SWAPPED)


def toggle_link(viewer: "napari.viewer.Viewer") -> None:
    """Let the second canvas look at the same place as the first one, or go its own way."""
    LINKS.tell(viewer, lambda box: box.click())


def toggle_profile(viewer: "napari.viewer.Viewer") -> None:
    """Show the slide through its colour profile, or as its file has it."""
    from napari.utils.notifications import show_error, show_info

    from napari_gigaclf.errors import GigaclfError
    from napari_gigaclf.viewer.screen_colours import switch_profile

    layer = Viewpoint(viewer).layer()
    if layer is None:
        return
    try:
        show_info(switch_profile(layer))
    except GigaclfError as error:
        show_error(str(error))


def toggle_ruler(viewer: "napari.viewer.Viewer") -> None:
    """Let a drag measure a length, or move the view again."""
    NAVIGATORS.tell(viewer, lambda navigator: navigator.buttons["ruler"].click())


def measure_by_keys(viewer: "napari.viewer.Viewer") -> None:
    """Measure between two places that are brought into the middle of the view."""
    NAVIGATORS.tell(viewer, lambda navigator: navigator.measure_by_keys())


def toggle_properties(viewer: "napari.viewer.Viewer") -> None:
    """Show what the slide says about itself, or hide it."""

    def toggle(navigator: Navigator) -> None:
        navigator.buttons["properties"].click()
        if navigator.buttons["properties"].isChecked():
            navigator.come_forward()

    NAVIGATORS.tell(viewer, toggle)


def save_snapshot(viewer: "napari.viewer.Viewer") -> None:
    """Ask for a file and save what is shown, with scale bar and legend."""
    from napari_gigaclf.viewer.widgets.snapshot_dialog import ask_and_save

    ask_and_save(viewer)


def show_shortcuts(viewer: "napari.viewer.Viewer") -> None:
    """List the keys."""
    from napari_gigaclf.viewer.widgets.shortcut_list import show_list

    show_list(viewer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One thing that can be done with the view."""

    title: str
    """As the palette and the list of keys show it."""
    run: Callable[[Any], None]
    keys: tuple[str, ...] = ()
    """Keys of the canvas, as napari spells them."""


COMMANDS = (
    Command(title="Fit the slide", run=fit_slide, keys=("Home",)),
    Command(title="Move left", run=pan_left, keys=("Left",)),
    Command(title="Move right", run=pan_right, keys=("Right",)),
    Command(title="Move up", run=pan_up, keys=("Up",)),
    Command(title="Move down", run=pan_down, keys=("Down",)),
    Command(title="Move a little to the left", run=nudge_left, keys=("Shift-Left",)),
    Command(title="Move a little to the right", run=nudge_right, keys=("Shift-Right",)),
    Command(title="Move a little up", run=nudge_up, keys=("Shift-Up",)),
    Command(title="Move a little down", run=nudge_down, keys=("Shift-Down",)),
    Command(title="Zoom in", run=zoom_in, keys=("=", PLUS)),
    Command(title="Zoom out", run=zoom_out, keys=("-",)),
    Command(title="Objective 1.25x", run=objective_1, keys=("Alt-1",)),
    Command(title="Objective 2.5x", run=objective_2, keys=("Alt-2",)),
    Command(title="Objective 5x", run=objective_5, keys=("Alt-3",)),
    Command(title="Objective 10x", run=objective_10, keys=("Alt-4",)),
    Command(title="Objective 20x", run=objective_20, keys=("Alt-5",)),
    Command(title="Objective 40x", run=objective_40, keys=("Alt-6",)),
    Command(title="Turn the slide by a quarter", run=turn_view, keys=("Alt-R",)),
    Command(title="Mirror the slide", run=flip_view, keys=("Alt-M",)),
    Command(title="Slide upright again", run=upright_view, keys=("Alt-U",)),
    Command(title="Show or hide the probability map", run=toggle_probability, keys=("H",)),
    Command(title="Show or hide the saliency", run=toggle_saliency, keys=("J",)),
    Command(title="Curtain: on or off", run=toggle_curtain, keys=("K",)),
    Command(title="Curtain to the left", run=curtain_left, keys=("Alt-Left",)),
    Command(title="Curtain to the right", run=curtain_right, keys=("Alt-Right",)),
    Command(title="Curtain: swap the sides", run=swap_curtain),
    Command(title="Compare: link the two canvases, or not", run=toggle_link),
    Command(title="Colour profile of the slide: on or off", run=toggle_profile),
    Command(title="Ruler: on or off", run=toggle_ruler, keys=("Alt-D",)),
    Command(title="Ruler: measure at the middle of the view", run=measure_by_keys, keys=("Alt-E",)),
    Command(title="Properties of the slide: show or hide", run=toggle_properties),
    Command(title="Save a snapshot", run=save_snapshot, keys=("Alt-T",)),
    Command(title="List the keys", run=show_shortcuts, keys=("Alt-K",)),
)
"""All commands, in the order of the list of keys."""


def jump(viewer: Any, magnification: float) -> None:  # noqa: ANN401 - napari has no stubs
    """Show the slide at a magnification; the middle of the view stays."""
    point = Viewpoint(viewer)
    slide = point.slide()
    zoom = None if slide is None else Objective.of_slide(slide).zoom_for(magnification)
    if slide is not None and zoom is not None:
        point.set_zoom(slide, zoom)


def key_actions(viewer: Any) -> dict[str, Callable[[], None]]:  # noqa: ANN401 - napari has no stubs
    """Return what each key of the canvas does to a viewer."""
    return {key: partial(each.run, viewer) for each in COMMANDS for key in each.keys if key != PLUS}


def _step_curtain(viewer: Any, steps: int) -> None:  # noqa: ANN401 - napari has no stubs
    from napari_gigaclf.viewer.widgets.curtain_line import curtain_line

    line = curtain_line(viewer)
    if line is not None and line.curtain.on:
        line.curtain.step(steps)


def _toggle(viewer: Any, *kinds: str) -> None:  # noqa: ANN401 - napari has no stubs
    """Hide the overlays of some kinds over the topmost slide if one is seen; else show those of the last kind there."""
    slide = Viewpoint(viewer).slide()
    over = [
        layer
        for layer in viewer.layers
        if slide is not None and layer.metadata.get("slide_id") == slide.id and layer.metadata.get("kind") in kinds
    ]
    if any(layer.metadata.get(BLINDFOLDED) and not layer.visible for layer in over):
        from napari.utils.notifications import show_info

        show_info(HIDDEN)
        return
    visible = any(layer.visible for layer in over)
    last = max((kinds.index(layer.metadata["kind"]) for layer in over), default=0)
    for layer in over:
        layer.visible = not visible and layer.metadata["kind"] == kinds[last]
