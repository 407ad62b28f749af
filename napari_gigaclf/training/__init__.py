"""How the built-in classifiers are trained and measured: tiles, augmentation, one loop, and figures with intervals."""
