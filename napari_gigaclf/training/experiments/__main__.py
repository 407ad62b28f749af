"""Run one: ``python -m napari_gigaclf.training.experiments NAME --tiles-train TAR --tiles-test TAR --output DIR``.

What is in DIR already is kept, so that a run that was killed goes on. ``report`` in place of a name writes tables and
plots of what is there; see ``docs/experiments``.
"""

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

import torch

from napari_gigaclf.errors import CohortError, GigaclfError
from napari_gigaclf.models import load_model
from napari_gigaclf.models.networks.cell_net import CELL_NETS
from napari_gigaclf.training.experiments.arms import ARMS
from napari_gigaclf.training.experiments.bench import SLIDES_SEED, Bench
from napari_gigaclf.training.experiments.climbing import Climb
from napari_gigaclf.training.experiments.configs import EXPERIMENTS, RESOLUTIONS
from napari_gigaclf.training.experiments.pools import pools_of
from napari_gigaclf.training.experiments.report import write_report
from napari_gigaclf.training.experiments.running import run_experiment
from napari_gigaclf.training.tiles import read_tar

REPORT = "report"


def main(arguments: list[str] | None = None) -> int:
    """Run or report; returns the exit status."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    try:
        if options.name == REPORT:
            write_report(options.output, options.docs or options.output / "report")
        else:
            _run(options)
    except GigaclfError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the answer of a command
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    made = argparse.ArgumentParser(prog="python -m napari_gigaclf.training.experiments", description=__doc__)
    made.add_argument("name", choices=[*EXPERIMENTS, *RESOLUTIONS, REPORT])
    made.add_argument("--tiles-train", type=Path, help="tar archive of tiles for train and tune")
    made.add_argument("--tiles-test", type=Path, help="tar archive of tiles for test")
    made.add_argument("--output", type=Path, required=True, help="folder for maps, models and results")
    made.add_argument("--model", default="lymph-node-metastasis", help="tile classifier: a cell-net, by name or folder")
    made.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of training, from 1 on")
    made.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), help="of arrangement and micro")
    made.add_argument("--small", action="store_true", help="a few slides: to see that it runs")
    made.add_argument("--no-rebuilds", action="store_true", help="no intervals over tiles, which take longest")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--docs", type=Path, help="folder for the report (default: OUTPUT/report)")
    return made


def _run(options: argparse.Namespace) -> None:
    if options.tiles_train is None or options.tiles_test is None:
        raise CohortError("slides are made of tiles: give --tiles-train and --tiles-test")
    if min(options.seeds) < 1:
        raise CohortError(f"--seeds: {min(options.seeds)} is below 1")
    folder = options.output / "tiles"
    pools = pools_of(options.tiles_train, options.tiles_test, folder, SLIDES_SEED)
    if options.name in RESOLUTIONS:
        resolution = RESOLUTIONS[options.name]
        Climb(
            name=options.name,
            experiment=resolution.small() if options.small else resolution,
            pools=pools,
            tiles=read_tar(options.tiles_train, cache=folder),
            output=options.output,
        ).run(options.seeds)
        return
    cells = load_model(options.model)
    if cells.config.network not in CELL_NETS:
        raise CohortError(f"--model: {cells.name} is a {cells.config.network}; experiments start from a cell-net")
    experiment = EXPERIMENTS[options.name]
    experiment = experiment.small() if options.small else experiment
    experiment = dataclasses.replace(experiment, rebuilds=0) if options.no_rebuilds else experiment
    bench = Bench(experiment=experiment, pools=pools, cells=cells, folder=options.output)
    run_experiment(options.name, bench, options.seeds, options.output, options.arms)


if __name__ == "__main__":
    sys.exit(main())
