import pytest

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides.discover import find_slides, stem


def test_a_folder_means_the_slides_in_it_and_nothing_else(tmp_path):
    for name in ("b.svs", "a.NDPI", "notes.txt", ".hidden.svs", "c.ome.zarr.zip", "results.csv"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "d.ome.zarr").mkdir()
    (tmp_path / "d.ome.zarr" / "zarr.json").write_text("{}")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "1.dcm").write_bytes(b"")
    (tmp_path / "mirax").mkdir()
    (tmp_path / "mirax" / "Slidedat.ini").write_text("")
    (tmp_path / "r.gigaclf").mkdir()
    (tmp_path / "r.gigaclf" / "zarr.json").write_text("{}")
    found = [path.name for path in find_slides([tmp_path])]
    assert found == ["a.NDPI", "b.svs", "c.ome.zarr.zip", "d.ome.zarr", "study"]


def test_slides_are_taken_as_given_each_once(tmp_path):
    (tmp_path / "a.svs").write_bytes(b"")
    (tmp_path / "z.ome.zarr").mkdir()
    (tmp_path / "z.ome.zarr" / ".zgroup").write_text("{}")
    slide, folder, missing = tmp_path / "a.svs", tmp_path / "z.ome.zarr", tmp_path / "missing.xyz"
    assert find_slides([slide, folder, missing, tmp_path]) == [slide, folder, missing]


def test_dicom_files_among_other_slides_are_slides_of_their_own(tmp_path):
    for name in ("a.svs", "b.dcm"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in find_slides([tmp_path])] == ["a.svs", "b.dcm"]
    (tmp_path / "a.svs").unlink()
    assert find_slides([tmp_path]) == [tmp_path]


def test_a_folder_without_slides_is_an_error(tmp_path):
    with pytest.raises(SlideError, match="no slides"):
        find_slides([tmp_path])


def test_stems(tmp_path):
    names = {"a.svs": "a", "a.b.SVS": "a.b", "a.ome.tif": "a", "a.ome.zarr": "a", "a.ome.zarr.zip": "a", ".svs": ".svs"}
    assert {name: stem(tmp_path / name) for name in names} == names
