"""One command from slides to results; nothing is overwritten, nothing is half written, nothing stops the others."""

import csv
import json
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

from napari_gigaclf.annotations import Annotation, validate_geojson, write_geojson
from napari_gigaclf.cli import main

PROMISED = {"slide", "probabilities", "model", "level", "um_per_px", "seconds", "complete", "outputs"}


@pytest.fixture
def classify(model_folder, capsys):
    """Run ``classify`` and return exit code, JSON objects and what a person saw."""

    def run(*arguments):
        capsys.readouterr()
        options = ["--model", str(model_folder), "--json", "--device", "cpu"]
        code = main(["classify", *options, *map(str, arguments)])
        shown = capsys.readouterr()
        return code, [json.loads(line) for line in shown.out.splitlines()], shown.err

    return run


def errors_of(text):
    return [line for line in text.splitlines() if line.startswith("napari-gigaclf: error: ")]


def table_of(output):
    with (output / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_one_slide_gives_what_python_gives(tmp_path, make_slide, classify, model_folder):
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.inference import classify as classify_in_python

    slide = make_slide(tmp_path / "a.ome.tif")
    code, (found,), _ = classify(slide, "--output", tmp_path / "out")
    assert code == 0
    assert set(found) >= PROMISED
    assert (found["slide"], found["model"], found["level"], found["um_per_px"]) == ("a.ome.tif", "tiny", 0, 1.0)
    assert found["complete"] is True
    expected = classify_in_python(slide, model_folder, device="cpu")
    assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
    outputs = found["outputs"]
    np.testing.assert_allclose(
        np.asarray(Prediction.load(outputs["result"]).probability_map), expected.probability_map, atol=1e-6
    )
    with tifffile.TiffFile(outputs["probability"]) as tif:
        np.testing.assert_allclose(tif.asarray(), expected.probability_map, atol=1e-6)
    assert validate_geojson(outputs["annotations"]) == []
    with open(outputs["json"], encoding="utf-8") as file:
        assert json.load(file)["probabilities"] == found["probabilities"]
    (row,) = table_of(tmp_path / "out")
    assert (row["slide"], row["status"]) == ("a.ome.tif", "done")
    assert float(row["prob_tumour"]) == pytest.approx(found["probabilities"]["tumour"])


def test_a_person_reads_probabilities_warning_and_place(tmp_path, make_slide, model_folder, capsys):
    slide = make_slide(tmp_path / "a.ome.tif")
    argv = ["classify", str(slide), "--output", str(tmp_path / "out"), "--model", str(model_folder)]
    assert main([*argv, "--saliency", "none"]) == 0
    shown = capsys.readouterr()
    assert "tumour 0." in shown.out
    assert str(tmp_path / "out") in shown.out
    assert "Research use only" in shown.err
    assert "tile" in shown.err, "a bar with rate and remaining time"
    assert "region" not in shown.out
    assert main([*argv, "--saliency", "none", "--overwrite", "--region", "96,160,64,192"]) == 0
    assert "in the region asked for: " in capsys.readouterr().out, "the answer of a part is not called the slide's"


def test_a_folder_gives_one_result_each_and_a_bad_slide_stops_nothing(tmp_path, make_slide, classify):
    slides = tmp_path / "slides"
    for seed, name in enumerate(("a.ome.tif", "c.ome.tif")):
        make_slide(slides / name, seed)
    (slides / "b.svs").write_text("no slide at all")
    (slides / "notes.txt").write_text("no slide")
    code, found, shown = classify(slides, "--output", tmp_path / "out", "--saliency", "none")
    assert code == 1
    assert [f["slide"] for f in found] == ["a.ome.tif", "b.svs", "c.ome.tif"]
    assert all(set(f) >= PROMISED for f in found)
    assert [f["complete"] for f in found] == [True, False, True]
    (error,) = errors_of(shown)
    assert "b.svs" in error
    rows = {row["slide"]: row for row in table_of(tmp_path / "out")}
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.ome.tif": "done",
        "b.svs": "failed",
        "c.ome.tif": "done",
    }
    assert "b.svs" in rows["b.svs"]["error"]
    folders = sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir())
    assert [name.rsplit("-", 1)[0] for name in folders] == ["a", "c"]


