"""Makes the pictures of README and documentation: the demo's own, and screenshots of napari with the bundled slide.

    xvfb-run -a -s "-screen 0 1920x1200x24" python docs/make_pictures.py [FOLDER] [--only NAME]

Every step presses the widgets' own buttons and keys; what is done before each picture is in ``picture_stories``.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from picture_stories import asking, comparing, files, hotspots, navigating, teaching, tutorial
from picture_stories.studio import Studio

from napari_gigaclf.viewer.demo import settings_in_memory

STORIES = {
    "tutorial": tutorial.tell,
    "hotspots": hotspots.tell,
    "reader-first": hotspots.tell_reader_first,
    "ask": asking.tell,
    "navigate": navigating.tell,
    "curtain": comparing.tell_curtain,
    "compare": comparing.tell_compare,
    "teach": teaching.tell,
    "worklist": files.tell_worklist,
    "drop": files.tell_drop,
}


def run_the_demo(folder: Path) -> None:
    """Take the picture which the demo leaves."""
    with tempfile.TemporaryDirectory() as output:
        subprocess.run(
            [sys.executable, "-m", "napari_gigaclf", "demo", "--output", output], check=True, stdin=subprocess.DEVNULL
        )
        shutil.copy(Path(output, "screenshot.png"), folder / "demo.png")


def main() -> None:
    """Make all pictures, or those of one story."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent / "pictures")
    parser.add_argument("--only", choices=("demo", *STORIES))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.only in (None, "demo"):
        run_the_demo(arguments.folder)
    settings_in_memory()
    for name, tell in STORIES.items():
        if arguments.only in (None, name):
            studio = Studio(arguments.folder)
            tell(studio)
            studio.close()


if __name__ == "__main__":
    main()
