"""Figures in running text: numbers, prices, percentages and dates, in any digits and any separators."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple

from copykit.data import load_json
from copykit.lazy import lazy

__all__ = ["Figure", "Figures", "has_digit", "readings"]

# Every character that a number may begin with stands in front: a pattern that starts with one set is searched
# many times faster than a choice of four.
_NUMBER = lazy(
    r"[\d½⅓⅔¼¾⅛⅜⅝⅞①-⑳⑴-⒇Ⅰ-Ⅻⅰ-ⅻ](?:(?<=\d)(?<!\d\d)\d{0,2}(?: \d{3})+(?!\d)(?:[.,]\d+)?(?!\d)"
    r"|(?<=\d)\d*(?:[.,٫'](?=\d)\d+)*[½⅓⅔¼¾⅛⅜⅝⅞]?|(?<!\d))"
)
_CLOCK = lazy(r"(?<![\d.,:])\d{1,2}:\d{2}(?![\d:])")
_NUMERAL_VALUE = dict(zip("〇零一二三四五六七八九", (0, 0, *range(1, 10)), strict=True)) | {"两": 2, "兩": 2}
_NUMERAL_SCALE = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "萬": 10_000, "亿": 10**8, "億": 10**8}
_ZEROS = """
    30 660 6f0 7c0 966 9e6 a66 ae6 b66 be6 c66 ce6 d66 de6 e50 ed0 f20 1040 1090 17e0 1810 1946 19d0
    1a80 1a90 1b50 1bb0 1c40 1c50 a620 a8d0 a900 a9d0 a9f0 aa50 abf0 ff10 104a0 10d30 11066 110f0 11136
    111d0 112f0 11450 114d0 11650 116c0 11730 118e0 11950 11c50 11d50 11da0 16a60 16ac0 16b50 1d7ce
    1d7d8 1d7e2 1d7ec 1d7f6 1e140 1e2f0 1e950 1fbf0
"""
"""Code points of the zeros of Unicode's decimal digits (15.0), each followed by its one to nine."""
_DIGITS = frozenset(chr(int(zero, 16) + n) for zero in _ZEROS.split() for n in range(10)) | frozenset(
    "½⅓⅔¼¾⅛⅜⅝⅞" + "".join(map(chr, (*range(0x2460, 0x2488), *range(0x2160, 0x216C), *range(0x2170, 0x217C))))
)
# Signs that may stand between a number word and its neighbours without a space.
_BESIDE_WORDS = frozenset("-‐‑–—/()[]\"“”„«»‹›¿¡'’‘…,.!?;:،।؟")
"""Marks that may stand at a word without belonging to it."""
_HAN_NUMERALS = frozenset(_NUMERAL_VALUE) | frozenset(_NUMERAL_SCALE)
_HAN_RUN = lazy("[〇零一二三四五六七八九两兩十百千万萬亿億]+")
_MAX_DIGITS = 40
_TENS = 20

Value = Decimal | str | tuple[int | None, int, int]


class Figure(NamedTuple):
    """One figure as written, with everything it may mean."""

    kind: Literal["number", "price", "percent", "date"]
    values: frozenset[Value]
    """Every reading: ``1.234`` may be 1234 or 1.234; a date is (year or None, month, day)."""
    start: int
    end: int
    digits: tuple[int, int]
    """Span of the digits alone, without sign, unit or currency."""
    currencies: frozenset[str] = frozenset()
    """ISO codes the written currency may stand for."""
    unit: str = ""
    """Canonical unit that follows, or empty."""
    parts: tuple[Value, ...] = ()
    """The figures it would be if its spaces or colons parted them."""
    spelled: bool = False
    """Written in words."""


class _Plain(dict[int, int]):
    """One character for one: any script's digits to ASCII, odd spaces and signs to plain ones."""

    def __missing__(self, code: int) -> int:
        char = chr(code)
        value = unicodedata.decimal(char, None) if code > 127 else None
        self[code] = result = code if value is None else ord("0") + value
        return result


