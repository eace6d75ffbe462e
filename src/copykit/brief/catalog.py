"""The catalogue: placements, languages, tones, use cases and structures, as the data files give them.

Names are read as people write them: any case, spaces, hyphens or underscores, and the aliases that the
data files list. Files are read when first asked for, one platform or language at a time, and the values
are kept: equal names give the same object. An unknown name raises `InvalidRequest` with the nearest.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache, lru_cache
from typing import Any, NoReturn

from copykit.data import load_text, names
from copykit.errors import InvalidRequest, nearest_names
from copykit.lazy import lazy

__all__ = [
    "CTA_INTENTS",
    "FUNCTIONS",
    "KINDS",
    "ROLES",
    "UNITS",
    "FieldSpec",
    "Language",
    "Limit",
    "Placement",
    "Policy",
    "Structure",
    "Tone",
    "ToneConflict",
    "UseCase",
    "is_the_same",
    "language",
    "languages",
    "placement",
    "placement_ids",
    "placements",
    "platforms_version",
    "region_of",
    "structure",
    "structures",
    "tone",
    "tone_conflicts",
    "tones",
    "use_case",
    "use_cases",
]

UNITS = ("cp", "u16", "u8", "gr", "dw", "xw", "threads", "sms", "px", "w", "s")
"""Counting units of a limit, as drafts/measure defines them."""

KINDS = ("ad", "social", "marketplace", "app", "email", "message", "web", "press", "audio", "video")
"""What kind of place a placement is."""

FUNCTIONS = ("attention", "problem", "interest", "solution", "proof", "desire", "offer", "action")
"""What a stretch of copy does; every step of a structure is one of them."""

CTA_INTENTS = (
    "buy", "try", "sign_up", "book", "demo", "download", "install", "learn", "reply", "share",
    "donate", "apply", "contact", "visit", "renew", "rate", "attend", "none",
)  # fmt: skip
"""What a call to action asks for."""

ROLES = {
    "headline": "a short line that stands alone",
    "long_headline": "a line of up to about ninety characters that stands alone",
    "description": "one or two sentences beside a headline",
    "body": "the long text: caption, message, page text; it carries the structure's steps",
    "title": "a product title built from name, item and attributes",
    "name": "the business, brand or app name",
    "cta": "a short call to action in free words",
    "cta_choice": "a button text chosen from the field's fixed list; free if the list differs by account",
    "hashtags": "hashtags, one an item",
    "path": "a word or two shown behind the domain",
    "url": "an address, filled only from the brief's own",
    "bullets": "list items about the product",
    "highlights": "fragments parted by commas",
    "keywords": "tags or search terms, one an item or all in one text as the note says",
    "subject": "an email or message subject",
    "preheader": "the line that inboxes show behind the subject",
    "overlay": "a few words on a picture or screen",
    "label": "a link text, callout or option",
    "script": "words to be spoken; it carries the structure's steps",
    "identifier": "a technical name in the platform's alphabet",
    "info": "not copy: delivery notes or data that only the sender has; filled only when given",
}
"""What kind of text a field takes; the phrase bank decides by it what to write."""


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
    link_length: int | None = None
    """What each http(s) link counts, whatever its length (Mastodon: 23); None: as it stands."""

    def holds(self, region: str | None = None, on: date | None = None) -> bool:
        """Whether the limit is in force for a country or store on a day; None for either: as if it were."""
        if on is not None and self.valid_from is not None and on < self.valid_from:
            return False
        if region is None:
            return True
        return region not in self.exempt_regions and (not self.regions or region in self.regions)


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a placement."""

    name: str
    role: str
    """What kind of text it takes; a key of `ROLES`."""
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
    confidence: str = "U"
    """Of the item counts; that of the first limit where the data gives no own."""
    source: str = "-"
    source_date: str = "-"
    on_exceed: str = "reject"
    """What the platform does with more than *max_count* items."""
    choice_intents: dict[str, str] = field(default_factory=dict, hash=False)
    """Which of *choices* serves each call-to-action intent; empty if *choices* is."""

    def limits_in(self, region: str | None = None, on: date | None = None) -> tuple[Limit, ...]:
        """Give the limits in force for a country or store on a day; see `Limit.holds`."""
        return tuple(limit for limit in self.limits if limit.holds(region, on))

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
    """ISO 15924, e.g. ``Latn``."""
    direction: str
    """ltr or rtl."""
    quotes: tuple[str, str, str, str]
    """Outer open, outer close, inner open, inner close."""
    headline_casing: str
    """sentence, title or none."""
    spaces_between_words: bool
    formality: dict[str, str] = field(hash=False)
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
    punctuation: str = ""
    """What copy must respect, in words for a prompt."""
    formality_note: str = ""
    grouping: str = "3"
    """Digits per group from the right: ``3``, or ``3;2`` where lakh and crore are grouped."""
    currency_symbol: str = ""
    currency_digits: int = 2
    """Decimals that advertised prices carry."""
    sentence_expansion: float | None = None
    """Median length against English of sentences over 50 characters, as a ratio minus one."""
    speech_rate: float | None = None
    """Units of *speech_unit* spoken a second, unhurried; None if not known."""
    speech_unit: str = "words"
    """words, syllables, kana or characters."""
    likely_region: str = ""
    """Country whose form of the language this is, by CLDR's likely subtags: ``DE`` for ``de``."""


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
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToneConflict:
    """Tones that do not go together, or not with a use case or subject; a reason to warn."""

    tones: tuple[str, ...]
    """All of them must be asked for."""
    use_cases: tuple[str, ...]
    subjects: tuple[str, ...]
    """Words for a subject, such as health; never tested here."""
    reason: str


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
    confidence: str = "U"
    filter: tuple[str, ...] = ()
    """What a quality filter asks of the copy; empty for ordered structures."""
    note: str = ""


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


