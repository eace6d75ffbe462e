"""The catalogue: placements, languages, tones, use cases and structures, as the data files give them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

# Shapes only; the loading functions are written beside them.


@dataclass(frozen=True, slots=True)
class Limit:
    """One length rule of a field."""

    unit: str
    """Counting unit id: cp, u16, u8, gr, dw, xw, threads, sms, px, w, s."""
    hard: float | None
    """Inclusive bound beyond which the platform rejects or cuts; None if it has none."""
    rec_min: float | None
    rec_max: float | None
    """Advised range, inclusive."""
    confidence: str
    """A, B, M: verified; C, U: secondary or unsourced (see data/SOURCES.md)."""
    source: str
    source_date: str
    on_exceed: str
    """reject, truncate, fold or ignored: what the platform does."""
    valid_from: date | None
    regions: tuple[str, ...]
    """Countries (ISO 3166-1) or stores it holds in; empty means everywhere."""
    exempt_regions: tuple[str, ...]
    note: str
    emoji_double: bool = False
    """Unit dw only: every emoji counts two whatever its East Asian width (Microsoft)."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a placement."""

    name: str
    role: str
    """What kind of text it takes; see ROLES in data/platforms/README."""
    min_count: int
    max_count: int
    default_count: int
    """Items the engine fills when nothing is said; > 1 or max_count > 1 makes it a list field."""
    rec_min_count: int | None
    rec_max_count: int | None
    required: bool
    limits: tuple[Limit, ...]
    choices: tuple[str, ...]
    """Fixed list to choose from (call-to-action buttons); empty for free text."""
    rules: tuple[str, ...]
    """Ids of rules in data/rules that hold for this field besides the common ones."""
    note: str

    @property
    def is_list(self) -> bool:
        """Whether the field's value is a list in every result, whatever its length."""
        return self.max_count > 1


@dataclass(frozen=True, slots=True)
class Policy:
    """How many of something (emoji, hashtags, links) a placement's text may carry."""

    hard_max: int | None
    """None: no known maximum. 0: forbidden."""
    rec_max: int | None
    confidence: str
    source: str


@dataclass(frozen=True, slots=True)
class Placement:
    """One place where copy appears."""

    id: str
    platform: str
    name: str
    kind: str
    """ad, social, marketplace, app, email, message, web, press, audio, video."""
    use_case: str
    """Default use case id."""
    fields: tuple[FieldSpec, ...]
    independent: bool
    """Whether list items are shown in any order, each on its own."""
    emoji: Policy
    hashtags: Policy
    links: Policy
    casing: str
    """sentence, title or none."""
    rules: tuple[str, ...]
    """Ids of editorial rules that hold for every field."""
    token_syntax: tuple[str, ...]
    note: str

    def field(self, name: str) -> FieldSpec:
        """Give the field called *name*; KeyError if there is none."""
        for spec in self.fields:
            if spec.name == name:
                return spec
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Language:
    """One language tag of the catalogue."""

    tag: str
    name: str
    """English name."""
    native_name: str
    script: str
    direction: str
    """ltr or rtl."""
    quotes: tuple[str, str, str, str]
    """Outer open, outer close, inner open, inner close."""
    headline_casing: str
    """sentence, title or none."""
    spaces_between_words: bool
    formality: dict[str, str]
    """Form of address per level F, N, C, in words for a prompt."""
    decimal: str
    group: str
    digits: str
    """Native digits 0-9 beside the Latin ones, or empty."""
    percent: str
    """Pattern such as ``{n}%``, ``{n} %`` or ``%{n}``."""
    currency: str
    """Pattern with {n} and {symbol}."""
    currency_code: str
    label_expansion: float | None
    """Median length against English of 11-20 character labels, as a ratio minus one."""
    cautions: tuple[str, ...]
    reviewed: bool
    """False until a native speaker has read its authored phrases."""


@dataclass(frozen=True, slots=True)
class Tone:
    """One tone of voice with its checkable markers."""

    id: str
    definition: str
    axes: tuple[int, int, int, int]
    """Formal, serious, respectful, enthusiastic: each -2..+2."""
    mean_sentence_words: int
    max_sentence_words: int
    contractions: str
    """yes, no or either."""
    exclamations_per_field: int
    exclamations_per_100_words: int
    person: str
    address: str
    """F, N or C."""
    max_emoji: int
    signals: str
    avoid: str
    family: str
    """Tone family of the phrase bank: formal, plain, refined, warm, lively, sharp, uplift, direct, story."""


@dataclass(frozen=True, slots=True)
class Structure:
    """A copy structure: named steps in order."""

    id: str
    name: str
    steps: tuple[str, ...]
    functions: tuple[str, ...]
    """The phrase bank function of each step, same length as *steps*."""
    ordered: bool
    """False for quality filters (4Us, 4Cs), which are laid over hook - value - action."""
    best_for: str
    source: str


@dataclass(frozen=True, slots=True)
class UseCase:
    """What the copy is for."""

    id: str
    structures: tuple[str, ...]
    """First choice first."""
    required_facts: tuple[str, ...]
    cta_intents: tuple[str, ...]
    """First choice first; ids: buy, try, sign_up, book, demo, download, install, learn, reply, share,
    donate, apply, contact, visit, renew, rate, attend, none."""
    notes: str
    max_words: int | None = None
    aliases: tuple[str, ...] = field(default=())
