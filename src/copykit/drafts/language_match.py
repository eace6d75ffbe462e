"""Is a text in the language it should be in: by script always, by frequent words where scripts agree."""

from __future__ import annotations

import re
from functools import cache

from copykit.brief.catalog import Language
from copykit.drafts.look import WORD, WORD_CLASS, Look, lowered, violation
from copykit.drafts.wording import Foreign
from copykit.lazy import lazy
from copykit.models import Violation

__all__ = ["language_match"]

_LATIN = r"A-Za-zªºÀ-ÖØ-öø-ɏ\u1e00-\u1eff"
_SCRIPTS = {
    "Latn": _LATIN,
    "Cyrl": r"\u0400-\u052f",
    "Grek": r"\u0370-\u03ff\u1f00-\u1fff",
    "Arab": r"\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff",
    "Hebr": r"\u0590-\u05ff",
    "Deva": r"\u0900-\u097f",
    "Beng": r"\u0980-\u09ff",
    "Thai": r"\u0e00-\u0e7f",
    "Kore": r"\uac00-\ud7af\u1100-\u11ff\u3130-\u318f",
    "Jpan": r"\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f\u4e00-\u9fff\u3400-\u4dbf々",
    "Hans": r"\u4e00-\u9fff\u3400-\u4dbf",
    "Hant": r"\u4e00-\u9fff\u3400-\u4dbf",
}
# Characters of everyday Chinese that only one of the two ways of writing has, and Japanese does not share.
_SIMPLIFIED = "这们为个来时说过还对开关后发经头实现样问题应该从无间长见门让给话买卖车东几么样业专书会儿电话运动难风飞马鸟鱼齐岁丰产亲亿从众优传伤伟体价"  # noqa: E501
_TRADITIONAL = "這們為個來時說過還對開關後發經頭實現樣問題應該從無間長見門讓給話買賣車東幾麼業專書會兒電運動難風飛馬鳥魚齊歲豐產親億眾優傳傷偉體價"  # noqa: E501
_ONLY_SIMPLIFIED = frozenset(_SIMPLIFIED) - frozenset(_TRADITIONAL)
_ONLY_TRADITIONAL = frozenset(_TRADITIONAL) - frozenset(_SIMPLIFIED)
_KANA = lazy(r"[\u3041-\u30ff]")
_HAN = lazy(r"[\u4e00-\u9fff\u3400-\u4dbf]")
_KANA_SET = frozenset(chr(c) for c in range(0x3041, 0x30FB))
_CAPITALISED = lazy(r"(?<![A-Za-z])[A-Z][A-Za-z]+")
_TAG = lazy(r"#\w+")
_LATIN_RUN = lazy(r"[a-z]{3,}")
_MASK = lazy(r"x{2,}")
"""What `Look.masked` writes for links, tokens and names; nobody writes two small x in a row otherwise."""
_ACRONYM = lazy(r"(?<![A-Za-z])[A-Z]{2,5}(?![A-Za-z])")
_LETTER = lazy(rf"[{WORD_CLASS}]")
_OWN_LETTERS = {
    "es": "áéíóúüñ",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "de": "äöüß",
    "pt": "áâãàçéêíóôõú",
    "it": "àèéìòùí",
    "nl": "ëïéèöü",
    "ca": "àçéèíïóòúü·",
    "pl": "ąćęłńóśźż",
    "tr": "çğıöşüâî",
    "sv": "åäöé",
    "da": "æøåé",
    "nb": "æøåéò",
    "fi": "äöå",
    "cs": "áčďéěíňóřšťúůýž",
    "sk": "áäčďéíĺľňóôŕšťúýž",
    "ro": "ăâîșțşţ",
    "hu": "áéíóöőúüű",
    "hr": "čćđšž",
    "vi": "àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
    "en": "",
    "id": "",
    "ms": "",
    "fil": "ñ",
    "ru": "ыэёъ",
    "uk": "іїєґ",
    "bg": "ъ",
    "ar": "ةىكيأإ",
    "fa": "پچژگکی",
}
"""Letters that tell languages of one script apart: accented Latin ones, a few Cyrillic and Arabic ones."""
_TELLING = frozenset("".join(_OWN_LETTERS.values()))
_UNSPACED = ("Jpan", "Hans", "Hant", "Thai", "Kore")
_FEW = 4
"""Words below which frequent words decide nothing: a headline may be all names."""

# Pairs so close that one frequent word more or less says nothing.
_CLOSE = {
    frozenset(pair.split())
    for pair in ("da nb", "id ms", "cs sk", "da sv", "nb sv", "es ca", "ru bg", "ru uk")
}


@cache
def _own_letters(script: str) -> re.Pattern[str]:
    return re.compile(f"[{_SCRIPTS.get(script, _LATIN)}]")


@cache
def _other_letters(script: str) -> re.Pattern[str]:
    own = _SCRIPTS.get(script, _LATIN)
    return re.compile(rf"[^\W\d_{own}]")


