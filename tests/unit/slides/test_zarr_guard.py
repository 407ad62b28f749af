"""Chunks that unpack to far more than they should are refused before the memory is taken."""

import bz2
import gzip
import json
import lzma
import os
import resource
import struct
import zlib

import numpy as np
import pytest
import zarr

from napari_gigaclf.errors import ResultError, SlideError
from napari_gigaclf.inference.stored_array import StoredArray
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.zarr_guard import unpacked, zstd_size
from napari_gigaclf.testing.slide_files import picture, write_ome_zarr

MANY = 2**28
IMAGE = picture(130, 100)


def zstd_bomb(num_bytes, *, says):
    """Return a zstd frame of one repeated byte."""
    header = b"\xe0" + struct.pack("<Q", num_bytes) if says else b"\x00\x58"
    block = 2**17
    count = num_bytes // block
    blocks = [struct.pack("<I", block << 3 | 2 | (number == count - 1))[:3] + b"\0" for number in range(count)]
    return b"\x28\xb5\x2f\xfd" + header + b"".join(blocks)


def stream_bomb(packer):
    """Return a packed stream of zeros."""
    zeros = bytes(2**22)
    return b"".join([*(packer.compress(zeros) for _ in range(MANY >> 22)), packer.flush()])


BOMBS = {
    "gzip": lambda: stream_bomb(zlib.compressobj(wbits=31)),
    "zlib": lambda: stream_bomb(zlib.compressobj()),
    "bz2": lambda: stream_bomb(bz2.BZ2Compressor()),
    "lzma": lambda: stream_bomb(lzma.LZMACompressor(preset=0)),
    "zstd": lambda: zstd_bomb(MANY, says=True),
    "zstd that does not say": lambda: zstd_bomb(MANY, says=False),
    "blosc": lambda: bytes([2, 1, 0x21, 1]) + struct.pack("<III", MANY, 2**18, 20) + bytes(4),
    "lz4": lambda: struct.pack("<I", MANY) + bytes(99),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(name):
    data = BOMBS[name]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="unpack"):
        unpacked(name.partition(" ")[0], data, 2**20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_whole_streams_pass_and_cut_ones_do_not(pack):
    assert unpacked("gzip", pack(b"abc") + pack(b"de"), 9) == b"abcde"
    with pytest.raises(ValueError, match="cut short"):
        unpacked("gzip", pack(bytes(range(200)))[:-9], 999)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_791, 65_792, 300_000])
def test_zstd_size_is_that_of_real_frames(size):
    import numcodecs

    data = np.random.default_rng(size).integers(0, 9, size, dtype=np.uint8).tobytes()
    packed = bytes(numcodecs.Zstd().encode(data)) if size else b""
    assert zstd_size(packed) == size


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_slide_with_hostile_chunks(tmp_path, version, codec):
    store = write_ome_zarr(tmp_path / "slide.ome.zarr", IMAGE, version)
    described = {"id": codec, "level": 1}
    configuration = {"level": 1, "checksum": False} if codec == "zstd" else {"level": 1}
    for file in sorted(store.rglob("*")):
        content = json.loads(file.read_text()) if file.name in ("zarr.json", ".zarray") else {}
        if file.name == ".zarray":
            file.write_text(json.dumps(content | {"compressor": described, "filters": None}))
        elif content.get("node_type") == "array":
            codecs = [{"name": "bytes"}, {"name": codec, "configuration": configuration}]
            file.write_text(json.dumps(content | {"codecs": codecs}))
        elif file.is_file() and file.name not in ("zarr.json", ".zattrs", ".zgroup"):
            file.write_bytes(BOMBS[codec]())
    with open_slide(store) as slide, pytest.raises(SlideError, match="unpacks to"):
        slide.read(0, 0, 64, 0, 64)


@pytest.mark.parametrize(
    "codecs",
    [
        {"compressors": zarr.codecs.GzipCodec()},
        {"compressors": zarr.codecs.BloscCodec()},
        {"compressors": zarr.codecs.ZstdCodec(checksum=True)},
        {"compressors": None},
        {"shards": (64, 64), "compressors": zarr.codecs.GzipCodec()},
    ],
)
def test_sound_codecs_still_read(tmp_path, codecs):
    from napari_gigaclf.slides.zarr_guard import guarded, local_store

    values = np.arange(100 * 90, dtype=np.uint16).reshape(100, 90)
    array = zarr.create_array(str(tmp_path / "a"), shape=values.shape, dtype=values.dtype, chunks=(32, 32), **codecs)
    array[...] = values
    assert np.array_equal(guarded(zarr.open_array(local_store(tmp_path / "a"), mode="r"))[...], values)


def test_result_with_a_hostile_chunk(tmp_path):
    folder = tmp_path / "scores"
    array = zarr.create_array(str(folder), shape=(100,), dtype="float32", chunks=(100,))
    array[...] = np.arange(100)
    chunk = next(file for file in folder.rglob("*") if file.is_file() and file.name != "zarr.json")
    assert StoredArray(folder, (100,), np.float32)[7] == 7
    chunk.write_bytes(zstd_bomb(MANY, says=True))
    with pytest.raises(ResultError, match="unpacks to"):
        StoredArray(folder, (100,), np.float32)[...]


def test_pipes_and_huge_files_are_not_read(tmp_path):
    store = write_ome_zarr(tmp_path / "slide.ome.zarr", IMAGE, "0.4")
    chunk = sorted(f for f in store.rglob("*") if f.is_file() and not f.name.startswith("."))[0]
    level = chunk.relative_to(store).parts[0]
    for file in sorted((store / level).rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            file.unlink()
            os.mkfifo(file)
    with open_slide(store) as slide, pytest.raises(SlideError, match="no ordinary file"):
        slide.read(0, 0, 64, 0, 64)
    for file in sorted((store / level).rglob("*")):
        if not file.is_dir() and not file.name.startswith("."):
            file.unlink()
            with file.open("wb") as sparse:
                sparse.truncate(2**33)
    with open_slide(store) as slide, pytest.raises(SlideError, match="more than is read at once"):
        slide.read(0, 0, 64, 0, 64)
