"""``info``: what a slide is. Label and macro are named, never read: they can carry a patient's name."""

from typing import Any

from napari_gigaclf.cli.configs import Config, InfoConfig
from napari_gigaclf.cli.say import say, say_json, table
from napari_gigaclf.slides import Slide, open_slide


def run(config: Config) -> int:
    """Print what a slide is; return the exit code."""
    assert isinstance(config, InfoConfig)
    with open_slide(config.slide, config.um_per_px, scene=config.scene, z=config.z) as slide:
        content = description(slide)
    if config.json:
        say_json(content)
    else:
        say(_text(content))
    return 0


def description(slide: Slide) -> dict[str, Any]:
    """Return what is known of a slide without reading its pixels, as what JSON can hold."""
    return {
        "slide": slide.name,
        "id": slide.id,
        "format": slide.format,
        "kind": slide.kind,
        "um_per_px": None if slide.um_per_px is None else list(slide.um_per_px),
        "um_per_px_source": slide.um_per_px_source,
        "dtype": str(slide.dtype),
        "num_channels": slide.num_channels,
        "levels": [
            {
                "level": number,
                "height": level.height,
                "width": level.width,
                "downsample": level.downsample,
                "um_per_px": None if level.um_per_px is None else list(level.um_per_px),
                "chunks": list(level.chunks),
            }
            for number, level in enumerate(slide.levels)
        ],
        "scenes": list(slide.scenes),
        "scene": slide.scenes[slide.scene],
        "num_z": slide.num_z,
        "z": slide.z,
        "associated_images": list(slide.associated),
        "properties": dict(slide.properties),
    }


def _text(content: dict[str, Any]) -> str:
    rows = [("level", "height", "width", "um/px", "downsample", "chunk")]
    for level in content["levels"]:
        rows.append(
            (
                str(level["level"]),
                str(level["height"]),
                str(level["width"]),
                _scale(level["um_per_px"]),
                f"{level['downsample']:.4g}",
                " x ".join(map(str, level["chunks"][:2])),
            )
        )
    facts = [
        ("slide", content["slide"]),
        ("format", content["format"]),
        ("kind", f"{content['kind']}, {content['num_channels']} x {content['dtype']}"),
        ("um/px", _sourced_scale(content)),
        ("associated", ", ".join(content["associated_images"]) or "none"),
        ("id", content["id"]),
    ]
    if len(content["scenes"]) > 1:
        facts.append(("scenes", f"{', '.join(content['scenes'])} (this is {content['scene']})"))
    if content["num_z"] > 1:
        facts.append(("focal planes", f"{content['num_z']}, counted from 0 (this is {content['z']})"))
    return f"{table(facts)}\n\n{table(rows, '  ')}"


def _sourced_scale(content: dict[str, Any]) -> str:
    if content["um_per_px"] is None:
        return "unknown (classify it with --slide-um-per-px or --level)"
    return f"{_scale(content['um_per_px'])} ({content['um_per_px_source']})"


def _scale(um_per_px: list[float] | None) -> str:
    if um_per_px is None:
        return "unknown"
    y, x = (f"{value:.4g}" for value in um_per_px)
    return y if y == x else f"{y} x {x} (y x x)"
