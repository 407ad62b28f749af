"""The dyes' absorption, which training shares: where haematoxylin and eosin add up (Ruifrok and Johnston 2001)."""

STAIN_RGB = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
"""Absorption of haematoxylin, eosin and the residual (DAB) in red, green, blue."""
