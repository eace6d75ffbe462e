"""What a language model leaves in a text besides copy: code, names of the request, open places, broken ends.

For text that a model wrote alone: authored phrases hold none of it, and a caller's own words are exempt wherever
they stand in the brief.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache

from copykit.brief.brief import Brief
from copykit.brief.catalog import FieldSpec
from copykit.data import load_toml
from copykit.drafts.lexicon import Lexicon
from copykit.drafts.look import Look, lowered, rules, violation
from copykit.drafts.mechanics import sentences
from copykit.drafts.wording import Wording
from copykit.lazy import lazy
from copykit.models import Violation

__all__ = ["residue"]

_MARKUP = lazy(
    r"</?[a-z][a-z0-9]*(?:[\s:/][^<>]*)?>|<!--|&(?:[a-z]{2,8}|#\d{2,6}|#x[0-9a-f]{2,6});",
    re.IGNORECASE,
)
_ESCAPE = lazy(r"\\(?:[nrt\"]|u[0-9a-fA-F]{4})")
_NAME = lazy(r"(?<![\w@#＃./-])[A-Za-z]+(?:_[A-Za-z0-9]+)+(?![\w./-])")
"""As programs and requests spell names: ``product_name``."""
_CODE = lazy(r"[{\[]\s*[\"'“][^\"'”\n]{1,40}[\"'”]\s*:|\"\s*:\s*[\"{\[]|\}\s*[,;)]\s*[{(]|\w\(\)|[;}]\s*//")
_OPEN_PLACE = lazy(
    r"\[[^\[\]\n]{2,40}\](?!\()|\((?:insert|add|include|your|enter) [^()\n]{2,60}\)"
    r"|\((?:image|photo|picture|video|gif)(?: of|:)[^()\n]{2,80}\)|[○〇×△]{2,}"
    r"|[@#](?:your|the)_?(?:brand|company|product|shop|store|business|name|handle)\w*"
    r"|[@#](?:brand|company|product|user|shop|store)_?(?:name|handle)\b"
    r"|\byour(?:web ?site|brand|company|shop|store|domain|link)\.\w{2,3}\b",
    re.IGNORECASE,
)
_STUMP = lazy(r"(?<!\w)(?:(?:https?:/{0,2}|www\.)(?=\s|$)|(?:https?|www)$)", re.IGNORECASE)
"""An address of which only the beginning is there."""
_HEAD = lazy(r"(?:^|[\n.!?。！？])[\s*#\"“-]{0,40}+((?:[^\W\d_]+ ){0,2}[^\W\d_]+) ?\d{0,2}\s*[:：]")
_OPENINGS = frozenset(",;:.)]}%/|\\=、。，；：）」")
_OPEN_ENDS = frozenset(":：&+/=\\")
_BRACKETS = "{}[]<>%* |"
_DASHES = (" -", " –", " —")
_DIRECTED = frozenset({"script"})
"""Roles whose texts hold directions in brackets."""
_LONG = 12
"""Words from which a single line without an end mark reads as a sentence."""
_TELLING = frozenset({"body", "description", "script"})
_BROKEN = 4
"""Words that a text has in common with the brief when it stops where the brief goes on."""


@cache
def _lists() -> dict[str, frozenset[str]]:
    rows = load_toml("rules/wording/model.toml")
    return {name: frozenset(words) for name, words in rows.items() if isinstance(words, list)}


@cache
def _answer() -> re.Pattern[str]:
    words = "|".join(map(re.escape, load_toml("rules/wording/model.toml")["answers"]))
    return re.compile(rf"(?:{words})[ \u00a0\u202f]?[.!。！]")


@cache
def _advice() -> tuple[str, ...]:
    """What copykit says of texts that are asked for again: a small model may hand it back as copy."""
    return tuple({rule.fix.lower() for rule in rules().values() if len(rule.fix.split()) >= _BROKEN})


@cache
def _talk(spaced: bool) -> Lexicon[str]:
    return Lexicon(dict.fromkeys(load_toml("rules/wording/model.toml")["talk"], "talk"), spaced=spaced)


@cache
def _chat_marks() -> re.Pattern[str]:
    return re.compile("|".join(load_toml("chat_tokens.toml")["patterns"]), re.IGNORECASE)


_KINDS = (
    ("M-16", frozenset("<&"), _MARKUP, "is markup"),
    ("M-16", frozenset("\\"), _ESCAPE, "is an escape"),
    ("M-16", frozenset('{}[":;()'), _CODE, "is code"),
    ("M-15", frozenset("[(@#.○〇×△"), _OPEN_PLACE, "is a placeholder"),
)
"""Rule, characters of which one stands in every match, pattern, what it is."""


def residue(
    look: Look, spec: FieldSpec, brief: Brief, wording: Wording, tokens: Collection[str]
) -> list[Violation]:
    """Give what in *look*, a model's text for *spec*, is no copy: an error each.

    *tokens* are the names, in lower case, of what somebody fills in later: they may stand in any brackets.
    """
    found: list[Violation] = []
    text, label = look.text, look.label
    source = lowered(brief.source_text)
    for rule, marks, pattern, what in (
        *_KINDS,
        ("M-16", frozenset("<["), _chat_marks(), "speaks to a model"),
    ):
        if marks.isdisjoint(look.chars) or (rule == "M-15" and spec.role in _DIRECTED):
            continue
        hit = pattern.search(text)
        if (
            hit is not None
            and hit.group().lower() not in source
            and hit.group().strip(_BRACKETS).lower() not in tokens
        ):
            found.append(violation(rule, label, f"{hit.group()[:40]!r} {what}", span=hit.span()))
    if "_" in look.chars:
        name = _NAME.search(look.masked)
        if name is not None and name.group().lower() not in source:
            found.append(
                violation("M-16", label, f"{name.group()!r} is a name of the request", span=name.span())
            )
    if look.lower.strip(" .:!?…\"'") in _lists()["empty"]:
        found.append(violation("M-15", label, f"{text!r} stands for what is to be written"))
    for phrase, _, start, end in _talk(wording.spaced).find(look.lower):
        if phrase not in source:
            found.append(
                violation("M-16", label, f"{text[start:end]!r} talks about the text", span=(start, end))
            )
            break
    if any(advice in look.lower for advice in _advice()):
        found.append(violation("M-16", label, "the text repeats what was said of an earlier one"))
    if _answer().match(look.lower):
        found.append(violation("M-16", label, "the text begins with an answer to whoever asked for it"))
    _labelled(look, brief, wording, source, found)
    _ends(look, spec, brief, wording, source, found)
    return found


def _labelled(look: Look, brief: Brief, wording: Wording, source: str, found: list[Violation]) -> None:
    """Find labels inside the text, and the name of its structure, which only the request told."""
    if ":" in look.chars or "：" in look.chars:
        own = {fact.key.replace("_", " ").lower() for fact in brief.facts}
        for head in _HEAD.finditer(look.lower):
            said = head.group(1)
            listed = said in _lists()["heads"] or (head.start() and said in wording.labels)
            if listed and said not in own and said not in source:
                found.append(violation("M-16", look.label, f"{said!r} labels the text", span=head.span(1)))
                break
    name = brief.structure.name
    told = name.lower() in look.lower if "-" in name else name.isupper() and f"{name} " in look.text
    if (told or " -> " in look.text) and name.lower() not in source:
        found.append(violation("M-16", look.label, f"the text tells its structure, {name}"))


def _ends(
    look: Look, spec: FieldSpec, brief: Brief, wording: Wording, source: str, found: list[Violation]
) -> None:
    """Find beginnings and ends that a whole text does not have."""
    text, label = look.text.strip(), look.label
    if not text:
        return
    stump = _STUMP.search(text)
    if stump is not None:
        found.append(violation("M-14", label, f"the address {stump.group()!r} breaks off", span=stump.span()))
    if text[0] in _OPENINGS and not text.startswith("...") and text[:3].lower() not in source:
        found.append(violation("M-14", label, f"the text begins with {text[0]!r}", span=(0, 1)))
    last = look.masked.rstrip()[-2:]
    if spec.role not in _TELLING or last[-1] != text[-1]:  # a link closes the text
        return
    if last[-1] in _OPEN_ENDS or last in _DASHES:
        found.append(violation("M-14", label, f"the text ends in {last.strip()!r}"))
    elif last[-1].isalnum() and look.words:
        *others, sentence = sentences(look.text)
        word = look.words[-1]
        if (others or len(sentence.split()) >= _LONG) and word in _lists().get(f"open_{wording.base}", ()):
            found.append(violation("M-14", label, f"the text ends in {word!r}"))
        elif _breaks_off(lowered(sentence), source):
            found.append(violation("M-14", label, f"the text breaks off in a word of the brief, {word!r}"))


def _breaks_off(last: str, source: str) -> bool:
    """Whether the text stops inside a word of a passage that it takes from the brief."""
    words = last.split()
    if len(words) < _BROKEN:
        return False
    tail = " ".join(words[-_BROKEN:])
    at = source.find(tail)
    while at >= 0:
        after = source[at + len(tail) : at + len(tail) + 1]
        if not after.isalpha():
            return False
        at = source.find(tail, at + 1)
        if at < 0:
            return True
    return False
