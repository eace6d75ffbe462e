"""The thing that a description in whole sentences speaks of: "Our new espresso machine makes coffee in 20 seconds."

Such a text has no noun phrase by itself; its sentences do, in a place that grammar fixes: behind a determiner or a
presenting phrase, before the verb. Nothing is taken where either end is unsure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from copykit.brief.extract import split_sentences
from copykit.brief.naming import AND, phrase_words
from copykit.data import load_toml

__all__ = ["complement_of", "subject_of"]

_MOST_SENTENCES = 3
"""Later sentences speak of parts of the thing."""
_MOST_WORDS = 5
_WITH = frozenset({"with", "mit", "met"})
_MOST_BEHIND = 9
"""Words behind a noun that still read as one phrase with it."""
_MOST_WIDE, _LEAST_WIDE = 14, 2
_MARKS = ',;:–—|()（），、；：«»„“”"!.…'
_ASKS = "?？؟"
_BOUND_WORDS = frozenset({"de", "pl"})
"""Languages in which an adjective's ending depends on the word before it, which is left out."""


class _Words(NamedTuple):
    ours: frozenset[str]
    presents: tuple[str, ...]
    novel: frozenset[str]
    ends: frozenset[str]
    after: frozenset[str]
    binds: frozenset[str]
    vague: frozenset[str]
    never: frozenset[str]
    """What no noun phrase holds: pronouns, conjunctions, verbs."""
    prefixes: tuple[str, ...]
    """The same openers in their order, longest first, for scripts without spaces."""
    closers: tuple[str, ...]


@cache
def _words(language: str) -> _Words | None:
    entry: dict[str, str] | None = load_toml("subjects.toml").get(language)
    if entry is None:
        return None
    phrases = phrase_words().get(language, {})
    never = {w for key in ("anaphora", "openers", "dangling", "clause") for w in phrases.get(key, "").split()}
    ours = entry["ours"].split()
    return _Words(
        ours=frozenset(ours),
        presents=tuple(sorted(filter(None, entry["presents"].split("|")), key=len, reverse=True)),
        novel=frozenset(entry["novel"].split()),
        ends=frozenset(entry["ends"].split()),
        after=frozenset(entry["after"].replace(",", "").split()),
        binds=frozenset(entry["binds"].split()),
        vague=frozenset(entry.get("vague", "").split()),
        never=frozenset(never),
        prefixes=tuple(
            sorted((*ours, *entry["novel"].split(), *entry["presents"].split()), key=len, reverse=True)
        ),
        closers=tuple(entry["ends"].split()),
    )


def subject_of(description: str, language: str) -> str:
    """Give what the sentences of *description* (plain text) speak of, or empty where that is not sure.

    *language* is the base tag. "Our new espresso machine makes coffee." gives "Espresso machine".
    """
    words = _words(language)
    if words is None:
        return ""
    find = _unspaced if language in ("ja", "zh") else _spaced
    for at, sentence in enumerate(split_sentences(description, language)[:_MOST_SENTENCES]):
        found = "" if sentence[-1] in _ASKS else find(sentence, words, language, is_first=at == 0)
        if found:
            return found[:1].upper() + found[1:] if found[1:2].islower() or " " in found[:3] else found
    return ""


def complement_of(item: str, text: str, language: str) -> str:
    """Give the preposition and what follows it, where *text* goes on with them behind *item*, up to the next mark.

    "for companies with 10 to 200 employees" of "B2B payroll software for companies with 10 to 200 employees". Empty
    where a verb follows, so that it is a sentence, or no preposition does.
    """
    words = _words(language)
    at = text.casefold().find(item.casefold()) if item else -1
    if words is None or at < 0:
        return ""
    tokens = text[at + len(item) :].split()
    if (
        not text[at + len(item) :].startswith(" ")
        or not tokens
        or tokens[0].casefold() not in _prepositions(language)
    ):
        return ""
    kept: list[str] = []
    for token in tokens:
        kept.append(token.rstrip(_MARKS + _ASKS))
        if token[-1] in _MARKS + _ASKS:
            break
    if any(token.casefold() in words.ends for token in kept) or not 2 <= len(kept) <= _MOST_BEHIND:
        return ""
    return "" if kept[-1].casefold() in words.never else " ".join(kept)


@cache
def _articles(language: str) -> frozenset[str]:
    return frozenset(phrase_words().get(language, {}).get("articles", "").split())


@cache
def _prepositions(language: str) -> frozenset[str]:
    phrases = phrase_words().get(language, {})
    cuts, dangling, back = (
        frozenset(phrases.get(key, "").split()) for key in ("cuts", "dangling", "anaphora")
    )
    words = _words(language)
    if words is None:
        return frozenset()
    return (cuts & (dangling | words.after)) - (AND - _WITH) - words.ours - (back - dangling) - {"who"}


