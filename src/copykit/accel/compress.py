"""Compressed bytes that say how they were compressed.

Layout: one byte for the format, four bytes for the original length (big endian), then the payload. Which
format `compress` writes depends on what is installed; `decompress` reads every format whose library is
here, whoever wrote it, and raises `UnknownFormat` for the others, which a cache counts as a miss.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

from .registry import Candidate, Capability, choose, expect, is_present

__all__ = ["CAPABILITY", "MAX_BYTES", "Compressor", "UnknownFormat", "compress", "decompress"]

MAX_BYTES = 2**32 - 1
"""Largest input, since the header holds its length in four bytes."""

_HEADER = 5
_STORED, _ZLIB, _ZSTD, _LZ4, _BLOSC2 = b"\x00", b"\x01", b"\x02", b"\x03", b"\x04"
_NAMES = {_STORED: "stored", _ZLIB: "zlib", _ZSTD: "zstd", _LZ4: "lz4", _BLOSC2: "blosc2"}


class UnknownFormat(LookupError):
    """The bytes are in a format that nothing installed here can read; treat it as a miss."""


class Compressor(Protocol):
    """Makes bytes smaller; safe to share between threads."""

    format: bytes
    """The format byte of its payloads."""

    def pack(self, data: bytes) -> bytes:
        """Give the payload for *data*."""
        ...


def compress(data: bytes) -> bytes:
    """Give *data* behind a header, compressed where that makes it smaller.

    The result is an exact copy without spare room, fit to be kept in memory.

    Raises:
        ValueError: *data* is larger than `MAX_BYTES`.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data)} bytes exceed the limit of {MAX_BYTES}")
    compressor = cast(Compressor, choose("compress").implementation)
    body = compressor.pack(data)
    kind, body = (compressor.format, body) if len(body) < len(data) else (_STORED, data)
    return b"".join((kind, len(data).to_bytes(4, "big"), body))


