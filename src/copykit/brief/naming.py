"""Long descriptive product names: what of them names the thing, what the variant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from copykit.data import load_toml
from copykit.lazy import lazy

__all__ = ["AND", "HEAD_FIRST", "head_of", "loose_words", "phrase_words", "shop_words", "without_variant"]

_SHORT_NAME = 22
"""Columns up to which a name stands in a headline as it is."""
_HEAD_COLUMNS = 26
HEAD_FIRST = frozenset({"es", "fr", "pt", "it", "ar", "pl", "ca", "ro", "vi", "id", "ms", "he", "fa", "th"})
"""Languages whose noun phrases begin with the noun; in the others it comes last."""
_OTHER_SCRIPT = frozenset({"ar", "he", "fa", "hi", "bn", "th", "ru", "uk", "bg", "el", "ko"})
"""Languages in whose names Latin words are brands and models, no part of the noun phrase."""
_NO_SPACES = frozenset({"ja", "zh"})
_WITHOUT_ENGLISH = frozenset({"es", "fr", "pt", "it", "pl"})
"""Languages whose noun stands where English has none: a name with an English noun is read as English."""
_VARIANT = lazy(r"((?:\s?[-–]\s?[^\s\d–-]{2,}){1,2}\s?[-–]\s?(?:XXS|XS|S|M|L|XL|XXL|XXXL))$")
_CLAUSE = lazy(
    r"\s+[-–—|_/•]\s+|,(?!\d)|[:;()\[\]!?\"“”„«»…]+|(?:^|\s)['‘´](?=\w)|(?<=\w\w)['’´](?=\s|$)|\s-(?=\w)"
)
_FIGURE = lazy(r"[\d%]")
_ELISION = lazy(r"(?:d|l|all|dell|nell|sull|qu)['’](?=\w)", re.IGNORECASE)
_DETAIL_ENDINGS = tuple("産 用 入り 入 味 色 系 風味 個 本 袋 枚 セット パック 装 裝 款 包 瓶".split())
AND = frozenset(
    {"&", "+", "and", "y", "e", "et", "und", "en", "i", "oraz", "och", "og", "و", "और", "with", "mit", "met"}
)
_MOST_CLAUSES = 5
_MOST_BESIDE = 2
"""Words taken beside the noun: more would reach into a brand name."""
_PLURALS = {
    "en": ("s", "es"),
    "de": ("n", "en", "e", "s", "er"),
    "nl": ("s", "en", "'s"),
    "es": ("s", "es"),
    "pt": ("s", "es"),
    "fr": ("s", "x"),
}
_MASCULINE = ("o", "r", "t", "ón", "án", "ín", "az", "oz")
_GENDERED = frozenset({"es", "pt", "it"})
_LEAST_OF_COMPOUND = 4
"""Letters of a noun that may end a compound: shorter ones end many other words as well."""
_LEAST_UNKNOWN = 5
"""Letters of a word that is taken for the noun by its place alone."""


def without_variant(name: str) -> tuple[str, str]:
    """Part a name from a colour-and-size tail: ``("Hooded Jacket", "Blue-Green-M")``; no tail gives an empty one."""
    found = _VARIANT.search(name)
    if found is None or found.start() == 0:
        return name, ""
    return name[: found.start()].rstrip(), found.group(1).strip(" -–")


def head_of(name: str, language: str) -> str:
    """Give what a long name says the thing is, or empty: whole words of the name, none loose at either end.

    "OmniHeat Men's Hooded Puffer Jacket" is a "Hooded Puffer Jacket", "Thunfisch mit Zwiebeln" a "Thunfisch",
    "Bufanda de Invierno Elegante Arctic Bliss" a "Bufanda de Invierno". Which word is the noun tells a list of
    the language's nouns (``data/nouns.toml``), or a preposition right behind the first word; a name that shows
    neither has no head, since a wrong one is worse. *language* is the base tag. Short names need no such help.
    """
    if language in _NO_SPACES:
        return _last_piece(name)
    if len(name) <= _SHORT_NAME:
        return ""
    nouns = _nouns(language)
    if not nouns.things:
        return _by_place(name, language)
    clauses = list(_clauses(name, nouns, language))[:_MOST_CLAUSES]
    find = _first_noun if language in HEAD_FIRST else _last_noun
    for at, tokens in enumerate(clauses):
        head = find(tokens, nouns, nouns.things, name)
        if head and (at == 0 or language in HEAD_FIRST or tokens[-1] == head.rpartition(" ")[2]):
            return _settled(head, language)
    if not clauses or nouns.is_foreign(clauses[0]):
        return ""
    head = find(clauses[0], nouns, nouns.stuff, name) or _unknown(clauses[0], nouns, language, name)
    return _settled(head, language)


@cache
def loose_words(language: str) -> frozenset[str]:
    """Give the words that no phrase of *language* may begin or end with: articles, prepositions, "and"."""
    dangling = phrase_words().get(language, {}).get("dangling", "")
    return frozenset((*dangling.split(), *_noun_words().get(language, {}).get("loose", "").split()))


@cache
def shop_words(language: str) -> frozenset[str]:
    """Give the nouns and adjectives of *language* (base tag) that shops use, with plurals; none where nobody listed them."""
    nouns = _nouns(language)
    return nouns.things | nouns.stuff | nouns.describes


@cache
def phrase_words() -> dict[str, dict[str, str]]:
    """Give the words that decide where a noun phrase ends, by base language (``data/extraction.toml``)."""
    return load_toml("extraction.toml")


@cache
def _noun_words() -> dict[str, dict[str, str]]:
    return load_toml("nouns.toml")


class _Nouns(NamedTuple):
    things: frozenset[str]
    stuff: frozenset[str]
    describes: frozenset[str]
    endings: tuple[str, ...]
    bound: frozenset[str]
    vague: frozenset[str]
    of: frozenset[str]
    purpose: frozenset[str]
    articles: frozenset[str]
    joins: frozenset[str]
    loose: frozenset[str]
    """Articles, prepositions and joining words."""
    foreign: frozenset[str]
    """Articles and prepositions that only names of another language hold."""
    english: frozenset[str]
    """Words of an English noun phrase that this language does not have."""
    has_compounds: bool
    nouns_have_capitals: bool
    agrees: bool
    """Whether an adjective shows by its last letter that it belongs to the noun (Polish)."""
    grades: frozenset[str]
    """Words of grade and size that say something together: no phrase ends between two of them."""
    invariable: frozenset[str]
    """Adjectives of one form for both genders, whatever they end in."""
    has_genders: bool
    """Whether adjectives in -o and -a follow the noun's gender (Spanish, Portuguese, Italian)."""

    def is_foreign(self, tokens: Sequence[str]) -> bool:
        return not self.foreign.isdisjoint(token.casefold() for token in tokens)

    def is_one(self, token: str, kind: frozenset[str]) -> bool:
        """Tell whether *token*, or the last part of the compound that it is, stands in *kind*."""
        word = token.casefold().strip(".'’*™®")
        if word in kind:
            return not (self.nouns_have_capitals and token.islower())
        last = word.rpartition("-")[2]
        if last != word and last in kind:
            return True
        if not self.has_compounds or (self.nouns_have_capitals and token.islower()):
            return False
        return any(last[at:] in kind for at in range(1, len(last) - _LEAST_OF_COMPOUND + 1))

    def is_beside(self, token: str, noun: str) -> bool:
        """Tell whether *token* is an adjective that can follow *noun*."""
        word = token.casefold()
        if word in self.bound or word in self.loose:
            return False
        if not self._has_its_gender(word, noun.casefold()):
            return False
        if word in self.describes:
            return True
        if not word.endswith(self.endings) or word in self.things or word in self.stuff or len(word) < 4:
            return False
        if not self.agrees or not noun:
            return True
        return word[-1] != "y" if noun[-1:] in "aA" else word[-1] != "a"

    def _has_its_gender(self, word: str, noun: str) -> bool:
        """Tell whether nothing in the endings says that *word* belongs to another noun than *noun*."""
        if not self.has_genders or not noun or word in self.invariable:
            return True
        word, noun = word.removesuffix("s"), noun.removesuffix("s")
        if word.endswith("o"):
            return not noun.endswith("a") or noun.endswith("ma")
        return not word.endswith("a") or not noun.endswith(_MASCULINE) or noun.endswith("ión")

    def is_loose(self, token: str) -> bool:
        """Tell whether a noun phrase ends before *token*."""
        word = token.casefold()
        return word in self.loose or word in self.bound or _ELISION.match(token) is not None

    def dangles(self, token: str) -> bool:
        """Tell whether no phrase may end with *token*."""
        word = token.casefold()
        return word in self.loose or word in self.bound