# --- names ----------------------------------------------------------------------------------------

_SEPARATORS = lazy(r"[\s_/-]+")
_LONGEST_NAME = 80


def _plain(name: str) -> str:
    return _SEPARATORS.sub(" ", name.strip().casefold())


def _refuse(field_name: str, value: str, reason: str, known: Mapping[str, str], see: str) -> NoReturn:
    """Raise for *value*; *known* maps each plain spelling to the name that it stands for."""
    near = nearest_names(_plain(value[:_LONGEST_NAME]), known, meaning=known)
    raise InvalidRequest(field_name, value, f"{reason} (see `copykit catalog {see}`)", nearest=near)


# --- files ----------------------------------------------------------------------------------------


@cache
def _shelf(path: str) -> str:
    return load_text(path)


def _tables(text: str) -> dict[str, dict[str, Any]]:
    return {key: value for key, value in tomllib.loads(text).items() if isinstance(value, dict)}


def _table(text: str, key: str) -> dict[str, Any]:
    """Read one top-level table with its subtables out of a TOML text; KeyError if there is none.

    Only that stretch is parsed, since a lookup must not pay for the whole file. It relies on headers
    starting in the first column and on nothing else doing so; a test holds it against the full parse.
    """
    start = text.find(f"\n[{key}]\n")
    if start < 0:
        raise KeyError(key)
    end = text.find("\n[", start + 1)
    while end >= 0 and text.startswith((f"[[{key}.", f"[{key}."), end + 1):
        end = text.find("\n[", end + 1)
    table: dict[str, Any] = tomllib.loads(text[start : end if end >= 0 else None])[key]
    return table


