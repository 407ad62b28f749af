"""What the plugin decides, in plain Python: no Qt and no napari, so that all of it runs without a window."""
