"""One class for each thing a caller may want to catch; the text of an error is one line for a person.

An error says what was asked, what was found, and what to do.
"""

from pathlib import Path


class GigaclfError(Exception):
    """Base of every error this package raises on purpose."""


class SlideError(GigaclfError):
    """A slide cannot be opened or read; the text names the file and the reason."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}")

    def __reduce__(self) -> tuple[type["SlideError"], tuple[str, str]]:
        """Survive the way between processes (the default would pass the joined text as the path)."""
        return (type(self), (self.path, self.reason))


class MissingDependencyError(SlideError):
    """The file needs an optional library; the text names the command that installs it."""


class ScaleError(GigaclfError):
    """A run by scale is asked for, but the slide's micrometres per pixel are unknown or do not fit the model."""


class ModelError(GigaclfError):
    """A model cannot be found, read or applied to this slide."""


class RegionError(GigaclfError):
    """A region lies outside the slide, is empty, or is not a valid polygon."""


class AnnotationError(GigaclfError):
    """An annotation file cannot be read or written."""


class OutputError(GigaclfError):
    """A result cannot be written: read-only folder, full disk, or a file that is in the way."""


class ConflictError(OutputError):
    """Another program has written to a file since this one read it, and would lose what it wrote."""


class ResultError(GigaclfError):
    """A saved result is missing, damaged, or not a result of this program."""


class CohortError(GigaclfError):
    """A table of slides has problems; all of them are in the text."""


class UnsupportedOperation(GigaclfError):
    """The streaming engine cannot run this module exactly; the text names the operation, the module and the remedy."""


class CompileError(GigaclfError):
    """The work of a tile could not be compiled, as was asked; the text says what was found and what to do."""


class ImageTooSmallError(GigaclfError, RuntimeError):
    """An image is smaller than the network can take; also a RuntimeError, as PyTorch raises for the same image."""


class ImageAxesError(GigaclfError, ValueError, RuntimeError):
    """An image has other axes than the network takes; also a RuntimeError, as PyTorch raises for the same image."""


class Cancelled(GigaclfError):
    """The caller asked to stop."""


class TrainingError(GigaclfError):
    """Training cannot go on: a loss or a gradient is not finite, or nothing is left to learn from."""
