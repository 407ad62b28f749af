"""What a question costs where the network has to look, and which one costs too much: a view of a whole gigapixel slide.

No Qt here. A question waits for its answer and leaves nothing behind; a run shows a map on the way, can be limited, and
its result answers all later questions at once. So what takes as long as a run is to be a run.
"""

import math
from typing import TYPE_CHECKING

from napari_gigaclf.errors import RegionError
from napari_gigaclf.viewer.texts import seconds_text

if TYPE_CHECKING:
    from napari_gigaclf.inference import PreparedRun
    from napari_gigaclf.inference.asked import Place

MAX_PIXELS = 1 << 26
"""Tissue that the network looks at for one question at most, pixels at its scale: half a minute on two cores."""
MEGA = 1e6


def refuse_dear(plan: "PreparedRun", place: "Place") -> None:
    """Raise if the network would have to look at more tissue than a question may cost; glass costs nothing.

    Raises
    ------
    RegionError
        It would, or the place is none (see ``PreparedRun.ask``); one line for a person.
    """
    num_cells = len(plan.asked(place).cells.only(plan.tissue_cells))
    pixels = num_cells * math.prod(axis.stride for axis in plan.network.axes)
    if pixels <= MAX_PIXELS:
        return
    seconds, cells = plan.estimate.seconds, plan.estimate.cells
    about = f", about {seconds_text(seconds * num_cells / cells)}" if seconds is not None and cells else ""
    raise RegionError(
        f"nothing that has run covers this place, and the network would look at {pixels / MEGA:.0f} megapixels of "
        f"tissue at its scale{about}; a question may cost {MAX_PIXELS / MEGA:.0f}: ask about a smaller view or area, "
        "or press Run, whose result answers questions of any size at once"
    )
