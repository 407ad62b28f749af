"""How files of slides are called. What a file is decides its content; a name only says whether to look."""

SLIDE_SUFFIXES = frozenset(
    {
        *(".svs", ".tif", ".tiff", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".svslide", ".bif", ".qptiff", ".btf"),
        *(".czi", ".dcm", ".zarr", ".png", ".jpg", ".jpeg", ".jp2", ".j2k"),
    }
)
"""Lower case, with the dot."""
KNOWN = (
    "known are SVS, NDPI, SCN, QPTIFF, BIF, MRXS, VMS, CZI, TIFF and OME-TIFF, OME-Zarr, DICOM, PNG and JPEG; convert "
    "others to OME-TIFF, such as with QuPath or with bfconvert of Bio-Formats"
)
"""What can be opened, and what to do with what cannot."""
