"""Loads in the background, when the widget opens, what the first layer of a napari process otherwise waits for.

For its first layer of any kind napari builds pint's registry of units (a quarter of a second: it parses a file of
definitions) and imports ``scipy.ndimage`` for the thumbnail (as long); our reader imports a decoder. All this happens
on the window's thread, after a person has chosen a file. The widget opens some seconds earlier, when nobody waits.

pint's own registry is lazy and must not be initialised away from the window's thread: it changes its class first and is
filled afterwards, so that the window could meet it half made. A second one is built instead and put in its place, by
the window's thread, unless the lazy one has been used meanwhile: units of two registries cannot be compared.
"""

import importlib
from typing import Any

MODULES = (
    "scipy.ndimage",
    "imagecodecs._jpeg8",
    "napari_gigaclf.viewer.reader",
    "napari_gigaclf.slides.tiff",
    "napari_gigaclf.slides.tiff_xml",
    "napari_gigaclf.slides.overview",
    "tifffile",
    "zarr",
)
"""What showing a first slide imports, the dearest first; zarr is for OME-Zarr and unusual TIFFs only."""


def build_units() -> Any:  # noqa: ANN401 - a pint.UnitRegistry, whose type says nothing
    """Return a registry of units to take the place of pint's lazy one; None if that one is in use. For a worker."""
    import pint

    return pint.UnitRegistry(on_redefinition="raise") if _unused() else None


def take_units(built: Any) -> None:  # noqa: ANN401 - a pint.UnitRegistry or None
    """Make a registry the application's, unless the lazy one has been used meanwhile. For the window's thread."""
    import pint

    if built is not None and _unused():
        pint.set_application_registry(built)  # type: ignore[no-untyped-call]


def import_readers() -> None:
    """Import what shows a first slide. For a worker; imports no torch."""
    for name in MODULES:
        importlib.import_module(name)


def _unused() -> bool:
    """Return whether the application's registry is still the lazy one that nobody has asked for anything."""
    import pint
    from pint.registry import LazyRegistry

    registry = pint.get_application_registry().get()  # type: ignore[no-untyped-call]
    return type(registry) is LazyRegistry