_plain = _Plain(
    {ord(a): ord(b) for a, b in zip("\u00a0\u202f\u2009\u2007\u3000", " " * 5, strict=True)}
    | {ord(a): ord(b) for a, b in zip("’٬．，％٪﹪：‐‑‒–—−～〜", "''.,%%%:--------", strict=True)}
)


def has_digit(text: str) -> bool:
    """Tell whether *text* holds a digit of any script, a fraction sign or a numeral sign."""
    return not _DIGITS.isdisjoint(text)


@lru_cache(maxsize=4096)
def readings(core: str) -> frozenset[Value]:
    """Give every value that a run of ASCII digits and separators may stand for.

    A last group of three digits may be thousands or decimals, so ``1.234`` gives both; ``1.234,50``
    gives one. What is no number at all (``2.0.1``) is given as it is.
    """
    bare = core.replace(" ", "").replace("'", "")
    if len(bare) > _MAX_DIGITS:
        return frozenset({bare})
    fraction = Decimal(0)
    if bare and not bare[-1].isascii():
        sign = unicodedata.numeric(bare[-1])
        fraction, bare = Decimal(str(round(sign, 4))), bare[:-1]
        if not bare:
            return frozenset({fraction})
    if "٫" in bare:
        bare = bare.replace(",", "").replace(".", "").replace("٫", ".")
        return frozenset({Decimal(bare)}) if bare.count(".") == 1 else frozenset({bare})
    marks = [c for c in bare if c in ".,"]
    if not marks:
        return frozenset({Decimal(bare) + fraction})
    groups = re.split("[.,]", bare)
    grouped = (
        len(groups[-1]) == 3 and 1 <= len(groups[0]) <= 3 and all(len(g) in (2, 3) for g in groups[1:-1])
    )
    if len(marks) == 1:
        values = {Decimal(f"{groups[0]}.{groups[1]}").normalize()}
        if grouped and groups[0].strip("0"):
            values.add(Decimal("".join(groups)))
        return frozenset(values)
    if len(set(marks)) == 1:
        return frozenset({Decimal("".join(groups))}) if grouped else frozenset({bare})
    if marks.count(marks[-1]) == 1:
        return frozenset({Decimal("".join(groups[:-1]) + "." + groups[-1]).normalize()})
    return frozenset({bare})


