"""The command ``napari-gigaclf``: look at a slide, classify one or a folder of them, see what is installed."""

from napari_gigaclf.cli.main import main

__all__ = ["main"]
