"""What is printed cannot steer the terminal."""

import pytest

from napari_gigaclf.cli.say import note, say


@pytest.mark.parametrize(("speak", "stream"), [(say, "out"), (note, "err")])
def test_control_characters_of_names_are_not_printed(speak, stream, capsys):
    speak("slide  a\x1b[31m\x07\u009b.svs\n\tlevel 組織 ä")
    assert getattr(capsys.readouterr(), stream) == "slide  a [31m  .svs\n\tlevel 組織 ä\n"
