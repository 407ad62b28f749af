"""The scripts that made and measured the built-in models, from labelled tiles, and what only they use.

To train a model of your own from tiles, see ``training.from_tiles`` (``napari-gigaclf train-tiles``).
"""
