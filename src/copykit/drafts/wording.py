"""Word lists of one language, read from ``data/rules`` and compiled once: what its copy says and avoids."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from copykit.brief.catalog import Language
from copykit.data import load_toml
from copykit.drafts.lexicon import Lexicon
from copykit.drafts.look import WORD_CLASS
from copykit.lazy import lazy

__all__ = ["Foreign", "Wording", "foreign_words", "wording_of"]

_UNSPACED = frozenset({"ja", "zh", "th"})
_REDUPLICATING = frozenset({"hi", "bn", "id", "ms", "vi", "tr", "fil", "th", "zh", "ja", "ar", "fa", "ko"})


class Foreign(NamedTuple):
    """Frequent words of the other languages, to notice text in the wrong one."""

    words: dict[str, frozenset[str]]
    """Word → base tags of the languages it is frequent in; words of the own language are left out."""
    own: frozenset[str]
    """Frequent words of the own language."""


class Wording(NamedTuple):
    """What is known of one language's words; every list may be empty where nobody has written it yet."""

    base: str
    spaced: bool
    decimal: str
    reduplicates: bool
    """Whether a word written twice is ordinary grammar, so that M-09 says nothing."""
    acronyms: frozenset[str]
    doubles: frozenset[str]
    """Words that may stand twice in a row."""
    function_words: frozenset[str]
    labels: frozenset[str]
    """Field names that models write before the text, as in ``Headline 1:``."""
    price: re.Pattern[str] | None
    """A price word with its number; group 0 is reported when no currency stands in the text (rule M-25)."""
    tails: frozenset[str]
    """Words no text ends in (rule M-14)."""
    leaning: Lexicon[str]
    """Openings that need something before them (rule M-13)."""
    formal: frozenset[str]
    informal: frozenset[str]
    """Words that address one reader familiarly in any sentence (rule C-21)."""
    familiar: Familiar
    """Forms that do so as well, but not so certainly that a text is wrong for them."""
    formal_exact: frozenset[str]
    """Formal words told apart by their capital alone (German ``Ihnen``), not at the start of a sentence."""
    call: Lexicon[str]
    """Verbs and phrases that ask for an action (rule C-04)."""
    weak: frozenset[str]
    """Calls that say nothing when they stand alone (rule C-06)."""
    weak_phrases: Lexicon[str]
    """Calls that say nothing wherever they stand."""
    cliches: Lexicon[str]
    claims: Lexicon[str]
    """Phrases that need evidence, each with its rule id."""
    residue: Lexicon[str]
    """Phrases of a model that talks about its answer (rule M-16)."""
    comparisons: Lexicon[str]
    """Comparisons with others (rule C-09)."""
    foreign: Foreign
    starts: Starts
    """Which lists can match at all, told from the words of a text."""


class Familiar(NamedTuple):
    """Verbs and suffixes of the familiar address: what a text in another form of address should not quote."""

    words: frozenset[str]
    first: frozenset[str]
    """Imperatives that are other words further on in a sentence."""
    forms: re.Pattern[str] | None
    """Endings of the second person: Spanish ``-ándote``, Polish ``-asz``, Arabic ``-ك``."""
    innocent: frozenset[str]
    """Words that only end so."""

    def found(self, words: Sequence[str]) -> bool:
        """Tell whether one of *words*, the lower-case words of a sentence in order, addresses familiarly."""
        if not self.words.isdisjoint(words) or (words and words[0] in self.first):
            return True
        forms = self.forms
        return forms is not None and any(
            forms.fullmatch(word) and word not in self.innocent for word in words
        )


class Starts:
    """Which phrase lists can match a text, told from its words alone.

    Each phrase is filed under one telling word, with the others that must stand beside it. Nearly no word of
    a text is telling, so words once found innocent are remembered and a text costs one set operation.
    Languages without spaces always try every list.
    """

    __slots__ = ("_innocent", "_known", "_longest", "_spaced", "_stems", "_words", "everything")

    def __init__(self, lists: Mapping[str, Lexicon[str]], spaced: bool, small: frozenset[str]) -> None:
        self._spaced = spaced
        self._words: dict[str, set[_Telling]] = {}
        self._stems: dict[str, set[_Telling]] = {}
        for name, lexicon in lists.items():
            for phrase in lexicon.phrases:
                tokens = [(match.group(1), match.group(2) == "*") for match in _TOKEN.finditer(phrase)]
                if not tokens:
                    continue
                # A phrase is told by its longest word that not every text holds.
                key, open_end = max(tokens, key=lambda token: (token[0] not in small, len(token[0])))
                others = frozenset(word for word, ending in tokens if not ending) - {key}
                (self._stems if open_end else self._words).setdefault(key, set()).add((name, others))
        self._longest = max(map(len, self._stems), default=0)
        self._known: dict[str, tuple[_Telling, ...]] = {}
        self._innocent: set[str] = set()
        self.everything = frozenset(lists)

    def of(self, words: set[str]) -> Collection[str]:
        """Give the names of the lists that may match a text of these lower-case *words*."""
        if not self._spaced:
            return self.everything
        unsure = words - self._innocent
        if not unsure:
            return ()
        possible: set[str] = set()
        whole = words
        for word in unsure:
            telling = self._known.get(word)
            if telling is None:
                telling = self._telling(word)
                if len(self._innocent) + len(self._known) > _REMEMBERED:
                    self._innocent, self._known = set(), {}
                if telling:
                    self._known[word] = telling
                elif len(word) <= _LONGEST_WORD:
                    self._innocent.add(word)
            for name, others in telling:
                if name not in possible:
                    if whole is words and others and any("'" in one for one in words):
                        # A phrase may begin after an apostrophe: "l'avenir" holds "avenir".
                        whole = words.union(*(one.split("'") for one in words if "'" in one))
                    if others <= whole:
                        possible.add(name)
        return possible

    def _telling(self, word: str) -> tuple[_Telling, ...]:
        found: set[_Telling] = set()
        for part in {word, *word.split("'")}:
            found |= self._words.get(part, found)
            for end in range(1, min(len(part), self._longest) + 1):
                found |= self._stems.get(part[:end], found)
        alone = {name for name, others in found if not others}
        return tuple(one for one in found if not one[1] or one[0] not in alone)