@cache
def _nouns(language: str) -> _Nouns:
    table = _noun_words()
    entry = table.get(language, {})

    def words(key: str) -> frozenset[str]:
        return frozenset(entry.get(key, "").split())

    def forms(key: str) -> frozenset[str]:
        return words(key) | {
            form for word in words(key) for form in _forms(word, _PLURALS.get(language, ()), language)
        }

    things, stuff, loose = forms("things"), forms("stuff"), loose_words(language)
    known = things | stuff | words("describes") | words("bound") | loose | words("of") | words("joins")
    others = {word for other in table for word in loose_words(other) if other != language and len(word) > 1}
    english = {form for word in table["en"]["things"].split() for form in (word, word + "s")}
    english.update(table["en"]["colours"].split())
    return _Nouns(
        things=things,
        stuff=stuff,
        describes=words("describes"),
        endings=tuple(words("endings")) or ("\0",),
        bound=words("bound"),
        vague=words("vague"),
        of=words("of"),
        purpose=words("purpose"),
        articles=frozenset(phrase_words().get(language, {}).get("articles", "").split()),
        joins=words("joins"),
        loose=loose | words("of") | words("purpose") | words("joins"),
        foreign=frozenset(others - known),
        english=frozenset(english - known) if language in _WITHOUT_ENGLISH else frozenset(),
        has_compounds=bool(entry.get("suffixes")),
        nouns_have_capitals=language == "de",
        agrees=language == "pl",
        grades=words("grades"),
        invariable=words("invariable"),
        has_genders=language in _GENDERED,
    )


