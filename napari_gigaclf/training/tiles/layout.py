"""What the folders of a tile say: its class, perhaps its split, and what it belongs together with.

    [split/]class/[group/[...]]name.png

The first folder is a split if all first folders are names of splits; a single folder around everything is passed over,
but not one that is called after a split: tiles of ``test`` alone are not learnt from.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from napari_gigaclf.training.cohort import SPLITS, Split
from napari_gigaclf.training.cohort.parse import ALSO_CALLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What a tile's folders say."""

    name: str
    split: Split | None
    class_name: str
    group: str
    """The folder below the class, whatever lies deeper (a patient's slides); empty: none."""


def placed(names: Iterable[str]) -> tuple[list[Placed], list[str]]:
    """Return what the folders of tiles say, and the names of those that lie in no class's folder."""
    parts = {name: PurePosixPath(name).parts for name in names}
    inner = _without_wrapping(list(parts.values()))
    outer = len(next(iter(parts.values()))) - len(inner[0]) if parts else 0
    divided = bool(inner) and all(_split_of(one[0]) is not None and len(one) > 1 for one in inner)
    found, homeless = [], []
    for name, whole in parts.items():
        rest = whole[outer:]
        split = _split_of(rest[0]) if divided else None
        *folders, _ = rest[1:] if divided else rest
        if not folders:
            homeless.append(name)
            continue
        found.append(Placed(name=name, split=split, class_name=folders[0], group="".join(folders[1:2])))
    return found, homeless


def _without_wrapping(parts: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leave out folders around everything, as archives have them, down to the splits or the classes."""
    inner = list(parts)
    while inner and len({one[0] for one in inner}) == 1 and min(map(len, inner)) > 2:
        if _split_of(inner[0][0]) is not None:
            break
        inner = [one[1:] for one in inner]
    return inner


def _split_of(folder: str) -> Split | None:
    """Return the split that a folder is called after."""
    name = folder.lower()
    for split in SPLITS:
        if split == ALSO_CALLED.get(name, name):
            return split
    return None