_Telling = tuple[str, frozenset[str]]
"""A list, and the words that one of its phrases needs besides the one it is filed under."""
_TOKEN = lazy(rf"([{WORD_CLASS}]+(?:['’][{WORD_CLASS}]+)*)(\*?)")
_REMEMBERED = 50_000
_LONGEST_WORD = 100
"""Characters of a word that is remembered: what is longer is none."""


@cache
def foreign_words(base: str) -> Foreign:
    """Compile the frequent words of all other languages against *base*'s own."""
    table: dict[str, str] = load_toml("rules/function_words.toml")
    own = frozenset(table.get(base, "").split())
    words: dict[str, set[str]] = {}
    for other, listed in table.items():
        if other != base:
            for word in listed.split():
                if word not in own:
                    words.setdefault(word, set()).add(other)
    return Foreign({word: frozenset(tags) for word, tags in words.items()}, own)


@cache
def _common() -> dict[str, Any]:
    return load_toml("rules/wording/common.toml")


def _optional(path: str) -> dict[str, Any]:
    try:
        return load_toml(path)
    except (
        FileNotFoundError
    ):  # nobody has written this language's list yet: nothing is checked, nothing invented
        return {}


def wording_of(language: Language) -> Wording:
    """Give the word lists for *language*; regional tags share their language's."""
    return _wording(language.tag.partition("-")[0], language.decimal)


@cache
def _wording(base: str, decimal: str) -> Wording:
    own = _optional(f"rules/wording/{base}.toml")
    common = _common()
    spaced = base not in _UNSPACED
    foreign = foreign_words(base)
    listed: dict[str, str] = {}
    for rule, phrases in _optional(f"rules/claims/{base}.toml").items():
        for phrase in phrases:
            listed.setdefault(phrase, rule)
    for phrase in common["platform_endorsement"]:
        listed.setdefault(phrase, "L-32")
    price = own.get("price")
    weak: list[str] = common["weak"]
    lists = {
        "weak_phrases": Lexicon(
            {phrase: "weak" for phrase in weak if " " in phrase or not phrase.isascii()}, spaced=spaced
        ),
        "cliches": _lexicon(own, "cliches", spaced),
        "claims": Lexicon(listed, spaced=spaced),
        "residue": Lexicon(
            dict.fromkeys([*common["residue"], *own.get("residue", [])], "M-16"), spaced=spaced
        ),
        "comparisons": _lexicon(own, "comparisons", spaced),
    }
    return Wording(
        base=base,
        spaced=spaced,
        decimal=decimal,
        reduplicates=base in _REDUPLICATING,
        acronyms=frozenset(common["acronyms"].split()) | frozenset(own.get("acronyms", "").split()),
        doubles=frozenset(own.get("doubles", "").split()),
        function_words=foreign.own,
        labels=frozenset(common["labels"]),
        price=re.compile(price) if price else None,
        tails=frozenset(own.get("tails", "").split()),
        formal=frozenset(own.get("formal", "").split()),
        informal=frozenset(own.get("informal", "").split()),
        familiar=_familiar(own),
        formal_exact=frozenset(own.get("formal_exact", "").split()),
        call=_lexicon(own, "call", spaced),
        weak=frozenset(own.get("weak", [])) | frozenset(weak),
        **lists,
        leaning=_lexicon(own, "leaning", spaced),
        starts=Starts(lists, spaced, foreign.own),
        foreign=foreign,
    )


def _familiar(own: Mapping[str, Any]) -> Familiar:
    forms: list[str] = own.get("informal_forms", [])
    innocent = own.get("informal_innocent", "").split()
    clitics = ("", *own.get("informal_clitics", "").split())
    return Familiar(
        frozenset(own.get("informal", "").split() + own.get("informal_quoted", "").split()),
        frozenset(own.get("informal_first", "").split()),
        re.compile("|".join(f"(?:{form})" for form in forms)) if forms else None,
        frozenset(clitic + word for clitic in clitics for word in innocent),
    )


def _lexicon(own: Mapping[str, Any], key: str, spaced: bool) -> Lexicon[str]:
    return Lexicon(dict.fromkeys(own.get(key, []), key), spaced=spaced)
