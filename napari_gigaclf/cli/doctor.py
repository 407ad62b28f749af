"""``doctor``: what is installed, which devices there are and why others are not, and whether a model really runs."""

import importlib
import importlib.util
import os
import platform
from importlib import metadata
from typing import Any

from napari_gigaclf import __version__
from napari_gigaclf.cli.configs import Config, DoctorConfig
from napari_gigaclf.cli.say import one_line, say, say_json, size, table
from napari_gigaclf.errors import GigaclfError

PACKAGES = ("torch", "napari", "numpy", "zarr", "tifffile", "imagecodecs", "ome-zarr", "shapely", "scikit-image")
BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")
SAMPLE_MODEL = "phantom-tumour"

_FORMATS = (
    ("Aperio SVS, Hamamatsu NDPI, Leica SCN, QPTIFF, Philips, OME-TIFF and other TIFF", ("tifffile", "zarr"), ""),
    ("JPEG 2000 and other compressed TIFF", ("imagecodecs",), ""),
    ("OME-Zarr 0.4 and 0.5", ("zarr",), ""),
    ("PNG, JPEG", ("PIL",), ""),
    ("Mirax MRXS, Ventana BIF, Hamamatsu VMS, Zeiss CZI (openslide)", ("openslide",), "openslide"),
    ("DICOM whole slides (wsidicom)", ("wsidicom",), "dicom"),
)


def run(config: Config) -> int:
    """Print what there is; return 1 if slides cannot be classified here."""
    assert isinstance(config, DoctorConfig)
    content = examination()
    if config.json:
        say_json(content)
    else:
        say(_text(content))
    return 0 if content["model_check"]["ok"] else 1


def examination() -> dict[str, Any]:
    """Look at everything and return it as what JSON can hold."""
    return {
        "napari_gigaclf": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "qt": _qt(),
        "display": _display(),
        "devices": _devices(),
        "formats": [_format(*entry) for entry in _FORMATS],
        "cache": _cache(),
        "model_check": _model_check(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _qt() -> dict[str, str | None]:
    """Return the Qt binding that qtpy, and with it napari, would take."""
    asked = os.environ.get("QT_API")
    present = [name for name in BINDINGS if importlib.util.find_spec(name) is not None]
    named = [name for name in present if asked and name.lower() == asked.lower()]
    if not present:
        return {"binding": None, "version": None, "why_not": 'no Qt binding is installed: pip install "napari[all]"'}
    chosen = (named or present)[0]
    try:
        importlib.import_module(f"{chosen}.QtWidgets")
    except ImportError as error:
        return {"binding": chosen, "version": _version(chosen), "why_not": one_line(str(error))}
    return {"binding": chosen, "version": _version(chosen), "why_not": None}


def _display() -> str:
    if platform.system() in ("Darwin", "Windows"):
        return "the desktop"
    for name in ("WAYLAND_DISPLAY", "DISPLAY"):
        if os.environ.get(name):
            return f"{name}={os.environ[name]}"
    return "none (windows need one; xvfb-run gives one)"


def _devices() -> list[dict[str, Any]]:
    from napari_gigaclf.inference import list_devices

    try:
        devices = list_devices()
    except (ImportError, OSError) as error:  # a torch that cannot be loaded: what a doctor is asked for
        return [{"key": "none", "name": "PyTorch", "free_bytes": None, "why_not": one_line(str(error))}]
    return [{"key": d.key, "name": d.name, "free_bytes": d.free_bytes, "why_not": d.why_not} for d in devices]


def _format(name: str, modules: tuple[str, ...], extra: str) -> dict[str, str | None]:
    """Return whether the libraries that read a format can be imported."""
    for module in modules:
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            hint = f'; pip install "napari-gigaclf[{extra}]"' if extra else ""
            return {"format": name, "why_not": f"{one_line(str(error))}{hint}"}
    return {"format": name, "why_not": None}


def _cache() -> dict[str, Any]:
    """Return where computed coarse levels are kept, how much is there, and whether it can be written to."""
    from napari_gigaclf.slides.pyramid import CACHE_LIMIT_BYTES, cache_folder

    folder = cache_folder()
    there = folder
    while not there.exists():
        there = there.parent
    files = [file for file in folder.rglob("*") if file.is_file()] if folder.is_dir() else []
    return {
        "folder": str(folder),
        "bytes": sum(file.stat().st_size for file in files),
        "limit_bytes": CACHE_LIMIT_BYTES,
        "writable": os.access(there, os.W_OK),
    }


def _model_check() -> dict[str, Any]:
    """Load the sample's model (its stored outputs are checked) and ask it for two places whose truth is known."""
    try:
        return _asked_model()
    except (GigaclfError, ImportError, OSError, RuntimeError) as error:
        return {"model": SAMPLE_MODEL, "ok": False, "message": one_line(str(error))}


def _asked_model() -> dict[str, Any]:
    from napari_gigaclf.annotations import read_geojson
    from napari_gigaclf.inference import prepare
    from napari_gigaclf.models import load_model
    from napari_gigaclf.slides import open_slide
    from napari_gigaclf.slides.sample import sample_path

    model = load_model(SAMPLE_MODEL)
    truth = [a.geometry for a in read_geojson(sample_path("phantom-tumour.geojson"))]
    middle = max(truth, key=lambda outline: outline.area).representative_point()
    with open_slide(sample_path()) as slide:
        answer = prepare(slide, model).ask((middle.y, middle.x))
    if answer.probabilities is None:
        return {"model": SAMPLE_MODEL, "ok": False, "message": f"no answer inside the known tumour: {answer.message}"}
    probability = answer.probabilities[model.card.positive_class or model.classes[-1]]
    message = f"inside the known tumour of the sample slide it says {probability:.3f}"
    return {"model": SAMPLE_MODEL, "ok": probability > 0.5, "message": message}


def _text(content: dict[str, Any]) -> str:
    qt = content["qt"]
    cache = content["cache"]
    check = content["model_check"]
    parts = [
        f"napari-gigaclf {content['napari_gigaclf']}, Python {content['python']}, {content['system']}",
        table([(name, version or "not installed") for name, version in content["packages"].items()], "  "),
        "windows",
        table(
            [
                ("Qt", f"{qt['binding'] or 'none'} {qt['version'] or ''}".strip() + _because(qt["why_not"])),
                ("display", content["display"]),
            ],
            "  ",
        ),
        "devices",
        table(
            [(d["key"], d["name"] + _free(d["free_bytes"]) + _because(d["why_not"])) for d in content["devices"]], "  "
        ),
        "formats",
        table(
            [
                ("yes" if f["why_not"] is None else "no", f["format"] + _because(f["why_not"]))
                for f in content["formats"]
            ],
            "  ",
        ),
        "cache of coarse levels",
        f"  {cache['folder']}: {size(cache['bytes'])} of at most {size(cache['limit_bytes'])}"
        + ("" if cache["writable"] else ", cannot be written to"),
        "model check",
        f"  {'ok' if check['ok'] else 'FAILED'}: {check['model']}: {check['message']}",
    ]
    return "\n".join(parts)


def _because(why_not: str | None) -> str:
    return "" if why_not is None else f" - not usable: {why_not}"


def _free(num_bytes: int | None) -> str:
    return "" if num_bytes is None else f", {size(num_bytes)} free"