def _forms(word: str, endings: tuple[str, ...], language: str) -> Iterator[str]:
    yield from (word + ending for ending in endings)
    if language == "en" and word.endswith("y"):
        yield word[:-1] + "ies"


def _clauses(name: str, nouns: _Nouns, language: str) -> Iterator[list[str]]:
    """Give the words of a name between its marks.

    What stands behind a figure counts where the noun comes last and no preposition stood before ("Franz 7 Grain
    Bread", not "Vegetables with 6% butter").
    """
    for clause in _CLAUSE.split(name):
        tokens: list[str] = []
        for token in (*clause.split(), "0"):
            if _FIGURE.search(token) is None:
                if any(map(str.isalpha, token)) or token in nouns.joins:
                    tokens.append(token)
                continue
            if language in _OTHER_SCRIPT:
                tokens = _own_script(tokens)
            if not tokens:
                continue
            yield tokens
            if language in HEAD_FIRST or any(t.casefold() in nouns.loose for t in tokens[1:]):
                break
            tokens = []


def _own_script(tokens: list[str]) -> list[str]:
    start = next((at for at, token in enumerate(tokens) if not token.isascii()), len(tokens))
    kept = tokens[start:]
    return kept[: next((at for at, token in enumerate(kept) if token.isascii()), len(kept))]


def _first_noun(tokens: Sequence[str], nouns: _Nouns, kind: frozenset[str], name: str) -> str:
    """Find the noun before the first preposition; take its adjectives and "of" phrase along where they fit."""
    tokens = tokens[
        next((at for at, token in enumerate(tokens) if token.casefold() not in nouns.articles), 0) :
    ]
    end = next((at for at, token in enumerate(tokens) if nouns.is_loose(token)), len(tokens))
    at = next((at for at in range(end) if nouns.is_one(tokens[at], kind)), None)
    if at is None or nouns.is_foreign(tokens[: at + 2]):
        return ""
    if any(nouns.is_one(token, nouns.stuff) for token in tokens[:at]):
        return ""  # the first of several things
    noun = tokens[at]
    if not nouns.english.isdisjoint(map(str.casefold, (*tokens[:at], *tokens[at + 1 : min(at + 2, end)]))):
        return ""
    is_described = bool(at) and nouns.agrees and all(nouns.is_beside(token, noun) for token in tokens[:at])
    stop = at + 1
    while stop < min(end, at + 1 + _MOST_BESIDE) and nouns.is_beside(tokens[stop], noun):
        if stop > at + 1 and tokens[stop][0].isupper() and tokens[stop - 1][0].islower():
            break  # a brand that ends like an adjective
        stop += 1
    if kind is nouns.stuff and ((at and not is_described) or at + 1 == stop < end):
        return ""
    if stop == end < len(tokens) and tokens[end].casefold() in nouns.joins:
        if stop == at + 1 or end + 1 == len(tokens) or not nouns.is_beside(tokens[end + 1], noun):
            return ""  # "salt and pepper": half of it is another thing
        stop = at + 1
    elif stop == end:
        stop = _with_complement(tokens, stop, nouns)
    start = 0 if is_described and len(" ".join(tokens[: at + 1])) <= _HEAD_COLUMNS else at
    while stop > at + 1 and not (
        _is_shorter(tokens[start:stop], name) and not nouns.dangles(tokens[stop - 1])
    ):
        stop -= 1
    stop = _beside_grades(tokens, start, at, stop, nouns, name)
    return _fit(tokens[start:stop], noun, nouns, name)


