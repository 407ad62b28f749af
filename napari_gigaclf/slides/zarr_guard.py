"""Keeps a damaged or hostile zarr chunk from taking the machine's memory: what it unpacks to is limited.

A chunk has a known size, but decompressors give whatever is packed: three megabytes of gzip can hold three gigabytes,
of which zarr makes several copies before it compares. Here a chunk that unpacks to much more than it should is refused:
gzip, zlib, bz2 and lzma stop at the limit; zstd, blosc and lz4 say beforehand how much they hold.
"""

import bz2
import dataclasses
import lzma
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

TOLERATED = 8
"""A chunk may unpack to this many times its size, before filters which narrow the numbers."""
SLACK_BYTES = 2**16
MAX_UNPACKED = 2**29
MAX_STORED = 2**28 + 2**24
"""Largest chunk or shard file that is read whole."""
_STOPPED = ("gzip", "zlib", "bz2", "lzma")
_ZSTD_MAGIC = 0xFD2FB528
_ZSTD_SKIPPABLE = 0x184D2A5
_ZSTD_BLOCK = 2**17
"""Most bytes that one zstd block unpacks to."""


def unpacked_limit(chunk_bytes: int) -> int:
    """Return the most bytes that a chunk of this decoded size may unpack to on its way."""
    return min(chunk_bytes * TOLERATED, MAX_UNPACKED) + SLACK_BYTES


def unpacked(name: str, data: bytes, limit: int, settings: Any = None) -> bytes | None:  # noqa: ANN401 - numcodecs
    """Return what a chunk unpacks to, or None where its codec may go on, because it holds no more than the limit.

    Parameters
    ----------
    name
        The codec, without prefix.
    data
        The packed chunk.
    limit
        Most bytes.
    settings
        The codec, for lzma's format and filters.

    Raises
    ------
    ValueError
        It holds more, or is damaged.
    """
    if name in ("gzip", "zlib"):
        return _stopped(lambda: zlib.decompressobj(zlib.MAX_WBITS | 32), data, limit)
    if name == "bz2":
        return _stopped(bz2.BZ2Decompressor, data, limit)
    if name == "lzma":
        form, filters = getattr(settings, "format", lzma.FORMAT_AUTO), getattr(settings, "filters", None)
        raw = form == lzma.FORMAT_RAW
        options = (form, None, filters) if raw else (lzma.FORMAT_AUTO, None, None)
        return _stopped(lambda: lzma.LZMADecompressor(*options), data, limit)
    said = _SAID[name](data) if name in _SAID else 0
    if said > limit:
        raise ValueError(f"a chunk says that it unpacks to {said / 2**20:.0f} MiB")
    return None


def _stopped(make: Callable[[], Any], data: bytes, limit: int) -> bytes:
    """Unpack one or more streams, at most to the limit."""
    result = bytearray()
    while data:
        stream = make()
        result += stream.decompress(data, limit + 1 - len(result))
        if len(result) > limit:
            raise ValueError(f"a chunk unpacks to more than {limit / 2**20:.0f} MiB")
        if not stream.eof:
            raise ValueError("a chunk is cut short")
        data = stream.unused_data.lstrip(b"\0")
    return bytes(result)


def zstd_size(data: bytes) -> int:
    """Return how much a zstd chunk says it unpacks to; the most its blocks can hold where it does not say.

    Source of the layout: RFC 8878, sections 3.1.1 and 3.1.2.

    Examples
    --------
    >>> zstd_size(bytes.fromhex("28b52ffd 2003 190000 616263"))
    3
    """
    at = total = 0
    while at + 6 <= len(data):
        magic = int.from_bytes(data[at : at + 4], "little")
        if magic >> 4 == _ZSTD_SKIPPABLE:
            at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
            continue
        if magic != _ZSTD_MAGIC:
            break  # no zstd: its decoder says so
        flags = data[at + 4]
        single, checksum = bool(flags & 32), 4 if flags & 4 else 0
        at += 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3]
        field = (1 if single else 0, 2, 4, 8)[flags >> 6]
        said = int.from_bytes(data[at : at + field], "little") + (256 if field == 2 else 0)
        held, at = _zstd_blocks(data, at + field)
        total += said if field else held
        at += checksum
    return total


def _zstd_blocks(data: bytes, at: int) -> tuple[int, int]:
    """Return the most bytes that the blocks of a frame hold, and where they end."""
    held = 0
    while at + 3 <= len(data):
        header = int.from_bytes(data[at : at + 3], "little")
        kind, size = header >> 1 & 3, header >> 3
        held += size if kind < 2 else _ZSTD_BLOCK
        at += 3 + (1 if kind == 1 else size)
        if header & 1:
            break
    return held, at


_SAID: dict[str, Callable[[bytes], int]] = {
    "zstd": zstd_size,
    "blosc": lambda data: int.from_bytes(data[4:8], "little"),
    "lz4": lambda data: int.from_bytes(data[:4], "little"),
}