class Figures:
    """Reads the figures of texts in one language (and in English, which mixes in everywhere).

    Built once per language by `Figures.of`; thread-safe.
    """

    __slots__ = (
        "_after",
        "_alone",
        "_alone_hint",
        "_before",
        "_dates",
        "_gate",
        "_han",
        "_initial",
        "_percent_after",
        "_percent_before",
        "_percent_first",
        "_percent_last",
        "_scale",
        "_signs",
        "_stems",
        "_unit",
        "words",
    )

    def __init__(self, tag: str) -> None:
        tables = load_json("figures.json")
        base = tag.split("-")[0]
        chain = list(dict.fromkeys(("*", base, "en")))
        signs = {s: frozenset(c) for s, c in tables["currencies"].items() if s != "codes"}
        stems: dict[str, frozenset[str]] = {}
        for part in chain:
            for code, forms in tables["currency_words"].get(part, {}).items():
                for form in forms:
                    stems[form] = stems.get(form, frozenset()) | {code}
        codes = {
            c: frozenset({"CNY" if c == "RMB" else "ILS" if c == "NIS" else c})
            for c in tables["currencies"]["codes"]
        }
        self._before = _Lookup({**signs, **codes}, before=True)
        self._after = _Lookup({**signs, **codes}, stems=stems)
        # Alone, only what cannot be a word of its own: signs that are not letters, and codes in capitals.
        self._signs = {s: c for s, c in {**signs, **codes}.items() if s in codes or not s[-1].isalpha()}
        alone = "|".join(map(re.escape, sorted(self._signs, key=len, reverse=True)))
        self._alone = lazy(rf"(?<![^\W\d_])(?:{alone})(?![^\W\d_])")
        marks = "".join(re.escape(c) for c in {c for s in self._signs for c in s} if not c.isalpha())
        self._alone_hint = lazy(f"[A-Z{marks}](?:(?<![A-Z])|[A-Z]{{2}})")
        percent = tables["percent"]
        self._percent_after = lazy(
            "[ -]?(?:" + "|".join(map(re.escape, sorted(percent["after"], key=len, reverse=True))) + ")",
            re.IGNORECASE,
        )
        self._percent_first = frozenset(w[0] for w in percent["after"]) | {
            w[0].upper() for w in percent["after"]
        }
        lasts = "".join(sign.rstrip()[-1] for sign in percent["before"])
        self._percent_last = frozenset(lasts + lasts.upper())
        self._percent_before = lazy(
            "(?:" + "|".join(map(re.escape, percent["before"])) + ") ?$", re.IGNORECASE
        )
        scales: dict[str, int] = {}
        for part in reversed(chain):
            scales.update(tables["scales"].get(part, {}))
        self._scale = _Words(scales)
        self._unit = _Words({form: unit for unit, forms in tables["units"].items() for form in forms})
        months: dict[str, int] = {}
        for part in ("en_short", "en", base):
            for number, stem in enumerate(tables["months"].get(part, ()), 1):
                months[stem] = number
        self._dates = _Dates(months)
        spelled: dict[str, int] = dict(tables["spelled"].get(base, {})) or dict(tables["spelled"]["en"])
        self.words = spelled
        """Number words of the language, from two upward."""
        self._stems = tuple(word for word in spelled if not any(o != word and o in word for o in spelled))
        self._initial = frozenset(s for s in self._stems if all(w.rfind(s) <= 0 for w in spelled))
        self._gate = frozenset(spelled)
        counters = tables["counters"].get(base)
        self._han = lazy(f"[{_HAN_RUN.pattern[1:-2]}]+(?=[{counters}])") if counters else None

    @staticmethod
    @cache
    def of(tag: str) -> Figures:
        """Give the reader for language *tag*, shared."""
        return Figures(tag)

    def currencies_in(self, text: str) -> frozenset[str]:
        """Give the ISO codes of currencies named in *text*, beside a number or alone."""
        if not self._alone_hint.search(text):
            return frozenset()
        return frozenset(code for codes in self._alone.findall(text) for code in self._signs[codes])

    def may_hold(self, text: str) -> bool:
        """Tell cheaply whether *text* may hold a figure; False is certain."""
        if _ASCII_DIGIT.search(text):  # most figures, found many times faster than the rest
            return True
        chars = set(text)
        if not chars.isdisjoint(_DIGITS):
            return True
        if self._han is not None:
            return not chars.isdisjoint(_HAN_NUMERALS)
        lower = text.lower()
        for mark in chars & _BESIDE_WORDS:  # a few replacements cost a third of finding the words
            lower = lower.replace(mark, " ")
        return not self._gate.isdisjoint(lower.split())

    def read(self, text: str) -> list[Figure]:
        """Give the figures of *text* in reading order; dates come as one figure, spans are of *text*."""
        found: list[Figure] = []
        plain = text
        for char in () if text.isascii() else set(text):
            if char > "\x7f" and (code := _plain[ord(char)]) != ord(char):
                plain = plain.replace(char, chr(code))
        taken = bytearray(len(plain))  # 1 for each character of a date or a time
        if not _DIGITS.isdisjoint(plain):
            for figure in self._dates.read(plain):
                found.append(figure)
                _take(taken, figure.start, figure.end)
            for match in _CLOCK.finditer(plain) if ":" in plain else ():
                if not taken[match.start()]:
                    hours, minutes = match.group().split(":")
                    parts = (Decimal(hours),) if minutes == "00" else (Decimal(hours), Decimal(minutes))
                    value = f"{int(hours)}:{minutes}"
                    found.append(
                        Figure("number", frozenset({value}), *match.span(), match.span(), parts=parts)
                    )
                    _take(taken, *match.span())
            for match in _NUMBER.finditer(plain):
                if not taken[match.start()]:
                    found.append(self._figure(plain, match))
            found.sort(key=lambda f: f.start)
            found = list(_ranges(found, plain))
        if self._han is not None:
            found.extend(self._han_numerals(plain, [f.digits for f in found]))
        else:
            found.extend(self._spelled(plain))
        found.sort(key=lambda f: f.start)
        return found

    def _figure(self, text: str, match: re.Match[str]) -> Figure:
        start, end = match.span()
        core = match.group()
        if len(core) == 1 and not core.isdigit():
            values: frozenset[Value] = frozenset({Decimal(str(round(unicodedata.numeric(core), 4)))})
        elif core in "①②③④⑤⑥⑦⑧⑨":
            values = frozenset({Decimal(unicodedata.digit(core))})
        else:
            values = readings(core)
        parts: tuple[Value, ...] = ()
        if " " in core:
            parts = tuple(min(readings(p), key=str) for p in core.split(" "))
        elif any(isinstance(v, str) for v in values):
            parts = tuple(Decimal(p) for p in re.split("[.,]", core) if p.isdigit())
        digits = (start, end)
        scaled = self._scale.at(text, end)
        if scaled is not None:
            factor, end = scaled
            values = frozenset(v * int(factor) if isinstance(v, Decimal) else v for v in values)
            parts = ()
        if _next(text, end) in self._percent_first and (percent := self._percent_after.match(text, end)):
            return Figure("percent", values, start, percent.end(), digits)
        if not self._percent_last.isdisjoint(text[max(0, start - 3) : start]) and (
            percent := self._percent_before.search(text[max(0, start - 8) : start])
        ):
            return Figure("percent", values, start - len(percent.group()), end, digits)
        if text.startswith("割", end):
            tenfold = frozenset(v * 10 if isinstance(v, Decimal) else v for v in values)
            return Figure("percent", tenfold, start, end + 1, digits)
        if text.startswith("折", end):
            rest = frozenset(_discount(v) for v in values)
            return Figure("percent", rest, start, end + 1, digits)
        if after := self._after.after(text, end):
            return Figure("price", values, start, after[1], digits, currencies=after[0], parts=parts)
        if before := self._before.before(text, start):
            return Figure("price", values, before[1], end, digits, currencies=before[0], parts=parts)
        unit = self._unit.at(text, end)
        if unit is not None:
            return Figure("number", values, start, unit[1], digits, unit=str(unit[0]), parts=parts)
        return Figure("number", values, start, end, digits, parts=parts)

    def _spelled(self, text: str) -> Iterator[Figure]:
        lower = text.lower()
        if len(lower) != len(text):
            return
        stems = [stem for stem in self._stems if stem in lower]
        if not any(self._begins(stem, lower) for stem in stems):
            return
        if self._gate.isdisjoint(_WORD.findall(lower)):
            return
        total = current = 0
        span: tuple[int, int] | None = None
        for match in _WORD.finditer(lower):
            value = self.words.get(match.group())
            if value is None:
                continue
            joined = span is not None and _JOINT.fullmatch(lower, span[1], match.start())
            if span is not None and joined and (value >= 100 or current >= _TENS > value):
                current = current * value if value >= 100 else current + value
                span = (span[0], match.end())
                continue
            if span is not None:
                yield self._word_figure(text, total + current, span)
            current, total, span = value, 0, match.span()
        if span is not None:
            yield self._word_figure(text, total + current, span)

    def _begins(self, stem: str, lower: str) -> bool:
        """Whether a number word may stand where *stem* does: "height" holds none, though "eight" is one."""
        if stem not in self._initial:
            return True
        at = lower.find(stem)
        while at > 0 and lower[at - 1].isalpha():
            at = lower.find(stem, at + 1)
        return at >= 0

    def _word_figure(self, text: str, value: int, span: tuple[int, int]) -> Figure:
        values: frozenset[Value] = frozenset({Decimal(value)})
        follows = _next(text, span[1])
        if follows in self._percent_first and (percent := self._percent_after.match(text, span[1])):
            return Figure("percent", values, span[0], percent.end(), span, spelled=True)
        if after := self._after.after(text, span[1]):
            return Figure("price", values, span[0], after[1], span, currencies=after[0], spelled=True)
        unit = self._unit.at(text, span[1])
        if unit is not None:
            return Figure("number", values, span[0], unit[1], span, unit=str(unit[0]), spelled=True)
        return Figure("number", values, *span, span, spelled=True)

    def _han_numerals(self, text: str, taken: list[tuple[int, int]]) -> Iterator[Figure]:
        if self._han is None or _HAN_NUMERALS.isdisjoint(text):
            return
        beside = bytearray(len(text) + 1)  # 1 for each character of a figure, and for the one behind it
        for start, end in taken:
            _take(beside, start, end + 1)
        for match in self._han.finditer(text):
            start, end = match.span()
            written = match.group()
            if written.strip("一") == "" or text[start - 1 : start] == "第" or beside[start]:
                continue
            if all(c in _NUMERAL_SCALE for c in written) and written not in ("十", "百", "千"):
                continue
            if (
                text[end : end + 1] == "分"
                and written == "十"
                and text[end + 1 : end + 2] not in ("钟", "鐘", "間", "で", "の")
            ):
                continue
            values: frozenset[Value] = frozenset({Decimal(_han_value(written))})
            if text[end] in "割成":
                yield Figure(
                    "percent",
                    frozenset({Decimal(_han_value(written) * 10)}),
                    start,
                    end + 1,
                    (start, end),
                    spelled=True,
                )
            elif text[end] == "折":
                rest = frozenset(_discount(v) for v in values)
                yield Figure("percent", rest, start, end + 1, (start, end), spelled=True)
            elif text[max(0, start - 3) : start] == "分之" or text[max(0, start - 4) : start] == "百分之":
                yield Figure("percent", values, start - 3, end, (start, end), spelled=True)
            elif after := self._after.after(text, end):
                yield Figure(
                    "price", values, start, after[1], (start, end), currencies=after[0], spelled=True
                )
            else:
                unit = self._unit.at(text, end)
                name, stop = (str(unit[0]), unit[1]) if unit is not None else ("", end)
                yield Figure("number", values, start, stop, (start, end), unit=name, spelled=True)