def _strings(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


# --- placements -----------------------------------------------------------------------------------


@cache
def _platform_index() -> dict[str, Any]:
    return tomllib.loads(_shelf("platforms/index.toml"))


def _platforms() -> tuple[str, ...]:
    return tuple(key for key in _platform_index() if key != "placement_aliases")


@cache
def _placement_names() -> dict[str, str]:
    index = _platform_index()
    names = {_plain(alias): target for alias, target in index["placement_aliases"].items()}
    for platform in _platforms():
        for placement_id in index[platform]["placements"]:
            names[_plain(placement_id)] = names[_plain(placement_id.replace(".", " "))] = placement_id
        for alias in (platform, *index[platform]["aliases"]):
            names[_plain(alias)] = index[platform]["default"]
    return names


@lru_cache(maxsize=512)
def _placement_id(name: str) -> str | None:
    # Ids and platform names need one line of the index; the whole is read for aliases only.
    key = _SEPARATORS.sub("_", name.strip().casefold())
    platform = key.partition(".")[0]
    if platform != "placement_aliases" and f"\n[{platform}]\n" in _shelf("platforms/index.toml"):
        entry = _table(_shelf("platforms/index.toml"), platform)
        if key in entry["placements"]:
            return key
        if key == platform:
            return str(entry["default"])
    return _placement_names().get(_plain(name))


@lru_cache(maxsize=8)
def _platform_text(platform: str) -> str:
    return load_text(f"platforms/{platform}.toml")


@cache
def _cta_choices(name: str) -> tuple[tuple[str, ...], dict[str, str], dict[str, Any]]:
    table = _table(load_text("cta_choices.toml"), name)
    return _strings(table["values"]), dict(table["intents"]), table


def _policy(entry: dict[str, Any] | None) -> Policy:
    if entry is None:
        return Policy(None, None, "U", "-")
    return Policy(entry.get("hard"), entry.get("rec"), entry["conf"], entry["src"])


def _limit(row: dict[str, Any]) -> Limit:
    hard = row.get("hard")
    return Limit(
        unit=row["unit"],
        hard=hard,
        rec_min=row.get("rec_min"),
        rec_max=row.get("rec_max"),
        confidence=row["conf"],
        source=row["src"],
        source_date=row["date"],
        on_exceed=row.get("on_exceed", "fold" if hard is None else "reject"),
        valid_from=row.get("from"),
        regions=_strings(row.get("regions", ())),
        exempt_regions=_strings(row.get("exempt", ())),
        note=row.get("note", ""),
        emoji_double=row.get("emoji_double", False),
        link_length=row.get("link_length"),
    )


def _field(row: dict[str, Any]) -> FieldSpec:
    least, most, default = row["count"]
    rec_min, rec_max = row.get("rec_count", (None, None))
    limits = tuple(_limit(limit) for limit in row.get("limits", ()))
    choices: tuple[str, ...] = ()
    intents: dict[str, str] = {}
    origin = {"conf": "U", "source": "-", "date": "-"}
    if limits:
        origin = {"conf": limits[0].confidence, "source": limits[0].source, "date": limits[0].source_date}
    if "choices" in row:
        choices, intents, listed = _cta_choices(row["choices"])
        origin = {"conf": listed["confidence"], "source": listed["source"], "date": listed["date"]}
    return FieldSpec(
        name=row["name"],
        role=row["role"],
        min_count=least,
        max_count=most,
        default_count=default,
        rec_min_count=rec_min,
        rec_max_count=rec_max,
        required=row.get("required", least > 0),
        limits=limits,
        choices=choices,
        rules=_strings(row.get("rules", ())),
        note=row.get("note", ""),
        confidence=row.get("conf", origin["conf"]),
        source=row.get("source", origin["source"]),
        source_date=row.get("date", origin["date"]),
        on_exceed=row.get("on_exceed", "reject"),
        choice_intents=intents,
    )


@cache
def _placement(placement_id: str) -> Placement:
    platform, _, local = placement_id.partition(".")
    text = _platform_text(platform)
    table = _table(text, local or platform)
    # Keys before the first table hold for every placement of the platform.
    common = tomllib.loads(text[: text.index("\n[")])
    row = {**common, **table}
    return Placement(
        id=placement_id,
        platform=platform,
        name=f"{common['name']}: {table['name']}" if local else table["name"],
        kind=row["kind"],
        use_case=row["use_case"],
        fields=tuple(_field(entry) for entry in row["fields"]),
        independent=row.get("independent", False),
        emoji=_policy(row.get("emoji")),
        hashtags=_policy(row.get("hashtags")),
        links=_policy(row.get("links")),
        casing=row["casing"],
        rules=_strings((*row.get("rules", ()), *row.get("rules_more", ()))),
        token_syntax=_strings(row.get("token_syntax", ())),
        note=" ".join(note for note in (common.get("note", ""), table.get("note", "")) if note),
    )


def placement(name: str) -> Placement:
    """Give the placement called *name*: an id (``x.post``), a platform (``Instagram``), an alias (``tweet``).

    A platform's name means its default placement.

    Raises:
        InvalidRequest: there is none; field ``target_platform``, with the nearest names.
    """
    placement_id = _placement_id(name) if len(name) <= _LONGEST_NAME else None
    if placement_id is None:
        known = {_plain(known): known for known in (*_platforms(), *placement_ids())}
        _refuse("target_platform", name, "unknown platform or placement", known, "platforms")
    return _placement(placement_id)


@cache
def placement_ids() -> tuple[str, ...]:
    """Give every placement's id, platform by platform, without reading the platform files."""
    index = _platform_index()
    return tuple(placement_id for platform in _platforms() for placement_id in index[platform]["placements"])


@cache
def placements() -> tuple[Placement, ...]:
    """Give every placement, platform by platform."""
    return tuple(placement(placement_id) for placement_id in placement_ids())


@cache
def platforms_version() -> str:
    """Give a short digest of the platform data: twelve hexadecimal digits, the same on every machine."""
    from hashlib import blake2b

    digest = blake2b(digest_size=6)
    for platform in ("index", *_platforms()):
        digest.update(f"{platform}\0{load_text(f'platforms/{platform}.toml')}\0".encode())
    digest.update(load_text("cta_choices.toml").encode())
    return digest.hexdigest()


# --- languages ------------------------------------------------------------------------------------

_TAG = lazy(r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|\d{3}))?(?:-.*)?", re.IGNORECASE)


