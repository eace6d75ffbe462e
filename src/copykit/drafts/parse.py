"""A model's answer turned into drafts, however it is wrapped.

The shape that is asked for::

    {"variants": [{"fields": {"headlines": ["…", "…"], "cta": "…"},
                   "parts": [{"step": "attention", "field": "headlines[0]", "text": "…"}],
                   "structure": "AIDA"}]}

What is accepted besides: an array of variants; one variant's object, with or without ``fields``; the object
in a code fence or among prose; trailing commas; typographic quotes around keys and texts; a heading or
``Headline 1:`` before each text; and, for a placement with one text, the bare text. Numbers keep their
digits as written. What is never done: cutting a text, closing one that stops in the middle of its JSON,
or taking broken JSON for copy.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from copykit.brief.brief import Brief
from copykit.brief.catalog import FieldSpec
from copykit.errors import MalformedCompletion, counted
from copykit.lazy import lazy
from copykit.models import Part

from .draft import Draft

__all__ = ["MAX_BYTES", "MAX_DEPTH", "EmptyCompletion", "Parsed", "decode", "encode", "parse", "parse_texts"]

MAX_BYTES = 256 * 1024
"""Size of an answer, UTF-8, beyond which it is refused unread."""

MAX_DEPTH = 20
"""Nesting of brackets beyond which an answer is refused."""

_MAX_CANDIDATES = 12  # stretches of one answer that are tried as JSON
_WRAPPERS = frozenset({"variants", "drafts", "options", "versions", "results", "outputs", "items", "copies"})
_TEXT_NAMES = frozenset(
    {"text", "content", "copy", "body", "post", "caption", "message", "tweet", "value", "script", "output"}
)
_NOT_TEXT = frozenset({"hashtags", "url", "path", "identifier", "info"})

_STRING_OR_BRACKET = lazy(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_STRING_OR_COMMA = lazy(r'("(?:[^"\\]++|\\.)*+"?)|,(?=\s*[\]}])', re.DOTALL)
_FENCE = lazy(r"[ \t]*+(```+|~~~+)[^`]*\Z")
_THOUGHT = lazy(r"\s*<(think|thinking|reasoning)>", re.IGNORECASE)
_OPENING_QUOTE = lazy(r"(?<=[\[{,:])(\s*)[“”„‟«‘’]|\A(\s*[\[{]\s*)[“”„‟«‘’]")
_CLOSING_QUOTE = lazy(r"[“”‟»‘’](?=\s*[\]},:])")
_SURROGATE = lazy(r"[\ud800-\udfff]")
# Everything but tab and line feed that moves a cursor or starts an escape sequence.
_CONTROL = lazy(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# The start of a JSON object: text that holds one is an answer gone wrong, not copy.
_KEY = lazy(r"""\{\s*["'“][^"'“”\n]{1,60}["'”]\s*:""")
_NAME = lazy(r"[^a-z0-9]+")
# Possessive throughout: a line of a thousand spaces would otherwise be read in every way there is.
_DIVIDER = lazy(
    r"[\W_]*+(?:variante?|option|opción|version|versión|draft)[\W_]*+\d++[\W_]*+\Z", re.IGNORECASE
)
_LABEL = lazy(
    r"[\s>*#•·–-]*+(?:\d++[.)]\s*+)?(?:\*\*|__)?([A-Za-z][A-Za-z_ .-]{0,40}?)[\s_]*+[\[(#]?(\d*+)[\])]?\s*+"
    r"(?:\*\*|__)?\s*+[:：]\s*+(?:\*\*|__)?\s*+(.*)"
)
_BULLET = lazy(r"\s*+(?:[-*•·–]|\d++[.)])\s++(.*)")
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "”": "”", "「": "」"}


class EmptyCompletion(MalformedCompletion):
    """A provider answered with nothing, or with nothing but white space and its own thoughts."""

    code = "empty_output"


class _Unreadable(Exception):
    """A stretch of the answer is no JSON that may be used; the reason is the message."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """Drafts, and what of the answer did not become one."""

    drafts: tuple[Draft, ...]
    notes: tuple[str, ...]
    """One sentence for each thing left out or changed in form, e.g. an unknown field."""


def parse(text: str, brief: Brief) -> list[Draft]:
    """Read the drafts of *brief* out of a completion, in its order; see `decode` for what was left out.

    Raises:
        MalformedCompletion: there is no copy in it: ``empty_output`` if it is empty, else ``output_invalid``
            (larger than `MAX_BYTES`, nested deeper than `MAX_DEPTH`, NaN, broken JSON, no known field).
    """
    return list(decode(text, brief).drafts)


def parse_texts(text: str, brief: Brief, count: int) -> dict[int, str]:
    """Read the answer to a `RepairPrompt`: texts by number, 1 to *count*; numbers may be missing.

    Accepted besides the shape asked for: the numbered object alone, an array in the order of the numbers, and the
    bare text where one was asked for.

    Raises:
        MalformedCompletion: no text that was asked for is in it.
    """
    body, reader = _body(text), _Reader(brief)
    for candidate, _ in _candidates(body):
        try:
            value = _load(candidate)
        except _Unreadable:
            continue
        if isinstance(value, dict):
            value = next((value[key] for key in ("texts", *_WRAPPERS) if key in value), value)
        rows = (
            enumerate(value, 1)
            if isinstance(value, list)
            else value.items()
            if isinstance(value, dict)
            else ()
        )
        texts = {}
        for number, said in rows:
            said = said.get("text") if isinstance(said, dict) else said
            if str(number).isdecimal() and 1 <= int(number) <= count and isinstance(said, str):
                texts[int(number)] = reader.clean(said)
        texts = {number: said for number, said in texts.items() if said}
        if texts:
            return texts
    if (
        count == 1
        and body[0] not in "{["
        and not _KEY.search(body)
        and (said := reader.clean(_unquoted(body)))
    ):
        return {1: said}
    raise MalformedCompletion("no text that was asked for is in the answer", excerpt=_excerpt(text))


def _body(text: str) -> str:
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise MalformedCompletion(f"answer larger than {MAX_BYTES // 1024} KiB", excerpt=_excerpt(text))
    body = _without_thoughts(_well_formed(text).lstrip("\ufeff")).strip("\ufeff \t\r\n")
    if not body:
        raise EmptyCompletion("the answer is empty", excerpt=_excerpt(text))
    return body


def decode(text: str, brief: Brief) -> Parsed:
    """Read a completion like `parse`, and tell what was left out: unknown fields, surplus items, variants."""
    body = _body(text)
    reader = _Reader(brief)
    problem = ""
    for candidate, certain in _candidates(body):
        try:
            drafts = reader.variants(_load(candidate))
        except _Unreadable as error:
            if certain or not problem:
                problem = str(error)
            continue
        if drafts:
            return reader.finish(drafts)
    looks_like_json = body[0] in "{[" or body.startswith(("```json", "~~~json")) or _KEY.search(body)
    if not looks_like_json:
        drafts = reader.labelled(body) or reader.bare(body)
        if drafts:
            return reader.finish(drafts)
    raise MalformedCompletion(problem or "no known field in the answer", excerpt=_excerpt(text))


def encode(drafts: Sequence[Draft]) -> str:
    """Write *drafts* as the JSON that `parse` reads back unchanged (texts stripped and not empty)."""
    variants: list[dict[str, Any]] = []
    for draft in drafts:
        variant: dict[str, Any] = {"fields": draft.fields}
        if draft.parts:
            variant["parts"] = [{"step": p.step, "field": p.field, "text": p.text} for p in draft.parts]
        if draft.structure is not None:
            variant["structure"] = draft.structure
        variants.append(variant)
    return json.dumps({"variants": variants}, ensure_ascii=False)


# --- text to JSON value -------------------------------------------------------------------------------


def _excerpt(text: str) -> str:
    return _CONTROL.sub(" ", _SURROGATE.sub("\ufffd", text[:500]))


def _well_formed(text: str) -> str:
    """Join surrogate pairs that came as two escapes; a half alone becomes the replacement character."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _without_thoughts(text: str) -> str:
    """Drop what a reasoning model thinks aloud before it answers; an unclosed thought leaves nothing."""
    at = 0
    while opening := _THOUGHT.match(text, at):
        closing = text.find(f"</{opening[1]}>", opening.end())
        if closing < 0:
            return ""
        at = closing + len(opening[1]) + 3
    return text[at:]


def _candidates(body: str) -> Iterator[tuple[str, bool]]:
    """Give stretches that may be JSON, likeliest first, and whether the stretch can be nothing else."""
    if body[0] in "{[":
        yield body, True
    for block in islice(_fenced(body), _MAX_CANDIDATES):
        if block[:1] in {"{", "["}:
            yield block, True
    for number, stretch in enumerate(_balanced(body)):
        if number == _MAX_CANDIDATES:
            return
        yield stretch, False


def _fenced(body: str) -> Iterator[str]:
    """Give what stands in code fences, each ended by the next line that holds its mark alone."""
    lines = body.split("\n")
    ends: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        mark = line.strip(" \t\r")
        if mark[:3] in {"```", "~~~"}:
            ends.setdefault(mark, []).append(number)
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        known = ends.get(opening[1], []) if opening else []
        at = bisect_right(known, number)
        if at < len(known):
            yield "\n".join(lines[number + 1 : known[at]]).strip()
            number = known[at]
        number += 1


def _unfenced(body: str) -> str:
    """Take off the fence that encloses the whole answer, whatever marks stand within."""
    first, _, rest = body.partition("\n")
    opening = _FENCE.match(first)
    inner, _, last = ("\n" + rest).rpartition("\n")
    return inner[1:] if opening and last.strip(" \t\r") == opening[1] else body


def _balanced(body: str) -> Iterator[str]:
    """Give each outermost bracketed stretch. Quotes of the prose before it are not taken for strings."""
    at = min((i for i in (body.find("{"), body.find("[")) if i >= 0), default=-1)
    while at >= 0:
        depth, end = 0, -1
        for token in _STRING_OR_BRACKET.finditer(body, at):
            if token[0] in {"{", "["}:
                depth += 1
            elif token[0] in {"}", "]"}:
                depth -= 1
                if depth == 0:
                    end = token.end()
                    break
        if end < 0:
            return
        yield body[at:end]
        at = min((i for i in (body.find("{", end), body.find("[", end)) if i >= 0), default=-1)


def _load(candidate: str) -> Any:
    depth = deepest = 0
    for token in _STRING_OR_BRACKET.finditer(candidate):
        if token[0] in {"{", "["}:
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in {"}", "]"}:
            depth -= 1
    if deepest > MAX_DEPTH:
        raise _Unreadable(f"nested deeper than {MAX_DEPTH} levels")
    try:
        return _loads(candidate)
    except ValueError as error:
        reason = str(error)
    mended = _STRING_OR_COMMA.sub(lambda m: m[1] or "", candidate)
    straight = _CLOSING_QUOTE.sub('"', _OPENING_QUOTE.sub(lambda m: (m[1] or m[2] or "") + '"', candidate))
    straight = _STRING_OR_COMMA.sub(lambda m: m[1] or "", straight)
    for attempt in (mended, straight):
        try:
            return _loads(attempt)
        except (ValueError, RecursionError):
            continue
    raise _Unreadable(f"broken JSON: {reason}")


def _loads(candidate: str) -> Any:
    # Numbers stay text, so that 49.90 is not turned into 49.9 and a million digits cost nothing.
    return json.loads(
        candidate, strict=False, parse_int=str, parse_float=str, parse_constant=_refuse_constant
    )


def _refuse_constant(name: str) -> Any:
    raise _Unreadable(f"{name} is no value for copy")


# --- JSON value to drafts -----------------------------------------------------------------------------


class _Reader:
    """Knows one brief's fields and collects what it had to leave out."""

    def __init__(self, brief: Brief) -> None:
        self.brief = brief
        self.notes: list[str] = []
        self.specs = {spec.name: spec for spec in brief.fields}
        self.names: dict[str, str] = {}
        for spec in brief.fields:
            for form in (spec.name, spec.name.removesuffix("s"), spec.name + "s"):
                self.names.setdefault(_plain(form), spec.name)
        texts = [
            spec
            for spec in brief.fields
            if spec.role not in _NOT_TEXT and not spec.choices and (spec.default_count or spec.required)
        ]
        self.main = texts[0] if len(texts) == 1 else None

    def finish(self, drafts: list[Draft]) -> Parsed:
        wanted = self.brief.request.variants
        if len(drafts) > wanted:
            self.notes.append(f"{counted(len(drafts) - wanted, 'variant')} more than asked for left out")
        return Parsed(tuple(drafts[:wanted]), tuple(dict.fromkeys(self.notes)))

    def variants(self, value: Any) -> list[Draft]:
        """Find variants in a decoded value, at any of the depths that models put them."""
        if isinstance(value, list):
            if value and all(isinstance(item, str) for item in value):
                return self._from_texts(value)
            return [draft for item in value if isinstance(item, dict) for draft in self.variants(item)]
        if not isinstance(value, dict):
            return []
        for key, inner in value.items():
            if key.lower() in _WRAPPERS and key not in self.specs and isinstance(inner, list | dict):
                found = self.variants(list(inner.values()) if isinstance(inner, dict) else inner)
                if found or key.lower() == "variants":
                    return found
        own = value.get("fields", value)
        if isinstance(own, dict):
            fields = self._fields(own, strict=own is not value)
            if fields:
                return [self._draft(fields, value)]
        return [
            draft
            for inner in value.values()
            if isinstance(inner, dict | list)
            for draft in self._nested(inner)
        ]

    def _nested(self, inner: Any) -> list[Draft]:
        if isinstance(inner, list):
            inner = [item for item in inner if isinstance(item, dict)]
        return self.variants(inner)

    def _from_texts(self, texts: list[str]) -> list[Draft]:
        if self.main is None:
            return []
        if self.main.is_list:
            fields = self._fields({self.main.name: texts}, strict=True)
            return [Draft(fields)] if fields else []
        return [Draft({self.main.name: clean}) for clean in map(self.clean, texts) if clean]

    def _draft(self, fields: dict[str, str | list[str]], value: dict[str, Any]) -> Draft:
        parts = []
        rows = value.get("parts")
        for row in rows if isinstance(rows, list) else ():
            if not isinstance(row, dict):
                continue
            step, field, text = (row.get(key) for key in ("step", "field", "text"))
            if isinstance(step, str) and isinstance(field, str) and isinstance(text, str):
                name = self._known(field.partition("[")[0])
                if name in fields and (text := self.clean(text)):
                    label = name + field[field.index("[") :] if "[" in field else name
                    parts.append(Part(step=step, field=label, text=text))
                else:
                    self.notes.append(f"a part names the field {_short(field)}, which has no text")
        structure = value.get("structure")
        if not isinstance(structure, str):
            structure = self.brief.structure.id if parts else None
        return Draft(fields, tuple(parts), structure)

    def _known(self, key: str) -> str | None:
        return self.names.get(_plain(key))

    def _fields(self, raw: dict[str, Any], *, strict: bool) -> dict[str, str | list[str]]:
        """Read field texts; numbered keys (``headline_2``) are items of their list field.

        *strict* tells that *raw* can be nothing but fields, so that what is unknown in it is worth a note.
        """
        collected: dict[str, list[str]] = {}
        unknown: list[str] = []
        for key, value in raw.items():
            name = self._known(key)
            if name is None:
                stem = key.rstrip("0123456789")
                name = self._known(stem) if stem != key else None
            if (
                name is None
                and self.main is not None
                and _plain(key) in _TEXT_NAMES
                and not isinstance(value, dict)
            ):
                name = self.main.name
            if name is None:
                unknown.append(key)
                continue
            collected.setdefault(name, []).extend(self._texts(value, self.specs[name]))
        fields = {
            name: self._shaped(self.specs[name], collected[name])
            for name in self.specs
            if collected.get(name)
        }
        if fields or strict:
            ignored = ("parts", "structure", "id", "variant")
            self.notes.extend(
                f"unknown field {_short(k)} left out" for k in unknown if strict or k not in ignored
            )
        return fields

    def _texts(self, value: Any, spec: FieldSpec) -> list[str]:
        """Give the texts in *value*: a text, a list of them, or objects with one text each."""
        if isinstance(value, str):
            lines = value.strip().split("\n") if spec.is_list else []
            bullets = [m[1] for m in map(_BULLET.match, lines) if m]
            texts = bullets if len(bullets) > 1 and len(bullets) == len(lines) else [value]
        elif isinstance(value, list):
            return [text for item in value if not isinstance(item, list) for text in self._texts(item, spec)]
        elif isinstance(value, dict):
            texts = [v for k, v in value.items() if isinstance(v, str) and k.lower() in _TEXT_NAMES][:1]
            if not texts:
                self.notes.append(f"{spec.name} holds an object without a text")
        else:
            texts = []
            if value is not None:
                self.notes.append(f"{spec.name} holds {json.dumps(value)}, which is no text")
        return [clean for clean in map(self.clean, texts) if clean]

    def _shaped(self, spec: FieldSpec, texts: list[str]) -> str | list[str]:
        if spec.is_list:
            if len(texts) > spec.max_count:
                self.notes.append(
                    f"{spec.name}: {counted(len(texts) - spec.max_count, 'item')} more than fit left out"
                )
            return texts[: spec.max_count]
        if len(texts) > 1:
            self.notes.append(f"{spec.name}: {len(texts)} texts joined, the field takes one")
        return "\n".join(texts)

    def clean(self, text: str) -> str:
        text = _well_formed(text)
        if _CONTROL.search(text):
            text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
            self.notes.append("control characters removed")
        return text.strip()

    # --- plain text -----------------------------------------------------------------------------------

    def labelled(self, body: str) -> list[Draft]:
        """Read lines such as ``Headline 1: …``, ``**Descriptions:**`` with bullets, ``Variant 2`` between."""
        drafts: list[Draft] = []
        found: dict[str, list[str]] = {}
        leading: list[str] = []
        current: str | None = None

        def close() -> None:
            opening = self.clean("\n".join(leading))
            if found and opening:
                if self.main is not None and not self.main.is_list and self.main.name not in found:
                    found[self.main.name] = [_unquoted(opening) or opening]
                else:
                    self.notes.append("text outside the fields left out")
            leading.clear()
            fields = {n: self._shaped(self.specs[n], found[n]) for n in self.specs if found.get(n)}
            if fields:
                drafts.append(Draft(fields))
            found.clear()

        for line in body.splitlines():
            if _DIVIDER.match(line):
                close()
                current = None
                continue
            match = _LABEL.match(line)
            name = self._known(match[1]) if match else None
            if match and name:
                current = name
                text = _unquoted(self.clean(match[3]).removesuffix("**").strip())
                if text:
                    found.setdefault(name, []).append(text)
                continue
            bullet = _BULLET.match(line)
            if line.lstrip().startswith(("```", "~~~")):
                continue
            if current is None:
                leading.append(line)
            if current is None or not line.strip():
                continue
            text = _unquoted(self.clean(bullet[1] if bullet else line))
            if not text:
                continue
            if bullet or not found.get(current):
                found.setdefault(current, []).append(text)
            elif not self.specs[current].is_list:
                found[current][-1] += "\n" + text
            else:  # a list's items are on their own lines: anything else after it is the model talking
                self.notes.append("text outside the fields left out")
        close()
        return drafts

    def bare(self, body: str) -> list[Draft]:
        """Take the whole answer as the placement's one text; ``Variant 2`` lines divide it."""
        if self.main is None:
            return []
        pieces: list[list[str]] = [[]]
        for line in _unfenced(body).splitlines():
            if _DIVIDER.match(line):
                pieces.append([])
            else:
                pieces[-1].append(line)
        texts = [clean for clean in (self.clean("\n".join(piece)) for piece in pieces) if clean]
        if self.main.is_list:
            lines = [line for text in texts for line in text.splitlines()]
            texts = [bullet[1] if (bullet := _BULLET.match(line)) else line for line in lines]
        kept = [clean for clean in (_unquoted(self.clean(text)) for text in texts) if clean]
        if self.main.is_list:
            return [Draft({self.main.name: self._shaped(self.main, kept)})] if kept else []
        return [Draft({self.main.name: text}) for text in kept]


def _plain(name: str) -> str:
    return _NAME.sub("", name.lower())


def _short(text: str) -> str:
    return json.dumps(_excerpt(text)[:40], ensure_ascii=False)


def _unquoted(text: str) -> str:
    """Take off quotation marks that enclose the whole text and nothing less."""
    closing = _QUOTES.get(text[:1])
    if (
        closing
        and len(text) > 2
        and text.endswith(closing)
        and closing not in text[1:-1]
        and text[0] not in text[1:-1]
    ):
        return text[1:-1].strip()
    return text
