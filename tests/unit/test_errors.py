"""Errors are one line, name what they are about, and survive the way between processes."""

import multiprocessing

import pytest

from napari_gigaclf import errors


def test_slide_error_names_file_and_reason() -> None:
    error = errors.SlideError("/slides/a.svs", "not a TIFF file")
    assert str(error) == "/slides/a.svs: not a TIFF file"
    assert error.reason == "not a TIFF file"


def _raise(kind: str) -> None:
    raise getattr(errors, kind)("a.svs", "needs openslide")


@pytest.mark.parametrize("kind", ["SlideError", "MissingDependencyError"])
def test_slide_errors_cross_processes(kind: str) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool, pytest.raises(errors.SlideError) as caught:
        pool.apply(_raise, (kind,))
    assert type(caught.value).__name__ == kind
    assert str(caught.value) == "a.svs: needs openslide"


def test_every_error_can_be_caught_by_its_base() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(classes) > 8
    assert all(issubclass(cls, errors.GigaclfError) for cls in classes if cls.__module__ == errors.__name__)
