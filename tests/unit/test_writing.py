"""What is written is whole or not there."""

import pytest

from napari_gigaclf.errors import OutputError
from napari_gigaclf.writing import check_writable, replacing


def test_a_file_and_a_folder_replace_what_was_there(tmp_path):
    for kind in ("file", "folder"):
        target = tmp_path / "deep" / kind
        for text in ("first", "second"):
            with replacing(target) as beside:
                assert not beside.exists()
                if kind == "folder":
                    beside.mkdir()
                    (beside / text).write_text(text)
                else:
                    beside.write_text(text)
        assert (target / "second").read_text() == "second" if kind == "folder" else target.read_text() == "second"
    assert not (tmp_path / "deep" / "folder" / "first").exists()
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("ours")])
def test_whatever_stops_it_leaves_the_old_one_alone(tmp_path, error):
    target = tmp_path / "a"
    target.write_text("old")
    expected = OutputError if isinstance(error, OSError) else type(error)

    def write_half():
        with replacing(target) as beside:
            beside.mkdir()
            (beside / "half").write_text("half")
            raise error

    with pytest.raises(expected) as caught:
        write_half()
    if expected is OutputError:
        assert str(caught.value) == f"{target}: cannot be written: No space left on device"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert target.read_text() == "old"


def test_without_overwrite_nothing_is_replaced(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(OutputError, match="exists"), replacing(tmp_path / "a", overwrite=False):
        pass


def test_a_folder_that_cannot_be_written_to_is_found_out_and_nothing_is_left(tmp_path):
    check_writable(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="cannot be written to"):
            check_writable(place)


def test_an_error_inside_names_the_file_as_it_would_have_been_called(tmp_path):
    target = tmp_path / "slide-1"
    with pytest.raises(OutputError) as caught:
        _fill_the_disk(target)
    assert str(caught.value) == f"{target}/partial map: cannot be written: No space left on device"
    assert list(tmp_path.iterdir()) == []


def _fill_the_disk(target):
    with replacing(target) as beside:
        beside.mkdir()
        with replacing(beside / "partial map"):
            raise OSError(28, "No space left on device")
