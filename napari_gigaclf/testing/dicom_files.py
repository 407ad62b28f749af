"""Writes small DICOM whole-slide images for tests of readers: three resolutions, a label, a name to keep inside."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.testing.slide_files import SECRET, TILE, halved, picture

_MM = 1000.0


def write_dicom(folder: Path, image: NDArray[np.uint8], *, um_per_px: float = 0.5, fluorescence: bool = False) -> Path:
    """Write a folder with three resolutions and a label, each an uncompressed DICOM file of tiles.

    The coarsest resolution is one tile of its own size, as many converters have it.
    """
    from pydicom.uid import generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for times in range(3):
        level = halved(image, times)
        tile = (TILE, TILE) if times < 2 else (level.shape[0], level.shape[1])
        data = _dataset(level, tile, um_per_px * 2**times, fluorescence=fluorescence)
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        flavour = (
            ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"] if times == 0 else ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
        )
        data.ImageType = flavour
        data.save_as(folder / f"level-{times}.dcm", enforce_file_format=True)
    label = _dataset(picture(90, 80, seed=5), (90, 80), 25.0, fluorescence=False)
    label.StudyInstanceUID, label.SeriesInstanceUID, label.FrameOfReferenceUID = study, series, frame
    label.ImageType = ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]
    label.save_as(folder / "label.dcm", enforce_file_format=True)
    return folder


def _dataset(image: NDArray[np.uint8], tile: tuple[int, int], um_per_px: float, *, fluorescence: bool) -> Any:  # noqa: ANN401
    """Return one resolution as a pydicom dataset."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, VLWholeSlideMicroscopyImageStorage, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.Modality, data.PatientName, data.PatientID, data.ContainerIdentifier = "SM", SECRET, SECRET, SECRET
    data.PatientBirthDate = data.PatientSex = data.StudyDate = data.StudyTime = data.AccessionNumber = None
    data.StudyID = data.ReferringPhysicianName = None
    data.SeriesNumber = data.InstanceNumber = 1
    data.Manufacturer = data.ManufacturerModelName = data.SoftwareVersions = data.DeviceSerialNumber = "made up"
    data.ContentDate = data.AcquisitionDateTime = "20260101"
    data.ContentTime = "120000"
    data.DimensionOrganizationType = "TILED_FULL"
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.BurnedInAnnotation = data.SpecimenLabelInImage = "NO"
    data.FocusMethod, data.ExtendedDepthOfField, data.LossyImageCompression = "AUTO", "NO", "00"
    data.VolumetricProperties, data.NumberOfOpticalPaths, data.TotalPixelMatrixFocalPlanes = "VOLUME", 1, 1
    data.Rows, data.Columns = tile
    data.TotalPixelMatrixRows, data.TotalPixelMatrixColumns = image.shape[:2]
    data.ImagedVolumeHeight = image.shape[0] * um_per_px / _MM
    data.ImagedVolumeWidth = image.shape[1] * um_per_px / _MM
    data.ImagedVolumeDepth = 0.001
    data.ImageOrientationSlide = [0.0, -1.0, 0.0, -1.0, 0.0, 0.0]
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0.0
    data.TotalPixelMatrixOriginSequence = [origin]
    measures, shared, code, optical = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [um_per_px / _MM] * 2, 0.001
    shared.PixelMeasuresSequence = [measures]
    data.SharedFunctionalGroupsSequence = [shared]
    code.CodeValue, code.CodingSchemeDesignator = ("111743" if fluorescence else "111744"), "DCM"
    code.CodeMeaning = "Epifluorescence illumination" if fluorescence else "Brightfield illumination"
    optical.OpticalPathIdentifier, optical.IlluminationTypeCodeSequence = "1", [code]
    data.OpticalPathSequence = [optical]
    frames = _frames(image, tile)
    data.NumberOfFrames = len(frames)
    content = b"".join(frame.tobytes() for frame in frames)
    data.PixelData = content + b"\0" * (len(content) % 2)
    return data


def _frames(image: NDArray[np.uint8], tile: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Return the tiles of an image row by row, the last ones padded with white."""
    rows, columns = -(-image.shape[0] // tile[0]), -(-image.shape[1] // tile[1])
    padded = np.full((rows * tile[0], columns * tile[1], 3), 255, np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    return [
        np.ascontiguousarray(padded[r * tile[0] : (r + 1) * tile[0], c * tile[1] : (c + 1) * tile[1]])
        for r in range(rows)
        for c in range(columns)
    ]
