"""Runs one command and turns whatever goes wrong into one line and an exit code.

0: done; 1: something failed; 2: the command line is wrong; 130: stopped by Ctrl-C.
"""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import MappingProxyType, TracebackType

from napari_gigaclf.cli.arguments import parse
from napari_gigaclf.cli.configs import (
    ClassifyConfig,
    Config,
    DemoConfig,
    DoctorConfig,
    EvaluateConfig,
    InfoConfig,
    ModelsConfig,
    TrainConfig,
    TrainTilesConfig,
)
from napari_gigaclf.cli.say import say_error
from napari_gigaclf.errors import Cancelled, GigaclfError

FAILED = 1
STOPPED = 130

_COMMANDS: Mapping[type[Config], str] = MappingProxyType(
    {
        ClassifyConfig: "napari_gigaclf.cli.classify",
        DemoConfig: "napari_gigaclf.cli.demo",
        DoctorConfig: "napari_gigaclf.cli.doctor",
        EvaluateConfig: "napari_gigaclf.cli.evaluate",
        InfoConfig: "napari_gigaclf.cli.info",
        ModelsConfig: "napari_gigaclf.cli.models",
        TrainConfig: "napari_gigaclf.cli.train",
        TrainTilesConfig: "napari_gigaclf.cli.train_tiles",
    }
)
"""Each module has ``run(config) -> exit code`` and is imported when its command is used: torch takes seconds."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        Arguments without the program's name; None takes the program's own.

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    SystemExit
        With code 2 for a wrong command line, 0 for ``--help`` and ``--version``.
    """
    config = parse(argv)
    # Idle OpenMP threads spin by default: with other work on the machine a run took 10 times as long (performance.md).
    # Read once, when torch loads, which happens in the command; a choice of the user's own stays.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if argv is None and not config.debug:
        sys.excepthook = _one_line
    try:
        with _only_our_words(debug=config.debug):
            run: Callable[[Config], int] = import_module(_COMMANDS[type(config)]).run
            return run(config)
    except (KeyboardInterrupt, Cancelled):
        say_error("stopped")
        return STOPPED
    except BrokenPipeError:
        # Who read our output has closed it (``... | head``); nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (GigaclfError, OSError, MemoryError) as error:
        if config.debug:
            traceback.print_exc()
        say_error(str(error) or type(error).__name__)
        return FAILED


@contextmanager
def _only_our_words(*, debug: bool) -> Iterator[None]:
    """Keep what libraries log and warn of a damaged file from the screen; our own line says what matters."""
    if debug:
        yield
        return
    logging.basicConfig(handlers=[logging.NullHandler()])  # changes nothing where a program has set up its own
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an error that is a fault of ours as one line too; ``--debug`` shows where it happened."""
    say_error(f"unexpected {kind.__name__}: {error} (run again with --debug to see where, and please report it)")