_ASCII_DIGIT = lazy("[0-9]")
_JOINT = lazy(r"[\s-]+(?:(?:and|y|e|et|und|en)\s+)?")
_RANGE = lazy(r" ?(?:-|x|×|~|to|a|à|bis|tot|do|al|至|から) ?")
_DIVIDED = lazy(r"\d[-/.]\d{1,2}[-/.]\d")
_WORD = lazy(r"[^\W\d_]+(?:[\u0900-\u0903\u093a-\u094f\u0902]+[^\W\d_]*)*")


def _discount(value: Value) -> Value:
    """Percent off that a Chinese ``折`` figure means: 8 折 and 85 折 are 20 and 15 percent off."""
    if not isinstance(value, Decimal):
        return value
    return Decimal(100) - (value * 10 if value < 10 else value)


def _han_value(written: str) -> int:
    if not any(c in _NUMERAL_SCALE for c in written):
        return int("".join(str(_NUMERAL_VALUE[c]) for c in written))
    total = section = digit = 0
    for char in written:
        if char in _NUMERAL_VALUE:
            digit = _NUMERAL_VALUE[char]
        elif _NUMERAL_SCALE[char] >= 10_000:
            total = (total + section + digit or 1) * _NUMERAL_SCALE[char]
            section = digit = 0
        else:
            section += (digit or 1) * _NUMERAL_SCALE[char]
            digit = 0
    return total + section + digit


