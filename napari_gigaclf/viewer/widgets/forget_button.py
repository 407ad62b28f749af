"""The button under which kept features are deleted: those of a slide, or all."""

from collections.abc import Callable

from qtpy.QtWidgets import QMenu, QPushButton, QWidget


class ForgetButton(QPushButton):
    """A button with a menu.

    Parameters
    ----------
    of_slide, of_all
        Called to delete the features of the chosen slide and model, and those of all.
    """

    def __init__(self, of_slide: Callable[[], None], of_all: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__("Features", parent)
        self.setToolTip("Features that are kept on this computer, to be deleted")
        menu = QMenu(self)
        menu.addAction("Delete those of this slide and model", of_slide)
        menu.addAction("Delete those of all slides", of_all)
        self.setMenu(menu)
