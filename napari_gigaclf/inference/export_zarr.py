"""A map as OME-Zarr (OME-NGFF), an image with units, class names and its place on the slide, in version 0.4 or 0.5.

The transformation of each level is ``world = scale * index + translation``, index and world at the centres of pixels
and the first pixel of level 0 at world 0: without the translation, half a cell minus half a pixel, a reader that lays
the map over the slide is off by as much. QuPath (Bio-Formats) and TIAToolbox read 0.4 only, napari both.
"""

from pathlib import Path
from typing import Any, Literal, cast

from napari_gigaclf.inference.map_image import MapImage
from napari_gigaclf.writing import replacing, write_chunks

NgffVersion = Literal["0.4", "0.5"]

CHUNK = 256
_COLOURS = ("808080", "C80000", "1F77B4", "FF7F0E", "2CA02C", "9467BD", "8C564B", "E377C2")


def write_ome_zarr(path: str | Path, image: MapImage, *, version: NgffVersion = "0.4") -> Path:
    """Write a map with its coarser copies as a folder ``*.ome.zarr``.

    Parameters
    ----------
    path
        The folder; one that stands there is replaced.
    image
        The map.
    version
        ``"0.4"`` (zarr 2) or ``"0.5"`` (zarr 3).

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    import zarr

    if version not in ("0.4", "0.5"):
        raise ValueError(f"OME-Zarr {version!r} is not written: 0.4 or 0.5")
    target = Path(path)
    with replacing(target) as beside:
        group = zarr.open_group(beside, mode="w", zarr_format=_zarr_format(version))
        for number, level in enumerate(image.pyramid()):
            _write_level(group, number, level, version)
        group.attrs.update(attributes(image, version))
    return target


def attributes(image: MapImage, version: NgffVersion) -> dict[str, Any]:
    """Return the attributes of the image's group: ``multiscales``, ``omero`` and our own notes."""
    multiscale: dict[str, Any] = {
        "name": image.name,
        "axes": _axes(image),
        "datasets": [
            {"path": f"s{number}", "coordinateTransformations": _transformations(level)}
            for number, level in enumerate(image.pyramid())
        ],
        "type": "mean of numbers in 2 x 2 cells",
    }
    notes = {"gigaclf": {**image.place, **image.notes}}
    if version == "0.4":
        multiscale = {"version": "0.4", **multiscale}
        return {"multiscales": [multiscale], "omero": {"version": "0.4", **_omero(image)}, **notes}
    return {"ome": {"version": "0.5", "multiscales": [multiscale], "omero": _omero(image)}, **notes}


def _zarr_format(version: NgffVersion) -> Literal[2, 3]:
    return 2 if version == "0.4" else 3


def _write_level(group: Any, number: int, level: MapImage, version: NgffVersion) -> None:  # noqa: ANN401 - zarr.Group
    options: dict[str, Any] = {"chunks": (1, CHUNK, CHUNK), "fill_value": float("nan")}
    if version == "0.4":
        options["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
        options["attributes"] = {"_ARRAY_DIMENSIONS": ["c", "y", "x"]}  # asked for by TIAToolbox and xarray
    else:
        options["dimension_names"] = ["c", "y", "x"]
    array = group.create_array(f"s{number}", shape=level.values.shape, dtype="float32", **options)
    write_chunks(array, level.values)


def _axes(image: MapImage) -> list[dict[str, str]]:
    unit = {} if image.um_per_px is None else {"unit": "micrometer"}
    return [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", **unit},
        {"name": "x", "type": "space", **unit},
    ]


def _transformations(level: MapImage) -> list[dict[str, Any]]:
    scale, translate = level.grid.napari_transform(level.um_per_px)
    return [
        {"type": "scale", "scale": [1.0, *map(float, scale)]},
        {"type": "translation", "translation": [0.0, *map(float, translate)]},
    ]


def _omero(image: MapImage) -> dict[str, Any]:
    """Return how to show it: between its limits, the last class (the one looked for) on."""
    low, high = image.limits
    window = {"min": low, "max": high, "start": low, "end": high}
    last = len(image.channels) - 1
    channels = [
        {
            "label": name,
            "color": _COLOURS[index % len(_COLOURS)],
            "window": window,
            "active": index == last,
            "coefficient": 1.0,
            "family": "linear",
            "inverted": False,
        }
        for index, name in enumerate(image.channels)
    ]
    return {"channels": channels, "rdefs": {"model": "color"}}


def as_version(text: str) -> NgffVersion:
    """Return a version given as text; ValueError if it is none that is written."""
    if text not in ("0.4", "0.5"):
        raise ValueError(f"OME-Zarr {text!r} is not written: 0.4 or 0.5")
    return cast(NgffVersion, text)