def test_slides_of_one_name_do_not_overwrite_each_other(tmp_path, make_slide, classify):
    one, other = make_slide(tmp_path / "x" / "s.tif", 1), make_slide(tmp_path / "y" / "s.tif", 2)
    twin = tmp_path / "z" / "s.tif"
    twin.parent.mkdir()
    twin.write_bytes(one.read_bytes())
    code, found, _ = classify(one, other, twin, "--output", tmp_path / "out", "--saliency", "none")
    assert code == 0
    assert len({f["outputs"]["json"] for f in found}) == 3
    assert found[0]["probabilities"] == found[2]["probabilities"] != found[1]["probabilities"]
    assert len(table_of(tmp_path / "out")) == 3


def times(folder):
    return {
        path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != "results.csv"
    }


def test_results_are_refused_resumed_or_replaced(tmp_path, make_slide, classify):
    out = tmp_path / "out"
    a, b = make_slide(tmp_path / "a.tif", 1), make_slide(tmp_path / "b.tif", 2)
    options = ("--output", out, "--saliency", "none")
    assert classify(a, *options)[0] == 0
    before = times(out)
    code, found, shown = classify(b, a, *options)
    assert (code, found) == (1, [])
    assert len(errors_of(shown)) == 1
    assert "--resume" in shown
    assert times(out) == before, "refused before any work"

    code, found, shown = classify(a, b, *options, "--resume")
    assert code == 0
    assert [f.get("skipped", False) for f in found] == [True, False]
    assert before.items() <= times(out).items()
    assert [row["slide"] for row in table_of(out)] == ["a.tif", "b.tif"]

    code, found, shown = classify(a, *options, "--resume", "--level", "1")
    assert (code, found) == (1, [])
    assert "other options" in shown
    assert before.items() <= times(out).items()

    code, (found,), _ = classify(a, *options, "--overwrite", "--level", "1")
    assert (code, found["level"]) == (0, 1)
    assert not before.items() <= times(out).items()
    assert len(table_of(out)) == 2


def test_a_folder_that_is_not_ours_is_never_replaced(tmp_path, make_slide, classify):
    slide = make_slide(tmp_path / "a.tif")
    code, (found,), _ = classify(slide, "--output", tmp_path / "first", "--saliency", "none")
    name = (tmp_path / "first").joinpath(found["outputs"]["json"]).parent.name
    (tmp_path / "out" / name).mkdir(parents=True)
    (tmp_path / "out" / name / "thesis.docx").write_text("precious")
    code, _, shown = classify(slide, "--output", tmp_path / "out", "--overwrite")
    assert code == 1
    assert "not a result" in shown
    assert (tmp_path / "out" / name / "thesis.docx").read_text() == "precious"


def test_region_as_numbers_and_as_file_is_the_same(tmp_path, make_slide, classify):
    from shapely.geometry import box

    slide = make_slide(tmp_path / "a.tif")
    write_geojson(tmp_path / "r.geojson", [Annotation(geometry=box(64, 96, 192, 160))])
    options = (slide, "--saliency", "none", "--output")
    _, (numbers,), _ = classify(*options, tmp_path / "one", "--region", "96,160,64,192")
    _, (file,), _ = classify(*options, tmp_path / "two", "--region", tmp_path / "r.geojson")
    assert numbers["probabilities"] == file["probabilities"]
    assert numbers["region"].startswith("POLYGON")
    assert "Research use only" in numbers["research_use_only"]
    with tifffile.TiffFile(numbers["outputs"]["probability"]) as tif:
        computed = np.argwhere(np.isfinite(tif.asarray()[0]))
    assert computed.min(axis=0).tolist() == [3, 2]
    assert computed.max(axis=0).tolist() == [4, 5]


