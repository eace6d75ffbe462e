"""Surface rules that hold in every language: capitals, marks, repetition, residue, links, emoji, numbers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from itertools import islice
from operator import eq

from copykit.brief.catalog import Policy
from copykit.drafts.look import EMOJI, WORD, WORD_CLASS, Look, emoji_count, violation
from copykit.drafts.wording import Wording
from copykit.errors import counted
from copykit.lazy import lazy
from copykit.models import Severity, Violation

__all__ = ["HASHTAG", "INVISIBLE", "Surface", "sentences", "surface"]

HASHTAG = lazy(rf"[#＃](?<![\w&/#][#＃])([{WORD_CLASS}]+)")

INVISIBLE = frozenset(
    "\u200b\u2060\ufeff\u00ad\u180e\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Characters that nobody sees: zero-width ones, soft hyphens, direction controls."""

_RTL_CONTROLS = frozenset("\u061c\u200e\u200f\u2066\u2067\u2068\u2069")
_JOINERS = frozenset("\u200c\u200d")
_JOINING_SCRIPTS = frozenset({"Arab", "Deva", "Beng", "Thai", "Syrc"})

_DOUBLED = frozenset("?.,;:*#~$%&-？。，、；：؟،؛।¿¡€_=+^|•")
_REPEATED = lazy(r"([?,;:*#~$%&\-？。，、；：؟،؛।¿¡€_=+^|•])\1+|(?<!\.)\.\.(?!\.)|\.{4,}|\?[ ]\?")
_SHOUT = lazy(r"[!！¡](?:\s*[!！¡])+")
_MIXED_ENDS = lazy(r"[?？][!！]|[!！][?？]")
_UPPER = "A-ZÀ-ÖØ-Þ\u0386-\u038f\u0391-\u03ab\u0400-\u042f" + "".join(
    c for c in map(chr, (*range(0x100, 0x180), *range(0x218, 0x21C), *range(0x1EA0, 0x1F00))) if c.isupper()
)
_LOWER = "a-zß-öø-ÿ\u03ac-\u03ce\u0430-\u045f"
_CAPS = lazy(rf"(?<![\w@#.&+-])[{_UPPER}]{{3,}}(?![\w&])")
# A capital after a capital or after a small letter, looked for from the capital: most texts hold few.
_ODD_CASE = lazy(f"[{_UPPER}](?:[{_UPPER}]|(?<=[{_LOWER}][{_UPPER}]))")
_ODD_CASE_ASCII = lazy("[A-Z](?:[A-Z]|(?<=[a-z][A-Z]))")
_CAMEL = lazy(f"[{_UPPER}](?<=[{_LOWER}][{_UPPER}])")
_TWO_CAPITALS = lazy(f"[{_UPPER}]{{2}}")
_GIMMICK = lazy(
    rf"[{_LOWER}][{_UPPER}]{{2,}}|\b(?:[{_LOWER}][{_UPPER}]){{2,}}[{_LOWER}]?\b|\b(?:[{_UPPER}][{_LOWER}]){{3,}}[{_UPPER}]?\b"
)
_RESIDUE_WORDS = frozenset({"TBD", "TODO", "FIXME", "XXX", "XXXX", "XXXXX"})
_TWICE = lazy(r"(?<![\w'’-])([^\W\d_]{2,})[ \u00a0]\1(?![\w'’-])")
_PLACEHOLDER = lazy(
    r"\[[A-Z][A-Z0-9 _-]+\]|\[(?:insert|your|name|product|brand|company|add|placeholder)\b[^\]]{0,200}\]|<[A-Z][A-Z0-9 _-]+>"
    r"|\{\{[^{}]*\}\}|\{[^{}]*\}|%(?=[A-Z]_?[A-Z])[A-Z]++(?:_[A-Z]++)?%",
    re.IGNORECASE,
)
_MARKDOWN = lazy(r"\*\*|__(?=\w)|```|^\s{0,3}#{1,6}\s|^[^\S\n]*+>\s|\[[^\[\]]+\]\(https?:", re.MULTILINE)
_LABEL = lazy(r"^\W{0,3}(?:[^\W\d_]+ )?[^\W\d_]+ ?\d{0,2}\s*[:：]")
_QUOTED = {'"': '"', "“": "”", "„": "“”", "«": "»", "「": "」", "『": "』", "‘": "’", "”": "”"}
_SHORTENERS = ("bit.ly/", "tinyurl.com/", "goo.gl/", "ow.ly/", "t.co/", "is.gd/", "cutt.ly/", "rb.gy/")
_GROUP_COMMA = lazy(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])|(?<![\d.,])\d+\.\d{1,2}(?![\d.])")
_GROUP_POINT = lazy(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?:,\d+)?(?![\d.])|(?<![\d.,])\d+,\d{1,2}(?![\d,])")
_MONEY = lazy(
    r"[$€£¥₹₽₩₺₫₴฿₪]|(?-i:\b[A-Z]{3}\b)|\b(?:zł|kr|Kč|lei|Ft|руб|грн|元|円|원|ريال|درهم|جنيه|दिनार|रुपये|rupees|euros?|dollars?|dólares|reais|Rp|RM)",
    re.IGNORECASE,
)
_DIGITS = frozenset("0123456789")
_SEPARATED = lazy(r"[.,](?<=\d[.,])\d")
_CURRENCIES = frozenset("$€£¥₹₽₩₺₫₴฿₪")
_QUOTE_MARKS = frozenset('"“”„«»')
_CONTROL = frozenset(chr(c) for c in (*range(9), 11, 12, *range(14, 32), 127))


