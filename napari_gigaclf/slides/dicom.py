"""Opens DICOM whole-slide images through the wsidicom library: a folder of files, or one file and its siblings.

Each resolution is one DICOM instance (or several: parts, focal planes, stains). The headers are read with pydicom to
see which instances belong to one picture, and each resolution is opened by itself: wsidicom leaves out resolutions
whose tile size or frame of reference differ from the first, as they do in files that other converters wrote.
"""

import functools
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import MissingDependencyError, SlideError
from napari_gigaclf.geometry import Box
from napari_gigaclf.slides.array import ArraySlide, SlideFacts
from napari_gigaclf.slides.boundary import slide_errors
from napari_gigaclf.slides.choice import choose_z
from napari_gigaclf.slides.colour import UINT8, grey_colours
from napari_gigaclf.slides.dicom_colour import tile_holds_ycbcr, ycbcr_tiles_to_rgb
from napari_gigaclf.slides.fingerprint import files_fingerprint, image_fingerprint
from napari_gigaclf.slides.kinds import kind_from_samples, middle
from napari_gigaclf.slides.level import LevelSource, level_step, same_picture
from napari_gigaclf.slides.limits import MAX_CHUNK_BYTES, MAX_CHUNKS, MAX_SIDE
from napari_gigaclf.slides.resolution import plausible
from napari_gigaclf.slides.slide import UNKNOWN_SCALE, Kind

HINT = 'pip install "napari-gigaclf[dicom]"'
MAGIC_OFFSET, MAGIC = 128, b"DICM"
MAX_FILES = 4096
_BRIGHTFIELD, _EPIFLUORESCENCE = "111744", "111743"
_MM = 1000.0
_TAGS = (
    "SeriesInstanceUID",
    "SOPClassUID",
    "ImageType",
    "TotalPixelMatrixRows",
    "TotalPixelMatrixColumns",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "NumberOfFrames",
    "SharedFunctionalGroupsSequence",
    "OpticalPathSequence",
)


def is_dicom(path: Path) -> bool:
    """Return whether a file starts as DICOM files do."""
    with path.open("rb") as file:
        return file.read(MAGIC_OFFSET + len(MAGIC))[MAGIC_OFFSET:] == MAGIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """What the header of one DICOM file says."""

    path: Path
    series: str
    flavour: str
    """VOLUME for a resolution of the slide; LABEL, OVERVIEW and THUMBNAIL never become levels."""
    size: tuple[int, int]
    tile: tuple[int, int]
    samples: int
    bits: int
    says_rgb: bool
    spacing_mm: tuple[float, float] | None
    kind: Kind | None


def open_dicom(path: Path, *, z: int | None = None) -> ArraySlide:
    """Open a DICOM slide: a folder, or a file together with the files of its series beside it.

    Raises
    ------
    MissingDependencyError
        If wsidicom is not installed; the text names the command that installs it.
    SlideError
        If it is no whole-slide image or damaged.
    """
    try:
        import pydicom
        import wsidicom
    except ImportError as error:
        raise MissingDependencyError(path, f"DICOM slides are read through wsidicom: {HINT}") from error
    errors = (pydicom.errors.InvalidDicomError, *_error_types(wsidicom))
    with slide_errors(path, "cannot be opened", *errors), warnings.catch_warnings():
        # pydicom warns of every value that is not quite as the standard has it; many scanners write such values.
        warnings.simplefilter("ignore", UserWarning)
        groups = _resolutions(path, _instances(path))
        opened: list[Any] = []
        try:
            for group in groups:
                opened.append(wsidicom.WsiDicom.open([instance.path for instance in group]))
            return _open(path, groups, opened, z, errors)
        except BaseException:
            _close_all(opened)
            raise


def _error_types(module: Any) -> tuple[type[Exception], ...]:  # noqa: ANN401 - wsidicom
    """Return the error types wsidicom defines (they share no base)."""
    found = [value for name, value in vars(module.errors).items() if name.startswith("WsiDicom")]
    return tuple(value for value in found if isinstance(value, type) and issubclass(value, Exception))


def _close_all(opened: list[Any]) -> None:
    """Close every resolution."""
    for handle in opened:
        handle.close()