def _take(taken: bytearray, start: int, end: int) -> None:
    taken[start:end] = b"\1" * (end - start)


def _ranges(figures: list[Figure], text: str) -> Iterator[Figure]:
    """Let the first figure of a range (``10–15 €``) share the second one's kind."""
    for at, figure in enumerate(figures):
        following = figures[at + 1] if at + 1 < len(figures) else None
        if (
            following is not None
            and figure.kind == "number"
            and not figure.unit
            and following.kind in ("price", "percent", "number")
            and _RANGE.fullmatch(text, figure.end, following.start)
        ):
            yield figure._replace(kind=following.kind, currencies=following.currencies, unit=following.unit)
        else:
            yield figure


def _next(text: str, end: int) -> str:
    char = text[end : end + 1]
    return text[end + 1 : end + 2] if char == " " or char == "-" else char


class _Words:
    """Words that may follow a number, by what they mean."""

    def __init__(self, table: dict[str, Any]) -> None:
        self._table = {word.lower(): meaning for word, meaning in table.items()}
        longest = sorted(self._table, key=len, reverse=True)
        alphabetic = [re.escape(w) for w in longest if ord(w[0]) < 0x0900]
        other = [re.escape(w) for w in longest if ord(w[0]) >= 0x0900]
        shapes = [f"(?:{'|'.join(alphabetic)})(?![^\\W_])"] if alphabetic else []
        shapes += [f"(?:{'|'.join(other)})"] if other else []
        self._shape = lazy("[ -]?(" + "|".join(shapes) + ")", re.IGNORECASE)
        self._first = frozenset(w[0] for w in self._table) | {w[0].upper() for w in self._table}

    def at(self, text: str, end: int) -> tuple[Any, int] | None:
        """Give the meaning of the word that follows position *end*, and where it ends."""
        if _next(text, end) not in self._first:
            return None
        match = self._shape.match(text, end)
        return (self._table[match.group(1).lower()], match.end()) if match else None