class Surface:
    """What the placement, tone and brief say about the surface of a text, prepared once."""

    __slots__ = (
        "ads",
        "caps",
        "exclamations",
        "exempt",
        "language",
        "link_error",
        "links_max",
        "markdown",
        "per_hundred",
        "plain",
        "script",
        "source",
        "source_lower",
        "tokens",
        "wording",
    )

    def __init__(
        self,
        *,
        ads: bool,
        exclamations: int,
        per_hundred: int,
        links_max: int | None,
        link_error: bool,
        script: str,
        language: str,
        wording: Wording,
        source: str,
        exempt: frozenset[str],
        tokens: frozenset[str],
        markdown: bool,
        plain: bool,
    ) -> None:
        self.ads = ads
        self.exclamations = exclamations
        self.per_hundred = per_hundred
        self.links_max = links_max
        self.link_error = link_error
        self.script = script
        self.language = language
        self.wording = wording
        self.source = source
        self.exempt = exempt
        self.tokens = tokens
        self.markdown = markdown
        self.plain = plain
        self.caps: frozenset[str] | None = None
        self.source_lower = ""

    def own(self, word: str) -> bool:
        """Tell whether the brief itself writes *word* just so."""
        if self.caps is None:
            self.caps = frozenset(WORD.findall(self.source))
        return word in self.caps


def surface(look: Look, rules: Surface) -> list[Violation]:
    """Check one text against the M rules that need nothing but the text."""
    found: list[Violation] = []
    text, chars = look.text, look.chars
    if not look.ascii:
        _unseen(look, rules, found)
    marks = chars - _LETTERS
    if marks:
        _marks(look, marks, rules, found)
    if (_ODD_CASE_ASCII if look.ascii else _ODD_CASE).search(text):
        if _TWO_CAPITALS.search(text):
            _capitals(look, rules, found)
        if _CAMEL.search(text):
            _mixed_case(look, rules, found)
    if len(look.word_set) < len(look.words):
        _repetition(look, rules, found)
    _spaces(look, rules, found)
    _ending(look, rules, found)
    return found


def _marks(look: Look, chars: set[str], rules: Surface, found: list[Violation]) -> None:
    """Run the rules that only something besides plain letters and spaces can break: *chars* are those."""
    text, label = look.text, look.label
    if not _CONTROL.isdisjoint(chars):
        found.append(violation("M-19", label, "the text holds a control character"))
    if "!" in chars or "！" in chars:
        _exclamations(look, rules, found)
    for mark in chars & _DOUBLED:
        if mark * 2 in text or (mark == "?" and "? ?" in text):
            _repeated(look, rules, found)
            break
    if "." in chars and "..." in text and not rules.plain:
        found.append(
            violation("M-08", label, "three full stops stand for an ellipsis", span=_span(text, "..."))
        )
    elif "…" in chars and text.count("…") > 1 and rules.wording.base != "zh":
        found.append(violation("M-08", label, "more than one ellipsis", measured=text.count("…"), limit=1))
    if not _ODD.isdisjoint(chars):
        _residue(look, rules, found)
    if not _QUOTE_MARKS.isdisjoint(chars) and '"' in chars and not chars.isdisjoint("“”„«»"):
        found.append(violation("M-28", label, "straight and curly quotes are mixed"))
    if not _DIGITS.isdisjoint(chars):
        _numbers(look, rules, found)
    if "." in chars or "@" in chars or "/" in chars:
        _links(look, rules, found)


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
_ODD = frozenset('[{<*`#_>:："“„«「『‘”%')