@cache
def _language_index(part: str) -> dict[str, str]:
    return _table(_shelf("languages/index.toml"), part)


@cache
def _language_tags() -> tuple[str, ...]:
    return tuple(tag for tag in names("languages", ".toml") if tag != "index")


@cache
def _tags_by_case() -> dict[str, str]:
    return {tag.casefold(): tag for tag in _language_tags()}


@lru_cache(maxsize=512)
def _resolve_tag(name: str) -> str | None:
    tag = name.strip().replace("_", "-")
    exact = _tags_by_case().get(tag.casefold())
    if exact:
        return exact
    match = _TAG.fullmatch(tag)
    if not match:
        called = " ".join(name.casefold().replace("（", "(").replace("）", ")").split())
        return _language_index("names").get(called)
    base, script, region = match.group(1).lower(), match.group(2), match.group(3)
    found = None
    if script:
        found = _language_index("scripts").get(f"{base}-{script.title()}")
    if region and not found:
        wanted = f"{base}-{region.upper()}"
        found = _tags_by_case().get(wanted.casefold()) or _language_index("regions").get(wanted)
    return found or _tags_by_case().get(base) or _language_index("languages").get(base)


@cache
def _language(tag: str) -> Language:
    row = tomllib.loads(load_text(f"languages/{tag}.toml"))
    numbers, formality, length = row["numbers"], row["formality"], row["length"]
    speech = row.get("speech", {})
    outer_open, outer_close, inner_open, inner_close = row["quotes"]
    return Language(
        tag=row["tag"],
        name=row["name"],
        native_name=row["native_name"],
        script=row["script"],
        direction=row["direction"],
        quotes=(outer_open, outer_close, inner_open, inner_close),
        headline_casing=row["headline_casing"],
        spaces_between_words=row["spaces_between_words"],
        formality={level: formality[level] for level in "FNC"},
        decimal=numbers["decimal"],
        group=numbers["group"],
        digits=numbers["digits"],
        percent=numbers["percent"],
        currency=numbers["currency"],
        currency_code=numbers["currency_code"],
        label_expansion=length["labels"][0] if "labels" in length else None,
        cautions=_strings(row["cautions"]),
        reviewed=row["reviewed"],
        punctuation=row["punctuation"],
        formality_note=formality["note"],
        grouping=numbers["grouping"],
        currency_symbol=numbers["currency_symbol"],
        currency_digits=numbers["currency_digits"],
        sentence_expansion=length["sentences"][0] if "sentences" in length else None,
        speech_rate=speech.get("rate"),
        speech_unit=speech.get("unit", "words"),
        likely_region=row["likely_region"],
    )


def language(tag: str) -> Language:
    """Give the language of a BCP-47 *tag* or of an English or native name (``Spanish``, ``español``).

    A tag outside the catalogue is served by its likely relative: ``pt`` by ``pt-BR``, ``es-AR`` by ``es-MX``,
    ``zh-TW`` by ``zh-Hant``, ``de-AT`` by ``de``. `region_of` keeps the region that was asked for, `is_the_same`
    tells the one from the other.

    Raises:
        InvalidRequest: no relative is known; field ``language``, with the nearest tags and names.
    """
    found = _resolve_tag(tag) if len(tag) <= _LONGEST_NAME else None
    if found is None:
        names = {_plain(name): name for name in (*_language_tags(), *_language_index("names"))}
        _refuse("language", tag, "unknown language", names, "languages")
    return _language(found)


def is_the_same(tag: str, served: Language) -> bool:
    """Say whether *served* is what the BCP-47 *tag* asks for, and not its nearest relative.

    ``de``, ``de-DE`` and a name such as ``German`` are ``de``; ``de-AT`` is another country's German.
    """
    match = _TAG.fullmatch(tag.strip().replace("_", "-"))
    if match is None:
        return True
    base, script, region = match.groups()
    variant = match.string[match.end(match.lastindex or 1) :]
    return (
        not variant
        and base.lower() == served.tag.partition("-")[0]
        and (script or served.script).title() == served.script
        and (region or served.likely_region).upper() == served.likely_region
    )


@lru_cache(maxsize=256)
def region_of(tag: str) -> str | None:
    """Give the country a BCP-47 *tag* names (``es-MX``: ``MX``), or None.

    Nothing is guessed from a bare language: Arabic is read in a score of countries, and limits differ.
    """
    match = _TAG.fullmatch(tag.strip().replace("_", "-"))
    region = match.group(3) if match else None
    return region.upper() if region and region.isalpha() else None


