"""All keys over the slide, widget by widget, as the list of keys shows them."""

from napari_gigaclf.viewer import findings_texts, teach_texts
from napari_gigaclf.viewer.ask_texts import WHY_KEY
from napari_gigaclf.viewer.commands import COMMANDS
from napari_gigaclf.viewer.worklist_commands import NEXT_KEY, PREVIOUS_KEY

NEXT_PART_KEY, NEXT_WIDGET_KEY = "F6", "Ctrl+F6"
"""As Qt spells them."""


def all_keys() -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    """Return what can be done while each widget is open, and the keys for it."""
    return {
        "any of these": [
            ("From the slide to the widget in sight, and back", (NEXT_PART_KEY,)),
            ("Bring the next widget forward", (NEXT_WIDGET_KEY,)),
        ],
        "Navigate": [(each.title, each.keys) for each in COMMANDS],
        "Classify slide": [("Why the chosen answer is as it is", (WHY_KEY,))],
        "Hotspots": _told(findings_texts.KEYS),
        "Teach": _told(teach_texts.KEYS),
        "Worklist": [("Next slide", (NEXT_KEY,)), ("Previous slide", (PREVIOUS_KEY,))],
    }


def _told(keys: dict[str, str]) -> list[tuple[str, tuple[str, ...]]]:
    return [(what[:1].upper() + what[1:], (key,)) for key, what in keys.items()]
