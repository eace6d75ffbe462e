"""JSON with one meaning, whichever library does it.

What the standard library does, as wrapped in `StdlibJson`, is the definition:

- `dumps` gives compact UTF-8 in insertion order; a tuple is a list; NaN and the infinities become null;
  keys that are not text are written as the standard library writes them; enumeration members are written as
  their value and UUIDs as text; anything else is a `TypeError`.
- `loads` takes text or UTF-8 bytes without a byte order mark; the last of two equal keys wins; integers are
  exact whatever their size; NaN and Infinity are refused. Everything refused is a `ValueError`.

A faster library is asked first, and where its answer could differ the input goes to the definition instead:
floats that libraries spell differently, integers beyond 64 bits, whatever it refuses.
"""

from __future__ import annotations

import json
import re
import uuid
from enum import Enum
from importlib import import_module
from typing import Any, Protocol, cast

from .registry import Candidate, Capability, choose, expect

__all__ = ["CAPABILITY", "JsonCodec", "StdlibJson", "dumps", "loads"]


class JsonCodec(Protocol):
    """Encodes and decodes JSON; safe to share between threads."""

    def dumps(self, value: Any) -> bytes:
        """Encode *value* as compact UTF-8."""
        ...

    def loads(self, data: bytes | str) -> Any:
        """Decode *data*; ValueError for anything that is not one JSON document."""
        ...


def dumps(value: Any) -> bytes:
    """Encode *value* as compact UTF-8, the same bytes on every machine.

    Raises:
        TypeError: a part of *value* has no JSON form.
        ValueError: *value* holds itself, or text that is not Unicode (a lone surrogate).
    """
    return cast(bytes, choose("json").implementation.dumps(value))


def loads(data: bytes | str) -> Any:
    """Decode one JSON document from text or UTF-8 bytes.

    Raises:
        ValueError: *data* is not UTF-8, is not JSON, or holds NaN or Infinity.
    """
    return choose("json").implementation.loads(data)


class StdlibJson:
    """The definition: the standard library's ``json``."""

    def __init__(self) -> None:
        self._encoder = json.JSONEncoder(
            ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_convert
        )
        self._decoder = json.JSONDecoder(parse_constant=_refuse)

    def dumps(self, value: Any) -> bytes:
        """Encode *value*; see the module."""
        try:
            try:
                text = self._encoder.encode(value)
            except ValueError:  # a float without a JSON form, or a value that holds itself
                text = self._encoder.encode(_finite(value, []))
        except RecursionError as error:
            raise ValueError("the value is nested too deeply for JSON") from error
        return text.encode("utf-8")

    def loads(self, data: bytes | str) -> Any:
        """Decode *data*; see the module."""
        text = data if isinstance(data, str) else data.decode("utf-8")
        try:
            return self._decoder.decode(text)
        except RecursionError as error:
            raise ValueError("JSON is nested too deeply") from error


class _Orjson:
    def __init__(self) -> None:
        orjson: Any = import_module("orjson")

        self._dumps, self._loads = orjson.dumps, orjson.loads
        self._options = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
        self._definition = StdlibJson()
        # Releases differ in how they write large floats; the common spelling can be told from the output.
        self._tells_exponents = orjson.dumps(1e16) == b"1e+16"

    def dumps(self, value: Any) -> bytes:
        try:
            data: bytes = self._dumps(value, None, self._options)
        except Exception:
            return self._definition.dumps(value)
        odd = _holds_exponent(data, b"-") or _holds_exponent(data, b"+") or b"0.0000" in data
        if not odd and self._tells_exponents:
            return data
        if self._tells_exponents and b"\\" not in data and data[:1] in (b"{", b"["):
            return _ODD_FLOAT.sub(_respelt, data)
        return data if _is_plain(value) else self._definition.dumps(value)

    def loads(self, data: bytes | str) -> Any:
        try:
            raw = data.encode("utf-8") if isinstance(data, str) else data
            if _DIGIT_RUN in raw.translate(_DIGITS):  # orjson turns integers beyond 64 bits into floats
                return self._definition.loads(data)
            return self._loads(raw)
        except Exception:
            return self._definition.loads(data)


class _Msgspec:
    def __init__(self) -> None:
        msgspec: Any = import_module("msgspec")

        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder().decode
        self._definition = StdlibJson()

    def dumps(self, value: Any) -> bytes:
        # msgspec also writes sets, bytes, dates and more: only plain values may reach it
        if not _is_plain(value):
            return self._definition.dumps(value)
        try:
            data: bytes = self._encode(value)
        except Exception:
            return self._definition.dumps(value)
        return data

    def loads(self, data: bytes | str) -> Any:
        try:
            return self._decode(data)
        except Exception:
            return self._definition.loads(data)


