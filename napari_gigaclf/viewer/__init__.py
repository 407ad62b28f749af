"""What a person sees: the napari plugin that opens slides, runs classifiers and shows what they found and why.

Views wish, controllers decide, workers translate. The pure parts (``layers``, ``shapes``) turn slides and results into
layer data; the controllers know neither Qt nor napari; one class (``canvas``) touches the viewer's layers. This is the
only package that may know napari and Qt, and nothing here is imported before a person opens a slide or the widget.
"""
