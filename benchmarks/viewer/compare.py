"""Measures the second canvas: how long it takes to open, and the lag of panning with one canvas and with two.

    xvfb-run -a python benchmarks/viewer/compare.py [SLIDE] [--seconds S]

Without a slide, the one that comes with the package. Times include software rendering where there is no graphics card,
and depend on what else the machine does; compare within one run.
"""

import argparse
import time
from pathlib import Path

from pendulum import Pendulum, magnify
from window import add, make_viewer, milliseconds_until, show


def compare(path: Path | None, seconds: float) -> dict[str, object]:
    """Pan with one canvas, open the second one, pan with both, close it, pan again."""
    from napari_gigaclf.slides import open_slide
    from napari_gigaclf.slides.sample import sample_path
    from napari_gigaclf.viewer.demo import settle
    from napari_gigaclf.viewer.reader import open_layers
    from napari_gigaclf.viewer.taking import canvas_is_sharp
    from napari_gigaclf.viewer.widgets.compare import CompareWidget

    viewer = make_viewer()
    slide = add(viewer, open_layers(open_slide(path or sample_path())))
    pendulum = Pendulum(viewer, magnify(viewer, slide))
    pendulum.swing(2)  # warm up: fill the caches of tiles
    one = pendulum.swing(seconds)
    begin = time.perf_counter()
    widget = CompareWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Compare")
    opened = milliseconds_until(lambda: widget.second.layers and canvas_is_sharp(widget.second), begin)
    settle(1)
    pendulum.swing(2)
    two = pendulum.swing(seconds)
    viewer.window.remove_dock_widget(widget)
    settle(1)
    again = pendulum.swing(seconds)
    viewer.close()
    return {
        "lag_of_one_canvas_ms": one,
        "second_canvas_sharp_after_ms": round(opened, 1),
        "lag_of_two_canvases_ms": two,
        "lag_after_closing_it_ms": again,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path, nargs="?")
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    show("compare", compare(arguments.slide, arguments.seconds))


if __name__ == "__main__":
    main()
