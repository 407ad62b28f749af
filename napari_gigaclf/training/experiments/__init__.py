"""Experiments on mosaics: what a network learns from slide labels, beside what colours and single tiles can tell.

``python -m napari_gigaclf.training.experiments`` runs them; ``docs/experiments`` says what came of it.
"""
