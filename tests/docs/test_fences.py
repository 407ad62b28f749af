"""Every fence of the README and the documentation runs, or says why it does not.

- ``python`` fences of one page run in order in one namespace, in a folder that holds ``slide.tif`` (the sample slide).
- ``bash`` fences run line by line; only ``napari-gigaclf`` commands are allowed, others need a reason.
- A fence that cannot run is preceded by ``<!-- not run: reason -->``.
"""

import os
import re
import shlex
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$", re.M | re.S
)
SHOWN_ONLY = {"text", "json", "toml", "{toctree}", "{eval-rst}"}


def runnable_fences(page: Path) -> list[tuple[str, str]]:
    """Return (language, code) of the fences of a page that are to be run."""
    fences = []
    for match in FENCE.finditer(page.read_text()):
        language = match["language"]
        assert language in SHOWN_ONLY | {"python", "bash"}, f"{page.name}: fence of unknown kind {language!r}"
        if language not in SHOWN_ONLY and not match["reason"]:
            fences.append((language, match["code"]))
    return fences


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page in PAGES if runnable_fences(page)], ids=lambda page: page.stem)
def test_fences_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_gigaclf.cli import main
    from napari_gigaclf.slides.sample import sample_path

    monkeypatch.chdir(tmp_path)
    os.symlink(sample_path(), "slide.tif")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for language, code in runnable_fences(page):
        if language == "python":
            exec(compile(code, str(page), "exec"), namespace)
            continue
        for line in code.splitlines():
            command = shlex.split(line, comments=True)
            if command:
                assert command[0] == "napari-gigaclf", f"{page.name}: cannot run {line!r}; say why not"
                assert main(command[1:]) == 0, line


LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
