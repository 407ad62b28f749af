"""Knows where the results on show are kept, and keeps those that nobody has saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import DEFAULT_THRESHOLD, FILE
from napari_gigaclf.viewer.returning import pieces
from napari_gigaclf.viewer.returning.open_slide import OpenSlide
from napari_gigaclf.viewer.returning.state import ResultShown
from napari_gigaclf.viewer.worker import Worker


class ResultKeeper:
    """The results of the open slides of a viewer.

    Parameters
    ----------
    canvas
        Where the layers are.
    keeper
        Writes results.
    notify
        Tells a person one sentence.
    folder
        Where results are kept.
    look
        Called when a result is on the disk.
    """

    def __init__(
        self,
        canvas: SlideCanvas,
        *,
        keeper: Worker,
        notify: Callable[[str], None],
        folder: Path,
        look: Callable[[], None],
    ) -> None:
        self._canvas = canvas
        self._keeper = keeper
        self._notify = notify
        self._folder = folder
        self._look = look
        self.late: Callable[[OpenSlide, ResultShown], None] = _nobody
        """Called with a result that was written, when its slide may have gone meanwhile."""

    def shown(self, each: OpenSlide, slide_id: str) -> ResultShown | None:
        """Return where the result on show is kept; one that nobody saved is kept now, and known soon."""
        layer = self._canvas.overlay(slide_id, "probability")
        if layer is None:
            each.result = None
            return None
        prediction = layer.metadata.get("prediction")
        if prediction is not None:  # else a run is under way: until it ends, the result before it is what returns
            self._take(each, layer, prediction)
        if each.result is None or not each.result[1]:
            return None
        record, path = each.result
        return _shown(each, path, record.model.name)

    def under(self, slide_id: str) -> tuple[ResultShown, ...]:
        """Return the results that lie under the one on show, from the lowest, as far as they are kept somewhere."""
        found = []
        for layer in [*self._canvas.overlays(slide_id, "probability")][:-1]:
            prediction, path = layer.metadata.get("prediction"), layer.metadata.get(FILE)
            if prediction is not None and path:
                name, threshold = str(layer.metadata["class_name"]), layer.metadata.get("threshold", DEFAULT_THRESHOLD)
                least = None if threshold == DEFAULT_THRESHOLD else float(threshold)
                model = prediction.record.model.name
                found.append(ResultShown(path=str(path), class_name=name, model=model, threshold=least))
        return tuple(found)

    def _take(self, each: OpenSlide, layer: Any, prediction: Any) -> None:  # noqa: ANN401 - a layer, a Prediction
        """Note the result on show; one that nobody saved is kept."""
        each.class_name = str(layer.metadata["class_name"])
        threshold = float(layer.metadata.get("threshold", DEFAULT_THRESHOLD))
        each.threshold = None if threshold == DEFAULT_THRESHOLD else threshold
        if each.result is not None and each.result[0] is prediction.record:
            return
        path = str(layer.metadata.get(FILE, ""))
        each.result = (prediction.record, path)
        if not path and prediction.store.whole:
            self._keep(each, prediction)

    def _keep(self, each: OpenSlide, prediction: Any) -> None:  # noqa: ANN401 - a Prediction
        """Keep a result in the background."""

        def kept(path: Path) -> None:
            if each.result is not None and each.result[0] is prediction.record:
                each.result = (prediction.record, str(path))
                for layer in self._canvas.overlays(each.store.slide_id, "probability"):
                    if (there := layer.metadata.get("prediction")) is not None and there.record is prediction.record:
                        layer.metadata[FILE] = str(path)  # found there also when another result lies over it
                self._look()
                self.late(each, _shown(each, str(path), prediction.record.model.name))

        def failed(text: str) -> None:
            if text:
                self._notify(f"The result of {each.name} will not be there when it is opened again: {text}")

        folder = self._folder
        self._keeper.submit(lambda _job: pieces.keep_result(prediction, folder), kept, failed)


def _shown(each: OpenSlide, path: str, model: str) -> ResultShown:
    return ResultShown(path=path, class_name=each.class_name, model=model, threshold=each.threshold)


def _nobody(_each: OpenSlide, _shown: ResultShown) -> None:
    """Stand for whoever wants to know of a late result."""
