"""The lessons about one model: which there are, which one is taught and in which file, and what each is called."""

import dataclasses
from itertools import count
from pathlib import Path

from napari_gigaclf.errors import TrainingError
from napari_gigaclf.inference.teaching.lesson import BaseModel, Lesson, new_lesson
from napari_gigaclf.inference.teaching.lesson_file import LessonFile, lessons_folder

Lessons = dict[Path, tuple[LessonFile, Lesson]]


class LessonBook:
    """Lessons by their file, each as it was when it was taught last.

    Parameters
    ----------
    folder
        Where they lie; None takes the user's own folder.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: Lessons = {}
        self.file: LessonFile | None = None
        """The file of the lesson that is taught."""

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._folder or lessons_folder()

    @property
    def path(self) -> Path | None:
        """Where the lesson that is taught lies, or will lie."""
        return None if self.file is None else self.file.path

    def close(self) -> None:
        """Teach none of them."""
        self.file = None

    def fill(self, lessons: Lessons) -> Path | None:
        """Take the lessons about another model, and return the first one's file."""
        self._known, self.file = lessons, None
        return next(iter(lessons), None)

    def take(self, path: Path) -> Lesson:
        """Return one of them, to be taught."""
        self.file, lesson = self._known[path]
        return lesson

    def begin(self, base: BaseModel) -> Lesson:
        """Return a new one, to be taught, under the next number that is free."""
        self.file = LessonFile.new(self.folder)
        taken = self._names()
        numbered = (f"lesson {number}" for number in count(1 + len(self._known)))
        return new_lesson(next(name for name in numbered if name not in taken), base)

    def keep(self, lesson: Lesson) -> None:
        """Take the lesson that is taught as it is now; not one in which nothing was ever taught."""
        if self.file is not None and (lesson.can_undo or self.file.path in self._known):
            self._known[self.file.path] = self.file, lesson

    def renamed(self, lesson: Lesson, name: str) -> Lesson:
        """Return the lesson that is taught under another name, itself if that is its name; it is listed from now on.

        Raises
        ------
        TrainingError
            Another one has this name.
        ValueError
            It is no name.
        """
        assert self.file is not None
        if name.strip() == lesson.name:
            return lesson
        changed = dataclasses.replace(lesson, name=name.strip())
        if changed.name in self._names(apart_from=self.file.path):
            raise TrainingError(f"there is a lesson {changed.name!r} already; give another name")
        self._known[self.file.path] = self.file, changed
        return changed

    def entries(self, lesson: Lesson) -> list[tuple[str, Path | None]]:
        """Return name and file of each for a list; of the one that is taught, first where it is new."""
        assert self.file is not None
        found: list[tuple[str, Path | None]] = [(each.name, path) for path, (_, each) in self._known.items()]
        return found if self.file.path in self._known else [(lesson.name, self.file.path), *found]

    def _names(self, apart_from: Path | None = None) -> set[str]:
        return {each.name for path, (_, each) in self._known.items() if path != apart_from}
