"""The way from a background thread to the window's thread: one Qt signal that carries calls."""

from collections.abc import Callable

from qtpy.QtCore import QCoreApplication, QObject, Qt, Signal, Slot


class GuiPost(QObject):
    """Posts calls to the thread on which it was made; calls for a window that is gone are dropped."""

    _call = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._open = True
        self._call.connect(self._run, Qt.ConnectionType.QueuedConnection)

    def __call__(self, function: Callable[[], None]) -> None:
        """Run ``function`` soon on the GUI thread; safe from any thread."""
        if not self._open:
            return
        try:
            self._call.emit(function)
        except RuntimeError:  # Qt deleted its half between the test and the call
            self._open = False

    def close(self) -> None:
        """Drop everything that is still on its way."""
        self._open = False

    @Slot(object)
    def _run(self, function: Callable[[], None]) -> None:
        if self._open:
            function()


_POSTS: list[GuiPost] = []
"""The application's own post, once somebody asked for it."""


def application_post() -> GuiPost | None:
    """Return a post to the window's thread that lives as long as the application; None without one. For any thread."""
    application = QCoreApplication.instance()
    if application is None:
        return None
    if not _POSTS:
        post = GuiPost()
        post.moveToThread(application.thread())
        _POSTS.append(post)
    return _POSTS[0]