def test_ome_zarr_instead_of_ome_tiff(tmp_path, make_slide, classify):
    import zarr

    slide = make_slide(tmp_path / "a.tif")
    _, (found,), _ = classify(slide, "--output", tmp_path / "o", "--saliency", "none", "--format", "ome-zarr")
    group = zarr.open_group(found["outputs"]["probability"], mode="r")
    assert [c["label"] for c in group.attrs["omero"]["channels"]] == ["normal", "tumour"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--saliency", "tumor"], "'tumor'"),
        (["--region", "9000,9100,0,10"], "outside"),
        (["--level", "7"], "level 7"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--region", "NOT_GEOJSON"], "not JSON"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(tmp_path, make_slide, classify, arguments, named):
    (tmp_path / "bad.geojson").write_text("{")
    arguments = [str(tmp_path / "bad.geojson") if a == "NOT_GEOJSON" else a for a in arguments]
    code, _, shown = classify(make_slide(tmp_path / "a.tif"), "--output", tmp_path / "out", *arguments)
    assert code == 1, shown
    (error,) = errors_of(shown)
    assert named in error
    assert "Traceback" not in shown
    left = [p for p in (tmp_path / "out").rglob("*") if p.name != "results.csv"] if (tmp_path / "out").exists() else []
    assert left == []


def test_a_wrong_model_is_one_line(tmp_path, make_slide, capsys):
    slide = make_slide(tmp_path / "a.tif")
    for model in ("no-such-model", str(tmp_path)):
        assert main(["classify", str(slide), "--model", model, "--output", str(tmp_path / "out")]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("napari-gigaclf: error: ")
    assert not (tmp_path / "out").exists()


def test_unknown_scale_names_the_option_that_helps(tmp_path, make_slide, classify):
    slide = make_slide(tmp_path / "a.tif", um_per_px=None)
    code, _, shown = classify(slide, "--output", tmp_path / "out")
    assert code == 1
    assert "--slide-um-per-px" in errors_of(shown)[0]
    code, (found,), _ = classify(slide, "--output", tmp_path / "a", "--slide-um-per-px", "0.5", "--saliency", "none")
    assert (code, found["slide_um_per_px"]) == (0, [0.5, 0.5])
    assert found["um_per_px"] == pytest.approx(1.0)
    code, (found,), _ = classify(slide, "--output", tmp_path / "b", "--level", "0", "--saliency", "none")
    assert (code, found["um_per_px"]) == (0, None)


def test_a_16_bit_slide_is_refused_by_name(tmp_path, classify):
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, np.zeros((256, 256, 3), dtype=np.uint16), photometric="rgb", tile=(128, 128))
    code, _, shown = classify(path, "--output", tmp_path / "out", "--slide-um-per-px", "1")
    assert code == 1
    assert "16-bit" in errors_of(shown)[0]


def test_scenes_and_planes_of_one_file_are_slides_of_their_own(tmp_path, scenes_file, classify, model_folder):
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.inference import classify as classify_in_python
    from napari_gigaclf.slides import open_slide

    out = tmp_path / "out"
    options = (scenes_file, "--output", out, "--saliency", "none")
    assert classify(*options)[0] == 0
    before = times(out)
    code, (found,), _ = classify(*options, "--scene", "1", "--z", "0", "--resume")
    assert code == 0
    assert "skipped" not in found, "the first scene's result is not the second's"
    assert (found["scene"], found["z"]) == ("1", 0)
    assert before.items() <= times(out).items(), "nor is it replaced"
    with open_slide(scenes_file, scene=1, z=0) as slide:
        expected = classify_in_python(slide, model_folder, device="cpu", saliency=None)
    prediction = Prediction.load(found["outputs"]["result"])
    np.testing.assert_allclose(np.asarray(prediction.probability_map), expected.probability_map, atol=1e-6)
    assert (prediction.record.slide.scene, prediction.record.slide.z) == ("1", 0)
    with open(found["outputs"]["json"], encoding="utf-8") as file:
        said = json.load(file)["record"]["slide"]
    assert (said["name"], said["scene"], said["z"]) == ("many.ome.tif", "1", 0)

    kept = times(out)
    for chosen in ((), ("--scene", "0"), ("--z", "1"), ("--scene", "0", "--z", "1"), ("--scene", "1", "--z", "0")):
        code, (found,), _ = classify(*options, *chosen, "--resume")
        assert (code, found["skipped"]) == (0, True), chosen
    assert times(out) == kept
    code, (found,), _ = classify(*options, "--z", "2")
    assert (code, found["scene"], found["z"]) == (0, "0", 2)
    assert [(row["scene"], row["z"]) for row in table_of(out)].count(("0", "2")) == 1
    assert {(row["scene"], row["z"]) for row in table_of(out)} == {("0", "1"), ("0", "2"), ("1", "0")}


def test_a_person_reads_which_scene_it_was(tmp_path, scenes_file, model_folder, capsys):
    argv = ["classify", str(scenes_file), "--output", str(tmp_path / "out"), "--model", str(model_folder)]
    assert main([*argv, "--scene", "1", "--saliency", "none"]) == 0
    assert "many.ome.tif [scene 1, z 1]: " in capsys.readouterr().out


def test_a_slide_without_the_scene_does_not_stop_the_others(tmp_path, scenes_file, make_slide, classify):
    one = make_slide(tmp_path / "one.ome.tif")
    code, found, shown = classify(one, scenes_file, "--scene", "1", "--output", tmp_path / "out", "--saliency", "none")
    assert code == 1
    assert [f["complete"] for f in found] == [False, True]
    (error,) = errors_of(shown)
    assert "one.ome.tif" in error
    assert "no scene '1'; it has 1" in error


def test_a_result_of_a_single_image_names_no_scene(tmp_path, make_slide, classify):
    _, (found,), _ = classify(make_slide(tmp_path / "a.ome.tif"), "--output", tmp_path / "out", "--saliency", "none")
    assert (found["scene"], found["z"]) == (None, None)
    (row,) = table_of(tmp_path / "out")
    assert (row["scene"], row["z"]) == ("", "")


def test_an_output_folder_that_cannot_be_written_to(tmp_path, make_slide, classify):
    (tmp_path / "file").write_text("in the way")
    code, found, shown = classify(make_slide(tmp_path / "a.tif"), "--output", tmp_path / "file" / "out")
    assert (code, found) == (1, [])
    (error,) = errors_of(shown)
    assert "cannot be written" in error
    assert "classifying" not in shown, "found out before any work"


def command(*arguments):
    return [sys.executable, "-m", "napari_gigaclf", "classify", *map(str, arguments), "--device", "cpu", "--json"]


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path, make_slide, model_folder):
    slide = make_slide(tmp_path / "a.tif")
    done = subprocess.run(
        command(slide, "--model", model_folder, "--output", tmp_path / "out"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)),
    )
    assert done.returncode == 1
    assert len(errors_of(done.stderr)) == 1
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_the_partial_result_and_says_so(tmp_path, make_slide, model_folder, number):
    slides = [make_slide(tmp_path / "a.tif", side=4096), make_slide(tmp_path / "b.tif", 1)]
    process = subprocess.Popen(
        command(*slides, "--model", model_folder, "--output", tmp_path / "out"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = ""
    while "classifying" not in seen:
        piece = process.stderr.read(1)
        assert piece, seen
        seen += piece
    time.sleep(0.5)
    asked = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, seen + err
    assert time.monotonic() - asked < 15
    assert "Traceback" not in err
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == 1, "the second slide is not begun"
    assert found[0]["complete"] is False
    with open(found[0]["outputs"]["json"], encoding="utf-8") as file:
        assert json.load(file)["complete"] is False
    assert [row["status"] for row in table_of(tmp_path / "out")] == ["partial"]
