"""``python -m napari_gigaclf`` is the command ``napari-gigaclf``."""

import sys

from napari_gigaclf.cli import main

if __name__ == "__main__":
    sys.exit(main())
