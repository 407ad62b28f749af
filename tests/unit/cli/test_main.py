"""Commands that need no model: quick to start, clear when something is wrong."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from napari_gigaclf.cli import main

WATCHED = ("torch", "napari", "qtpy", "PyQt6", "matplotlib", "dask")


@pytest.fixture
def slide_file(tmp_path):
    """A pyramidal OME-TIFF of 0.5 um/px, two levels."""
    path = tmp_path / "slide.ome.tif"
    image = np.full((512, 768, 3), 230, dtype=np.uint8)
    options = {"photometric": "rgb", "tile": (256, 256)}
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(image, subifds=1, metadata={"axes": "YXS", **sizes}, **options)
        tif.write(image[::2, ::2], subfiletype=1, **options)
    return path


def loaded_by(argv):
    """Run a command in a fresh Python and return which of the heavy modules it loaded."""
    code = (
        "import sys, json\n"
        "from napari_gigaclf.cli import main\n"
        "try:\n    rc = main(sys.argv[1:])\nexcept SystemExit as e:\n    rc = e.code\n"
        f"print(json.dumps([rc, [m for m in {WATCHED!r} if m in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "argv", [["--help"], ["classify", "--help"], ["evaluate", "--help"], ["models"], ["models", "--json"], ["info"]]
)
def test_quick_commands_do_not_load_torch_qt_or_napari(argv, slide_file):
    argv = [*argv, str(slide_file)] if argv == ["info"] else argv
    assert loaded_by(argv) == [0, []]


def test_info_for_a_person_and_for_a_program(slide_file, capsys):
    assert main(["info", str(slide_file)]) == 0
    text = capsys.readouterr().out
    assert "0.5" in text
    assert "OME" in text
    assert main(["info", str(slide_file), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    content = json.loads(line)
    assert content["um_per_px"] == [0.5, 0.5]
    assert [(level["height"], level["width"]) for level in content["levels"]] == [(512, 768), (256, 384)]
    assert content["levels"][1]["um_per_px"] == [1.0, 1.0]
    assert content["slide"] == "slide.ome.tif"


def test_info_with_the_users_own_scale(slide_file, capsys):
    assert main(["info", str(slide_file), "--json", "--um-per-px", "0.25"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["um_per_px"] == [0.25, 0.25]
    assert content["levels"][1]["um_per_px"] == [0.5, 0.5]
    assert content["um_per_px_source"] == "given by the user"


def test_info_says_which_scenes_and_planes_there_are_and_shows_the_one_asked_for(scenes_file, capsys):
    assert main(["info", str(scenes_file), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["scenes"], content["scene"], content["num_z"], content["z"]) == (["0", "1"], "0", 3, 1)
    assert main(["info", str(scenes_file), "--scene", "1", "--z", "0", "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert (other["scene"], other["num_z"], other["z"], other["levels"][0]["height"]) == ("1", 2, 0, 192)
    assert other["id"] != content["id"]
    assert main(["info", str(scenes_file), "--scene", "1"]) == 0
    text = capsys.readouterr().out
    assert "0, 1 (this is 1)" in text
    assert "2, counted from 0 (this is 1)" in text


@pytest.mark.parametrize(
    ("options", "named"),
    [(["--scene", "2"], "no scene '2'"), (["--scene", "left"], "it has 2"), (["--z", "3"], "has 3")],
)
def test_a_scene_or_plane_that_is_not_there_is_one_line(scenes_file, capsys, options, named):
    assert main(["info", str(scenes_file), *options]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith("napari-gigaclf: error: ")
    assert "many.ome.tif" in line
    assert named in line


@pytest.mark.parametrize("options", [["--scene", "1"], ["--z", "1"]])
def test_a_format_without_scenes_or_planes_has_the_first_only(tmp_path, capsys, options):
    from PIL import Image

    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(tmp_path / "one.png")
    assert main(["info", str(tmp_path / "one.png"), *options]) == 1
    assert "it has 1" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "one.png"), options[0], "0"]) == 0


@pytest.mark.parametrize("make", ["missing", "empty", "text", "folder"])
def test_bad_slides_are_one_line_and_exit_code_1(tmp_path, capsys, make):
    path = tmp_path / "bad.svs"
    if make == "empty":
        path.write_bytes(b"")
    elif make == "text":
        path.write_text("no slide\nat all")
    elif make == "folder":
        path.mkdir()
    assert main(["info", str(path)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith("napari-gigaclf: error: ")
    assert "bad.svs" in line


def test_the_command_and_the_module_are_the_same_program():
    environment = {**os.environ, "COLUMNS": "80"}
    for command in (
        [sys.executable, "-m", "napari_gigaclf"],
        [sys.executable, "-c", "import sys\nfrom napari_gigaclf.cli import main\nsys.exit(main())"],
    ):
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=60, env=environment, check=False
        )
        assert done.returncode == 0
        assert done.stdout.startswith("napari-gigaclf ")


def test_a_closed_pipe_is_no_traceback(slide_file):
    command = f"{sys.executable} -m napari_gigaclf info {slide_file} --json | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr


def test_models_lists_the_built_in_ones(capsys):
    from napari_gigaclf.models import list_models

    assert main(["models", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [m["model"] for m in listed] == [m.name for m in list_models()]
    assert all("Research use only" in m["research_use_only"] for m in listed)
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert all(m.name in text for m in list_models())


def test_every_broken_file_is_a_slide_or_one_line(shared_data, capsys):
    files = sorted(path for path in (shared_data / "corrupt").iterdir() if path.is_file())
    assert files
    for file in files:
        code = main(["info", str(file)])
        shown = capsys.readouterr()
        assert code in (0, 1)
        lines = shown.err.splitlines()
        assert len(lines) == code, (file.name, lines)
        assert code == 0 or (shown.out == "" and file.name in lines[0])


def test_no_patient_data_is_printed(shared_data, capsys):
    """The label, its text and the scanner's free text stay in the file; the image's name is told, not its content."""
    slide = shared_data / "slides" / "CMU-1-Small-Region.svs"
    assert main(["info", str(slide), "--json"]) == 0
    text = capsys.readouterr().out
    content = json.loads(text)
    assert "label" in content["associated_images"]
    assert "ImageDescription" not in text
    assert "|" not in text
    assert not [name for name in content["properties"] if any(w in name.lower() for w in ("date", "user", "filename"))]
