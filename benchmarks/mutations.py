"""Change one thing in accepted copy and see whether the checks name it.

    python benchmarks/mutations.py [--count 2000] [--results OUT.jsonl --catalogue IN]... [--json]

Without ``--results`` the copies come from the engine: small briefs in every language that the phrase bank
speaks, on several placements. With it they are accepted outputs of ``copykit batch IN --out OUT.jsonl``,
drawn at random; both options may be given several times, in pairs, and share the count. Every copy gets one
mutation of one kind, in turn:

========== ============================================================ =======================
kind       what is done                                                 rule that must fire
========== ============================================================ =======================
length     one text is padded to its hard limit + 1, in its own unit    M-01
number     a figure nobody gave, in the digits of another script        C-03
banned     a banned term in look-alike letters                          C-02
language   one text is replaced by one in another language              M-17 or P-ALL-3
doubled    one mark is written twice                                    M-05, M-07 or P-ZH-3
point      a key point is taken out                                     C-01
========== ============================================================ =======================

Prints the share caught with the right rule per kind and language, and the alarms on the untouched copies.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from copykit.batch import plan
from copykit.brief.brief import Brief
from copykit.brief.catalog import placements
from copykit.brief.compile import compile_brief
from copykit.data import names
from copykit.drafts.check import Checker
from copykit.drafts.draft import Draft
from copykit.drafts.measure import measure, px_size
from copykit.engine import Engine
from copykit.errors import CopykitError
from copykit.feeds.mapping import guess, override
from copykit.feeds.read import read_rows
from copykit.feeds.rows import open_source
from copykit.models import Brand, CopywritingInput
from copykit.settings import Settings

BANNED = "kosher-grade"
_SAMPLE = 200  # rows that the batch command guesses its column map from
LOOKALIKE = "kоshеr-grаde"  # Cyrillic о, е, а
KINDS = ("length", "number", "banned", "language", "doubled", "point")
EXPECTED = {
    "length": {"M-01"},
    "number": {"C-03"},
    "banned": {"C-02"},
    "language": {"M-17", "P-ALL-3"},
    "doubled": {"M-05", "M-07", "P-ZH-3", "google-punctuation", "microsoft-punctuation"},
    "point": {"C-01"},
}
PLACEMENTS = (
    "x.post",
    "google_ads.rsa",
    "meta.feed_ad",
    "instagram.caption",
    "linkedin.post",
    "facebook.post",
    "email",
)
TONES = (
    "friendly",
    "professional",
    "playful",
    "urgent",
    "luxurious",
    "inspirational",
    "neutral",
    "witty",
    "storytelling",
)

# name, description and two key points of two products a language.
PRODUCTS: dict[str, list[tuple[str, str, tuple[str, str]]]] = {
    "en": [("Lumo", "Desk lamp with an oak base and a linen shade, 40 cm high.", ("Dimmable light", "Switch on the cable")),
           ("Trailwind", "Rain jacket with taped seams, 310 g.", ("Zip that opens both ways", "Hood with a visor"))],
    "es": [("Lumo", "Lámpara de mesa con base de roble y pantalla de lino, 40 cm de alto.", ("Luz regulable", "Interruptor en el cable")),  # noqa: E501
           ("Trailwind", "Chaqueta de lluvia con costuras selladas, 310 g.", ("Cremallera de doble sentido", "Capucha con visera"))],  # noqa: E501
    "fr": [("Lumo", "Lampe de bureau avec socle en chêne et abat-jour en lin, 40 cm de haut.", ("Intensité réglable", "Interrupteur sur le câble")),  # noqa: E501
           ("Trailwind", "Veste de pluie à coutures étanches, 310 g.", ("Zip à double curseur", "Capuche avec visière"))],
    "de": [("Lumo", "Tischlampe mit Eichenfuß und Leinenschirm, 40 cm hoch.", ("Dimmbares Licht", "Schalter am Kabel")),
           ("Trailwind", "Regenjacke mit versiegelten Nähten, 310 g.", ("Reißverschluss in zwei Richtungen", "Kapuze mit Schirm"))],  # noqa: E501
    "pt-BR": [("Lumo", "Luminária de mesa com base de carvalho e cúpula de linho, 40 cm de altura.", ("Luz regulável", "Interruptor no cabo")),  # noqa: E501
              ("Trailwind", "Jaqueta de chuva com costuras seladas, 310 g.", ("Zíper de duas vias", "Capuz com viseira"))],
    "it": [("Lumo", "Lampada da tavolo con base in rovere e paralume di lino, alta 40 cm.", ("Luce regolabile", "Interruttore sul cavo")),  # noqa: E501
           ("Trailwind", "Giacca antipioggia con cuciture nastrate, 310 g.", ("Cerniera a doppio cursore", "Cappuccio con visiera"))],  # noqa: E501
    "nl": [("Lumo", "Tafellamp met eiken voet en linnen kap, 40 cm hoog.", ("Dimbaar licht", "Schakelaar aan het snoer")),
           ("Trailwind", "Regenjas met getapete naden, 310 g.", ("Rits in beide richtingen", "Capuchon met klep"))],
    "pl": [("Lumo", "Lampa stołowa z dębową podstawą i lnianym abażurem, wysokość 40 cm.", ("Regulowane światło", "Włącznik na przewodzie")),  # noqa: E501
           ("Trailwind", "Kurtka przeciwdeszczowa z klejonymi szwami, 310 g.", ("Zamek dwustronny", "Kaptur z daszkiem"))],
    "ar": [("Lumo", "مصباح مكتب بقاعدة من البلوط وغطاء من الكتان، ارتفاع 40 سم.", ("إضاءة قابلة للتعديل", "مفتاح على السلك")),  # noqa: E501
           ("Trailwind", "سترة مطر بدرزات ملحومة، 310 غرام.", ("سحاب باتجاهين", "قبعة بحافة"))],
    "hi": [("Lumo", "ओक के आधार और लिनन शेड वाला टेबल लैंप, 40 सेमी ऊँचा।", ("रोशनी कम-ज़्यादा होती है", "तार पर स्विच")),
           ("Trailwind", "सीलबंद सिलाई वाली बारिश की जैकेट, 310 ग्राम।", ("दोनों ओर खुलने वाली ज़िप", "छज्जे वाली टोपी"))],
    "ja": [("Lumo", "オーク材の台座と麻のシェードの卓上ランプ、高さ40cm。", ("明るさ調節", "コードのスイッチ")),
           ("Trailwind", "防水縫製のレインジャケット、310g。", ("両開きファスナー", "つば付きフード"))],
    "zh-Hans": [("Lumo", "橡木底座配亚麻灯罩的台灯，高40厘米。", ("亮度可调", "线上开关")),
                ("Trailwind", "压胶接缝的雨衣，重310克。", ("双向拉链", "带帽檐的兜帽"))],
}  # fmt: skip

Copy = tuple[Brief, dict[str, Any]]


def generated(count: int) -> Iterator[Copy]:
    """Give accepted copies of the engine, languages and placements in turn, until *count* or no new ones come."""
    engine = Engine(Settings())
    spoken = set(names("phrases", ".json"))
    with asyncio.Runner() as runner:
        given = 0
        for seed in range(1000):
            before = given
            for tag, products in PRODUCTS.items():
                if tag not in spoken:
                    continue
                for index, placement in enumerate(PLACEMENTS):
                    name, description, points = products[(seed + index) % len(products)]
                    request = CopywritingInput(
                        product_description=description,
                        product_name=name,
                        target_platform=placement,
                        language=tag,
                        tone=TONES[(seed + index) % len(TONES)],
                        key_points=list(points),
                        brand=Brand(banned_terms=[BANNED]),
                        url="https://lumo.example/shop",
                        variants=3,
                        seed=seed,
                    )
                    try:
                        output = runner.run(engine.generate(request))
                    except CopykitError as error:
                        print(f"skipped {placement} {tag}: {error}")
                        continue
                    brief = compile_brief(request)
                    for variant in output.variants:
                        if variant.status != "rejected":
                            given += 1
                            yield brief, dict(variant.fields)
                            if given >= count:
                                return
            if given == before:
                return


Accepted = tuple[int, str, str, dict[str, Any]]


def accepted_of(results: Path) -> list[Accepted]:
    """Give row, placement, language and fields of every accepted variant of a batch result."""
    with results.open(encoding="utf-8") as lines:
        return [
            (line["row"], line["placement"], line["language"], variant["fields"])
            for line in map(json.loads, lines)
            for variant in (line.get("output") or {}).get("variants", ())
            if variant["status"] != "rejected"
        ]


def read(chosen: list[Accepted], catalogue: Path, options: argparse.Namespace) -> Iterator[Copy]:
    """Give the copies with the briefs of their catalogue rows.

    The requests are built as ``copykit batch`` builds them; tone, use case, column map and address template
    must be those of the run.
    """
    source = open_source(catalogue)
    mapping = override(guess(islice(read_rows(source), _SAMPLE)), options.map)
    rows = {row.number: row for row in read_rows(source)}
    common = {"tone": options.tone, "use_case": options.use_case, "brand": Brand(banned_terms=[BANNED])}
    linked = frozenset(p.id for p in placements() if any(spec.role == "url" for spec in p.fields))
    for number, placement, language, fields in chosen:
        (job,) = plan(
            [rows[number]],
            mapping,
            placements=[placement],
            languages=[language],
            common={key: value for key, value in common.items() if value},
            final_url=(options.final_url, linked) if options.final_url else None,
        )
        assert job.request is not None, job.error
        yield compile_brief(job.request), fields


def drawn(options: argparse.Namespace) -> list[Copy]:
    """Draw copies from all results alike; what a small one lacks the others give."""
    chance = random.Random(options.seed)
    pairs = zip(map(accepted_of, options.results), options.catalogue, strict=True)
    left = len(options.results)
    copies: list[Copy] = []
    for accepted, catalogue in sorted(pairs, key=lambda pair: len(pair[0])):
        share = min(len(accepted), -(-(options.count - len(copies)) // left))
        copies += read(chance.sample(accepted, share), catalogue, options)
        left -= 1
    chance.shuffle(copies)
    return copies


def texts_of(fields: dict[str, Any], brief: Brief) -> list[tuple[str, int | None, str]]:
    """Give (field, index, text) of all prose."""
    prose = {
        s.name
        for s in brief.fields
        if s.role not in ("url", "path", "cta_choice", "identifier", "info", "cta", "hashtags", "keywords")
    }
    found: list[tuple[str, int | None, str]] = []
    for name, value in fields.items():
        if name in prose:
            found += (
                [(name, None, value)]
                if isinstance(value, str)
                else [(name, i, t) for i, t in enumerate(value)]
            )
    return found


def put(fields: dict[str, Any], where: tuple[str, int | None, str], text: str) -> dict[str, Any]:
    """Give *fields* with one text replaced."""
    name, index, _ = where
    changed = dict(fields)
    changed[name] = text if index is None else [text if i == index else t for i, t in enumerate(fields[name])]
    return changed


def too_long(
    fields: dict[str, Any], brief: Brief, chance: random.Random, others: list[Copy]
) -> dict[str, Any] | None:
    """Pad a text to one more than its hard figure."""
    specs = {spec.name: spec for spec in brief.fields}
    bounded = [
        (where, limit)
        for where in texts_of(fields, brief)
        for limit in specs[where[0]].limits
        if limit.hard is not None and limit.hard < 5000 and limit.unit not in ("s", "w", "sms")
    ]
    if not bounded:
        return None
    where, limit = chance.choice(bounded)
    assert limit.hard is not None
    size = px_size(where[0]) if limit.unit == "px" else 20.0

    def length(text: str) -> float:
        return measure(
            text, limit.unit, language=brief.language.tag, emoji_double=limit.emoji_double, size_px=size
        )

    text = where[2]
    filler = text.replace(" ", "") if brief.language.spaces_between_words else text
    while length(text) <= limit.hard:
        text += chance.choice(filler) if limit.hard - length(text) > 1 else "a"
    return put(fields, where, text)


def invented_number(
    fields: dict[str, Any], brief: Brief, chance: random.Random, others: list[Copy]
) -> dict[str, Any] | None:
    """State a figure the brief does not hold, in Latin, native or full-width digits."""
    base = brief.language.tag.partition("-")[0]
    digits = {
        "ar": "٠١٢٣٤٥٦٧٨٩",
        "hi": "०१२३४५६७८९",
        "ja": "０１２３４５６７８９",
        "zh": "０１２３４５６７８９",
    }.get(base, "0123456789")
    where = chance.choice(texts_of(fields, brief))
    number = "".join(digits[int(c)] for c in str(chance.randint(1100, 9899)))
    gap = " " if brief.language.spaces_between_words else ""
    return put(fields, where, f"{where[2].rstrip('.。।')}{gap}{number}")


def banned_term(
    fields: dict[str, Any], brief: Brief, chance: random.Random, others: list[Copy]
) -> dict[str, Any] | None:
    """Put the banned term, spelled with look-alikes, into a text."""
    where = chance.choice(texts_of(fields, brief))
    disguise = chance.choice(
        [LOOKALIKE, BANNED.upper(), BANNED.replace("h", "h\u200b"), "ｋｏｓｈｅｒ-grade"]
    )
    return put(fields, where, f"{disguise} {where[2]}")


def wrong_language(
    fields: dict[str, Any], brief: Brief, chance: random.Random, others: list[Copy]
) -> dict[str, Any] | None:
    """Replace a text by one of another language: four authored words or more, or twelve characters unspaced."""
    base = brief.language.tag.partition("-")[0]
    where = chance.choice(texts_of(fields, brief))
    for _ in range(200):
        donor, donated = chance.choice(others)
        if donor.language.tag.partition("-")[0] == base:
            continue
        _, _, text = chance.choice(texts_of(donated, donor))
        authored = text
        for own in (donor.name, donor.item, *donor.points, *donor.attributes):
            authored = authored.replace(own, " ") if own else authored
        enough = (
            len(re.findall(r"[^\W\d_]{2,}", authored)) >= 4
            if donor.language.spaces_between_words
            else len(authored.strip()) >= 12
        )
        if enough:
            return put(fields, where, text)
    return None


def doubled_mark(
    fields: dict[str, Any], brief: Brief, chance: random.Random, others: list[Copy]
) -> dict[str, Any] | None:
    """Write one mark of a text twice."""
    where = chance.choice(texts_of(fields, brief))
    marks = list(re.finditer(r"(?<=\w)[.!?,;。！？、，।؟،](?=\s|$|[\u3040-\u9fff])", where[2]))
    if not marks:
        return put(fields, where, where[2] + "!!")
    mark = chance.choice(marks)
    return put(fields, where, where[2][: mark.end()] + mark.group() + where[2][mark.end() :])


def missing_point(
    fields: dict[str, Any], brief: Brief, chance: random.Random, others: list[Copy]
) -> dict[str, Any] | None:
    """Take a key point out wherever it stands; None if the copy does not hold one word for word."""
    held = [p for p in brief.points if any(p.lower() in t.lower() for _, _, t in texts_of(fields, brief))]
    if not held:
        return None
    point = chance.choice(held)
    pattern = re.compile(re.escape(point), re.IGNORECASE)
    return {
        name: pattern.sub("", value) if isinstance(value, str) else [pattern.sub("", text) for text in value]
        for name, value in fields.items()
    }


MUTATORS: dict[str, Callable[[dict[str, Any], Brief, random.Random, list[Copy]], dict[str, Any] | None]] = {
    "length": too_long,
    "number": invented_number,
    "banned": banned_term,
    "language": wrong_language,
    "doubled": doubled_mark,
    "point": missing_point,
}


def run(copies: list[Copy], seed: int = 0) -> dict[str, Any]:
    """Mutate each copy once and report what was caught, what was missed, and the alarms on the originals."""
    chance = random.Random(seed)
    tried: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    by_language: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    missed: list[dict[str, Any]] = []
    alarms: Counter[str] = Counter()
    alarmed = 0
    warned: Counter[str] = Counter()
    for index, (brief, fields) in enumerate(copies):
        checker = Checker(brief)
        before = checker.draft(Draft(fields))
        errors = [v for v in before if v.severity == "error"]
        alarmed += bool(errors)
        alarms.update(v.rule for v in errors)
        warned.update(v.rule for v in before if v.severity == "warning")
        for step in range(len(KINDS)):  # a kind that cannot be done here gives way to the next
            kind = KINDS[(index + step) % len(KINDS)]
            mutated = MUTATORS[kind](fields, brief, chance, copies)
            if mutated is not None:
                break
        else:
            continue
        known = {(v.rule, v.field, v.message) for v in before}
        fresh = {v.rule for v in checker.draft(Draft(mutated)) if (v.rule, v.field, v.message) not in known}
        tag = brief.language.tag
        tried[kind] += 1
        by_language[tag][1] += 1
        if fresh & EXPECTED[kind]:
            caught[kind] += 1
            by_language[tag][0] += 1
        else:
            changed = {k: v for k, v in mutated.items() if v != fields.get(k)}
            missed.append(
                {
                    "kind": kind,
                    "language": tag,
                    "placement": brief.placement.id,
                    "fields": changed,
                    "found": sorted(fresh),
                }
            )
    total = sum(tried.values())
    return {
        "copies": len(copies),
        "mutations": total,
        "caught": round(sum(caught.values()) / max(1, total), 4),
        "kinds": {kind: f"{caught[kind]}/{tried[kind]}" for kind in KINDS},
        "languages": {tag: f"{good}/{all_}" for tag, (good, all_) in sorted(by_language.items())},
        "originals_with_errors": alarmed,
        "alarms": dict(alarms),
        "warnings_on_originals": dict(warned),
        "missed": missed,
    }


def main() -> None:
    """Run from the command line; exits 1 below 98 % or with an alarm on an original."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--results", type=Path, action="append", default=[])
    parser.add_argument("--catalogue", type=Path, action="append", default=[])
    parser.add_argument("--tone", help="the run's tone, where it set one")
    parser.add_argument("--use-case", help="the run's use case, where it set one")
    parser.add_argument("--map", action="append", default=[], help="a column map of the run, name=column")
    parser.add_argument("--final-url", help="the run's address template")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if len(options.results) != len(options.catalogue):
        parser.error("each --results needs its --catalogue")
    copies = drawn(options) if options.results else list(generated(options.count))
    report = run(copies, options.seed)
    shown = report if options.json else {**report, "missed": report["missed"][:12]}
    print(json.dumps(shown, ensure_ascii=False, indent=1))
    raise SystemExit(0 if report["caught"] >= 0.98 and not report["originals_with_errors"] else 1)


if __name__ == "__main__":
    main()