def _span(text: str, part: str) -> tuple[int, int]:
    at = text.index(part)
    return at, at + len(part)


def _unseen(look: Look, rules: Surface, found: list[Violation]) -> None:
    text, chars = look.text, look.chars
    if not INVISIBLE.isdisjoint(chars):
        hidden = chars & INVISIBLE
        if rules.script in ("Arab", "Hebr"):
            hidden = hidden - _RTL_CONTROLS
        for mark in sorted(hidden):
            found.append(
                violation("M-19", look.label, f"the text hides a U+{ord(mark):04X}", span=_span(text, mark))
            )
    if not _JOINERS.isdisjoint(chars) and rules.script not in _JOINING_SCRIPTS:
        bare = EMOJI.sub("", text)
        for mark in sorted(_JOINERS.intersection(bare)):
            found.append(
                violation("M-19", look.label, f"the text hides a U+{ord(mark):04X}", span=_span(text, mark))
            )
    if max(chars) >= "\U0001d400" and any("\U0001d400" <= c <= "\U0001d7ff" for c in chars):
        at = next(i for i, c in enumerate(text) if "\U0001d400" <= c <= "\U0001d7ff")
        found.append(violation("M-19", look.label, "letters are mathematical symbols", span=(at, at + 1)))
    if not unicodedata.is_normalized("NFC", text):
        rule = "P-VI-1" if rules.wording.base == "vi" else "M-20"
        found.append(violation(rule, look.label, "letters and their accents are stored apart"))


