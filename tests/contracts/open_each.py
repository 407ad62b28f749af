"""Opens files one by one, each in a child of this process with limits, and prints one JSON line per file.

Run as a script with the files as arguments. What a child may take is 1 GiB beyond what the
imported libraries have, and 20 s.
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import imagecodecs  # noqa: F401 - imported before the fork, so that each child starts at once
import tifffile  # noqa: F401
import zarr  # noqa: F401

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides import open_slide

LIMIT_BYTES = 2**30
LIMIT_SECONDS = 20
OVERVIEW_PIXELS = 16_000_000


def look_at(path: Path) -> dict[str, object]:
    """Open a slide and read what a viewer would read first."""
    try:
        with open_slide(path) as slide:
            corner = slide.read(0, 0, 64, 0, 64)
            coarsest = slide.levels[-1]
            small = coarsest.height * coarsest.width <= OVERVIEW_PIXELS
            overview = coarsest[...] if small else coarsest[:2048, :2048]
            for name in slide.associated:
                slide.read_associated(name)
            return {
                "outcome": "pixels", "format": slide.format, "kind": slide.kind, "shape": coarsest.shape,
                "id": slide.id, "corner": corner.shape, "overview": overview.shape, "um_per_px": slide.um_per_px,
            }  # fmt: skip
    except SlideError as error:
        return {"outcome": "SlideError", "text": str(error)}


def address_space() -> int:
    """Bytes of address space this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def in_child(path: Path) -> None:
    """Look at a file within the limits, print what came of it, and end."""
    limit = address_space() + LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.alarm(LIMIT_SECONDS)
    start = time.perf_counter()
    result = look_at(path)
    result |= {
        "file": path.name,
        "seconds": round(time.perf_counter() - start, 3),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)


def main(paths: list[str]) -> None:
    """Look at each file in a child; a child that dies prints nothing and is reported by its exit status."""
    for path in map(Path, paths):
        child = os.fork()
        if child == 0:
            try:
                in_child(path)
            finally:
                os._exit(99)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != 0:
            sys.stdout.write(json.dumps({"file": path.name, "outcome": f"exit status {code}"}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