def _instances(path: Path) -> list[Instance]:
    """Return the headers of the files that belong to a folder or file."""
    folder = path if path.is_dir() else path.parent
    own = None if path.is_dir() else _header(path)
    if own is not None and own.flavour != "VOLUME":
        raise SlideError(path, f"it is the {own.flavour.lower()} of a slide, not the slide")
    files = sorted(file for file in folder.iterdir() if file.is_file() and file != path)[:MAX_FILES]
    found = [] if own is None else [own]
    for file in files:
        if is_dicom(file) and (own is None or file.suffix == path.suffix):
            with_header = _sibling(file)
            if with_header is not None and (own is None or with_header.series == own.series):
                found.append(with_header)
    volumes = [instance for instance in found if instance.flavour == "VOLUME"]
    if not volumes:
        raise SlideError(path, "it holds no DICOM whole-slide image")
    largest = max(volumes, key=lambda instance: instance.size[0] * instance.size[1])
    return [instance for instance in volumes if instance.series == largest.series]


def _sibling(path: Path) -> Instance | None:
    """Return a header, or None for a DICOM file that is no whole-slide image or damaged: it may be a stranger here."""
    try:
        return _header(path)
    except SlideError:
        return None


def _header(path: Path) -> Instance:
    """Return what a file's header says; SlideError if it is no whole-slide image."""
    import pydicom

    with slide_errors(path, "its DICOM header cannot be read", pydicom.errors.InvalidDicomError):
        data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        if "TotalPixelMatrixRows" not in data or "ImageType" not in data:
            raise SlideError(path, "a DICOM file, but no whole-slide image")
        flavours = [str(value) for value in data.ImageType]
        instance = Instance(
            path=path,
            series=str(data.SeriesInstanceUID),
            flavour=flavours[2] if len(flavours) > 2 else "VOLUME",
            size=(int(data.TotalPixelMatrixRows), int(data.TotalPixelMatrixColumns)),
            tile=(int(data.Rows), int(data.Columns)),
            samples=int(data.SamplesPerPixel),
            bits=int(data.BitsAllocated),
            says_rgb=str(data.get("PhotometricInterpretation", "")) == "RGB",
            spacing_mm=_spacing(data),
            kind=_kind_said(data),
        )
    _check_sizes(instance)
    return instance