class _Simdjson(StdlibJson):
    """Decodes with simdjson; it has no encoder, so encoding is the definition."""

    def __init__(self) -> None:
        simdjson: Any = import_module("simdjson")

        super().__init__()
        self._loads = simdjson.loads

    def loads(self, data: bytes | str) -> Any:
        try:
            raw = data.encode("utf-8") if isinstance(data, str) else data
            if raw.startswith(b"\xef\xbb\xbf"):
                return super().loads(data)
            return self._loads(raw)
        except Exception:
            return super().loads(data)


_ODD_FLOAT = re.compile(rb"(?<=[:,\[])-?(?:0\.0000[0-9]*|[0-9.]+e[+-][0-9]+)(?=[,\]}])")
_DIGITS = bytes(ord("0") if chr(code).isdigit() and code < 128 else ord(" ") for code in range(256))
_DIGIT_RUN = b"0" * 19


def _holds_exponent(data: bytes, sign: bytes) -> bool:
    """Tell whether a digit, an ``e`` and *sign* follow one another; prose is full of words like "one-off"."""
    if sign not in data:  # one byte is found several times faster than two
        return False
    at = data.find(b"e" + sign)
    while at > 0:
        if 48 <= data[at - 1] <= 57:
            return True
        at = data.find(b"e" + sign, at + 1)
    return False


def _respelt(found: re.Match[bytes]) -> bytes:
    """Spell a float that orjson spells in its own way as the definition does, unless it stands within a text.

    Only where no quote is escaped: then an even number of them before it says that every text has ended.
    """
    if found.string.count(b'"', 0, found.start()) % 2:
        return found.group()
    return repr(float(found.group())).encode()


def _is_plain(value: Any) -> bool:
    """Tell whether every library spells *value* alike: exact JSON types, text keys, ordinary floats."""
    queue = [value]
    for part in queue:
        kind = type(part)
        if kind is str or kind is int or kind is bool or part is None:
            continue
        if kind is float:
            if not (part == 0.0 or 1e-4 <= part < 1e16 or -1e16 < part <= -1e-4):
                return False
        elif kind is dict:
            if not all(type(key) is str for key in part):
                return False
            queue.extend(part.values())
        elif kind is list:
            queue.extend(part)
        else:
            return False
        if len(queue) > 1_000_000:  # it may hold itself: the definition knows how to say so
            return False
    return True


def _finite(value: Any, inside: list[int]) -> Any:
    """Copy *value* with null for floats that JSON cannot write."""
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if isinstance(value, Enum) and not isinstance(value, (str, int)):
        return _finite(value.value, inside)
    if not isinstance(value, (dict, list, tuple)):
        return value
    if id(value) in inside:
        raise ValueError("Circular reference detected")
    inside.append(id(value))
    copy: Any
    if isinstance(value, dict):
        copy = {key: _finite(part, inside) for key, part in value.items()}
    else:
        copy = [_finite(part, inside) for part in value]
    inside.pop()
    return copy


def _convert(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _verify(codec: JsonCodec) -> None:
    value = {"a": [1, -0.5, None, True], "é😀\u2028": '"\\\n\x01/', "n": {"e": 1e-7, "big": 2**70}}
    data = (
        '{"a":[1,-0.5,null,true],"é😀\u2028":"\\"\\\\\\n\\u0001/",'
        '"n":{"e":1e-07,"big":1180591620717411303424}}'
    )
    expect(codec.dumps(value) == data.encode(), "encodes the known value differently")
    expect(codec.loads(data) == value, "decodes the known text differently")
    for wrong in ("", "[1,]", "NaN", b'"\xff"'):
        expect(_refuses(codec, wrong), f"accepts {wrong!r}")


def _refuses(codec: JsonCodec, data: bytes | str) -> bool:
    try:
        codec.loads(data)
    except ValueError:
        return True
    return False


CAPABILITY = Capability(
    "json",
    "Encoding and decoding of results, cached entries and batch lines.",
    (
        Candidate("orjson", "orjson", "copykit.accel.json:_Orjson", "fast"),
        Candidate("msgspec", "msgspec", "copykit.accel.json:_Msgspec", "fast"),
        Candidate("pysimdjson", "simdjson", "copykit.accel.json:_Simdjson", "accel"),
        Candidate("json", None, "copykit.accel.json:StdlibJson"),
    ),
    _verify,
)
