"""How networks are trained and measured.

``cohort`` (tables of slides), ``slides`` (training on whole slides), ``evaluation`` (figures with intervals, reports)
and ``mosaics`` (slides of known truth) are for users; the modules beside them made the built-in models from tiles.
"""
