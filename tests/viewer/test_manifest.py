"""napari finds everything the manifest promises, and looking for it imports no torch."""

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest
from npe2 import PluginManifest

LIGHT = """
import sys
import napari_gigaclf.viewer.{module}
heavy = [name for name in ("torch", "tifffile", "dask", "matplotlib", "napari.layers") if name in sys.modules]
print(",".join(heavy))
"""


@pytest.fixture(scope="module")
def manifest(repository: Path) -> PluginManifest:
    return PluginManifest.from_file(repository / "napari_gigaclf" / "napari.yaml")


def test_the_manifest_is_valid(repository: Path) -> None:
    path = repository / "napari_gigaclf" / "napari.yaml"
    done = subprocess.run([sys.executable, "-m", "npe2", "validate", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_exists(manifest: PluginManifest) -> None:
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_the_widgets_are_in_the_classify_menu_and_settings_are_declared(manifest: PluginManifest) -> None:
    menu = manifest.contributions.menus["napari/layers/classify"]
    assert [item.command for item in menu[:4]] == [
        "napari-gigaclf.classify",
        "napari-gigaclf.hotspots",
        "napari-gigaclf.teach",
        "napari-gigaclf.train",
    ]
    computing = manifest.contributions.configurations["computing"]
    assert set(computing.properties) == {"device", "threads", "memory"}
    assert set(manifest.contributions.configurations["slides"].properties) == {"return_slides"}


@pytest.mark.parametrize(
    ("modules", "menu", "title", "count"),
    [
        (("run_commands",), "run", "Run: ", 4),
        (("ask_commands", "run_commands"), "ask", "", 6),
        (("hotspot_commands",), "places", "Hotspots: ", 12),
        (("teach_commands",), "teaching", "Teach: ", 17),
    ],
)
def test_every_command_of_a_widget_is_in_the_palette_and_in_a_menu(
    manifest: PluginManifest, modules: tuple[str, ...], menu: str, title: str, count: int
) -> None:
    functions = set()
    for each in modules:
        module = importlib.import_module(f"napari_gigaclf.viewer.{each}")
        ours = [name for name, what in vars(module).items() if getattr(what, "__module__", "") == module.__name__]
        functions |= {name for name in ours if name[0].islower() and list(_parameters(module, name)) == ["viewer"]}
    functions = {name for name in functions if name.startswith("run_") == (menu == "run") and name != "key_actions"}
    submenu = f"napari-gigaclf/{menu}"
    assert submenu in [getattr(item, "submenu", "") for item in manifest.contributions.menus["napari/layers/classify"]]
    listed = [item.command.removeprefix("napari-gigaclf.") for item in manifest.contributions.menus[submenu]]
    assert sorted(listed) == sorted(functions)
    assert len(listed) == count
    titles = {command.id: command.title for command in manifest.contributions.commands}
    assert all(titles[f"napari-gigaclf.{name}"].startswith(title) for name in functions)


def _parameters(module: ModuleType, name: str) -> Iterable[str]:
    return inspect.signature(getattr(module, name)).parameters


def test_every_command_of_the_worklist_is_in_the_palette_and_in_the_menu(manifest: PluginManifest) -> None:
    listed = {command.id for command in manifest.contributions.commands}
    menu = [getattr(item, "command", None) for item in manifest.contributions.menus["napari/layers/visualize"]]
    for name in ("next_slide", "previous_slide", "list_again"):
        assert f"napari-gigaclf.{name}" in listed
        assert f"napari-gigaclf.{name}" in menu


def test_every_command_of_the_view_is_in_the_palette_and_in_the_menu(manifest: PluginManifest) -> None:
    from napari_gigaclf.viewer.commands import COMMANDS

    titles = {command.id: command.title for command in manifest.contributions.commands}
    menu = [item.command for item in manifest.contributions.menus["napari-gigaclf/view"]]
    assert [titles[item] for item in menu] == [command.title for command in COMMANDS]
    assert menu == [f"napari-gigaclf.{command.run.__name__}" for command in COMMANDS]


@pytest.mark.parametrize(
    "name", ["a.svs", "a.NDPI", "a.ome.tif", "a.tiff", "a.mrxs", "a.dcm", "a.png", "a.scn", "a.qptiff", "a.bif"]
)
def test_slide_suffixes_are_claimed(manifest: PluginManifest, name: str) -> None:
    from fnmatch import fnmatch

    (reader,) = manifest.contributions.readers
    assert any(fnmatch(name.lower(), pattern) for pattern in reader.filename_patterns)


@pytest.mark.parametrize(
    "module",
    [
        "reader",
        "returning.host",
        "commands",
        "ask_commands",
        "teach_commands",
        "run_commands",
        "hotspot_commands",
        "widgets.classify",
        "widgets.train",
        "widgets.hotspots",
        "widgets.navigate",
        "widgets.worklist",
        "worklist_commands",
        "widgets.curtain",
        "widgets.compare",
        "widgets.teach",
    ],
)
def test_plugin_modules_import_nothing_heavy(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(module=module)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_what_needs_a_file_to_act_on_is_not_offered_by_the_palette(manifest: PluginManifest) -> None:
    contributions = manifest.contributions
    needing = {each.command for each in (*contributions.readers, *contributions.writers)}
    offered = {each.id for each in contributions.commands if each.enablement is None}
    assert needing
    assert not needing & offered
