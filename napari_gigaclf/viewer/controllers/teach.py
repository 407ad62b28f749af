"""Decides what happens in the Teach widget: which lesson, which slide, what is learnt and painted when.

Every request has a generation; an answer for a slide or a lesson that is not shown any more is dropped. Three workers:
a quick one learns and paints, what is taught is written by one of its own, and slides are streamed by a long one.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.errors import GigaclfError
from napari_gigaclf.inference.teaching.kept_features import KeptFeatures
from napari_gigaclf.inference.teaching.lesson import BaseModel, Example, Lesson, Scale
from napari_gigaclf.inference.teaching.vectors import to_text
from napari_gigaclf.viewer import teach_texts as texts
from napari_gigaclf.viewer.controllers import teach_jobs as jobs
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.teach_lessons import LessonBook, Lessons
from napari_gigaclf.viewer.controllers.teach_painter import TeachPainter
from napari_gigaclf.viewer.controllers.teach_reader import TeachReader
from napari_gigaclf.viewer.controllers.teach_slide import TeachSlide
from napari_gigaclf.viewer.controllers.teach_view import Shown, TeachView
from napari_gigaclf.viewer.controllers.wishes import NO_SALIENCY, Wishes
from napari_gigaclf.viewer.worker import Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide


class TeachController:
    """One lesson on one slide at a time.

    Parameters
    ----------
    view
        The widget, or a fake of it.
    quick, saver, long
        Workers for learning and painting, for the file of the lesson, and for streaming slides.
    post
        Carries calls to the GUI thread.
    folder
        Where lessons are kept; None takes the user's own folder.
    kept
        Where features are kept.
    """

    def __init__(
        self,
        view: TeachView,
        *,
        quick: Worker,
        saver: Worker,
        long: Worker,
        post: Post,
        shelf: Shelf,
        folder: Path | None = None,
        kept: KeptFeatures | None = None,
    ) -> None:
        self._view = view
        self._quick, self._saver, self._long = quick, saver, long
        self.shelf = shelf
        self.kept = kept or KeptFeatures()
        self.lesson: Lesson | None = None
        self.current_class = 0
        self.painter = TeachPainter(view, quick=quick, post=post, judged=self._show)
        self.reader = TeachReader(
            view, long=long, post=post, shelf=shelf, kept=self.kept, ended=lambda: self._at.show_features()
        )
        self._at = TeachSlide(
            view,
            quick=quick,
            long=long,
            kept=self.kept,
            painter=self.painter,
            reader=self.reader,
            repaint=self._repaint,
        )
        self.wishes = Wishes(model="", saliency=NO_SALIENCY)
        """How slides are read: device, memory, threads."""
        self._book = LessonBook(folder)
        self._model_generation = 0
        self._scales: dict[str, Scale] = {}  # of the open slides, by id

    @property
    def base(self) -> BaseModel | None:
        """The model on whose features one teaches."""
        return self._at.base

    @property
    def slide(self) -> "Slide | None":
        """The slide that is taught on."""
        return self._at.slide

    @property
    def opened(self) -> "jobs.Opened | None":
        """Its features; None while they are not there."""
        return self._at.opened

    # --- which model, lesson and slide ------------------------------------------------------------------------------

    def choose_model(self, source: str) -> None:
        """Teach on the features of a model; its latest lesson is taken up."""
        self._model_generation += 1
        generation = self._model_generation
        self._drop_lesson()
        self._at.base = None

        def found(answer: tuple[BaseModel, Lessons, list[str]]) -> None:
            if generation != self._model_generation:
                return
            self._at.base, lessons, problems = answer
            self._take_up(self._book.fill(lessons))
            if problems:
                self._view.show_note(problems[0])
            self._at.open()

        folder = self._book.folder
        # On the worker that saves: what was taught last is on the disk by then.
        self._saver.submit(lambda _job: jobs.look_up(source, folder), found, self.painter.problem)

    def choose_lesson(self, path: Path | None) -> None:
        """Take up another lesson of the model; None begins a new one."""
        if self.base is not None and (path is None or path != self._book.path):
            if self.lesson is not None:
                self._book.keep(self.lesson)
            self._take_up(path)
            self._repaint()

    def rename_lesson(self, name: str) -> None:
        """Give the lesson that is taught another name, and save it."""
        if self.lesson is None:
            self._view.show_note(texts.NO_LESSON)
            return
        try:
            renamed = self._book.renamed(self.lesson, name)
        except (GigaclfError, ValueError) as error:
            self._view.show_note(f"Not renamed: {error}")
            return
        if renamed.name != self.lesson.name:
            self.lesson = renamed
            self._view.show_note("")
            self._view.show_lessons(self._book.entries(renamed), self._book.path)
            self._save()

    def choose_slide(self, slide: "Slide | None") -> None:
        """Teach on a slide."""
        before = self.slide
        if slide is before or (slide and before and (slide.id, slide.um_per_px) == (before.id, before.um_per_px)):
            return
        if slide is not None and before is not None and slide.id == before.id:
            self._forget(slide.id)  # it has another scale: what was made at the old one is wrong
        self._at.slide = slide
        self._at.open()

    def note_scales(self, slides: "Sequence[Slide]") -> None:
        """Learn no more from what was read at another scale than a slide has that is open."""
        self._scales = {each.id: each.um_per_px for each in slides}
        if self._bring_up_to_date():
            self._repaint()

    def offer_results(self, results: "dict[str, Prediction]") -> None:
        """Take the results that are open, by slide id; their features need not be made again."""
        self._at.results = dict(results)
        if self.opened is None and self.slide is not None and self.slide.id in results and not self.reader.busy:
            self._at.open()

    def slide_gone(self, slide_id: str) -> None:
        """Forget a slide that was closed; what was taught on it stays in the lesson."""
        self._forget(slide_id)
        if self.slide is not None and self.slide.id == slide_id:
            self.choose_slide(None)

    # --- teaching ---------------------------------------------------------------------------------------------------

    def choose_class(self, number: int) -> None:
        """Let clicks give a class from now on."""
        if self.lesson is not None and number in {each.number for each in self.lesson.classes}:
            self.current_class = number
            self._show()

    def choose_class_at(self, position: int) -> None:
        """Let clicks give the class at a place of the list, from 0."""
        if self.lesson is not None and position < len(self.lesson.classes):
            self.choose_class(self.lesson.classes[position].number)

    def click(self, slide: "Slide", point: tuple[float, float]) -> None:
        """Give the place at a point (y, x), level-0 corner coordinates, the current class."""
        at = self.opened
        if self.lesson is None or at is None or at.slide.id != slide.id:
            self._view.show_note("The slide's features are not there yet: press Read slide.")
            return
        cell = at.canvas.cell_at(point)
        if cell is None:
            self._view.show_note(texts.NO_CELL)
            return
        example = Example(
            slide_id=slide.id,
            place=at.canvas.grid.centre_of(*cell),
            class_number=self.current_class,
            features=to_text(at.canvas.features[at.canvas.number_of(cell)]),
            um_per_px=at.about.um_per_px,
        )
        self._change(lambda lesson: lesson.with_slide(at.about).with_example(example))

    def remove(self, example: Example | None) -> None:
        """Take an example back, which can be undone; None if none is chosen."""
        if example is None:
            self._view.show_note(texts.NO_EXAMPLE)
            return
        self._change(lambda lesson: lesson.without_example(example))

    def undo(self) -> None:
        """Take the last step back."""
        lesson = self.lesson
        if lesson is None or not lesson.can_undo:
            self._view.show_note("There is nothing to undo.")
        elif self._change(lambda each: each.undone()):
            self._view.show_note(texts.undone_text(lesson))

    def add_class(self, name: str) -> None:
        """Add a class, and let clicks give it."""
        if self._change(lambda lesson: lesson.with_class(name)) and self.lesson is not None:
            self.choose_class(self.lesson.classes[-1].number)

    def rename_class(self, number: int, name: str) -> None:
        """Give a class another name."""
        self._change(lambda lesson: lesson.renamed(number, name))

    def remove_class(self, number: int) -> None:
        """Remove a class and its examples; that can be undone."""
        self._change(lambda lesson: lesson.without_class(number))

    # --- looking ----------------------------------------------------------------------------------------------------

    def go_to(self, example: Example) -> None:
        """Look at an example."""
        if not self._view.go_to(example.slide_id, example.place) and self.lesson is not None:
            names = {each.slide_id: each.name for each in self.lesson.slides}
            self._view.show_note(f"{names.get(example.slide_id, 'Its slide')} is not open: open it to look there.")

    def next_suggestion(self) -> None:
        """Look at the next place where a click teaches much; those that were passed are not suggested again."""
        if self.opened is None:
            self._view.show_note("There is no suggestion yet: read the slide first.")
            return
        cell = self.painter.take_suggestion(self.opened)
        if cell is None:
            self._view.show_note("There are no more suggestions for what is taught now.")
            return
        self._view.go_to(self.opened.slide.id, self.opened.canvas.grid.centre_of(*cell))
        self._view.show_note("What is it? Press the number of its class and click it, or go on.")

    def look(self, class_name: str, threshold: float) -> None:
        """Show another class or threshold of the painted maps."""
        self.painter.look(self.slide, class_name, threshold)

    # --- reading, applying, saving ----------------------------------------------------------------------------------

    def read(self) -> None:
        """Stream the slide through the model for its features."""
        if self.slide is None or self.base is None:
            self._view.show_note(texts.features_text(self.slide, self.base, None))
        elif self.opened is not None or self.reader.busy:
            self._view.show_note(texts.THERE if self.opened is not None else texts.BUSY)
        else:
            self._read(self.slide, self.base, None)
            self._at.show_features()

    def apply(self, slides: "Sequence[Slide]") -> None:
        """Paint the map of all these slides; those whose features are not there are read first."""
        lesson, base = self.lesson, self.base
        if lesson is None or base is None or not lesson.can_learn:
            self._view.show_note(texts.TOO_FEW)
            return
        for slide in slides:
            self._read(slide, base, lesson)
        self._at.show_features()

    def save_model(self, folder: Path) -> None:
        """Write the taught model, named as the folder is."""
        lesson = self.lesson
        if lesson is None or not lesson.can_learn:
            self._view.show_note(texts.TOO_FEW)
            return
        self._long.submit(
            lambda _job: jobs.save_model(lesson, self.shelf, folder, self.wishes.threads),
            self._view.show_model,
            self._view.show_note,
        )

    def forget_features(self) -> None:
        """Delete what is kept of the slide by the model."""
        self._at.forget_features()

    def close(self) -> bool:
        """Write what is not yet written and end the workers; True if they ended in time."""
        self._model_generation += 1
        self._at.drop()
        self.painter.drop()
        self._quick.cancel_all()
        self._long.cancel_all()
        in_time = self._saver.flush()
        return all([self._saver.close(), self._quick.close(), self._long.close(), in_time])

    # --- inside: lessons --------------------------------------------------------------------------------------------

    def _take_up(self, path: Path | None) -> None:
        """Make a lesson the one that is taught."""
        assert self.base is not None
        self._drop_lesson()
        self.lesson = self._book.begin(self.base) if path is None else self._book.take(path)
        self.current_class = self.lesson.classes[0].number if self.lesson.classes else 0
        self._view.show_lessons(self._book.entries(self.lesson), self._book.path)
        self._show()

    def _drop_lesson(self) -> None:
        self.painter.drop()
        self.lesson = None
        self._book.close()
        self._view.show_lesson(None)
        self._view.show_check(None)

    def _change(self, change: Callable[[Lesson], Lesson]) -> bool:
        """Change the lesson, save it, and paint anew; False if nothing changed."""
        if self.lesson is None:
            return False
        try:
            changed = change(self.lesson)
        except (GigaclfError, ValueError) as error:
            self._view.show_note(f"Not taken: {error}")
            return False
        if changed.steps == self.lesson.steps:
            return False
        self.lesson = changed
        if self.current_class not in {each.number for each in changed.classes} and changed.classes:
            self.current_class = changed.classes[0].number
        self._view.show_note("")
        self._save()
        self._show()
        self._repaint()
        return True

    def _save(self) -> None:
        file, lesson = self._book.file, self.lesson
        assert file is not None
        assert lesson is not None

        def saved(_done: None) -> None:
            if self._book.file is file:
                self._view.show_saved()

        self._saver.submit(lambda _job: file.save(lesson), saved, self._view.show_note)

    def _show(self) -> None:
        if self.lesson is not None:
            there = () if self.painter.check is None else self.painter.check.contested
            contested = {each.example.key: each for each in there}
            self._view.show_lesson(Shown(lesson=self.lesson, current_class=self.current_class, contested=contested))

    def _bring_up_to_date(self) -> bool:
        """Leave out examples that were read at another scale, or read them again; True if there were any."""
        if self.lesson is None:
            return False
        before = self.lesson
        self.lesson, said = jobs.at_present(before, self._scales, self.opened)
        if self.lesson is not before:
            self._save()
            self._show()
            self._view.show_note(said)
        return self.lesson is not before

    def _forget(self, slide_id: str) -> None:
        self.reader.slide_gone(slide_id)
        self.painter.slide_gone(slide_id)
        self.shelf.forget(slide_id)

    # --- inside: slides ---------------------------------------------------------------------------------------------

    def _read(self, slide: "Slide", base: BaseModel, lesson: Lesson | None) -> None:
        """Have a slide's features found or made; with a lesson, its map painted whole."""

        def done(opened: jobs.Opened, problem: str) -> None:
            if base is not self.base:
                return
            if self.slide is not None and self.slide.id == slide.id and self.opened is None:
                self._at.take_features(opened, problem)
            elif lesson is not None and (self.slide is None or self.slide.id != slide.id):
                self.painter.paint_whole(
                    slide, opened, lesson, lambda each: self.lesson is not None and self.lesson.steps == each.steps
                )

        wishes = dataclasses.replace(self.wishes, model=base.source)
        self.reader.read(slide, base, wishes, done, here=self.opened, result=self._at.results.get(slide.id))

    def _repaint(self) -> None:
        """Learn from the lesson as it is now, and paint the slide that is open."""
        self._bring_up_to_date()
        self.painter.repaint(self.lesson, self.opened)
