"""The rules of a phrase bank, checked: run it over a language you write."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["FAMILIES", "FUNCTIONS", "INTENTS", "LABELS", "columns", "frames", "lint"]

FUNCTIONS = ("attention", "problem", "interest", "solution", "proof", "desire", "offer", "action")
FAMILIES = ("formal", "plain", "refined", "warm", "lively", "sharp", "uplift", "direct", "story")
INTENTS = tuple(
    "buy try sign_up book demo download install learn reply share donate apply contact visit renew rate attend".split()
)
LABELS = tuple(
    "price old_price discount date deadline time place duration size width height depth length diameter weight volume "
    "material color designer brand category model year origin quantity capacity power warranty delivery phone email code "
    "ingredients energy speaker guest sender address postal_address availability author pages role pay stock details "
    "points next_step website".split()
)
_SLOT = re.compile(r"\{(\w*)\}")
_FRAME_SLOTS = {"name", "item", "label", "point", "points"}
_NEEDS_SLOT = {"attention", "interest", "solution", "desire", "offer", "action"}
_FINAL = ".?…:。？؟।："


def columns(text: str) -> int:
    """Measure authored words in display columns, slots left out: wide characters take two."""
    bare = _SLOT.sub("", text).strip()
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in bare
    )


def frames(bank: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Give (function, family, length class, frame) of every frame."""
    for function, families in bank["frames"].items():
        for family, classes in families.items():
            for size, texts in classes.items():
                for text in texts:
                    yield function, family, size, text


def lint(bank: dict[str, Any]) -> list[str]:
    """List what breaks the rules of ``data/phrases/README.md``; empty when the bank is sound."""
    return [*_lint_cells(bank), *_lint_frames(bank), *_lint_rest(bank)]


def _lint_cells(bank: dict[str, Any]) -> Iterator[str]:
    for function in FUNCTIONS:
        for family in FAMILIES:
            cell = bank["frames"].get(function, {}).get(family, {})
            short, long = cell.get("s", []), cell.get("l", [])
            where = f"{function}/{family}"
            proof = function == "proof"
            if len(short) < (8 if proof else 5):
                yield f"{where}: {len(short)} short frames"
            if len(long) < (5 if proof else 4):
                yield f"{where}: {len(long)} long frames"
            for size, texts in (("s", short), ("l", long)):
                if sum("{name}" not in text for text in texts) < 3:
                    yield f"{where}/{size}: fewer than 3 frames without {{name}}"
                openings = Counter(_opening(text) for text in texts)
                for word, count in openings.items():
                    if count > 3 and word:
                        yield f"{where}/{size}: {count} frames open with {word!r}"
            if function in _NEEDS_SLOT and sum("{" in text for text in short) * 2 < len(short):
                yield f"{where}: fewer than half of the short frames carry a slot"


def _opening(text: str) -> str:
    words = text.split()
    return "" if not words or words[0].startswith("{") or len(words) == 1 else words[0].casefold()


def _lint_frames(bank: dict[str, Any]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for function, family, size, text in frames(bank):
        where = f"{function}/{family}/{size} {text!r}"
        slots = set(_SLOT.findall(text))
        if slots - _FRAME_SLOTS:
            yield f"{where}: slot {sorted(slots - _FRAME_SLOTS)} has no contract"
        if function == "proof" and not slots & {"point", "points"}:
            yield f"{where}: a proof frame carries {{point}} or {{points}}"
        if function == "proof" and size == "s" and "point" not in slots:
            yield f"{where}: a short proof frame carries {{point}}"
        wide = columns(text)
        if size == "s" and wide > 22:
            yield f"{where}: {wide} columns, at most 22"
        if size == "l" and not 23 <= wide <= 110:
            yield f"{where}: {wide} columns, 23 to 110"
        if text[-1] not in _FINAL and not text.endswith("}"):
            yield f"{where}: no final mark"
        yield from (f"{where}: {problem}" for problem in _lint_text(text))
        key = text.casefold()
        if key in seen:
            yield f"{where}: stands in {seen[key]} too"
        seen[key] = f"{function}/{family}/{size}"


def _lint_text(text: str) -> Iterator[str]:
    if not unicodedata.is_normalized("NFC", text):
        yield "not NFC"
    if any(mark in text for mark in "!！¡"):
        yield "exclamation mark"
    if any(c.isdigit() for c in text):
        yield "digit"
    if text != text.strip() or "  " in text:
        yield "spaces"
    if "..." in text or "'" in text or '"' in text:
        yield "typewriter mark"


def _lint_rest(bank: dict[str, Any]) -> Iterator[str]:
    for intent in INTENTS:
        for level in "FNC":
            calls = bank["cta"].get(intent, {}).get(level, [])
            if len(calls) < 3:
                yield f"cta/{intent}/{level}: {len(calls)} calls"
            for call in calls:
                if columns(call) > 22:
                    yield f"cta/{intent}/{level} {call!r}: {columns(call)} columns"
                if call[-1] in _FINAL:
                    yield f"cta/{intent}/{level} {call!r}: final mark"
                yield from (f"cta/{intent}/{level} {call!r}: {problem}" for problem in _lint_text(call))
    for label in LABELS:
        if not bank["labels"].get(label):
            yield f"labels/{label}: missing"
    if not bank["audience"] and "audience" not in bank["labels"]:
        yield "audience: neither a frame nor a label"
    for level in "FNC":
        if "{first_name}" not in bank["greeting"].get(level, ""):
            yield f"greeting/{level}: no {{first_name}}"
        if not bank["list_intro"].get(level):
            yield f"list_intro/{level}: missing"
    if len(bank["faq"]) < 4:
        yield "faq: fewer than 4 questions"
    for entry in bank["faq"]:
        if entry.get("fact") not in {"item", "material", "size", "price", "points"}:
            yield f"faq {entry!r}: unknown fact"
    for key in ("sms", "email"):
        if not bank["opt_out"].get(key):
            yield f"opt_out/{key}: missing"


def main(paths: list[str]) -> int:
    """Print what is wrong with the files; exit status 1 if anything is."""
    wrong = 0
    for path in paths:
        bank = json.loads(Path(path).read_text(encoding="utf-8"))
        problems = lint(bank)
        wrong += len(problems)
        sys.stdout.write(f"{path}: {sum(1 for _ in frames(bank))} frames, {len(problems)} problems\n")
        sys.stdout.writelines(f"  {problem}\n" for problem in problems)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