def _exclamations(look: Look, rules: Surface, found: list[Violation]) -> None:
    text = look.masked
    budget = max(rules.exclamations, rules.per_hundred * len(look.words) // 100)
    run = _SHOUT.search(text)
    if run and any(c in "!！" for c in run.group()[1:]):
        found.append(violation("M-05", look.label, f"{run.group()!r} repeats the mark", span=run.span()))
    elif rules.ads and (run := _MIXED_ENDS.search(text)):
        found.append(violation("M-05", look.label, f"{run.group()!r} in an ad", span=run.span()))
    count = text.count("!") + text.count("！")
    if count > budget:
        at = max(text.rfind("!"), text.rfind("！"))
        found.append(
            violation(
                "M-06",
                look.label,
                f"{counted(count, 'exclamation mark')} where the tone allows {budget}",
                measured=count,
                limit=budget,
                span=(at, at + 1),
            )
        )


def _repeated(look: Look, rules: Surface, found: list[Violation]) -> None:
    run = _REPEATED.search(look.masked)
    if run is None or (rules.markdown and run.group()[0] in "*#-_"):
        return
    if run.group() in ("**", "##", "###", "__"):  # reported once, as M-16
        return
    severity: Severity = "error" if rules.ads else "warning"
    found.append(
        violation("M-07", look.label, f"{run.group()!r} repeats a mark", severity=severity, span=run.span())
    )


def _capitals(look: Look, rules: Surface, found: list[Violation]) -> None:
    text = look.masked
    severity: Severity = "error" if rules.ads else "warning"
    shouted: list[tuple[str, tuple[int, int]]] = []
    for match in _CAPS.finditer(text):
        word = match.group()
        if not word.isupper() or rules.own(word):
            continue
        if word in _RESIDUE_WORDS:
            found.append(violation("M-15", look.label, f"{word!r} is a placeholder", span=match.span()))
        elif word not in rules.wording.acronyms:
            shouted.append((word, match.span()))
    if shouted:
        share = len(shouted) / max(1, len(look.words))
        if rules.ads or share > 0.10 or len(look.words) < 10:
            word, span = shouted[0]
            found.append(
                violation("M-03", look.label, f"{word!r} is in capitals", severity=severity, span=span)
            )


def _mixed_case(look: Look, rules: Surface, found: list[Violation]) -> None:
    text = look.masked
    after = 0
    for camel in _CAMEL.finditer(text):
        if camel.start() < after:
            continue
        start = camel.start()
        while start > after and (text[start - 1].isalnum() or text[start - 1] in "_'’"):
            start -= 1
        word = WORD.search(text, start)
        if word is None:  # never: it holds the capital
            continue
        (start, after), said = word.span(), word.group()
        # Hashtags and handles join words by their capitals.
        if text[start - 1 : start] in ("#", "＃", "@") or _GIMMICK.search(said) is None:
            continue
        if rules.own(said) or said in rules.wording.acronyms:
            continue
        severity: Severity = "error" if rules.ads else "warning"
        what = f"{said!r} mixes cases"
        found.append(violation("M-04", look.label, what, severity=severity, span=word.span()))
        return


def _repetition(look: Look, rules: Surface, found: list[Violation]) -> None:
    words = look.words
    wording = rules.wording
    if not wording.reduplicates and any(map(eq, words, islice(words, 1, None))):
        for twice in _TWICE.finditer(look.lower):
            if twice.group(1) not in wording.doubles and twice.group() not in _source_lower(rules):
                found.append(violation("M-09", look.label, f"{twice.group()!r}", span=twice.span()))
                break
    # A word that stands four times makes three repetitions: most texts end here.
    if len(words) >= 20 and wording.spaced and len(words) - len(look.word_set) >= 3:
        small = wording.function_words
        content = [word for word in words if len(word) > 3 and word not in small]
        if len(content) - len(set(content)) < 3:
            return
        counts = Counter(word for word in content if word not in rules.exempt).most_common(1)
        allowed = max(3, round(3 * len(words) / 50))
        for word, count in counts:
            if count > allowed:
                found.append(
                    violation(
                        "M-10", look.label, f"{word!r} stands {count} times", measured=count, limit=allowed
                    )
                )


def _source_lower(rules: Surface) -> str:
    if not rules.source_lower:
        rules.source_lower = rules.source.lower() or " "
    return rules.source_lower


def _residue(look: Look, rules: Surface, found: list[Violation]) -> None:
    text, chars, label = look.text, look.chars, look.label
    if not chars.isdisjoint("[{<%"):
        for match in _PLACEHOLDER.finditer(text):
            held = match.group()
            if held in rules.tokens or _is_token(held, rules) or held in rules.source:
                continue
            if held[0] == "{" and _KNOWN_TOKEN.match(held):
                continue
            found.append(violation("M-15", label, f"{held!r} is a placeholder", span=match.span()))
    if not rules.markdown and not chars.isdisjoint("*`#_>]") and _marked_up(text):
        mark = _MARKDOWN.search(text)
        if mark:
            found.append(violation("M-16", label, f"{mark.group().strip()!r} is markup", span=mark.span()))
    if ":" in chars or "：" in chars:
        match_label = _LABEL.match(look.lower)
        if match_label:
            head = match_label.group().strip(' :：*#"“').rstrip("0123456789 ")
            if head in rules.wording.labels and not rules.source.lower().startswith(match_label.group()):
                found.append(
                    violation(
                        "M-16", label, f"{match_label.group()!r} labels the text", span=match_label.span()
                    )
                )
    closing = _QUOTED.get(text[:1])
    quoted = closing and len(text) > 2 and text[-1] in closing and set(text[1:-1]).isdisjoint(closing)
    if quoted and text not in rules.source:
        found.append(violation("M-16", label, "the whole text stands in quotes", span=(0, len(text))))


def _marked_up(text: str) -> bool:
    """Tell cheaply whether `_MARKDOWN` may match; False is certain."""
    return any(mark in text for mark in ("**", "__", "```", ">", "](", "# ")) or (
        "#" in text and _HEADED.search(text) is not None
    )


_HEADED = lazy(r"#\s")
_KNOWN_TOKEN = lazy(
    r"\{(?:key ?word|customizer\.[^:{}]+|location\([^)]*\)|countdown\([^)]*\)|global_countdown\([^)]*\))[:}]?",
    re.IGNORECASE,
)


def _is_token(held: str, rules: Surface) -> bool:
    return held.strip("{}[]<>%* |").lower() in rules.tokens


def _spaces(look: Look, rules: Surface, found: list[Violation]) -> None:
    text = look.text
    if text[:1].isspace() or text[-1:].isspace():
        found.append(violation("M-27", look.label, "space at the edge of the text"))
    if (
        "  " in text
        or (" ." in text and ". ." not in text and " .." not in text and _STRAY.search(text))
        or " ," in text
    ) and rules.wording.spaced:
        match = _STRAY.search(text)
        if match:
            found.append(violation("P-ALL-1", look.label, "stray space", span=match.span()))


_STRAY = lazy(r"(?<=\S) {2,}(?=\S)|(?<=\w) (?=[,.](?!\w))")


def _numbers(look: Look, rules: Surface, found: list[Violation]) -> None:
    text = look.masked
    wording = rules.wording
    if ("." in look.chars or "," in look.chars) and _SEPARATED.search(look.text):
        wrong = _GROUP_COMMA if wording.decimal == "," else _GROUP_POINT if wording.decimal == "." else None
        if wrong is not None:
            for match in wrong.finditer(text):
                if match.group() not in rules.source:
                    found.append(
                        violation(
                            "M-24",
                            look.label,
                            f"{match.group()!r} is not how {rules.language} writes numbers",
                            span=match.span(),
                        )
                    )
    if wording.price is not None and look.chars.isdisjoint(_CURRENCIES):
        match_price = wording.price.search(look.lower)
        if match_price and not _MONEY.search(text):
            found.append(
                violation(
                    "M-25", look.label, f"{match_price.group()!r} names no currency", span=match_price.span()
                )
            )


def _links(look: Look, rules: Surface, found: list[Violation]) -> None:
    text = look.text
    links = look.links
    if not links:
        return
    if rules.links_max is not None and len(links) > rules.links_max:
        first = links[rules.links_max]
        severity: Severity = "error" if rules.link_error else "warning"
        what = (
            "a link or address"
            if rules.links_max == 0
            else f"{counted(len(links), 'link')} where {rules.links_max} may stand"
        )
        found.append(
            violation(
                "M-26" if rules.links_max == 0 else "M-23",
                look.label,
                what,
                severity=severity,
                measured=len(links),
                limit=rules.links_max,
                span=first,
            )
        )
    for start, end in links:
        link, low = text[start:end], look.lower[start:end]
        if low.startswith("http://"):
            found.append(violation("M-23", look.label, f"{link!r} is not https", span=(start, end)))
        if rules.ads and any(short in low for short in _SHORTENERS):
            found.append(violation("M-23", look.label, f"{link!r} hides where it leads", span=(start, end)))


def _ending(look: Look, rules: Surface, found: list[Violation]) -> None:
    text = look.text.rstrip()
    if not text:
        return
    last = text[-1]
    if last in ",;([{«“„¿¡،、，（「" and not (last in "“" and rules.wording.base in _LOW_HIGH):
        if last == ";" and rules.wording.base == "el":
            return
        found.append(
            violation("M-14", look.label, f"the text ends in {last!r}", span=(len(text) - 1, len(text)))
        )
    elif last.isalpha() and look.words and look.words[-1] in rules.wording.tails and len(look.words) > 1:
        word = look.words[-1]
        if rules.exempt and word in rules.exempt and rules.source.lower().rstrip().endswith(word):
            return
        found.append(
            violation(
                "M-14", look.label, f"the text ends in {word!r}", span=(len(text) - len(word), len(text))
            )
        )


_LOW_HIGH = frozenset({"de", "cs", "sk", "bg", "hr", "sl", "ru", "uk"})


def sentences(text: str) -> list[str]:
    """Split *text* at the ends of sentences and at line breaks; decimal points do not end one."""
    return [part.strip() for part in _SPLIT.split(text) if part.strip()]


# Runs of full-width marks or line breaks, and runs of other marks before a space. The set of all first
# characters stands in front: a pattern that starts with one set is searched many times faster than a choice. A run
# is begun at its first mark alone: where no space follows the run, none follows a part of it.
_SPLIT = lazy(
    r"[.!?…؟।。！？\n](?:(?<=[。！？])[。！？]*+|(?<=\n)\n*+"
    r"|(?<=[.!?…؟।])(?<![.!?…؟।]{2})[.!?…؟।]*+[\"”»)]*+(?:\s++|$))"
)


_FIRST_PICTURE = "\u20e3"
"""The lowest character that `EMOJI` needs: the enclosing keycap."""


def emoji_over(look: Look, policy: Policy, tone: int) -> Violation | None:
    """Check the number of emoji against the placement's maximum and the tone's.

    Above the placement's maximum is an error if the figure is verified or forbids them; above what the tone
    or the placement advises is a warning.
    """
    if max(look.chars) < _FIRST_PICTURE:
        return None
    first = EMOJI.search(look.text)
    if first is None:
        return None
    count = emoji_count(look.text)
    if not count:
        return None
    hard = policy.hard_max
    if hard is not None and count > hard:
        what = "the placement forbids emoji" if hard == 0 else f"{count} emoji where {hard} may stand"
        severity: Severity = "error" if hard == 0 or policy.confidence in "ABM" else "warning"
        return violation(
            "M-21",
            look.label,
            what,
            severity=severity,
            measured=count,
            limit=hard,
            span=first.span(),
            source=policy.source,
        )
    soft = tone if policy.rec_max is None else min(tone, policy.rec_max)
    if count > soft:
        return violation(
            "M-21",
            look.label,
            f"{count} emoji where tone and placement advise {soft}",
            severity="warning",
            measured=count,
            limit=soft,
            span=first.span(),
        )
    return None
