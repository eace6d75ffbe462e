"""Claims that need evidence, clichés, the form of address, and what mail filters score."""

from __future__ import annotations

from collections.abc import Iterable

from copykit.drafts.look import WORD, Look, emoji_count, lowered, rules, violation
from copykit.drafts.mechanics import sentences
from copykit.drafts.wording import Wording
from copykit.lazy import lazy
from copykit.models import Severity, Violation

__all__ = ["Evidence", "address_mix", "claims", "cliches", "spam"]


class Evidence:
    """What the brief says itself, asked when a claim or a form of address turns up; read at the first question."""

    __slots__ = ("_claims", "_facts", "_wording", "_words", "lower", "source")

    def __init__(self, source: str, wording: Wording, facts: Iterable[str] = ()) -> None:
        self.source = source
        self._wording = wording
        self._facts = frozenset(key.lower().replace(" ", "_").replace("-", "_") for key in facts)
        self._claims: frozenset[str] | None = None
        self._words: frozenset[str] | None = None
        self.lower = ""

    def labels(self, rule: str) -> bool:
        """Tell whether the brief holds a fact whose label may be a claim word of *rule*."""
        return not self._facts.isdisjoint(rules()[rule].labels)

    @property
    def words(self) -> frozenset[str]:
        """Every word of the brief in lower case."""
        if self._words is None:
            self._words = frozenset(WORD.findall(lowered(self.source)))
        return self._words

    def holds(self, phrase: str, said: str) -> bool:
        """Tell whether the brief makes the claim *phrase*, or says *said* word for word."""
        if self._claims is None:
            self.lower = lowered(self.source)
            self._claims = frozenset(found[0] for found in self._wording.claims.find(self.lower))
        return phrase in self._claims or (len(said) > 3 and said in self.lower)


# A free, green or health word is a claim only while nobody denies it.
_DENIED = lazy(
    r"(?<!\w)(?:not|no|never|sin|sans|ohne|nicht|kein\w*|non|senza|niet|geen|nie|bez|não|sem|لا|بلا|بدون|ليس)"
    r"\s+(?:\w+\s+)?$"
)

_NEAR = 100
"""Characters before a claim among which the word that denies it stands."""
_LABELLED = lazy(r"\s*[:：]")


def claims(look: Look, wording: Wording, evidence: Evidence, meta: bool) -> list[Violation]:
    """Find claims: an error where the copy invents them, a warning to review where the brief makes them.

    *meta* adds rule L-21, which Meta's ad policy asks for; personal attributes are no claim elsewhere.
    """
    if not wording.claims.hits(look.lower):
        return []
    found: list[Violation] = []
    for phrase, rule, start, end in wording.claims.find(look.lower):
        if rule == "L-21" and not meta:
            continue
        said = look.lower[start:end]
        # "OK" lists what only looks like a claim; a word before a colon is the label of a fact that the brief
        # holds, one after a hyphen a part of another word ("sugar-free").
        if (
            rule == "OK"
            or (_LABELLED.match(look.lower, end) and evidence.labels(rule))
            or (rule == "L-11" and look.lower.endswith("-", 0, start))
        ):
            continue
        if rule in ("L-02", "L-11", "L-15", "L-16") and _DENIED.search(
            look.lower, max(0, start - _NEAR), start
        ):
            continue
        severity: Severity = "error"
        what = f"{look.text[start:end]!r} is a claim that the brief does not make"
        if evidence.holds(phrase, said):
            severity, what = (
                "warning",
                f"{look.text[start:end]!r} is the brief's claim and needs its evidence",
            )
        found.append(violation(rule, look.label, what, severity=severity, span=(start, end)))
    return found


def cliches(look: Look, wording: Wording) -> list[Violation]:
    """Find worn phrases: a warning each beyond one in a hundred words; one alone in a short text counts."""
    if not wording.cliches.hits(look.lower):
        return []
    hits = list(wording.cliches.find(look.lower))
    allowed = len(look.words) // 100
    if len(hits) <= allowed:
        return []
    return [
        violation(
            "C-10",
            look.label,
            f"{look.text[start:end]!r}",
            measured=len(hits),
            limit=allowed,
            span=(start, end),
        )
        for _, _, start, end in hits
    ]


def address_mix(look: Look, wording: Wording, evidence: Evidence) -> Violation | None:
    """Find formal and informal address in one text; a side that only the brief's own words bring is a warning."""
    informal = wording.informal & look.word_set
    if not informal:
        return None
    formal = set(wording.formal.intersection(look.words))
    if wording.formal_exact:
        for sentence in sentences(look.text):
            formal.update(
                wording.formal_exact.intersection(sentence.replace(",", " ").replace(".", " ").split()[1:])
            )
    if not formal:
        return None
    quoted = any(evidence.words.issuperset(map(str.lower, side)) for side in (formal, informal))
    severity: Severity = "warning" if quoted else "error"
    a, b = sorted(formal)[0], sorted(informal)[0]
    return violation("C-21", look.label, f"{a!r} and {b!r} stand in one text", severity=severity)


