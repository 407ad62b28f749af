"""Runs a network over a picture of any size, tile by tile, with exactly the numbers of one huge run.

See ``docs/numerics.md`` for the mathematics.
"""

from napari_gigaclf.streaming.module import StreamedModule, stream
from napari_gigaclf.streaming.network.patches import Patchwise
from napari_gigaclf.streaming.planning.cells import CellGeometry
from napari_gigaclf.streaming.planning.plan import StreamPlan
from napari_gigaclf.streaming.running.report import StreamReport
from napari_gigaclf.streaming.running.source import Readable, Sink, Source

__all__ = [
    "CellGeometry",
    "Patchwise",
    "Readable",
    "Sink",
    "Source",
    "StreamPlan",
    "StreamReport",
    "StreamedModule",
    "stream",
]
