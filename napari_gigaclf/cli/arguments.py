"""The words and options of the command line. Nothing here looks at a slide or loads a model."""

import argparse
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from napari_gigaclf import __version__
from napari_gigaclf.cli.configs import (
    ClassifyConfig,
    Config,
    DemoConfig,
    DoctorConfig,
    EvaluateConfig,
    Existing,
    InfoConfig,
    ModelsConfig,
    Split,
    Task,
    TrainConfig,
    TrainTilesConfig,
)
from napari_gigaclf.cli.say import PROGRAM
from napari_gigaclf.geometry import Box

_BOX = re.compile(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*")
_MEMORY = re.compile(r"\d+(\.\d+)?\s*([kmgt]i?)?b?", re.IGNORECASE)

MAX_DIGITS = 6
"""Of seeds and numbers of draws."""

_DESCRIPTION = (
    "Classify gigapixel slides exactly, tile by tile: probability, saliency, files for QuPath. "
    "Research use only; not for diagnosis."
)


def parse(argv: Sequence[str] | None = None) -> Config:
    """Return what was asked for.

    Raises
    ------
    SystemExit
        With code 2 and one line about what is wrong; with 0 for ``--help`` and ``--version``.
    """
    parser = _parser()
    values = parser.parse_args(argv)
    values.debug = getattr(values, "debug", False)
    return _CONFIGS[values.command](values)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show where an error happened")
    parser = argparse.ArgumentParser(prog=PROGRAM, description=_DESCRIPTION, parents=[common], allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (summary, add_options) in _COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary, parents=[common], allow_abbrev=False)
        add_options(command)
    return parser


def _info(command: argparse.ArgumentParser) -> None:
    command.add_argument("slide", type=Path, metavar="SLIDE", help="file or folder")
    command.add_argument("--um-per-px", type=_positive, metavar="X", help="its true micrometres per pixel, if you know")
    _place(command)
    _json(command)


def _classify(command: argparse.ArgumentParser) -> None:
    command.add_argument("slides", type=Path, nargs="+", metavar="SLIDE", help="slides, or folders of slides")
    command.add_argument("--model", required=True, metavar="M", help="name (see 'models') or model folder")
    command.add_argument("--output", required=True, type=Path, metavar="DIR", help="a folder per slide is written here")
    scale = command.add_mutually_exclusive_group()
    scale.add_argument("--level", type=_level, default="auto", metavar="N", help="read this level as it is")
    scale.add_argument("--um-per-px", type=_positive, metavar="X", help="show the network this scale, not the model's")
    command.add_argument(
        "--slide-um-per-px", type=_positive, metavar="X", help="micrometres per pixel of the slides; wins over the file"
    )
    _place(command)
    command.add_argument(
        "--region", type=_region, metavar="R", help="y0,y1,x0,x1 in level-0 pixels, or a GeoJSON file with polygons"
    )
    command.add_argument(
        "--saliency", default="predicted", metavar="CLASS", help="a class, 'predicted' (the default) or 'none'"
    )
    command.add_argument("--no-tissue", action="store_true", help="look at everything, glass too")
    _machine(command)
    existing = command.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="skip slides that are finished")
    existing.add_argument("--overwrite", action="store_true", help="replace results")
    command.add_argument(
        "--format", choices=("ome-tiff", "ome-zarr"), default="ome-tiff", help="file format of the map (ome-tiff)"
    )
    _json(command)


def _evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("cohort", type=Path, metavar="COHORT", help="table of slides, CSV or Parquet (see the docs)")
    command.add_argument("--model", required=True, metavar="M", help="name (see 'models') or model folder")
    command.add_argument("--output", required=True, type=Path, metavar="DIR", help="the report is this folder")
    splits = get_args(Split)
    command.add_argument("--split", choices=(*splits, "all"), default="test", help="slides to measure on (test)")
    command.add_argument("--compare", metavar="M2", help="another model, compared on the same slides")
    command.add_argument("--tune-split", choices=splits, help="slides to choose temperature and thresholds on")
    command.add_argument(
        "--sensitivity", type=_share, metavar="S", help="what thresholds must reach on them (else Youden's J)"
    )
    command.add_argument("--seed", type=_whole, default=0, metavar="N", help="of everything drawn at random (0)")
    command.add_argument("--draws", type=_whole, default=1000, metavar="N", help="of bootstrap and permutation (1000)")
    _machine(command)
    command.add_argument("--overwrite", action="store_true", help="replace an evaluation")
    _json(command)


def _train(command: argparse.ArgumentParser) -> None:
    command.add_argument("cohort", type=Path, metavar="COHORT", help="table of slides, CSV or Parquet (see the docs)")
    _run(command, "default, small, paper-camelyon17, paper-tupac16")
    command.add_argument("--task", choices=get_args(Task), help="what to learn (default: as the table looks)")
    division = command.add_mutually_exclusive_group()
    division.add_argument(
        "--fractions", type=_fractions, metavar="A,B,C", help="divide patients anew into train, tune and test"
    )
    division.add_argument("--fold", type=_fold, metavar="K/N", help="cross-validation: part K of N is the test")
    _machine(command)
    _json(command)


def _train_tiles(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "source", type=Path, metavar="TILES",
        help="folder or tar archive, [split/]class/[patient/]tile.png; or a table of slides with annotations (GeoJSON)",
    )  # fmt: skip
    _run(command, "default, small, fine-tune, unchanged")
    command.add_argument(
        "--group", type=_pattern, metavar="PATTERN", help="regular expression that finds the patient in a tile's name"
    )
    _device(command)
    _json(command)


