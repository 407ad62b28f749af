"""Rules of the house that a machine can check: sizes of files and functions, what an import may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "napari_gigaclf"
MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 80
SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE_LINES, "split it: one idea per file"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines: it does not fit a screen"


def test_there_is_no_utils() -> None:
    assert not [path for path in SOURCES if path.stem in {"utils", "helpers", "misc", "common"}]


@pytest.mark.parametrize("module", ["napari_gigaclf", "napari_gigaclf.slides", "napari_gigaclf.annotations"])
def test_importing_it_loads_neither_torch_nor_qt_nor_napari(module: str) -> None:
    script = (
        f"import sys, {module}; "
        "print(sorted({'torch', 'napari', 'qtpy', 'PyQt6', 'PySide6', 'magicgui', 'dask'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
