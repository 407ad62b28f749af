"""Sphinx configuration: `make docs` writes the site to build/docs."""

project = "napari-gigaclf"
copyright = "2026, the napari-gigaclf developers"
author = "the napari-gigaclf developers"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath"]
napoleon_google_docstring = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "description": "Gigapixel slides, classified exactly, in napari"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3  # links to sections of other pages
