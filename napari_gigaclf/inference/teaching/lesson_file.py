"""Keeps lessons in the user's own folder, one JSON file each: whole or not at all, read without trust.

A file is named by a random number, so that two windows never mean the same file with two lessons.
"""

import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from napari_gigaclf.errors import GigaclfError, ResultError
from napari_gigaclf.inference.own_file import OwnFile
from napari_gigaclf.inference.stored_array import read_json
from napari_gigaclf.inference.teaching.lesson import MAX_SLIDES, MAX_STEPS, Identity, Lesson
from napari_gigaclf.inference.teaching.vectors import from_text
from napari_gigaclf.models.records import ConfigError, parse
from napari_gigaclf.writing import reason_of

FORMAT = "napari-gigaclf lesson 1"
MAX_BYTES = 1 << 28
MAX_LISTED = 500
"""Files that are looked into for lessons to list, the latest first."""
REMEDY = "; move it away to begin anew, or keep it and install the version that wrote it"
_FILE = re.compile(r"[0-9a-f]{32}\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonJson:
    """What stands in the file."""

    format: str
    lesson: Lesson


def lessons_folder() -> Path:
    """Return the folder where this user's lessons are kept on this machine."""
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-gigaclf")) / "lessons"


class LessonFile:
    """The file of one lesson, as this program last saw it; for one thread at a time.

    Parameters
    ----------
    path
        Where it lies, or will lie.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = OwnFile(
            path,
            "another window has changed this lesson; what is taught here is not saved: close Teach here and open it "
            "again to go on with what was taught there",
        )

    @classmethod
    def new(cls, folder: Path) -> "LessonFile":
        """Return a file that does not exist yet."""
        return cls(folder / f"{uuid.uuid4().hex}.json")

    def load(self) -> Lesson:
        """Return what was taught.

        Raises
        ------
        ResultError
            The file is missing, damaged, too large, or of another version.
        """
        self._file.look()
        return read_lesson(self.path)

    def save(self, lesson: Lesson) -> None:
        """Write a lesson in place of the one that was there.

        Raises
        ------
        OutputError
            The folder cannot be written to, or another program has written there since.
        """
        self._file.write(LessonJson(format=FORMAT, lesson=lesson))


def list_lessons(folder: Path, identity: Identity) -> tuple[list[tuple[LessonFile, Lesson]], list[str]]:
    """Return the lessons of a folder about one model, and why others cannot be read.

    Parameters
    ----------
    folder
        Where they lie.
    identity
        Name, version and digest of the model.

    Returns
    -------
    list of tuple, list of str
        Each lesson with its file, the one that was changed last first; and one line for each file that cannot be read.
    """
    try:
        found = [path for path in folder.iterdir() if _FILE.fullmatch(path.name)] if folder.is_dir() else []
        found.sort(key=lambda path: path.lstat().st_mtime_ns, reverse=True)
    except OSError as error:
        return [], [f"{folder}: cannot be listed: {reason_of(error)}"]
    lessons, problems = [], []
    for path in found[:MAX_LISTED]:
        file = LessonFile(path)
        try:
            lesson = file.load()
        except GigaclfError as error:
            problems.append(str(error))
            continue
        if lesson.base.identity == identity:
            lessons.append((file, lesson))
    return lessons, problems


def read_lesson(path: Path) -> Lesson:
    """Read a lesson; see ``LessonFile.load``."""
    raw = read_json(path, MAX_BYTES)
    if raw.get("format") != FORMAT:
        raise ResultError(f"{path}: format {str(raw.get('format'))[:60]!r}; this version reads {FORMAT!r}{REMEDY}")
    stored = raw.get("lesson")
    if isinstance(stored, dict):
        for name, most in (("steps", MAX_STEPS), ("slides", MAX_SLIDES)):
            value = stored.get(name)
            if isinstance(value, list) and len(value) > most:
                raise ResultError(f"{path}: {len(value)} {name}, more than the {most} that are read{REMEDY}")
    try:
        found = parse(LessonJson, raw, path.name)
        assert isinstance(found, LessonJson)
        _check(found.lesson)
    except ValueError as error:  # ConfigError is one
        raise ResultError(f"{path}: this lesson cannot be read: {error}{REMEDY}") from error
    return found.lesson


def _check(lesson: Lesson) -> None:
    """Raise for features that are none; they are turned into numbers again where they are used."""
    length = lesson.base.num_features
    for step in lesson.steps:
        if step.example is not None:
            from_text(step.example.features, length)
    for slide in lesson.slides:
        from_text(slide.mean, length)
        if from_text(slide.deviation, length).min() < 0:
            raise ConfigError("a deviation is negative")
