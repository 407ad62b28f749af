"""``python -m napari_gigaclf`` is the command ``napari-gigaclf``."""

import os
import sys

from napari_gigaclf.cli import main

if __name__ == "__main__":
    status = main()
    if "RANK" in os.environ:  # one of several, as torchrun starts them
        # PyTorch 2.13's gloo may abort, or wait for ever, as its threads are torn down; torchrun would end the others.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
