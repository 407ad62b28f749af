"""Where the command line speaks: results to standard output, what a watching person needs to standard error."""

import json
import sys
from collections.abc import Mapping, Sequence

PROGRAM = "napari-gigaclf"


def say(text: str = "") -> None:
    """Print a line of the result."""
    print(harmless(text), flush=True)


def say_json(content: object) -> None:
    """Print an object as one line of JSON."""
    print(json.dumps(content, ensure_ascii=False, allow_nan=False), flush=True)


def note(text: str) -> None:
    """Print a line for a person who watches."""
    print(harmless(text), file=sys.stderr, flush=True)


def say_error(text: str) -> None:
    """Print what went wrong, in one line."""
    note(f"{PROGRAM}: error: {one_line(text)}")


def harmless(text: str) -> str:
    """Return a text without control characters but line breaks: names in files could steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


def one_line(text: str) -> str:
    """Return a text without line breaks and other control characters."""
    return " ".join(harmless(text).split())


def table(rows: Sequence[tuple[str, ...]], indent: str = "") -> str:
    """Return rows of texts in columns."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        (indent + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    )


def percent(probabilities: Mapping[str, float]) -> str:
    """Return class probabilities for a person, highest first."""
    ordered = sorted(probabilities.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {value:.3f}" for name, value in ordered)


def size(num_bytes: float) -> str:
    """Return a number of bytes for a person."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(num_bytes) < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} TB"
