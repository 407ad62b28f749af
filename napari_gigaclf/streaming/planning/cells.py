"""How the cells of a map lie over the image."""

from dataclasses import dataclass
from fractions import Fraction
from math import floor

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.resampling import Interpolation
from napari_gigaclf.streaming.network.sizes import LARGE, ImageFacts
from napari_gigaclf.streaming.planning.choosing import whole_cell
from napari_gigaclf.streaming.planning.schedule import Reach, axis_rules, reaches


def chosen_output(graph: Graph, number: int | None) -> int:
    """Return the index of a returned map by its number; without a number, of the only one.

    Raises
    ------
    ValueError
        If there is no such map, or no number although there are several.
    """
    count = len(graph.outputs)
    if not count:
        raise ValueError("the module returns no map over space")
    if (number is None and count > 1) or (number is not None and not 0 <= number < count):
        raise ValueError(
            f"output={number} names none of the {count} maps which the module returns; give 0 to {count - 1}"
        )
    return graph.outputs[number or 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellGeometry:
    """How an output cell lies over the image along one axis."""

    stride: int | Fraction
    """Input pixels from one cell to the next; a fraction where the map is finer than the image."""
    offset: float
    """Where cell 0's own ``stride`` pixels begin, centred in its receptive field: cell i covers
    ``[offset + i * stride, offset + (i + 1) * stride)``."""
    receptive_field: int | Fraction
    """Input pixels a cell depends on; behind up-sampling the most that any cell does."""
    before: int | Fraction
    """Cell i's receptive field is, or lies in, ``[i * stride - before, i * stride - before + receptive_field)``."""
    period: int
    """A shift of the image by so many pixels shifts the map by whole cells (borders aside): the stride, but more where
    the network goes down farther and up again."""


def cell_of(reach: Reach, period: int) -> CellGeometry:
    """Return how the cells of a map lie, in whole numbers where cells are whole pixels apart."""
    stride, before, behind = Fraction(reach.step), Fraction(reach.lead), Fraction(reach.width) - reach.lead
    offset = float(-before + (before + behind - stride) / 2)
    if stride.denominator > 1:
        return CellGeometry(stride=stride, offset=offset, receptive_field=before + behind, before=before, period=period)
    # Whole strides: a receptive field begins and ends on a pixel's edge, so fractions of its bounds are slack.
    first, last = floor(before), floor(behind)
    return CellGeometry(stride=int(stride), offset=offset, receptive_field=first + last, before=first, period=period)


def cells_in_any_image(graph: Graph, index: int) -> tuple[CellGeometry, ...]:
    """Return how a map's cells lie over an image of whatever size, one per spatial axis.

    Raises
    ------
    UnsupportedOperation
        If the network makes a map of a fixed size, so that cells lie otherwise in every image.
    """
    num_axes = graph.num_axes
    if num_axes is None:
        return ()
    for node in graph.nodes:
        if isinstance(node.operation, Interpolation) and node.operation.is_fixed:
            raise UnsupportedOperation(
                f"the cells of a network with {node.kind} to a fixed size in '{node.name}' lie otherwise in every "
                "image; give scale_factor, or a size taken from a map"
            )
    graph = graph.sized(ImageFacts(shape=(1, 1, *(LARGE,) * num_axes), double=False))
    found = [reaches(graph, axis_rules(graph, axis, num_axes)) for axis in range(num_axes)]
    return tuple(cell_of(axis[index], whole_cell([reach.step for reach in axis])) for axis in found)