class _Lookup:
    """Currency signs, codes and words beside a number."""

    def __init__(
        self,
        signs: dict[str, frozenset[str]],
        *,
        stems: dict[str, frozenset[str]] | None = None,
        before: bool = False,
    ) -> None:
        self._signs = {s.lower(): c for s, c in signs.items()}
        self._stems = {s.lower(): c for s, c in (stems or {}).items()}
        lettered = sorted((s for s in signs if s[-1].isalpha() and ord(s[0]) < 0x0900), key=len, reverse=True)
        other = sorted((s for s in signs if s not in lettered), key=len, reverse=True)
        if before:
            shape = "|".join(map(re.escape, sorted(signs, key=len, reverse=True)))
            self._shape = lazy(rf"(?:(?<=[^\W\d_])(?=[^\w\s])|(?<![^\W\d_]))({shape}) ?$")
            self._edge = frozenset(s[-1] for s in signs)
        else:
            # "-" lets "50-euro" through; a word has at most three more letters than its stem.
            # Codes and letter signs keep their case: "all" and "try" are words.
            kept = "|".join(map(re.escape, lettered))
            loose = "|".join(map(re.escape, other))
            self._edge = frozenset(w[0] for w in (*signs, *self._stems)) | {w[0].upper() for w in self._stems}
            words = "|".join(map(re.escape, sorted(self._stems, key=len, reverse=True))) or "(?!)"
            self._shape = lazy(
                rf"[ -]?(?:({loose})|({kept})(?![^\W_])|"
                rf"(?i:({words}))[^\W\d_]{{0,3}}(?![^\W_\u3000-\u9fff\uac00-\ud7ff]))"
            )

    def after(self, text: str, end: int) -> tuple[frozenset[str], int] | None:
        """Give the currencies written after position *end*, and where their sign or word ends."""
        if _next(text, end) not in self._edge:
            return None
        match = self._shape.match(text, end)
        if not match:
            return None
        if match.group(3):
            return self._stems[match.group(3).lower()], match.end()
        return self._signs[(match.group(1) or match.group(2)).lower()], match.end()

    def before(self, text: str, start: int) -> tuple[frozenset[str], int] | None:
        """Give the currencies written before position *start*, and where their sign starts."""
        if (
            text[start - 1 : start].strip() not in self._edge
            and text[start - 2 : start - 1] not in self._edge
        ):
            return None
        low = max(0, start - 7)
        match = self._shape.search(text[low:start])
        return (self._signs[match.group(1).lower()], low + match.start(1)) if match else None