def _run(command: argparse.ArgumentParser, presets: str) -> None:
    """Add what every run of training has."""
    command.add_argument("--output", type=Path, metavar="RUN", help="folder of the run: model, log, record, state")
    recipe = command.add_mutually_exclusive_group()
    recipe.add_argument("--preset", metavar="P", help=f"recipe by name: {presets}")
    recipe.add_argument("--recipe", type=Path, metavar="FILE", help="recipe in a TOML or JSON file")
    command.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="NAME=VALUE", help="change a setting; repeatable"
    )
    command.add_argument("--classes", type=_names, metavar="A,B", help="classes in order, the negative one first")
    command.add_argument("--check", action="store_true", help="only look for problems; nothing is run or written")
    command.add_argument("--resume", action="store_true", help="go on with the run in that folder")


def _demo(command: argparse.ArgumentParser) -> None:
    command.add_argument("--output", type=Path, default=Path("demo"), metavar="DIR", help="folder for the results")
    command.add_argument("--no-window", action="store_true", help="do not open napari, take no screenshot")


def _place(command: argparse.ArgumentParser) -> None:
    command.add_argument("--scene", metavar="S", help="scene of a file with several: number or name (the first)")
    command.add_argument("--z", type=_plane, metavar="N", help="focal plane, counted from 0 (the middle one)")


def _device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:N or mps (see 'doctor')")


def _machine(command: argparse.ArgumentParser) -> None:
    _device(command)
    command.add_argument("--memory", type=_memory, metavar="SIZE", help="memory the engine may hold, such as 2GB")


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON for programs, one object per line")


_COMMANDS: Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = MappingProxyType(
    {
        "info": ("say what a slide is: levels, micrometres per pixel, format", _info),
        "classify": ("classify slides and write map, outlines and record", _classify),
        "evaluate": ("measure a model on a table of slides whose truth is known", _evaluate),
        "train": ("train a network on whole slides, from one label or score per slide", _train),
        "train-tiles": ("train a network on labelled tiles, or on annotated regions of slides", _train_tiles),
        "models": ("list the models there are", _json),
        "doctor": ("say what is installed, which devices there are, and why not", _json),
        "demo": ("classify the bundled sample slide and show it beside the truth", _demo),
    }
)


def _classify_config(values: argparse.Namespace) -> Config:
    existing: Existing = "resume" if values.resume else "overwrite" if values.overwrite else "refuse"
    return ClassifyConfig(
        slides=tuple(values.slides),
        model=values.model,
        output=values.output,
        level=values.level,
        um_per_px=values.um_per_px,
        slide_um_per_px=values.slide_um_per_px,
        scene=values.scene,
        z=values.z,
        region=values.region,
        saliency=None if values.saliency == "none" else values.saliency,
        tissue=not values.no_tissue,
        device=values.device,
        memory=values.memory,
        existing=existing,
        json=values.json,
        map_format=values.format,
        debug=values.debug,
    )


def _evaluate_config(values: argparse.Namespace) -> Config:
    return EvaluateConfig(**{name: value for name, value in vars(values).items() if name != "command"})


def _train_config(values: argparse.Namespace) -> Config:
    found = {name: value for name, value in vars(values).items() if name != "command"}
    return TrainConfig(**{**found, "settings": tuple(values.settings)})


def _train_tiles_config(values: argparse.Namespace) -> Config:
    found = {name: value for name, value in vars(values).items() if name != "command"}
    return TrainTilesConfig(**{**found, "settings": tuple(values.settings)})


_CONFIGS: Mapping[str, Callable[[argparse.Namespace], Config]] = MappingProxyType(
    {
        "info": lambda v: InfoConfig(
            slide=v.slide, um_per_px=v.um_per_px, scene=v.scene, z=v.z, json=v.json, debug=v.debug
        ),
        "classify": _classify_config,
        "evaluate": _evaluate_config,
        "train": _train_config,
        "train-tiles": _train_tiles_config,
        "models": lambda v: ModelsConfig(json=v.json, debug=v.debug),
        "doctor": lambda v: DoctorConfig(json=v.json, debug=v.debug),
        "demo": lambda v: DemoConfig(output=v.output, window=not v.no_window, debug=v.debug),
    }
)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return number


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from error
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of different names: A,B,C")
    return names


def _fractions(text: str) -> tuple[float, float, float]:
    parts = text.split(",")
    try:
        found = tuple(float(part) for part in parts)
    except ValueError:
        found = ()
    if len(found) != 3 or min(found) <= 0 or not math.isclose(sum(found), 1.0, abs_tol=1e-6):
        raise argparse.ArgumentTypeError(f"{text!r} is not three positive shares that add to 1, such as 0.7,0.15,0.15")
    return (found[0], found[1], found[2])


def _fold(text: str) -> tuple[int, int]:
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) >= 2):
        raise argparse.ArgumentTypeError(f"{text!r} is no fold such as 1/5: part 1 to N of N, N at least 2")
    return (int(number), int(count))


def _level(text: str) -> int | str:
    if text == "auto":
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a level (0, 1, ...) nor 'auto'")
    return int(text)


def _plane(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no focal plane (0, 1, ...)")
    return int(text)


def _share(text: str) -> float:
    number = _positive(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not in (0, 1]")
    return number


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > MAX_DIGITS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at most {MAX_DIGITS} digits")
    return int(text)


def _memory(text: str) -> str:
    if not _MEMORY.fullmatch(text.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 2GB or 500MB")
    return text.strip()


def _region(text: str) -> Box | Path:
    numbers = _BOX.fullmatch(text)
    if numbers:
        box = Box(*(int(number) for number in numbers.groups()))
        if box.empty:
            raise argparse.ArgumentTypeError(f"the region {text} is empty: y0,y1,x0,x1 with y0 < y1 and x0 < x1")
        return box
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text!r} is neither y0,y1,x0,x1 nor a GeoJSON file that exists")
    return path
