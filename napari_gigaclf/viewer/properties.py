"""What a slide says about itself, as rows for a person: technical facts, nothing about a patient."""

from typing import TYPE_CHECKING

from napari_gigaclf.geometry import UM_PER_MM
from napari_gigaclf.slides.choice import full_name

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide


def property_rows(slide: "Slide") -> list[tuple[str, str]]:
    """Return names and values: what every slide has first, then what only this file says."""
    finest = slide.levels[0]
    rows = [
        ("name", full_name(slide)),
        ("format", slide.format),
        ("size", f"{finest.width} x {finest.height} px"),
    ]
    unit = slide.um_per_px
    if unit is None:
        rows.append(("scale", "unknown"))
    else:
        size_mm = (finest.height * unit[0] / UM_PER_MM, finest.width * unit[1] / UM_PER_MM)
        rows.append(("size on glass", f"{size_mm[1]:.2f} x {size_mm[0]:.2f} mm"))
        same = abs(unit[0] / unit[1] - 1) < 1e-3
        said = f"{unit[0]:.4g}" if same else f"{unit[1]:.4g} across, {unit[0]:.4g} down"
        rows.append(("µm per pixel", f"{said} ({slide.um_per_px_source})"))
    steps = ", ".join(f"{level.downsample:g}" for level in slide.levels)
    rows += [
        ("levels", f"{len(slide.levels)}, coarser by {steps}"),
        ("tiles", f"{finest.chunks[1]} x {finest.chunks[0]} px"),
        ("channels", f"{slide.num_channels}, {slide.dtype}"),
        ("kind", slide.kind),
    ]
    if len(slide.scenes) > 1:
        rows.append(("scene", f"{slide.scenes[slide.scene]}, of {len(slide.scenes)}"))
    if slide.num_z > 1:
        rows.append(("focal plane", f"{slide.z}, of {slide.num_z}"))
    return [*rows, *sorted(slide.properties.items())]
