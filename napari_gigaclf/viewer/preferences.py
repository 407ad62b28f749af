"""What a person set under napari's Preferences for this plugin: device, threads, memory, whether slides return."""

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
    return_slides: bool = True
    """Whether a slide is shown as it was left when it is opened again."""


def load_preferences() -> Preferences:
    """Return the settings; their defaults where napari does not know the plugin (run from a bare checkout)."""
    from napari.settings import get_plugin_settings

    try:
        settings = get_plugin_settings(PLUGIN)
        computing, slides = settings.computing, settings.slides
    except (KeyError, AttributeError, ValueError):
        return Preferences()
    return Preferences(
        device=str(computing.device),
        threads=int(computing.threads),
        memory=str(computing.memory).strip() or None,
        return_slides=bool(slides.return_slides),
    )
