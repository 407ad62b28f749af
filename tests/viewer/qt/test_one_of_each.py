"""A widget that a command opened is the one that the menu knows: there are never two of a kind in a window."""

from pathlib import Path

import pytest
import yaml
from npe2 import PluginManifest
from qtpy.QtWidgets import QDockWidget

from napari_gigaclf.viewer import ask_commands, commands, hotspot_commands, run_commands, teach_commands
from napari_gigaclf.viewer.open_widget import DISPLAY_NAME, WIDGETS, open_widget
from napari_gigaclf.viewer.widgets.docked import Docked

OPENERS = [
    (ask_commands.explain, "classify"),
    (run_commands.run_start, "classify"),
    (hotspot_commands.hotspots_next, "hotspots"),
    (teach_commands.teach_clicks, "teach"),
    (commands.toggle_properties, "navigate"),
    (commands.toggle_link, "compare"),
]


@pytest.fixture
def plugin(npe2pm, repository, plugin_settings):
    """The plugin, registered in a plugin manager of this test's own."""
    manifest = PluginManifest.from_file(repository / "napari_gigaclf" / "napari.yaml")
    with npe2pm.tmp_plugin(manifest=manifest) as plugin:
        yield plugin


@pytest.fixture
def opened(viewer):
    """Return the widgets that are open; they are shut down in the end."""

    def find():
        return [each for each in viewer.window._qt_window.findChildren(Docked) if not each.is_closed]

    yield find
    for widget in find():
        widget.shut_down()


@pytest.mark.parametrize(("command", "menu"), OPENERS)
def test_what_a_command_opens_the_menu_hides_and_shows(plugin, viewer, on_the_screen, opened, qtbot, command, menu):
    from napari._app_model import get_app_model

    command(viewer)
    (widget,) = opened()
    command(viewer)
    qtbot.waitUntil(widget.in_front, timeout=10_000)
    qtbot.wait(50)  # docks find their places once events have been seen to
    for seen in (False, True):
        get_app_model().commands.execute_command(f"napari-gigaclf.{menu}").result()
        assert opened() == [widget]
        assert widget.isVisible() == seen


def test_the_names_are_those_of_the_manifest(repository: Path):
    manifest = yaml.safe_load((repository / "napari_gigaclf" / "napari.yaml").read_text())
    where = {each["id"]: each["python_name"] for each in manifest["contributions"]["commands"]}
    widgets = {each["display_name"]: where[each["command"]] for each in manifest["contributions"]["widgets"]}
    assert {name: f"napari_gigaclf.viewer.widgets.{at}" for name, at in WIDGETS.items()} == widgets
    assert manifest["display_name"] == DISPLAY_NAME


def test_one_that_was_closed_is_opened_anew(viewer, on_the_screen, opened, qtbot):
    first = open_widget(viewer, "Hotspots")
    assert open_widget(viewer, "Hotspots") is first
    dock = next(each for each in viewer.window._qt_window.findChildren(QDockWidget) if each.isAncestorOf(first))
    assert dock.windowTitle() == "Hotspots (GigaCLF)"
    first.shut_down()
    assert open_widget(viewer, "Hotspots") is not first