def _beside_grades(tokens: Sequence[str], start: int, at: int, stop: int, nouns: _Nouns, name: str) -> int:
    """Give an end that parts no words of grade: "Arroz extra longo" or "Arroz", no "Arroz extra"."""
    end = stop
    while end < len(tokens) and tokens[end].casefold() in nouns.grades:
        end += 1
    if end == stop or _is_shorter(tokens[start:end], name):
        return end
    while stop > at + 1 and tokens[stop - 1].casefold() in nouns.grades:
        stop -= 1
    return stop


def _is_shorter(tokens: Sequence[str], name: str) -> bool:
    phrase = " ".join(tokens)
    return len(phrase) <= _HEAD_COLUMNS and len(phrase) < len(name)


def _with_complement(tokens: Sequence[str], at: int, nouns: _Nouns) -> int:
    """Give where "of" and one noun behind it end, or *at*: a longer phrase would be cut in its middle."""
    if at >= len(tokens):
        return at
    word = tokens[at].casefold()
    elided = _ELISION.match(word)
    if elided is not None and elided.group()[0] == "d":
        stop = at + 1
    elif word in nouns.of and at + 1 < len(tokens) and not nouns.is_loose(tokens[at + 1]):
        stop = at + 2
    else:
        return at
    if stop < len(tokens):
        behind = tokens[stop].casefold()
        elision = _ELISION.match(behind)
        if (
            behind in nouns.of
            or behind in nouns.joins
            or behind in nouns.bound
            or (elision and behind[0] == "d")
        ):
            return at
        if any(nouns.is_beside(tokens[stop], tokens[noun]) for noun in (stop - 1, at - 1)):
            return stop + 1
    return stop


def _last_noun(tokens: Sequence[str], nouns: _Nouns, kind: frozenset[str], name: str) -> str:
    """Find the last noun before the first preposition, with what surely belongs to it on its left."""
    cut = next(
        (
            at
            for at, t in enumerate(tokens)
            if at and (w := t.casefold()) in nouns.loose and w not in nouns.joins
        ),
        None,
    )
    tokens = tokens[1 if tokens[0].casefold() in nouns.loose else 0 : cut]
    if not tokens or nouns.is_foreign(tokens):
        return ""
    joint = max((at for at, t in enumerate(tokens) if t.casefold() in nouns.joins), default=-1)
    found = [at for at, token in enumerate(tokens) if nouns.is_one(token, kind)]
    if not found:
        return ""
    at = found[-1]
    if at < joint and nouns.has_compounds and kind is nouns.things and at < joint - 1:
        tokens, joint = tokens[: at + 1], -1  # "Muesli spelt noten & rozijnen": its flavours follow
    elif at < joint:
        return ""
    elif (
        len(found) > 1
        and joint < 0
        and (nouns.has_compounds or at + 1 < len(tokens))
        and not all(_belongs(token, nouns) for token in tokens[found[-2] + 1 : at])
    ):
        return ""  # two things, one of which may be the other's flavour
    noun = tokens[at]
    if joint >= 0 and (at - joint < 2 or kind is nouns.stuff or found[0] < joint):
        return ""
    if kind is nouns.stuff and (
        any(not nouns.is_beside(t, noun) for t in tokens[at + 1 :])
        or (at and not nouns.is_beside(tokens[at - 1], noun))
    ):
        return ""
    if joint < 0 and _is_shorter(tokens[: at + 1], name) and tokens[0].casefold() not in nouns.bound:
        return _fit(tokens[: at + 1], noun, nouns, name)
    start = at
    while (
        start > (joint + 2 if joint >= 0 else 0)
        and at - start < _MOST_BESIDE
        and _belongs(tokens[start - 1], nouns)
    ):
        start -= 1
    while start < at and (
        tokens[start].casefold() in nouns.bound or not _is_shorter(tokens[start : at + 1], name)
    ):
        start += 1
    return _fit(tokens[start : at + 1], noun, nouns, name)