class _Dates:
    """Dates in figures, in East Asian form, and with the month's name."""

    def __init__(self, months: dict[str, int]) -> None:
        self._months = months
        names = "|".join(map(re.escape, sorted(months, key=len, reverse=True)))
        # A name that holds another is found with it.
        self._stems = tuple(n.lower() for n in months if not any(o != n and o in n for o in months))
        word = rf"({names})[^\W\d_]{{0,4}}\.?"
        end = r"(?![\d.,]*\d)"
        self._shapes = tuple(
            (gate, lazy(shape, re.IGNORECASE), order)
            for gate, shape, order in (
                ("-", rf"(?<!\d)(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){end}", "ymd"),
                ("-", rf"(?<![\d.,/-])(\d{{1,2}})([./-])(\d{{1,2}})\2(\d{{4}}|\d{{2}}){end}", "d-m-y"),
                ("年", r"(?:(\d{4}) ?[年년] ?)?(?<!\d)(\d{1,2}) ?[月월] ?(\d{1,2}) ?[日号號일]", "ymd"),
                (
                    "M",
                    rf"(?<![\d.,])(\d{{1,2}})(?:st|nd|rd|th|\.|º|er|ª)? ?(?:de |of |d'|da )?\b{word}"
                    r"(?:,? (?:de |del |d')?(\d{4})(?!\d))?",
                    "dMy",
                ),
                ("M", rf"(?<!\d)(\d{{4}})\. {word} (\d{{1,2}}){end}", "yMd"),
                (
                    "M",
                    rf"\b{word} (\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?![.,:]\d)(?:,? (\d{{4}})(?!\d))?",
                    "Mdy",
                ),
            )
        )

    def read(self, text: str) -> list[Figure]:
        found: list[Figure] = []
        lower = text.lower()
        open_shapes = "M" if any(stem in lower for stem in self._stems) else ""
        open_shapes += "-" if _DIVIDED.search(text) else ""
        open_shapes += "年" if "月" in text or "월" in text else ""
        if not open_shapes:
            return found
        taken = bytearray(len(text))
        for gate, pattern, order in self._shapes:
            if gate not in open_shapes:
                continue
            for match in pattern.finditer(text):
                if taken[match.start()]:
                    continue
                values = frozenset(
                    v for v in self._values(match, order) if 1 <= v[1] <= 12 and 1 <= v[2] <= 31
                )
                if values:
                    found.append(Figure("date", frozenset(values), *match.span(), match.span()))
                    _take(taken, *match.span())
        return found

    def _values(self, match: re.Match[str], order: str) -> Iterator[tuple[int | None, int, int]]:
        if order == "ymd":
            year, month, day = match.groups()
            yield (int(year) if year else None, int(month), int(day))
        elif order == "d-m-y":
            first, _, second, year = match.groups()
            full = int(year) + (2000 if len(year) == 2 else 0)
            yield (full, int(second), int(first))
            yield (full, int(first), int(second))
        else:
            by_letter = dict(zip(order, match.groups(), strict=True))
            written = by_letter.get("y")
            yield (
                int(written) if written else None,
                self._months[by_letter["M"].lower()],
                int(by_letter["d"]),
            )