def decompress(blob: bytes, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Give the bytes that `compress` was given, here or on another machine.

    Never allocates more than the length in the header, and nothing when that exceeds *max_bytes*.

    Raises:
        UnknownFormat: the format's library is not installed here (also a LookupError).
        ValueError: *blob* is damaged, was not written by `compress`, or is larger than *max_bytes*.
    """
    if len(blob) < _HEADER:
        raise ValueError("too short to be compressed data")
    kind, size, body = blob[:1], int.from_bytes(blob[1:_HEADER], "big"), blob[_HEADER:]
    if size > max_bytes:
        raise ValueError(f"holds {size} bytes, more than {max_bytes}")
    unpack = _reader(kind)
    try:
        data = unpack(body, size)
    except Exception as error:  # every library has its own error for damaged data
        raise ValueError(f"damaged {_NAMES[kind]} data") from error
    if len(data) != size:
        raise ValueError(f"damaged {_NAMES[kind]} data: {len(data)} bytes instead of {size}")
    return data


def _reader(kind: bytes) -> Callable[[bytes, int], bytes]:
    if kind not in _NAMES:
        raise UnknownFormat(f"format {kind.hex()} is unknown")
    for module, make in _READERS[kind]:
        if module is not None and not is_present(module):
            continue
        try:
            return make()
        except Exception:  # noqa: S112 -- a broken package: another may read the format
            continue
    raise UnknownFormat(f"nothing installed here reads {_NAMES[kind]}")


class _Zlib:
    format = _ZLIB

    def pack(self, data: bytes) -> bytes:
        return zlib.compress(data, 6)


class _Zstandard:
    format = _ZSTD

    def __init__(self) -> None:
        zstandard: Any = import_module("zstandard")

        self._make = zstandard.ZstdCompressor
        self._own = threading.local()  # a compressor must not be used by two threads at once

    def pack(self, data: bytes) -> bytes:
        compressor = getattr(self._own, "compressor", None)
        if compressor is None:
            compressor = self._own.compressor = self._make(level=3)
        return cast(bytes, compressor.compress(data))


class _Cramjam:
    format = _ZSTD

    def __init__(self) -> None:
        cramjam: Any = import_module("cramjam")

        self._compress = cramjam.zstd.compress

    def pack(self, data: bytes) -> bytes:
        return bytes(self._compress(data, level=3))


class _Lz4:
    format = _LZ4

    def __init__(self) -> None:
        block: Any = import_module("lz4.block")

        self._compress = block.compress

    def pack(self, data: bytes) -> bytes:
        return cast(bytes, self._compress(data, store_size=False))


class _Blosc2:
    format = _BLOSC2

    def __init__(self) -> None:
        blosc2: Any = import_module("blosc2")

        self._compress = blosc2.compress2

    def pack(self, data: bytes) -> bytes:
        return bytes(self._compress(data, typesize=1, nthreads=1)) if data else b""


def _unpack_zlib(body: bytes, size: int) -> bytes:
    reader = zlib.decompressobj()
    data = reader.decompress(body, size + 1)
    if not reader.eof or reader.unused_data:
        raise ValueError("does not end where it should")
    return data


@cache
def _zstandard_reader() -> Callable[[bytes, int], bytes]:
    zstandard: Any = import_module("zstandard")

    own = threading.local()

    def unpack(body: bytes, size: int) -> bytes:
        if zstandard.frame_content_size(body) not in (size, -1):
            raise ValueError("another length inside")
        reader = getattr(own, "reader", None)
        if reader is None:
            reader = own.reader = zstandard.ZstdDecompressor()
        return cast(bytes, reader.decompress(body, max_output_size=size))

    return unpack


@cache
def _cramjam_zstd_reader() -> Callable[[bytes, int], bytes]:
    cramjam: Any = import_module("cramjam")

    return lambda body, size: bytes(cramjam.zstd.decompress(body, output_len=size))


@cache
def _lz4_reader() -> Callable[[bytes, int], bytes]:
    block: Any = import_module("lz4.block")

    return lambda body, size: cast(bytes, block.decompress(body, uncompressed_size=size))


@cache
def _cramjam_lz4_reader() -> Callable[[bytes, int], bytes]:
    cramjam: Any = import_module("cramjam")

    return lambda body, size: bytes(cramjam.lz4.decompress_block(body, output_len=size))


@cache
def _blosc2_reader() -> Callable[[bytes, int], bytes]:
    blosc2: Any = import_module("blosc2")

    def unpack(body: bytes, size: int) -> bytes:
        # the length inside, bytes 4 to 8, decides what blosc2 allocates
        if int.from_bytes(body[4:8], "little") != size:
            raise ValueError("another length inside")
        return cast(bytes, blosc2.decompress2(body, nthreads=1))

    return unpack


_READERS: dict[bytes, tuple[tuple[str | None, Callable[[], Callable[[bytes, int], bytes]]], ...]] = {
    _STORED: ((None, lambda: lambda body, size: body),),
    _ZLIB: ((None, lambda: _unpack_zlib),),
    _ZSTD: (("zstandard", _zstandard_reader), ("cramjam", _cramjam_zstd_reader)),
    _LZ4: (("lz4", _lz4_reader), ("cramjam", _cramjam_lz4_reader)),
    _BLOSC2: (("blosc2", _blosc2_reader),),
}


def _verify(compressor: Compressor) -> None:
    for data in (b"a" * 1000, b"Comodidad y estilo. " * 40, bytes(range(256)) * 8):
        body = compressor.pack(data)
        expect(type(body) is bytes, "does not give bytes")
        expect(len(body) < len(data), "does not shrink repeated text")
        expect(_reader(compressor.format)(body, len(data)) == data, "does not give back what it was given")


CAPABILITY = Capability(
    "compress",
    "Compressed cache entries, each with a header that names its format.",
    (
        Candidate("zstandard", "zstandard", "copykit.accel.compress:_Zstandard", "fast"),
        Candidate("lz4", "lz4", "copykit.accel.compress:_Lz4", "accel"),
        # slower than zlib on one result, which is all that copykit compresses at a time
        Candidate("cramjam", "cramjam", "copykit.accel.compress:_Cramjam", "fast", by_default=False),
        Candidate("blosc2", "blosc2", "copykit.accel.compress:_Blosc2", "accel", by_default=False),
        Candidate("zlib", None, "copykit.accel.compress:_Zlib"),
    ),
    _verify,
)
