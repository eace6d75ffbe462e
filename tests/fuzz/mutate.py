"""Damage to an input that leaves enough of it whole to be read further: JSON is changed as JSON, lines as lines."""

from __future__ import annotations

import json
from random import Random
from typing import Any

__all__ = ["mutate"]

_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 10**9, 10**18, 10**400, -0.0, 0.5, 1e308, "", " ", "x", "0", "12", "²",
    "\ud800", "\x00\x1b[31m\r\n", "\u2028", "\u202e", "a" * 3_000, "sk-canary-5f0c1d2e3b4a5968", [], {}, [[]], [{}], [None],
    {"error": {}}, {"code": []}, {"message": {}}, [1, "a", None], {"": ""},
)  # fmt: skip


def mutate(data: bytes, random: Random, words: tuple[str, ...], most: int) -> bytes:
    """Damage *data* once or a few times, into at most *most* bytes."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        way = random.choice((_value, _value, _value, _bytes, _line, _word, _repeat, _cut))
        data = way(data, random, words)[:most]
    return data


def _value(data: bytes, random: Random, words: tuple[str, ...]) -> bytes:
    """Change one value of the whole body, of one event's data or of the input itself, if that is JSON."""
    head, mark, body = data.partition(b"\n\n")
    if body.startswith((b"data: ", b"event: ", b":")):
        lines = body.split(b"\n")
        places = [at for at, line in enumerate(lines) if line.startswith(b"data: ")]
        if not places:
            return _bytes(data, random, words)
        at = random.choice(places)
        lines[at] = b"data: " + _changed(lines[at][6:], random, words)
        return head + mark + b"\n".join(lines)
    return head + mark + _changed(body, random, words) if mark else _changed(data, random, words)


def _changed(data: bytes, random: Random, words: tuple[str, ...]) -> bytes:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return _bytes(data, random, words)
    value = _inside(value, random, words, 0)
    return json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def _inside(value: Any, random: Random, words: tuple[str, ...], depth: int) -> Any:
    if isinstance(value, dict | list) and value and random.random() < 0.85:
        key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
        way = random.random()
        if way < 0.75:
            value[key] = _inside(value[key], random, words, depth + 1)
        elif way < 0.85:
            del value[key]
        elif isinstance(value, dict):
            value[random.choice(words)] = _odd(random, words)
        else:
            value.insert(random.randrange(len(value) + 1), value[key])
        return value
    if isinstance(value, str) and random.random() < 0.4:
        return _bytes(value.encode("utf-8", "surrogatepass"), random, words).decode("utf-8", "replace")
    return [value] * random.randrange(4) if random.random() < 0.1 else _odd(random, words)


def _odd(random: Random, words: tuple[str, ...]) -> Any:
    one = random.choice((*_ODD, random.choice(words)))
    return json.loads(json.dumps(one)) if isinstance(one, dict | list) else one


def _bytes(data: bytes, random: Random, words: tuple[str, ...]) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 3, 20))):
        at = random.randrange(len(changed) + 1)
        way = random.randrange(3)
        if way == 0 or at == len(changed):
            changed[at:at] = random.choice(
                (b'"', b"{", b"[", b"]", b"}", b",", b"\\", b"\n", b"\r", b"\xff", b"\x00", b":")
            )
        elif way == 1:
            changed[at] = random.randrange(256)
        else:
            del changed[at : at + random.choice((1, 2, 30))]
    return bytes(changed)


def _line(data: bytes, random: Random, words: tuple[str, ...]) -> bytes:
    lines = data.split(b"\n")
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    way = random.randrange(4)
    if way == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif way == 1:
        lines.insert(other, lines[one])
    elif way == 2:
        del lines[one]
    else:
        lines.insert(one, f"{random.choice(words)}: {random.choice(_ODD)}".encode("utf-8", "replace"))
    return (b"\r\n" if random.random() < 0.05 else b"\n").join(lines)


def _word(data: bytes, random: Random, words: tuple[str, ...]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(words).encode() + data[at:]


def _repeat(data: bytes, random: Random, words: tuple[str, ...]) -> bytes:
    at = random.randrange(len(data) + 1)
    part = data[at : at + random.choice((1, 2, 7, 60))]
    return data[:at] + part * random.choice((2, 5, 100, 3_000)) + data[at:]


def _cut(data: bytes, random: Random, words: tuple[str, ...]) -> bytes:
    return data[: random.randrange(len(data) + 1)]
