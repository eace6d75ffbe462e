"""Mending that cannot change the meaning: marks, spaces, quotes, residue, whole hashtags. Never a cut word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace

from copykit.brief.brief import Brief
from copykit.brief.catalog import FieldSpec
from copykit.drafts.draft import Draft
from copykit.drafts.locale_marks import apply_marks, outside_links, plain_typing, substituted
from copykit.drafts.measure import measure, px_size
from copykit.drafts.mechanics import HASHTAG, INVISIBLE
from copykit.drafts.wording import wording_of
from copykit.lazy import lazy
from copykit.models import Part, Repair, Violation

__all__ = ["apply_marks", "repair"]

_ROUNDS = 6
_UNTOUCHED = frozenset({"url", "path", "identifier", "info", "cta_choice"})
_RTL = frozenset("\u061c\u200e\u200f\u2066\u2067\u2068\u2069")
# A run of spaces or marks is begun once, at its first: else a thousand of them are tried a thousand times.
_FENCE = lazy(r"^\s*+```[\w-]*\s*|(?<!\s)\s*+```\s*+\Z")
_BOLD = lazy(r"\*\*([^*\n]+)\*\*|__([^_\n]+)__")
_HEADING = lazy(r"^\s{0,3}#{1,6}\s+", re.MULTILINE)
_LABEL = lazy(r"^[\s*#\"“]*((?:[^\W\d_]+ )?[^\W\d_]+) ?\d{0,2}\s*[:：][*\"”]*\s*", re.IGNORECASE)
_BREAK = lazy(r"<br[^<>]*>|</(?:p|div|li|ul|ol|h[1-6])\s*>|(?:\\r)?\\n", re.IGNORECASE)
_FORMAT = lazy(r"</?(?:p|div|li|ul|ol|h[1-6]|b|i|u|em|strong|span)(?:\s[^<>]*)?>", re.IGNORECASE)
_ENTITY = lazy(r"&(?:[a-z]{2,8}|#\d{2,6}|#x[0-9a-f]{2,6});", re.IGNORECASE)
_WHOLE_QUOTE = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」"}
_DOTS = lazy(r"(?<!\.)\.{3}(?!\.)|(?<!\.)\.{4,}")
_SHOUT = lazy(r"([!！])(?:[ \u00a0\u202f]*[!！])+")
_ASK = lazy(r"([?？؟])(?:[ \u00a0\u202f]*[?？؟])+")
_REPEATED = lazy(r"([,;:，、；：،؛~#%&])\1+|(?<!\.)(\.)\.(?!\.)|([。])。+|([।])।+")
_MIXED = lazy(r"([?？؟])[!！]+|(?<![!！])[!！]++([?？؟])")
_SPACES = lazy(r"(?<=\S)[ \t]{2,}(?=\S)")
_BEFORE = lazy(r"(?<=[^\W_]) +(?=[,.](?!\w))")
_LINE_EDGE = lazy(r"(?<![ \t])[ \t]++(?=\n)|(?<=\n)[ \t]+")
_MATH = lazy(r"[\U0001d400-\U0001d7ff]+")


def repair(draft: Draft, violations: Sequence[Violation], brief: Brief) -> tuple[Draft, list[Repair]]:
    """Mend what code can mend without knowing what the text means.

    Done: NFC, invisible and decorative characters, stray spaces, the language's own punctuation, one mark for
    many, ``…`` for ``...``, markup, fences, labels and quotes around a whole text, exclamation marks beyond the
    tone's budget, hashtags beyond the platform's maximum (dropped whole), repeated list items (dropped whole).
    Not done: shortening. A text that is too long stays as it is and stays reported.

    Idempotent: a second repair changes nothing. Items are dropped only while the field keeps its minimum.

    Args:
        violations: What the check found; texts without a finding are left byte for byte.

    Returns:
        The mended draft, and one `Repair` per change with ``variant`` 0 for the engine to number.
    """
    specs = {spec.name: spec for spec in brief.fields}
    touched = {violation.field for violation in violations}
    repairs: list[Repair] = []
    changed: dict[str, str] = {}
    fields: dict[str, str | list[str]] = {}
    for name, value in draft.fields.items():
        spec = specs.get(name)
        if spec is None or spec.role in _UNTOUCHED:
            fields[name] = value
            continue
        if isinstance(value, str):
            fields[name] = _mended(value, name, spec, brief, touched, repairs, changed)
        else:
            items = [
                _mended(text, f"{name}[{index}]", spec, brief, touched, repairs, changed)
                for index, text in enumerate(value)
            ]
            fields[name] = _distinct(items, name, spec, repairs) if _repeats(violations, name) else items
    _fewer_tags(fields, brief, repairs, changed)
    if not repairs:
        return draft, []
    parts = tuple(_follow(part, changed) for part in draft.parts)
    return replace(draft, fields=fields, parts=parts), repairs


def _follow(part: Part, changed: dict[str, str]) -> Part:
    """Give the part as it stands in its mended field, if its field was one text that changed as a whole."""
    text = changed.get(f"{part.field}\n{part.text}")
    return part if text is None else part.model_copy(update={"text": text})


def _repeats(violations: Sequence[Violation], name: str) -> bool:
    return any(
        v.rule == "M-12" and v.severity == "error" and v.field.startswith(f"{name}[") for v in violations
    )


def _mended(
    text: str,
    label: str,
    spec: FieldSpec,
    brief: Brief,
    touched: set[str],
    repairs: list[Repair],
    changed: dict[str, str],
) -> str:
    if label not in touched or not text:
        return text
    before = text
    done: dict[str, str] = {}
    for _ in range(_ROUNDS):  # a mend may lay bare what an earlier one looks for, as markup around a label
        start = text
        for rule, how, mend in _STEPS:
            after = mend(text, brief)
            if after == text or not after.strip():
                continue
            if len(after) > len(text) and _grows_too_long(text, after, spec, brief):
                continue
            done.setdefault(how, rule)
            text = after
        if text == start:
            break
    if text != before:
        repairs.extend(Repair(variant=0, field=label, rule=rule, how=how) for how, rule in done.items())
        changed[f"{label}\n{before}"] = text
    return text


def _grows_too_long(before: str, after: str, spec: FieldSpec, brief: Brief) -> bool:
    """Whether a mend that adds characters would push a text that fits over a hard figure."""
    for limit in spec.limits:
        if limit.hard is not None:
            size = px_size(spec.name) if limit.unit == "px" else 20.0

            def sized(
                text: str, unit: str = limit.unit, double: bool = limit.emoji_double, px: float = size
            ) -> float:
                return measure(text, unit, language=brief.language.tag, emoji_double=double, size_px=px)

            if sized(after) > limit.hard >= sized(before):
                return True
    return False


def _nfc(text: str, brief: Brief) -> str:
    return unicodedata.normalize("NFC", text)


def _seen(text: str, brief: Brief) -> str:
    if text.isascii():
        return text
    if any("\U0001d400" <= c <= "\U0001d7ff" for c in text):
        text = _MATH.sub(lambda found: unicodedata.normalize("NFKC", found.group()), text)
    hidden = INVISIBLE - _RTL if brief.language.script in ("Arab", "Hebr") else INVISIBLE
    if not hidden.isdisjoint(text):
        text = "".join(c for c in text if c not in hidden)
    return text


def _controls(text: str, brief: Brief) -> str:
    if text.isprintable():
        return text
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def _unwrapped(text: str, brief: Brief) -> str:
    """Take away fences, markup, escapes, labels and quotes around the whole text."""
    text = _plain(_FENCE.sub("", text), brief.source_text)
    if "**" in text or "__" in text:
        text = _BOLD.sub(lambda found: found.group(1) or found.group(2), text)
    text = _HEADING.sub("", text)
    label = _LABEL.match(text)
    labels = wording_of(brief.language).labels
    if label and label.group(1).lower() in labels and label.end() < len(text):
        own = brief.source_text.lower().startswith(label.group().lower())
        text = text if own else text[label.end() :]
    closing = _WHOLE_QUOTE.get(text[:1])
    if (
        closing
        and len(text) > 2
        and text[-1] == closing
        and closing not in text[1:-1]
        and text[0] not in text[1:-1]
    ) and text not in brief.source_text:
        text = text[1:-1]
    return text


def _plain(text: str, source: str) -> str:
    """Write what stands in HTML or in escapes plainly, where it only gives text a form."""
    if "<" in text or "\\" in text:
        text = _BREAK.sub(lambda found: found.group() if found.group() in source else "\n", text)
        text = _FORMAT.sub(lambda found: found.group() if found.group() in source else "", text)
    if "&" in text and _ENTITY.search(text):
        from html import unescape  # its table of entities is large, and few texts hold one

        text = _ENTITY.sub(
            lambda found: found.group() if found.group() in source else unescape(found.group()), text
        )
    return text


def _one_mark(text: str, brief: Brief) -> str:
    dots = "..." if plain_typing(brief.placement) else "…"
    names = [name for name in _names(brief) if name in text and _without_runs(name, dots, ()) != name]
    return outside_links(text, lambda stretch: _without_runs(stretch, dots, names))


def _names(brief: Brief) -> Iterator[str]:
    return filter(None, (brief.name, brief.brand.name, *brief.brand.terms))


def _first(found: re.Match[str]) -> str:
    groups: tuple[str | None, ...] = found.groups()
    return next(filter(None, groups), "")


def _without_runs(text: str, dots: str, names: Sequence[str]) -> str:
    text = substituted(_DOTS, dots, text, names)
    for run in (_MIXED, _SHOUT, _ASK, _REPEATED):
        text = substituted(run, _first, text, names)
    return text


def _spaced(text: str, brief: Brief) -> str:
    text = _LINE_EDGE.sub("", text.strip())
    if brief.language.spaces_between_words:
        text = _SPACES.sub(" ", text)
        text = _BEFORE.sub("", text)
    return text


def _calm(text: str, brief: Brief) -> str:
    """Turn exclamation marks beyond the budget into full stops, the last ones first."""
    count = text.count("!") + text.count("！")
    if not count:
        return text
    words = len(text.split())
    tone = brief.tone
    budget = max(tone.exclamations_per_field, tone.exclamations_per_100_words * words // 100)
    names = [name for name in _names(brief) if "!" in name or "！" in name]
    while count > budget:
        at = max(_last(text, "!", names), _last(text, "！", names))
        if at < 0:
            break
        stop = _stop(brief) if text[at] == "!" else "。"
        text = text[:at].rstrip(" \u00a0\u202f") + stop + text[at + 1 :]
        opener = text.rfind("¡", 0, at)
        if opener >= 0 and not re.search(r"[.!?…]\s", text[opener:at]):
            text = text[:opener] + text[opener + 1 :]
        count -= 1
    return text


def _last(text: str, mark: str, names: Sequence[str]) -> int:
    at = text.rfind(mark)
    while at >= 0 and any(
        text.startswith(name, at - place)
        for name in names
        for place, c in enumerate(name[: at + 1])
        if c == mark
    ):
        at = text.rfind(mark, 0, at)
    return at


def _stop(brief: Brief) -> str:
    base = brief.language.tag.partition("-")[0]
    return {"hi": "।", "bn": "।", "ja": "。", "zh": "。", "th": ""}.get(base, ".")


def _marked(text: str, brief: Brief) -> str:
    names = [name for name in _names(brief) if name in text]
    return apply_marks(text, brief.language, plain=plain_typing(brief.placement), names=names)


_PLAIN = str.maketrans(
    {
        **dict.fromkeys("“”„«»", '"'),
        **dict.fromkeys("‘’", "'"),
        **dict.fromkeys("–—", "-"),
        **dict.fromkeys("\u00a0\u202f", " "),
        "‚": ",",
        "…": "...",
    }
)
_SPACED_QUOTES = lazy(r"(?<=«)[ \u00a0\u202f]+|[ \u00a0\u202f]+(?=»)")


def _typed_plainly(text: str, brief: Brief) -> str:
    """Type quotes, dashes, dots and spaces plainly where a typographic one would turn the message into UCS-2."""
    if text.isascii() or brief.language.script != "Latn" or not plain_typing(brief.placement):
        return text
    if any(name in text and name.translate(_PLAIN) != name for name in _names(brief)):
        return text
    return _SPACED_QUOTES.sub("", text).translate(_PLAIN)


_STEPS = (
    ("M-20", "stored accents with their letters (NFC)", _nfc),
    ("M-19", "removed invisible characters, plain letters for symbols", _seen),
    ("M-19", "removed control characters", _controls),
    ("M-16", "removed markup, label or quotes around the text", _unwrapped),
    ("M-07", "kept one of several marks", _one_mark),
    ("M-27", "removed stray spaces", _spaced),
    ("M-06", "full stops for exclamation marks beyond the tone's budget", _calm),
    ("M-18", "punctuation as the language writes it", _marked),
    ("sms-plain-characters", "plain characters for typographic ones", _typed_plainly),
)


def _distinct(items: list[str], name: str, spec: FieldSpec, repairs: list[Repair]) -> list[str]:
    kept: list[str] = []
    seen: set[str] = set()
    spare = len(items) - spec.min_count
    for index, text in enumerate(items):
        key = text.casefold().strip(" .!?…。！？")
        if key in seen and spare > 0:
            spare -= 1
            repairs.append(
                Repair(
                    variant=0,
                    field=f"{name}[{index}]",
                    rule="M-12",
                    how=f"dropped the repeated item {text!r}",
                )
            )
            continue
        seen.add(key)
        kept.append(text)
    return kept


def _fewer_tags(
    fields: dict[str, str | list[str]], brief: Brief, repairs: list[Repair], changed: dict[str, str]
) -> None:
    """Drop hashtags beyond the platform's maximum, the last ones first, each whole."""
    most = brief.placement.hashtags.hard_max
    if most is None:
        return
    roles = {spec.name: spec.role for spec in brief.fields}
    total = 0
    for name, value in list(fields.items()):
        if roles.get(name) in _UNTOUCHED or name not in roles:
            continue
        if roles[name] == "hashtags" and isinstance(value, list):
            room = max(0, most - total)
            for tag in value[room:]:
                repairs.append(Repair(variant=0, field=name, rule="M-22", how=f"dropped {tag}"))
            if len(value) > room:
                fields[name] = value[:room]
            total += min(len(value), room)
            continue
        texts = [value] if isinstance(value, str) else list(value)
        for index, text in enumerate(texts):
            if "#" not in text:
                continue
            tags = list(HASHTAG.finditer(text))
            room = max(0, most - total)
            total += min(len(tags), room)
            label = name if isinstance(value, str) else f"{name}[{index}]"
            for match in reversed(tags[room:]):
                if not _may_go(text, match):
                    continue
                shorter = (text[: match.start()].rstrip(" ") + text[match.end() :]).strip()
                if not shorter:
                    continue
                repairs.append(Repair(variant=0, field=label, rule="M-22", how=f"dropped {match.group()}"))
                text = shorter
            texts[index] = text
        fields[name] = texts[0] if isinstance(value, str) else texts


def _may_go(text: str, tag: re.Match[str]) -> bool:
    """Whether the tag stands in the block of tags at the end: inside a sentence it is one of its words."""
    rest = HASHTAG.sub("", text[tag.end() :])
    return not rest.strip(" \n\t.,;·|")