_GAPPY = lazy(r"(?<!\w)(?:\w[.\-*_ ]){4,}\w(?!\w)")
_SUBJECT = (
    ("SP-02", lazy(r"^free\b|\bFREE\b|F\.R\.E\.E|(?i:^gratis\b|^gratuit\b|^kostenlos\b)")),
    ("SP-03", lazy(r"^\$\s?\d")),
    (
        "SP-04",
        lazy(
            r"(?i)\bfor only\b|\bnow only\b|\bdouble your\b|\bas seen\b|\bfree instant\b|^guaranteed\b|\byour (?:debt|bills|credit)\b|\blose\b.{0,20}\b(?:weight|pounds)\b|\bsave (?:up to|big|\d)"  # noqa: E501
        ),
    ),
    ("SP-06", lazy(r"(?i)^hello\b|[\w.+-]+@[\w-]+\.\w+")),
    ("SP-21", lazy(r"(?i)^(?:re|fwd?|aw|wg)\s*:")),
)
_BODY = (
    ("SP-07", lazy(r"(?i)100\s?% guaranteed|guaranteed!")),
    ("SP-08", lazy(r"(?i)\bdear (?:friend|sir|madam|investor|candidate)")),
    ("SP-09", lazy(r"(?i)million dollars|\$\s?\d+(?:\.\d+)? ?million|\b\d+ million (?:usd|us)\b")),
    ("SP-10", lazy(r"(?i)money[- ]back guarantee")),
    ("SP-11", lazy(r"(?i)one[- ]time (?:offer|charge|promotion)")),
    ("SP-12", lazy(r"\bAct Now\b|\bACT NOW\b")),
    ("SP-13", lazy(r"(?i)\burgent\b.{0,30}\b(?:business|reply|notice|response)\b")),
    ("SP-14", lazy(r"(?i)\bjoin (?:the )?(?:millions|thousands)\b")),
    ("SP-15", lazy(r"(?i)\blow(?:est)? prices?\b|\baffordable\b.{0,20}\bprices?\b")),
    ("SP-16", lazy(r"(?i)financial (?:freedom|independence)|investment advice|strong buy|stock alert")),
    ("SP-17", lazy(r"(?i)without dieting|burn(?:s|ing)? fat|lose weight fast")),
    ("SP-18", lazy(r"(?i)\b(?:bad|no) credit\b|refinance now|no medical exam")),
    ("SP-19", lazy(r"(?i)you are receiving this.{0,40}because|to be removed from.{0,30}mailings?")),
    ("SP-20", lazy(r"(?i)\bfree\b.{0,40}\b(?:instant|online|no[- ]obligation)\b.{0,30}\bquote\b")),
)
# One word of each pattern above: a text without any of them needs none tried.
_BODY_WORDS = frozenset(
    "guaranteed dear million dollars money time act urgent join price prices financial investment strong "
    "stock dieting fat weight credit refinance exam receiving removed free".split()
)
_SMS = lazy(r"(?i)\$\$\$|\bwinner\b|\bcongratulations\b|\b(?:bit\.ly|tinyurl\.com|goo\.gl)/")
_MARKS = lazy(r"[!?.,;:…]")


def spam(look: Look, role: str, sms: bool) -> list[Violation]:
    """Add up the signals of mail filters in one text: a warning above two, which names them."""
    signals: list[str] = []
    text = look.text
    if role == "subject":
        letters = [c for c in text if c.isalpha()]
        if (
            len(letters) > 5
            and all(c.isupper() for c in letters if c.lower() != c.upper())
            and text.lower() != text
        ):
            signals.append("SP-01")
        signals += [name for name, pattern in _SUBJECT if pattern.search(text)]
        if emoji_count(text) > 1 or len(_MARKS.findall(text)) > 3:
            signals.append("SP-21")
    if look.gappy and _GAPPY.search(text):
        signals.append("SP-05")
    if not _BODY_WORDS.isdisjoint(look.word_set):
        signals += [name for name, pattern in _BODY if pattern.search(text)]
    if sms and _SMS.search(text):
        signals.append("SP-22")
    if text.count("://") > 3:
        signals.append("SP-21")
    if len(signals) <= 2:
        return []
    return [violation("SP", look.label, f"{', '.join(signals)} together", measured=len(signals), limit=2)]
