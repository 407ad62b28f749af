"""How networks are trained and measured.

``cohort`` (tables of slides), ``slides`` (training on whole slides), ``tiles`` and ``from_tiles`` (training on labelled
tiles), ``runs`` (what both have in common), ``evaluation`` (figures with intervals, reports) and ``mosaics`` (slides of
known truth) are for users; ``experiments`` compares networks, and ``builtin`` made the built-in models.
"""