def _check_sizes(instance: Instance) -> None:
    """Compare what a header asks for with the limits."""
    tile, size = instance.tile, instance.size
    if min(*size, *tile) < 1 or max(size) > MAX_SIDE or instance.samples not in (1, 3) or instance.bits not in (8, 16):
        raise SlideError(instance.path, f"an image of {size} pixels in tiles of {tile} with {instance.bits} bits")
    if tile[0] * tile[1] * instance.samples * instance.bits // 8 > MAX_CHUNK_BYTES:
        raise SlideError(instance.path, f"its tiles of {tile[0]} x {tile[1]} pixels are too large")
    if -(-size[0] // tile[0]) * -(-size[1] // tile[1]) > MAX_CHUNKS:
        raise SlideError(instance.path, f"an image of {size[0]} x {size[1]} pixels in tiles of {tile[0]} x {tile[1]}")


def _spacing(data: Any) -> tuple[float, float] | None:  # noqa: ANN401 - pydicom
    """Return PixelSpacing, millimetres (between rows, between columns)."""
    for shared in data.get("SharedFunctionalGroupsSequence") or ():
        for measures in shared.get("PixelMeasuresSequence") or ():
            spacing = measures.get("PixelSpacing")
            if spacing is not None and len(spacing) == 2:
                return (float(spacing[0]), float(spacing[1]))
    return None


def _kind_said(data: Any) -> Kind | None:  # noqa: ANN401 - pydicom
    """Return what the illumination codes of the optical paths say."""
    for optical_path in data.get("OpticalPathSequence") or ():
        for code in optical_path.get("IlluminationTypeCodeSequence") or ():
            if str(code.get("CodeValue", "")) == _EPIFLUORESCENCE:
                return "fluorescence"
            if str(code.get("CodeValue", "")) == _BRIGHTFIELD:
                return "brightfield"
    return None


def _resolutions(path: Path, instances: list[Instance]) -> list[list[Instance]]:
    """Return the instances by resolution, fine to coarse; resolutions that are another picture are left out."""
    by_size: dict[tuple[int, int], list[Instance]] = defaultdict(list)
    for instance in instances:
        by_size[instance.size].append(instance)
    sizes = sorted(by_size, key=lambda size: -size[0] * size[1])
    kept = sizes[:1]
    for size in sizes[1:]:
        first, other = by_size[kept[0]][0], by_size[size][0]
        same_samples = (first.samples, first.bits) == (other.samples, other.bits)
        if same_samples and same_picture(kept[0], size) and same_picture(kept[-1], size):
            kept.append(size)
    return [by_size[size] for size in kept]


def _open(
    path: Path, groups: list[list[Instance]], opened: list[Any], z: int | None, errors: tuple[type[Exception], ...]
) -> ArraySlide:
    """Build the slide over one open wsidicom object per resolution."""
    first = groups[0][0]
    planes = sorted(float(plane) for plane in opened[0].levels[0].focal_planes)
    number = choose_z(path, max(1, len(planes)), z)
    plane = planes[number] if planes else None
    found: tuple[float, float] | None = None
    if first.spacing_mm is not None:
        found = (first.spacing_mm[0] * _MM, first.spacing_mm[1] * _MM)
    # The coarse overviews of DICOM (30 µm and more) are measurements as well, so only impossible values are left out.
    found = found if found is not None and plausible((found[0] / 10, found[1] / 10)) else None
    rgb = first.samples == 3
    dtype = UINT8 if first.bits == 8 else np.dtype(np.uint16)
    sources = [_source(group[0], first, handle, plane) for group, handle in zip(groups, opened, strict=True)]
    coarsest = sources[-1]
    paths = [instance.path for group in groups for instance in group]
    kind: Kind | Callable[[], Kind] = first.kind or "other"
    if rgb and first.kind is None:
        kind = lambda: kind_from_samples(coarsest.fetch, [middle(coarsest.shape)], errors)  # noqa: E731
    return ArraySlide(
        SlideFacts(
            name=path.name,
            path=path,
            format="DICOM",
            dtype=dtype,
            num_channels=3 if rgb else 1,
            um_per_px=found,
            um_per_px_source=UNKNOWN_SCALE if found is None else "DICOM PixelSpacing",
            properties={"instances": str(sum(len(group) for group in groups))},
            num_z=max(1, len(planes)),
            z=number,
        ),
        sources,
        kind=kind if rgb else ("fluorescence" if first.kind == "fluorescence" else "other"),
        fingerprint=lambda: image_fingerprint(files_fingerprint(paths), 0, number),
        on_close=lambda: _close_all(opened),
        library_errors=errors,
    )


def _first_tile(handle: Any, plane: float | None) -> bytes:  # noqa: ANN401 - wsidicom
    """Return the first tile of a resolution as it lies in the file."""
    tile: bytes = handle.read_encoded_tile(0, (0, 0), z=plane, crop_to_image_boundary=False)
    return tile


def _source(instance: Instance, first: Instance, handle: Any, plane: float | None) -> LevelSource:  # noqa: ANN401
    """Return one resolution; its step is the ratio of the spacings where that agrees with the sizes."""
    step = level_step(first.size, instance.size)
    if instance.spacing_mm is not None and first.spacing_mm is not None and min(first.spacing_mm) > 0:
        said = (instance.spacing_mm[0] / first.spacing_mm[0], instance.spacing_mm[1] / first.spacing_mm[1])
        if min(said) > 0 and all(abs(first.size[a] / said[a] - instance.size[a]) < 1 for a in range(2)):
            step = said
    colours = grey_colours(np.dtype(np.uint8), instance.samples, bits=8, white_is_zero=False)

    # Asked for with the first pixels rather than here: a damaged first tile must not keep the rest from opening.
    holds_ycbcr = functools.cache(lambda: instance.says_rgb and tile_holds_ycbcr(_first_tile(handle, plane)))

    def fetch(box: Box) -> NDArray[Any]:
        image = handle.read_region((box.x0, box.y0), 0, (box.shape[1], box.shape[0]), z=plane)
        block = np.asarray(image)
        if block.ndim == 3 and block.dtype == UINT8 and holds_ycbcr():
            block = ycbcr_tiles_to_rgb(block)
        return colours.apply(block[..., np.newaxis] if block.ndim == 2 else block)

    return LevelSource(
        shape=instance.size,
        chunks=(min(instance.tile[0], instance.size[0]), min(instance.tile[1], instance.size[1])),
        fetch=fetch,
        step=step,
    )