def _belongs(token: str, nouns: _Nouns) -> bool:
    """Tell whether a word on the left of a noun describes it, whatever stands before that word."""
    if nouns.has_compounds:  # a noun written apart is a brand, or the end of a list
        return token.casefold() in nouns.describes or token.casefold() in nouns.things
    word = token.casefold()
    return word in nouns.describes or word in nouns.stuff or word in nouns.things


def _unknown(tokens: Sequence[str], nouns: _Nouns, language: str, name: str) -> str:
    """Take the first word for the noun where a preposition, or adjectives and nothing else, follows it."""
    word = tokens[0]
    if len(word) < _LEAST_UNKNOWN or not word.replace("-", "").isalpha() or nouns.dangles(word):
        return ""
    if nouns.is_beside(word, "") or word.casefold() in nouns.english:
        return ""
    if any(
        nouns.is_one(token, nouns.things) and not nouns.is_loose(tokens[at])
        for at, token in enumerate(tokens[1:])
    ):
        return ""  # the noun stands elsewhere, so this word is a brand
    is_first = language in HEAD_FIRST
    end = next((at for at, token in enumerate(tokens) if nouns.is_loose(token)), len(tokens))
    behind = tokens[end].casefold() if end < len(tokens) else ""
    if behind in nouns.purpose or behind in nouns.joins or behind in nouns.articles:
        return ""
    if (behind in nouns.bound and not is_first) or (behind in nouns.of and behind not in ("de", "di")):
        return ""  # "Valle del Sol": as likely a brand
    rest = tokens[1:end]
    if rest and not (is_first or language == "de"):
        return ""
    if any(not token.islower() or (is_first and not nouns.is_beside(token, word)) for token in rest):
        return ""
    if not rest and not behind:
        return ""
    stop = _with_complement(tokens, end, nouns) if is_first else 1
    while stop > 1 and (not _is_shorter(tokens[:stop], name) or nouns.dangles(tokens[stop - 1])):
        stop -= 1
    return _fit(tokens[:stop], word, nouns, name)


def _fit(tokens: Sequence[str], noun: str, nouns: _Nouns, name: str) -> str:
    phrase = " ".join(tokens).strip(" ,.–-*")
    if not 3 <= len(phrase) <= _HEAD_COLUMNS or not phrase[0].isalpha() or phrase == name:
        return ""
    return "" if len(tokens) == 1 and noun.casefold() in nouns.vague else phrase


def _settled(head: str, language: str) -> str:
    """Give a shouted head in small letters: its noun is a word of the language and no brand."""
    if not head.isupper() or len(head) < _LEAST_OF_COMPOUND:
        return head
    return head.title() if language == "de" else head.capitalize()


def _by_place(name: str, language: str) -> str:
    """Take up to three words from the noun's end of a name, in languages without a list of nouns."""
    tokens = next(_clauses(name, _nouns(language), language), [])
    loose = loose_words(language)
    if not loose or language in HEAD_FIRST or len(tokens) < 3:
        return ""
    if any(token.casefold() in AND for token in tokens):
        return ""
    tokens = tokens[: next((at for at, t in enumerate(tokens) if at and t.casefold() in loose), None)]
    for size in range(min(len(tokens), 3), 0, -1):
        phrase = " ".join(tokens[-size:])
        if (
            3 <= len(phrase) <= _HEAD_COLUMNS
            and tokens[-size].casefold() not in loose
            and len(tokens[-size]) > 1
        ):
            return phrase
    return ""


def _last_piece(name: str) -> str:
    """Take what stands behind the last space of a name in a script without spaces, unless it is a detail."""
    if len(name) <= _SHORT_NAME // 2:
        return ""
    pieces = name.split()
    last = pieces[-1]
    if len(pieces) < 2 or not 3 <= len(last) <= _HEAD_COLUMNS // 2 + 3 or last.endswith(_DETAIL_ENDINGS):
        return ""
    if any(c.isascii() or not c.isalpha() for c in last) or not all(map(str.isalpha, "".join(pieces))):
        return ""
    return last