@cache
def languages() -> tuple[Language, ...]:
    """Give every language of the catalogue, by tag."""
    return tuple(_language(tag) for tag in _language_tags())


# --- tones, structures, use cases -----------------------------------------------------------------


@cache
def _shelf_names(path: str) -> dict[str, str]:
    names: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for key, row in _tables(_shelf(path)).items():
        names[_plain(key)] = key
        aliases |= {_plain(alias): key for alias in (*row.get("aliases", ()), row.get("name", key))}
    return aliases | names


def _look_up(path: str, field_name: str, name: str, see: str) -> str:
    """Find the key of a table of *path* by id, else by alias; only the alias way reads the whole file."""
    if len(name) <= _LONGEST_NAME:
        key = _SEPARATORS.sub("_", name.strip().casefold())
        if key.replace("_", "").isalnum() and f"\n[{key}]\n" in _shelf(path):
            return key
        found = _shelf_names(path).get(_plain(name))
        if found:
            return found
    _refuse(field_name, name, f"unknown {field_name.replace('_', ' ')}", _shelf_names(path), see)


@cache
def _tone(key: str) -> Tone:
    row = _table(_shelf("tones.toml"), key)
    formal, serious, respectful, enthusiastic = row["axes"]
    return Tone(
        id=key,
        definition=row["definition"],
        axes=(formal, serious, respectful, enthusiastic),
        mean_sentence_words=row["sentence_words"][0],
        max_sentence_words=row["sentence_words"][1],
        contractions=row["contractions"],
        exclamations_per_field=row["exclamations"][0],
        exclamations_per_100_words=row["exclamations"][1],
        person=row["person"],
        address=row["address"][0],
        max_emoji=row["emoji"][1],
        signals=row["signals"],
        avoid=row["avoid"],
        family=row["family"],
        aliases=_strings(row["aliases"]),
    )


@cache
def _structure(key: str) -> Structure:
    row = _table(_shelf("structures.toml"), key)
    return Structure(
        id=key,
        name=row["name"],
        steps=_strings(row["steps"]),
        functions=_strings(row["functions"]),
        ordered=row.get("ordered", True),
        best_for=row["best_for"],
        source=row["source"],
        confidence=row["confidence"],
        filter=_strings(row.get("filter", ())),
        note=row.get("note", ""),
    )


@cache
def _use_case(key: str) -> UseCase:
    row = _table(_shelf("use_cases.toml"), key)
    return UseCase(
        id=key,
        structures=_strings(row["structures"]),
        required_facts=_strings(row["required_facts"]),
        cta_intents=_strings(row["cta_intents"]),
        notes=row["notes"],
        max_words=row.get("max_words"),
        aliases=_strings(row.get("aliases", ())),
    )


@lru_cache(maxsize=512)
def _key_of(path: str, field_name: str, name: str, see: str) -> str:
    return _look_up(path, field_name, name, see)


def tone(name: str) -> Tone:
    """Give the tone called *name*, by id or alias; InvalidRequest with the nearest if there is none."""
    return _tone(_key_of("tones.toml", "tone", name, "tones"))


def structure(name: str) -> Structure:
    """Give the structure called *name*, by id or name; InvalidRequest with the nearest if there is none."""
    return _structure(_key_of("structures.toml", "structure", name, "structures"))


def use_case(name: str) -> UseCase:
    """Give the use case called *name*, by id or alias; InvalidRequest with the nearest if there is none."""
    return _use_case(_key_of("use_cases.toml", "use_case", name, "use-cases"))


@cache
def tones() -> tuple[Tone, ...]:
    """Give every tone, in the order of the data file."""
    return tuple(_tone(key) for key in _tables(_shelf("tones.toml")))


@cache
def structures() -> tuple[Structure, ...]:
    """Give every structure, in the order of the data file."""
    return tuple(_structure(key) for key in _tables(_shelf("structures.toml")))


@cache
def use_cases() -> tuple[UseCase, ...]:
    """Give every use case, in the order of the data file."""
    return tuple(_use_case(key) for key in _tables(_shelf("use_cases.toml")))


@cache
def tone_conflicts() -> tuple[ToneConflict, ...]:
    """Give the combinations of tones, use cases and subjects that deserve a warning."""
    rows = tomllib.loads(load_text("tone_conflicts.toml"))["conflict"]
    return tuple(
        ToneConflict(
            tones=_strings(row["tones"]),
            use_cases=_strings(row.get("use_cases", ())),
            subjects=_strings(row.get("subjects", ())),
            reason=row["reason"],
        )
        for row in rows
    )
