"""Writes small files that imitate the slide formats of scanners, for tests of readers.

The pixels are a made-up picture, pink and violet on white. What matters is the structure: the same tags, descriptions,
order of images, missing tiles and misleading extras as in the makers' files.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TILE = 64
SECRET = "DOE^JANE 1961-05-04"
"""Stands in the descriptions where makers put names, dates and barcodes; must never come out of a reader."""


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return a picture (height, width, 3) of stained blobs on white glass."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    stain: NDArray[np.floating] = np.zeros((height, width), np.float32)
    for _ in range(24):
        cy, cx, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0.03, 0.12) * max(height, width)
        stain += np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * size**2))
    stain = np.minimum(stain, 1.5) / 1.5
    ink = np.array([70.0, 150.0, 80.0], np.float32)
    noise = rng.normal(0, 2, (height, width, 1)).astype(np.float32)
    pixels: NDArray[np.uint8] = np.clip(245 - stain[..., np.newaxis] * ink + noise, 0, 255).astype(np.uint8)
    return pixels


def halved(image: NDArray[Any], times: int = 1) -> NDArray[Any]:
    """Return the image with its sides halved ``times`` times by area mean; an odd last row or column is dropped."""
    for _ in range(times):
        tall, wide = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
        parts = image[:tall, :wide].astype(np.float64)
        mean = (parts[0::2, 0::2] + parts[1::2, 0::2] + parts[0::2, 1::2] + parts[1::2, 1::2]) / 4
        image = np.round(mean).astype(image.dtype)
    return image


def write_svs(path: Path, image: NDArray[np.uint8], *, mpp: str | None = "0.2527") -> Path:
    """Write an Aperio file: level 0, thumbnail, levels at 1/4 and 1/16, label, macro."""
    import tifffile

    tall, wide = image.shape[:2]
    fields = f"|AppMag = 40|Filename = {SECRET}|Date = 12/29/09|User = {SECRET}" + (f"|MPP = {mpp}" if mpp else "")
    head = f"Aperio Image Library v11.2.1 \r\n{wide}x{tall} [0,0 {wide}x{tall}] (64x64) JPEG/RGB Q=70{fields}"
    tiled: dict[str, Any] = {"tile": (TILE, TILE), "compression": "zlib", "photometric": "rgb", "metadata": None}
    strips: dict[str, Any] = {"rowsperstrip": 16, "compression": "zlib", "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as writer:
        writer.write(image, description=head, **tiled)
        writer.write(halved(image, 3), description="Aperio Image Library v11.2.1 \r\nthumbnail", **strips)
        writer.write(halved(image, 2), description=f"Aperio Image Library v11.2.1 \r\n{wide}x{tall} -> 1/4", **tiled)
        writer.write(halved(image, 4), description=f"Aperio Image Library v11.2.1 \r\n{wide}x{tall} -> 1/16", **tiled)
        label = picture(90, 80, seed=5)
        writer.write(label, description="Aperio Image Library v11.2.1 \r\nlabel 80x90", subfiletype=1, **strips)
        writer.write(picture(80, 200, seed=6), description="Aperio \r\nmacro 200x80", subfiletype=9, **strips)
    return path


def write_scn(path: Path, image: NDArray[np.uint8], *, um_per_px: float = 0.5) -> Path:
    """Write a Leica file: an overview of the whole slide (macro), then one scanned area with three levels."""
    import tifffile

    overview = picture(150, 100, seed=3)
    levels = [image, halved(image, 2), halved(image, 4)]
    nm = round(um_per_px * 1000)
    dimensions = "".join(
        f'<dimension sizeX="{level.shape[1]}" sizeY="{level.shape[0]}" r="{r}" ifd="{r + 1}"/>'
        for r, level in enumerate(levels)
    )
    tall, wide = image.shape[:2]
    xml = f"""<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
<collection name="{SECRET}" sizeX="26564529" sizeY="76734568"><barcode>{SECRET}</barcode>
<image name="image 1" uuid="a"><creationDate>2013-08-16</creationDate><view sizeX="26564529" sizeY="76734568"
 offsetX="0" offsetY="0" spacingZ="0"/>
