"""Asks where a snapshot belongs, waits until the view is sharp, and saves it."""

import threading
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog

from napari_gigaclf.errors import OutputError
from napari_gigaclf.viewer.bridge import application_post
from napari_gigaclf.viewer.snapshot import SUFFIXES, Snapshot, save_snapshot
from napari_gigaclf.viewer.taking import canvas_is_sharp, take_snapshot
from napari_gigaclf.writing import reason_of

ASK_EVERY_MS = 50
PATIENCE_MS = 20_000
"""A view whose tiles cannot be read is saved as it is after this time."""


def ask_and_save(viewer: Any) -> None:  # noqa: ANN401 - napari has no stubs
    """Ask for a file, then save what is shown."""
    name, _ = QFileDialog.getSaveFileName(None, "Save a snapshot", "snapshot.png", "Pictures (*.png *.svg)")
    if name:
        path = Path(name)
        save_when_sharp(viewer, path if path.suffix.lower() in SUFFIXES else path.with_name(path.name + ".png"))


def save_when_sharp(viewer: Any, path: Path, waited_ms: int = 0) -> None:  # noqa: ANN401 - napari has no stubs
    """Save what is shown as soon as no place of it is drawn from a coarser level."""
    if not canvas_is_sharp(viewer) and waited_ms < PATIENCE_MS:
        QTimer.singleShot(ASK_EVERY_MS, lambda: save_when_sharp(viewer, path, waited_ms + ASK_EVERY_MS))
        return
    write_in_background(take_snapshot(viewer), path)


def write_in_background(snapshot: Snapshot, path: Path) -> None:
    """Compress and write on a thread of its own, a third of a second for a large window; then say how it went.

    A program that ends meanwhile waits for it. Whatever goes wrong is said; a fault of ours goes on to
    ``threading.excepthook``, where its details are shown.
    """
    from napari.utils.notifications import show_error, show_info

    post = application_post()

    def work() -> None:
        say, text = show_error, ""
        try:
            save_snapshot(snapshot, path)
            say, text = show_info, f"Saved {path.name} to {path.parent}"
        except (OutputError, MemoryError, OSError) as error:
            text = unsaved_text(path, error)
        except Exception as error:
            text = unsaved_text(path, error)
            raise
        finally:
            if post is not None:
                post(lambda: say(text))

    threading.Thread(target=work, name="gigaclf-snapshot").start()


def unsaved_text(path: Path, error: Exception) -> str:
    """Say that a snapshot was not saved, why, and what to do."""
    if isinstance(error, OutputError):
        return str(error)
    if isinstance(error, MemoryError):
        reason = "not enough memory; make the window smaller or close other programs, and take it again"
    elif isinstance(error, OSError):
        reason = f"{reason_of(error)}; take it again, perhaps to another place"
    else:
        reason = f"the program failed inside ({error}); try the other of .png and .svg"
    return f"{path}: the snapshot was not saved: {reason}"