def _spaced(sentence: str, words: _Words, language: str, *, is_first: bool) -> str:
    low = sentence.casefold()
    opening = next((p for p in words.presents if low.startswith(p + " ")), "")
    tokens = sentence[len(opening) :].split()
    determined = 0
    while determined < len(tokens) and tokens[determined].casefold() in words.ours:
        determined += 1
    is_own = bool(determined) and tokens[0].casefold() not in _articles(language)
    if not (is_own or opening or is_first):
        return ""  # "The flour comes from Kent": a later sentence speaks of parts
    phrase, ended = _until_verb(tokens[determined:], words, language)
    # Without a phrase that presents the thing, only the verb behind it shows that it is one.
    sure = ended == "verb" or (ended != "" and bool(opening))
    if not sure or (language == "hi" and not determined):
        return ""
    while phrase and phrase[0].casefold() in words.novel:
        del phrase[0]
    while phrase and phrase[-1].casefold() in words.novel:
        phrase.pop()
    if language in _BOUND_WORDS:
        phrase = _uninflected(phrase, language, is_determined=bool(determined))
    if not 1 <= len(phrase) <= _MOST_WORDS or not all(_is_word(token) for token in phrase):
        return ""
    if len(phrase) == 1 and phrase[0].casefold() in words.vague:
        return ""
    inside = [token for token in phrase if token not in words.binds]
    if any(token.casefold() in words.never or token.casefold() in words.ours for token in inside):
        return ""
    return " ".join(phrase) if any(len(token) > 2 for token in phrase) else ""


def _until_verb(tokens: Sequence[str], words: _Words, language: str) -> tuple[list[str], str]:
    """Give the words before the first verb, preposition or mark, and which of them it is: ``verb``, ``mark`` or none."""
    phrase: list[str] = []
    for at, token in enumerate(tokens):
        bare = token.strip(_MARKS)
        if bare in words.binds and phrase:
            if not _is_bare(tokens[at + 1 : at + 2], words):
                return phrase, "mark"
            phrase.append(bare)
            continue
        if bare.casefold() in words.ends or (language == "hi" and phrase and bare[:1].isdigit()):
            return phrase, "verb"
        if bare.casefold() in words.after or not bare:
            return phrase, "mark"
        if language == "de" and bare.islower() and phrase and phrase[-1][:1].isupper():
            return phrase, "verb"  # German writes nouns large: what follows one and is small is no part of it
        phrase.append(bare)
        if token[-1] in _MARKS:
            return phrase, "mark"
    return phrase, ""


def _is_bare(behind: Sequence[str], words: _Words) -> bool:
    """Whether a noun without a determiner follows."""
    word = behind[0].strip(_MARKS).casefold() if behind else ""
    return bool(word) and word not in words.ours | words.never | words.ends and word[:1].isalpha()


def _uninflected(phrase: Sequence[str], language: str, *, is_determined: bool) -> list[str]:
    """Leave out adjectives that were inflected for a determiner: of German the nouns stay, written large."""
    if language == "de":
        nouns = [word for word in phrase if word[:1].isupper()]
        # "jeden Morgen Brot": an adjective between them and two nouns are two phrases.
        return (
            nouns
            if phrase[len(phrase) - len(nouns) :] == nouns and len(nouns) < 2 + (nouns == phrase)
            else []
        )
    return list(phrase) if is_determined else []


def _unspaced(sentence: str, words: _Words, language: str, *, is_first: bool) -> str:
    rest, opened = sentence, False
    while prefix := next((p for p in words.prefixes if rest.startswith(p)), ""):
        opened = opened or prefix in words.ours
        rest = rest[len(prefix) :]
    if not (opened or is_first):
        return ""
    at = min((found for end in words.closers if (found := rest.find(end)) > 0), default=0)
    phrase = rest[:at]
    if not _LEAST_WIDE <= len(phrase) <= _MOST_WIDE or not all(c.isalpha() or c in "ー・" for c in phrase):
        return ""
    if any(phrase.startswith(word) or phrase == word for word in words.never):
        return ""
    # Small kana at the end are grammar; a Chinese subject without "our" may be any word.
    is_noun = not "\u3041" <= phrase[-1] <= "\u309f" if language == "ja" else opened
    return phrase if is_noun else ""


def _is_word(token: str) -> bool:
    return any(map(str.isalpha, token)) and all(
        c.isalnum() or c in "-'’&+.\u0900\u094d" or ord(c) > 0x900 for c in token
    )