<pixels sizeX="100" sizeY="150"><dimension sizeX="100" sizeY="150" r="0" ifd="0"/></pixels>
<scanSettings>
<objectiveSettings><objective>0.6</objective></objectiveSettings><illuminationSettings><illuminationSource>
brightfield</illuminationSource></illuminationSettings></scanSettings></image>
<image name="image 2" uuid="b"><view sizeX="{wide * nm}" sizeY="{tall * nm}" offsetX="1000" offsetY="2000"
 spacingZ="0"/><pixels sizeX="{wide}" sizeY="{tall}">{dimensions}</pixels>
<scanSettings><objectiveSettings><objective>20</objective>
</objectiveSettings><illuminationSettings><illuminationSource>brightfield</illuminationSource></illuminationSettings>
</scanSettings></image></collection></scn>"""
    tiled: dict[str, Any] = {"tile": (TILE, TILE), "compression": "zlib", "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(overview, description=xml, **tiled)
        for level in levels:
            writer.write(level, **tiled)
    return path


def write_philips(path: Path, image: NDArray[np.uint8], *, um_per_px: float = 0.25) -> Path:
    """Write a Philips file: levels padded to whole tiles, some tiles missing, macro and label at the end.

    The right quarter of level 0 is stored as missing tiles.
    """
    import tifffile

    tall, wide = image.shape[0] // TILE * TILE, image.shape[1] // TILE * TILE
    image = image[:tall, :wide].copy()
    image[:, image.shape[1] // TILE * 3 // 4 * TILE :] = 255
    levels = [image, halved(image), halved(image, 2)]
    spacing = "".join(
        '<DataObject ObjectType="PixelDataRepresentation"><Attribute Name="DICOM_PIXEL_SPACING" Group="0x0028" '
        f'Element="0x0030" PMSVR="IDoubleArray">&quot;{um_per_px * 2**k / 1000:.9f}&quot; '
        f"&quot;{um_per_px * 2**k / 1000:.9f}&quot;</Attribute></DataObject>"
        for k in range(len(levels))
    )
    xml = (
        '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport">'
        f'<Attribute Name="PIM_DP_UFS_BARCODE">{SECRET}</Attribute>'
        f'<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE">'
        f"<Array>{spacing}</Array></Attribute></DataObject>"
    )
    tiled: dict[str, Any] = {
        "tile": (TILE, TILE), "compression": "zlib", "photometric": "rgb", "metadata": None,
        "software": "Philips DP v1.0",
    }  # fmt: skip
    with tifffile.TiffWriter(path) as writer:
        for k, level in enumerate(levels):
            rows, columns = -(-level.shape[0] // TILE), -(-level.shape[1] // TILE)
            padded = np.full((rows * TILE, columns * TILE, 3), 255, np.uint8)
            padded[: level.shape[0], : level.shape[1]] = level
            last = columns * 3 // 4 if k == 0 else columns
            writer.write(
                tiles_of(padded, missing=lambda row, column, last=last: column >= last),
                shape=padded.shape, dtype=padded.dtype, description=xml if k == 0 else "", **tiled,
            )  # fmt: skip
        strips: dict[str, Any] = {"compression": "zlib", "photometric": "rgb", "metadata": None}
        writer.write(picture(80, 200, seed=6), description="Macro", **strips)
        writer.write(picture(90, 80, seed=5), description=f"Label {SECRET}", **strips)
    return path


def tiles_of(image: NDArray[Any], missing: Any) -> Iterator[NDArray[Any] | None]:  # noqa: ANN401 - any callable
    """Yield the tiles of an image row by row, None where ``missing(row, column)``."""
    for row in range(-(-image.shape[0] // TILE)):
        for column in range(-(-image.shape[1] // TILE)):
            tile = image[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
            yield None if missing(row, column) else np.ascontiguousarray(tile)


def write_qptiff(path: Path, image: NDArray[Any], *, bands: int = 0, um_per_px: float = 0.5) -> Path:
    """Write a PerkinElmer file: RGB (``bands`` 0) or one page per fluorescence band, then thumbnail, levels, macro."""
    import tifffile

    xml = (
        '<?xml version="1.0" encoding="utf-16"?>\r\n<PerkinElmer-QPI-ImageDescription><DescriptionVersion>2'
        f"</DescriptionVersion><SlideID>{SECRET}</SlideID><Barcode>{SECRET}</Barcode><Objective>20x</Objective>"
        "</PerkinElmer-QPI-ImageDescription>"
    ).replace(' encoding="utf-16"', "")
    common: dict[str, Any] = {
        "compression": "zlib", "photometric": "minisblack" if bands else "rgb", "metadata": None,
        "software": "PerkinElmer-QPI", "resolutionunit": 3,
    }  # fmt: skip
    with tifffile.TiffWriter(path) as writer:
        for times in range(3):
            level = halved(image, times)
            resolution = (10_000 / um_per_px / 2**times,) * 2
            for band in range(max(1, bands)):
                page = level if not bands else level[..., band]
                writer.write(page, tile=(TILE, TILE), resolution=resolution, description=xml, **common)
            if times == 0:
                thumbnail = picture(64, 52, seed=4)
                writer.write(thumbnail, description=xml, **(common | {"photometric": "rgb"}))
        writer.write(picture(80, 200, seed=6), description=xml, **(common | {"photometric": "rgb"}))
    return path


def write_ome_tiff(path: Path, image: NDArray[Any], *, um_per_px: tuple[float, float] = (0.4, 0.5)) -> Path:
    """Write an OME-TIFF whose coarser levels are SubIFDs; ``um_per_px`` is (y, x)."""
    import tifffile

    options: dict[str, Any] = {"tile": (TILE, TILE), "compression": "zlib", "photometric": "rgb"}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(
            image, subifds=2,
            metadata={
                "axes": "YXS", "PhysicalSizeX": um_per_px[1], "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": um_per_px[0] * 1000, "PhysicalSizeYUnit": "nm", "Description": SECRET,
            },
            **options,
        )  # fmt: skip
        for times in (1, 2):
            writer.write(halved(image, times), subfiletype=1, metadata=None, **options)
    return path


def write_scenes(path: Path, scenes: Sequence[NDArray[np.uint8]], *, um_per_px: float = 1.0) -> Path:
    """Write an OME-TIFF of several scenes, each (z, y, x, 3): focal planes of one level each."""
    import tifffile

    sizes = {f"PhysicalSize{axis}": um_per_px for axis in "XY"}
    units = {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    options: dict[str, Any] = {"tile": (TILE, TILE), "compression": "zlib", "photometric": "rgb"}
    with tifffile.TiffWriter(path, ome=True) as writer:
        for planes in scenes:
            writer.write(planes, metadata={"axes": "ZYXS", **sizes, **units}, **options)
    return path


def write_sparse_tiff(path: Path, image: NDArray[np.uint8]) -> Path:
    """Write a tiled TIFF of which only every second tile, as on a chessboard, is stored."""
    import tifffile

    with tifffile.TiffWriter(path) as writer:
        writer.write(
            tiles_of(image, missing=lambda row, column: (row + column) % 2 == 1),
            shape=image.shape, dtype=image.dtype, tile=(TILE, TILE), compression="zlib", photometric="rgb",
            metadata=None,
        )  # fmt: skip
    return path


def write_ome_zarr(
    path: Path, image: NDArray[Any], version: str, *, um_per_px: tuple[float, float] = (0.4, 0.5)
) -> Path:
    """Write an OME-Zarr 0.4 or 0.5 folder with three levels, axes c, y, x, through the ome-zarr library."""
    import zarr
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.writer import write_multiscale

    chosen = {"0.4": FormatV04(), "0.5": FormatV05()}[version]
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    levels = [np.ascontiguousarray(np.moveaxis(halved(image, times), -1, 0)) for times in range(3)]
    write_multiscale(
        levels, group, fmt=chosen, axes="cyx", scale={"c": 1.0, "y": um_per_px[0], "x": um_per_px[1]},
        axes_units={"y": "micrometer", "x": "micrometer"}, storage_options={"chunks": (3, TILE, TILE)},
    )  # fmt: skip
    return path