def language_match(
    look: Look, language: Language, foreign: Foreign, own_words: frozenset[str], source: str
) -> Violation | None:
    """Check that *look* is in *language*, leaving out the words that the brief itself brought.

    Conservative: a text of fewer than four other words is judged by its script alone, and a language is
    named only if at least two of its frequent words stand there and clearly outweigh those of *language*.
    """
    script = language.script
    if not (look.ascii and script == "Latn"):
        wrong = _script(look, script, own_words, source)
        if wrong is not None:
            return wrong
        if script in ("Jpan", "Hans", "Hant"):
            return _han(look, language, source)
    base = language.tag.partition("-")[0]
    odd_letters: set[str] = set()
    if not look.ascii:
        odd_letters = (look.chars & _TELLING).difference(_OWN_LETTERS.get(base, ""))
    strange = foreign.words.keys() & look.word_set
    if len(strange) + len(odd_letters) < 2:
        return None
    counted = [word for word in look.words if word not in own_words]
    if len(counted) < _FEW:
        return None
    scores: dict[str, float] = {}
    seen = 0
    for word in set(counted):
        tags = foreign.words.get(word)
        if tags is None:
            seen += word in foreign.own
        else:
            # A one-letter word is as likely a size, a model or a unit.
            weight = 0.5 if len(word) == 1 else 1.0
            for tag in tags:
                scores[tag] = scores.get(tag, 0.0) + weight
    if odd_letters:
        _add_letters(counted, odd_letters, scores)
    if not scores:
        return None
    best, score = max(sorted(scores.items()), key=lambda pair: pair[1])
    needed = 3.0 if frozenset((best, base)) in _CLOSE else 2.0
    if score < needed or score < 1.3 * seen + 0.8 or score < 0.12 * len(counted):
        return None
    return violation(
        "M-17", look.label, f"the text reads as {best!r}, not {base!r}", measured=best, limit=base
    )


def _add_letters(words: list[str], odd: set[str], scores: dict[str, float]) -> None:
    """Let each word with a letter the own language lacks speak for the languages that have it."""
    for word in set(words):
        letters = odd.intersection(word)
        if letters:
            for tag, known in _OWN_LETTERS.items():
                if letters.issubset(known):
                    scores[tag] = scores.get(tag, 0.0) + 1.0


def _script(look: Look, script: str, own_words: frozenset[str], source: str) -> Violation | None:
    text = look.masked
    if script != "Latn":  # the next word may be glued to a name, masked
        text = _MASK.sub(lambda run: " " * len(run.group()), text)
    strange = _other_letters(script).findall(text) if not look.ascii or script != "Latn" else []
    if not strange:
        return None
    kept = total = 0
    own_letter = _own_letters(script)
    names: set[str] = set()
    shortened = script != "Latn" and len(_ACRONYM.findall(text)) in range(1, _FEW + 1)
    if shortened:  # currencies, keywords such as STOP: written in capitals in every script
        text = _ACRONYM.sub(" ", text)
    if script != "Latn":
        names = {name.lower() for name in _CAPITALISED.findall(text)}
        names = names if len(names) <= 2 else set()
    linked = "://" in look.text or "www." in look.lower
    tagged = script != "Latn" and "#" in look.chars
    if tagged:  # a tag is made of the brief's words, glued together
        text = _TAG.sub(" ", text)
    low_source = source.lower() if script in _UNSPACED else ""
    reread = linked or shortened or tagged
    for word in WORD.findall(lowered(text)) if reread else look.words:
        if reread and not word.strip("x"):
            continue  # a link or a name, masked
        # What the brief wrote in another script (a name, a model) may stand as it is.
        if word in own_words:
            continue
        if not word.isascii() and script in _UNSPACED and names:
            for name in sorted(names, key=len, reverse=True):
                word = word.replace(name, "")
        if low_source and not word.isascii():  # no space parts a Latin name from the words around it
            word = _LATIN_RUN.sub(lambda run: "" if run.group() in low_source else run.group(), word)
        letters = _LETTER.findall(word)
        # Short Latin words are units and models everywhere, one capitalised word or two are names.
        if script != "Latn" and word.isascii() and (len(word) <= 3 or word.upper() == word):
            continue
        if script != "Latn" and names and word in names:
            continue
        total += len(letters)
        kept += len(own_letter.findall(word)) + sum(1 for c in letters if c.isdigit() or not c.isalpha())
    wrong = total - kept
    if script != "Latn" and not own_letter.search(text):
        # Nothing of the own script at all: short words count too.
        alien = [word for word in look.words if word not in own_words and len(_LETTER.findall(word)) > 1]
        if len(alien) >= _FEW - 1 and not set(alien) <= names:
            return violation(
                "P-ALL-3", look.label, "no letter is of the language's script", measured=1.0, limit=0.1
            )
    if wrong < 3 or wrong <= 0.10 * total:
        return None
    if script != "Latn" and wrong <= 0.5 * total and _foreign_in_source(strange, source) and wrong < 25:
        return None
    return violation(
        "P-ALL-3",
        look.label,
        f"{wrong} of {total} letters are not of the language's script",
        measured=round(wrong / total, 2),
        limit=0.1,
    )


def _foreign_in_source(strange: list[str], source: str) -> bool:
    return "".join(strange) in source.replace(" ", "")


def _han(look: Look, language: Language, source: str) -> Violation | None:
    base, label = language.tag.partition("-")[0], look.label
    chars = look.chars
    if language.script == "Jpan":
        han = _HAN.findall(look.text)
        if han and not _KANA_SET.isdisjoint(chars):
            return None
        simplified = (chars & _ONLY_SIMPLIFIED) - set(source)
        if simplified or (len(han) >= 10 and "".join(han) not in source):
            return violation("M-17", label, "the text reads as Chinese, not 'ja'", measured="zh", limit="ja")
        return None
    kana = len(_KANA.findall(look.text))
    if kana >= 3 and kana > 0.1 * len(_LETTER.findall(look.text)):
        return violation(
            "M-17", label, f"the text reads as Japanese, not {base!r}", measured="ja", limit=base
        )
    wrong = chars & (_ONLY_TRADITIONAL if language.script == "Hans" else _ONLY_SIMPLIFIED) - set(source)
    if len(wrong) >= 2:
        other = "zh-Hant" if language.script == "Hans" else "zh-Hans"
        return violation("M-17", label, f"the text is written in {other}", measured=other, limit=language.tag)
    return None