def guarded(array: Any) -> Any:  # noqa: ANN401 - zarr
    """Return a zarr array whose chunks are limited in what they unpack to.

    Parameters
    ----------
    array
        The array; its chunks' size was compared with the limits before.
    """
    import zarr

    chunk_bytes = array.dtype.itemsize
    for side in array.metadata.chunk_grid.chunk_shape if array.metadata.zarr_format == 3 else array.chunks:
        chunk_bytes *= int(side)
    limit = unpacked_limit(chunk_bytes)
    metadata = array.metadata
    if metadata.zarr_format == 3:
        metadata = dataclasses.replace(
            metadata, codecs=tuple(_guarded_codec(codec, limit) for codec in metadata.codecs)
        )
    else:
        metadata = dataclasses.replace(
            metadata,
            compressor=None if metadata.compressor is None else BoundedOfVersion2(metadata.compressor, limit),
            filters=None if metadata.filters is None else tuple(BoundedOfVersion2(f, limit) for f in metadata.filters),
        )
    return zarr.Array(zarr.AsyncArray(metadata=metadata, store_path=array.store_path, config=array.config))


def _guarded_codec(codec: Any, limit: int) -> Any:  # noqa: ANN401 - zarr
    """Return a codec of zarr 3, limited; also those inside a shard."""
    from zarr.abc.codec import BytesBytesCodec
    from zarr.codecs import ShardingCodec

    if isinstance(codec, ShardingCodec):
        return dataclasses.replace(
            codec,
            codecs=tuple(_guarded_codec(inner, limit) for inner in codec.codecs),
            index_codecs=tuple(_guarded_codec(inner, limit) for inner in codec.index_codecs),
        )
    return _bounded_class()(inner=codec, limit=limit) if isinstance(codec, BytesBytesCodec) else codec


class BoundedOfVersion2:
    """A codec of zarr 2 (the protocol of numcodecs) that compares what a chunk unpacks to with a limit first."""

    codec_id = "bounded"

    def __init__(self, inner: Any, limit: int) -> None:  # noqa: ANN401 - numcodecs
        self.inner, self.limit, self.codec_id = inner, limit, inner.codec_id

    def encode(self, buf: Any) -> Any:  # noqa: ANN401 - numcodecs
        """Pack."""
        return self.inner.encode(buf)

    def decode(self, buf: Any, out: Any = None) -> Any:  # noqa: ANN401 - numcodecs
        """Unpack."""
        packed = self.codec_id in _SAID or self.codec_id in _STOPPED
        found = unpacked(self.codec_id, bytes(memoryview(buf)), self.limit, self.inner) if packed else None
        return self.inner.decode(buf, out) if found is None else found

    def get_config(self) -> dict[str, Any]:
        """Return the codec as the file describes it."""
        return dict(self.inner.get_config())

    @classmethod
    def from_config(cls, config: Any) -> Any:  # noqa: ANN401 - numcodecs
        """Return the plain codec of a description; part of the protocol."""
        import numcodecs

        return numcodecs.get_codec(config)


@cache
def _bounded_class() -> type[Any]:
    """Return the limited codec of zarr 3; made on use, since zarr takes long to import."""
    from zarr.abc.codec import BytesBytesCodec

    @dataclasses.dataclass(frozen=True)
    class Bounded(BytesBytesCodec):  # type: ignore[misc]
        """Compares what a chunk unpacks to with a limit before the codec itself goes on."""

        inner: Any
        limit: int

        def __post_init__(self) -> None:
            object.__setattr__(self, "is_fixed_size", self.inner.is_fixed_size)

        def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:  # noqa: ANN401 - zarr
            """Return the size of a packed chunk, where it is fixed."""
            return int(self.inner.compute_encoded_size(input_byte_length, chunk_spec))

        def evolve_from_array_spec(self, array_spec: Any) -> "Bounded":  # noqa: ANN401 - zarr
            """Fit the codec to the array."""
            return dataclasses.replace(self, inner=self.inner.evolve_from_array_spec(array_spec))

        def to_dict(self) -> dict[str, Any]:
            """Return the codec as the file describes it."""
            return dict(self.inner.to_dict())

        async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:  # noqa: ANN401 - zarr
            name = str(self.inner.to_dict()["name"]).removeprefix("numcodecs.")
            settings = getattr(self.inner, "_codec", None)
            found = unpacked(name, chunk_bytes.to_bytes(), self.limit, settings)
            if found is None:
                return await self.inner._decode_single(chunk_bytes, chunk_spec)
            return chunk_spec.prototype.buffer.from_bytes(found)

    return Bounded


@cache
def _store_class() -> type[Any]:
    import zarr

    class BoundedStore(zarr.storage.LocalStore):  # type: ignore[misc]
        """A folder of chunks from which only files of a limited size are read: no device, no pipe, no terabyte."""

        async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:  # noqa: ANN401 - zarr
            """Return the bytes of a file."""
            path = self.root / key
            if path.exists() and not path.is_dir():
                if not path.is_file():
                    raise ValueError(f"{key} is no ordinary file")
                if byte_range is None and path.stat().st_size > MAX_STORED:
                    raise ValueError(f"{key} has {path.stat().st_size / 2**20:.0f} MiB, more than is read at once")
            return await super().get(key, prototype, byte_range)

    return BoundedStore


def local_store(folder: Any) -> Any:  # noqa: ANN401 - a path, a zarr store
    """Return a folder as a zarr store that reads ordinary files of a limited size only."""
    return _store_class()(folder, read_only=True)
