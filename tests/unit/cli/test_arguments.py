"""The command line means what it says, and says what is wrong with it."""

from pathlib import Path

import pytest

from napari_gigaclf.cli.arguments import parse
from napari_gigaclf.cli.configs import ClassifyConfig, DemoConfig, InfoConfig
from napari_gigaclf.geometry import Box

CLASSIFY = ["classify", "a.svs", "--model", "m", "--output", "out"]


def test_defaults_of_classify():
    assert parse(CLASSIFY) == ClassifyConfig(slides=(Path("a.svs"),), model="m", output=Path("out"))


def test_every_option_of_classify(tmp_path):
    region = tmp_path / "r.geojson"
    region.write_text("")
    config = parse(
        [
            *("classify", "a.svs", "b.svs", "--model", "m", "--output", "out", "--um-per-px", "0.5", "--debug"),
            *("--slide-um-per-px", "0.25", "--region", str(region), "--saliency", "none", "--no-tissue", "--json"),
            *(
                "--device",
                "cpu",
                "--memory",
                "1.5GB",
                "--overwrite",
                "--format",
                "ome-zarr",
                "--scene",
                "1",
                "--z",
                "2",
            ),
        ]
    )
    assert config == ClassifyConfig(
        slides=(Path("a.svs"), Path("b.svs")),
        model="m",
        output=Path("out"),
        um_per_px=0.5,
        slide_um_per_px=0.25,
        scene="1",
        z=2,
        region=region,
        saliency=None,
        tissue=False,
        device="cpu",
        memory="1.5GB",
        existing="overwrite",
        json=True,
        map_format="ome-zarr",
        debug=True,
    )


def test_region_level_and_saliency_of_a_class():
    config = parse([*CLASSIFY, "--region", "0, 10,20,40", "--level", "2", "--saliency", "tumour", "--resume"])
    assert isinstance(config, ClassifyConfig)
    assert (config.region, config.level, config.saliency) == (Box(0, 10, 20, 40), 2, "tumour")
    assert config.existing == "resume"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--level", "1", "--um-per-px", "1"], "not allowed with"),
        (["--resume", "--overwrite"], "not allowed with"),
        (["--level", "-1"], "level"),
        (["--level", "fine"], "level"),
        (["--um-per-px", "0"], "positive"),
        (["--um-per-px", "nan"], "positive"),
        (["--slide-um-per-px", "inf"], "positive"),
        (["--z", "-1"], "focal plane"),
        (["--z", "middle"], "focal plane"),
        (["--region", "1,2,3"], "GeoJSON"),
        (["--region", "10,0,0,10"], "empty"),
        (["--region", "missing.geojson"], "GeoJSON"),
        (["--memory", "much"], "2GB"),
        (["--format", "png"], "ome-zarr"),
        (["--salience", "none"], "unrecognized"),
    ],
)
def test_what_is_wrong_is_named_and_the_exit_code_is_2(capsys, more, named):
    with pytest.raises(SystemExit) as caught:
        parse([*CLASSIFY, *more])
    assert caught.value.code == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [[], ["classify"], ["classify", "a.svs", "--model", "m"], ["inform", "a.svs"], ["info"]]
)
def test_incomplete_commands(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(argv)
    assert caught.value.code == 2


def test_debug_before_and_behind_the_command():
    for argv in (["--debug", "info", "a.svs"], ["info", "a.svs", "--debug"]):
        assert parse(argv) == InfoConfig(slide=Path("a.svs"), debug=True)
    assert parse(["demo", "--no-window"]) == DemoConfig(output=Path("demo"), window=False)
