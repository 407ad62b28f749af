"""What one can do while teaching by napari's command palette and menu, as by the buttons and keys of the Teach widget.

Each command is a function of the viewer, as napari's palette calls it, and speaks to the Teach widget of that viewer;
where none is open, it is opened.
"""

from typing import TYPE_CHECKING, Protocol

from napari_gigaclf.viewer.addressee import Addressee

if TYPE_CHECKING:
    import napari.viewer

    from napari_gigaclf.viewer.controllers.teach import TeachController
    from napari_gigaclf.viewer.teach_tools import TeachTools
    from napari_gigaclf.viewer.widgets.teach_classes import ClassList
    from napari_gigaclf.viewer.widgets.teach_examples import ExampleList
    from napari_gigaclf.viewer.widgets.teach_list import TeachListPanel


class Teacher(Protocol):
    """What can be done."""

    @property
    def teaching(self) -> "TeachController":
        """Decides what happens."""
        ...

    @property
    def classes(self) -> "ClassList":
        """The classes, and the field for the name of a new one."""
        ...

    @property
    def examples(self) -> "ExampleList":
        """What was clicked."""
        ...

    def come_forward(self) -> None:
        """Come into sight, whatever tab was in front."""
        ...

    def toggle_clicks(self) -> None:
        """Let clicks give the chosen class, or not."""
        ...

    def ask_lesson_name(self) -> None:
        """Ask for another name of the lesson."""
        ...

    def apply_to_open(self) -> None:
        """Paint the map of every open slide."""
        ...

    @property
    def tools(self) -> "TeachTools":
        """Mouse and keys over the slide."""
        ...

    @property
    def list_panel(self) -> "TeachListPanel":
        """Applies what was taught to the worklist."""
        ...

    def ask_where_to_save(self) -> None:
        """Ask for a place and write the taught model there."""
        ...


TEACHERS: Addressee[Teacher] = Addressee(
    "Teach", "Teach was opened: choose a model and read the slide, then do that again"
)


def teach_read(viewer: "napari.viewer.Viewer") -> None:
    """Stream the slide for its features."""
    TEACHERS.tell(viewer, lambda teacher: teacher.teaching.read())


def teach_stop(viewer: "napari.viewer.Viewer") -> None:
    """Stop reading slides."""
    TEACHERS.tell(viewer, lambda teacher: teacher.teaching.reader.cancel())


def teach_clicks(viewer: "napari.viewer.Viewer") -> None:
    """Let clicks give the chosen class, or not."""
    TEACHERS.tell(viewer, lambda teacher: teacher.toggle_clicks())


def teach_middle(viewer: "napari.viewer.Viewer") -> None:
    """Give the chosen class to the middle of the view; in sight, since one sees there which class that is."""

    def teach(teacher: Teacher) -> None:
        teacher.come_forward()
        teacher.tools.middle()

    TEACHERS.tell(viewer, teach)


def teach_suggestion(viewer: "napari.viewer.Viewer") -> None:
    """Go to the next place where a click teaches much."""
    TEACHERS.tell(viewer, lambda teacher: teacher.teaching.next_suggestion())


def teach_undo(viewer: "napari.viewer.Viewer") -> None:
    """Take the last click or change back."""
    TEACHERS.tell(viewer, lambda teacher: teacher.teaching.undo())


def teach_add_class(viewer: "napari.viewer.Viewer") -> None:
    """Let the name of a new class be typed; Enter adds it."""

    def begin(teacher: Teacher) -> None:
        teacher.come_forward()
        teacher.classes.name_box.setFocus()

    TEACHERS.tell(viewer, begin)


def teach_remove_class(viewer: "napari.viewer.Viewer") -> None:
    """Remove the chosen class and its examples, which can be undone."""
    TEACHERS.tell(viewer, lambda teacher: teacher.classes.remove_button.click())


def teach_remove_example(viewer: "napari.viewer.Viewer") -> None:
    """Remove the example that is chosen in the list, which can be undone."""
    TEACHERS.tell(viewer, lambda teacher: teacher.teaching.remove(teacher.examples.chosen))


def teach_new_lesson(viewer: "napari.viewer.Viewer") -> None:
    """Begin a new lesson."""
    TEACHERS.tell(viewer, lambda teacher: teacher.teaching.choose_lesson(None))


def teach_rename_lesson(viewer: "napari.viewer.Viewer") -> None:
    """Ask for another name of the lesson."""
    TEACHERS.tell(viewer, lambda teacher: teacher.ask_lesson_name())


def teach_apply(viewer: "napari.viewer.Viewer") -> None:
    """Paint the map of every open slide."""
    TEACHERS.tell(viewer, lambda teacher: teacher.apply_to_open())


def teach_apply_worklist(viewer: "napari.viewer.Viewer") -> None:
    """Apply what was taught to every slide of the worklist."""
    TEACHERS.tell(viewer, lambda teacher: teacher.list_panel.apply())


def teach_stop_worklist(viewer: "napari.viewer.Viewer") -> None:
    """Stop applying to the worklist; what is done stays."""
    TEACHERS.tell(viewer, lambda teacher: teacher.list_panel.stop())


def teach_save(viewer: "napari.viewer.Viewer") -> None:
    """Ask for a place and write the taught model there."""
    TEACHERS.tell(viewer, lambda teacher: teacher.ask_where_to_save())


def teach_delete_features(viewer: "napari.viewer.Viewer") -> None:
    """Delete the features that are kept of the slide by the model."""
    TEACHERS.tell(viewer, lambda teacher: teacher.teaching.forget_features())


def teach_delete_all_features(viewer: "napari.viewer.Viewer") -> None:
    """Delete the features that are kept of all slides."""
    TEACHERS.tell(viewer, lambda teacher: teacher.teaching.reader.forget_all())
