"""``demo``: the whole path on the bundled slide, whose truth is known: classify, explain, show, export, compare."""

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.annotations import Annotation, read_geojson
from napari_gigaclf.cli.bar import progress_bar
from napari_gigaclf.cli.configs import Config, DemoConfig
from napari_gigaclf.cli.interrupt import interruptible
from napari_gigaclf.cli.say import note, percent, say
from napari_gigaclf.errors import Cancelled, GigaclfError
from napari_gigaclf.slides import Slide, open_slide
from napari_gigaclf.slides.sample import sample_path
from napari_gigaclf.writing import check_writable

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction

MODEL = "phantom-tumour"
TRUTH = "phantom-tumour.geojson"


def run(config: Config) -> int:
    """Run the demonstration; return the exit code."""
    assert isinstance(config, DemoConfig)
    if config.window and not has_screen():
        raise GigaclfError("there is no screen to open napari on: xvfb-run -a napari-gigaclf demo, or --no-window")
    truth = read_geojson(sample_path(TRUTH))
    check_writable(config.output)
    with open_slide(sample_path()) as slide:
        prediction = _classified(slide)
        paths = _export(prediction, config.output)
        _tell_agreement(prediction, truth)
        if config.window:
            paths["screenshot"] = _shown(slide, prediction, truth, config.output / "screenshot.png")
    _tell_result(prediction, paths)
    return 0


def _classified(slide: Slide) -> "Prediction":
    from napari_gigaclf.inference import classify
    from napari_gigaclf.models import load_model

    model = load_model(MODEL)
    note(f"classifying {slide.name} with {MODEL} ...")
    with interruptible() as stop, progress_bar(slide.name) as progress:
        prediction = classify(
            slide, model, saliency=model.card.positive_class or "predicted", progress=progress, cancel=stop
        )
    if not prediction.complete:
        raise Cancelled("stopped")
    return prediction


def _export(prediction: "Prediction", folder: Path) -> dict[str, Path]:
    """Write the results that other programs read; they replace those of an earlier demonstration."""
    from napari_gigaclf.inference import exports

    paths = {
        "prediction": folder / "prediction.json",
        "annotations": folder / "annotations.geojson",
        "map": folder / "probability.ome.tif",
        "result": folder / "phantom-tumour.gigaclf",
    }
    exports.write_json(prediction, paths["prediction"])
    exports.write_annotations(prediction, paths["annotations"])
    exports.write_ome_tiff(prediction, paths["map"])
    prediction.save(paths["result"], overwrite=True)
    return paths


def _shown(slide: Slide, prediction: "Prediction", truth: list[Annotation], path: Path) -> Path:
    """Show slide, map, saliency and truth in napari; on a desktop the window stays until it is closed."""
    from napari_gigaclf.viewer.demo import show_demo

    stays = has_screen() and not is_virtual_screen() and sys.stdin.isatty()
    note("opening napari" + (" (close the window to go on) ..." if stays else " ..."))
    show_demo(slide, prediction, truth, screenshot=path, block=stays)
    return path


def has_screen() -> bool:
    """Return whether a window can be opened."""
    if platform.system() in ("Darwin", "Windows"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))


def is_virtual_screen() -> bool:
    """Return whether the screen is one of ``xvfb-run``, which nobody sees: a window left open there stays for ever."""
    return "xvfb-run" in os.environ.get("XAUTHORITY", "")


def _tell_agreement(prediction: "Prediction", truth: list[Annotation]) -> None:
    """Say how well the map agrees with the truth."""
    from napari_gigaclf.inference.agreement import agreement
    from napari_gigaclf.inference.exports import shown_classes

    name = shown_classes(prediction)[0]
    tissue = None if prediction.tissue is None else prediction.tissue.sample(prediction.grid)
    found = agreement(
        prediction.probability_map[prediction.classes.index(name)],
        prediction.grid,
        [annotation.geometry for annotation in truth],
        tissue=tissue,
    )
    auc = "no AUC: only one kind of cell" if found.auc is None else f"AUC {found.auc:.4f}"
    say(
        f"agreement with the known truth: {auc} per cell of the map "
        f"({found.num_positive} cells of {name}, {found.num_negative} of other tissue)"
    )


def _tell_result(prediction: "Prediction", paths: dict[str, Path]) -> None:
    """Say the slide's probabilities and where the files are."""
    card = prediction.head.config.card
    meaning = f" ({card.slide_score})" if card.slide_score else ""
    note(card.research_use_only)
    say(f"{prediction.record.slide.name}: {percent(prediction.probabilities)}{meaning}")
    for path in paths.values():
        say(f"  {path}")
