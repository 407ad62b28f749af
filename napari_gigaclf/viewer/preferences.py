"""What a person set under napari's Preferences for this plugin: device, threads, memory."""

from dataclasses import dataclass

PLUGIN = "napari-gigaclf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """The plugin's settings, as declared in its manifest."""

    device: str = "auto"
    threads: int = 0
    """Threads for the network; 0 leaves one core to the window."""
    memory: str | None = None
    """The most that a run may hold, such as ``"2GB"``; None leaves the choice to the program."""


def load_preferences() -> Preferences:
    """Return the settings; their defaults where napari does not know the plugin (run from a bare checkout)."""
    from napari.settings import get_plugin_settings

    try:
        computing = get_plugin_settings(PLUGIN).computing
    except (KeyError, AttributeError, ValueError):
        return Preferences()
    return Preferences(
        device=str(computing.device), threads=int(computing.threads), memory=str(computing.memory).strip() or None
    )
