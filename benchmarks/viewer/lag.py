"""Measures stutter: the lag of the event loop while a person pans, idle, while the widget classifies, and after it.

    xvfb-run -a python benchmarks/viewer/lag.py [SLIDE] [--model NAME] [--level N] [--seconds S]

A file is panned over at four times the zoom at which it fits; without one the phantom of 100 000 x 100 000 pixels, at
20x from its first tumour on.

Times include software rendering where there is no graphics card, and depend on what else the machine does; compare
within one run.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from pendulum import Pendulum, at_20x, magnify
from window import add, make_viewer, show

LAG_ROUNDS = 2
MODEL = "lymph-node-metastasis"


def lag(path: Path | None, model: str, level: int, seconds: float) -> dict[str, object]:
    """Lag of the event loop while panning: idle, while the widget classifies, and idle again under the map.

    While it classifies, runs that give way to the moving view and runs that do not take turns.
    """
    from napari_gigaclf.viewer.controllers.giving_way import GivingWay
    from napari_gigaclf.viewer.demo import settle, wait_until
    from napari_gigaclf.viewer.reader import off_the_gui_thread
    from napari_gigaclf.viewer.sample import large_layers

    viewer = make_viewer()
    if path is None:
        slide = add(viewer, off_the_gui_thread(large_layers))
    else:
        (layer, *_) = viewer.open(str(path), plugin="napari-gigaclf")
        slide = layer.metadata["slide"]
    widget = planned(viewer, model, level)
    extent = at_20x(viewer, slide) if path is None else magnify(viewer, slide)
    pendulum = Pendulum(viewer, extent)
    pendulum.swing(2)  # warm up: fill the caches of tiles
    idle = pendulum.swing(seconds)
    widget.run_panel.run_button.click()
    began = wait_until(lambda: widget.canvas.overlay(slide.id, "probability") is not None, 60)
    busy: dict[str, list[dict[str, float]]] = {"giving_way": [], "not_giving_way": []}
    follows, deaf = widget.runs.giving_way, GivingWay()
    for _ in range(LAG_ROUNDS):
        for name, giving_way in (("giving_way", follows), ("not_giving_way", deaf)):
            widget.runs.giving_way = giving_way
            done = widget.run_panel.bar.value()
            found = pendulum.swing(seconds, until=lambda: not widget.runs.running)
            tiles_per_second = (widget.run_panel.bar.value() - done) / seconds
            busy[name].append({**found, "tiles_per_second": tiles_per_second})
    still_running = widget.runs.running
    widget.runs.giving_way = follows
    begin = time.perf_counter()
    cancelled = None
    if still_running:
        widget.run_panel.cancel_button.click()
        wait_until(lambda: not widget.runs.running, 10)
        cancelled = time.perf_counter() - begin
    settle(1)
    with_map = pendulum.swing(seconds)
    widget.shut_down()
    viewer.close()
    return {
        "idle_lag_ms": idle,
        "classifying_lag_ms": busy,
        "idle_with_the_map_shown_lag_ms": with_map,
        "map_began": began,
        "ran_all_the_time": still_running,
        "cancel_seconds": cancelled,
    }


def planned(viewer: Any, model: str, level: int) -> Any:  # noqa: ANN401 - napari has no stubs
    """Dock the widget and wait until it has planned a run of the model at a level."""
    from napari_gigaclf.viewer.demo import PLANNED, settle, wait_until
    from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
    from napari_gigaclf.viewer.widgets.controls import choose

    widget = ClassifyWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Classify slide")
    wait_until(lambda: bool(widget.choices.models), 60)
    assert choose(widget.choices.model_box, model), f"no model {model}"
    choose(widget.choices.saliency_box, "none")
    choose(widget.choices.level_box, level)
    settle(1)
    wait_until(lambda: widget.runs.state in PLANNED, 120)
    assert widget.run_panel.run_button.isEnabled(), widget.run_panel.estimate_note.text()
    settle(2)
    return widget


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path, nargs="?")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--level", type=int, default=0, help="finer levels run longer")
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    show("lag", lag(arguments.slide, arguments.model, arguments.level, arguments.seconds))


if __name__ == "__main__":
    main()
