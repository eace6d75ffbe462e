"""Write docs/rules.md from the rule data: ``python docs/generate_rules.py [--check]``."""

from __future__ import annotations

import sys
from pathlib import Path

from copykit.data import load_toml, names
from copykit.drafts.look import rules

TARGET = Path(__file__).with_name("rules.md")

_HEADER = """# Rules

Written by `docs/generate_rules.py` from `src/copykit/data/rules`; change the data, not this file.

Severity is the usual one. A length rule rejects only where the figure is verified (confidence A, B or M) and warns
otherwise; a claim that the brief makes itself is a warning, one that the copy invents an error; platforms may be
stricter than the common rule. Source ids are explained in `data/SOURCES.md`.
"""

_GROUPS = (
    ("Fields", "F-"),
    ("Mechanical", "M-"),
    ("Substance", "C-"),
    ("Claims", "L-"),
    ("Punctuation of languages", "P-"),
    ("Brief, structure, tone, mail", ("B-", "S-", "T-", "SP")),
)


def page() -> str:
    """Give the text of the page."""
    lines = [_HEADER]
    known = rules()
    for title, prefixes in _GROUPS:
        lines += [
            f"## {title}\n",
            "| Rule | What | Severity | What to do | Source | Date | Confidence |",
            "|---|---|---|---|---|---|---|",
        ]
        for rule in known.values():
            if rule.id.startswith(prefixes):
                lines.append(
                    f"| {rule.id} | {rule.title} | {rule.severity} | {rule.fix or '-'} | {rule.source or '-'} "
                    f"| {rule.date or '-'} | {rule.confidence} |"
                )
        lines.append("")
    lines += [
        "## Editorial rules of platforms\n",
        "| Rule | What | Severity | Tested | Source | Confidence |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in load_toml("rules/editorial.toml").items():
        tested = (
            f"as {row['same_as']}"
            if "same_as" in row
            else "no: guidance"
            if row["kind"] == "guidance"
            else "yes"
        )
        what = row["description"].rstrip(".").replace("|", "\\|")
        lines.append(
            f"| {name} | {what} | {row['severity']} | {tested} | {row['source']} | {row['confidence']} |"
        )
    lines += [
        "",
        "## Word lists\n",
        "| Language | Claim phrases | Clichés | Calls to action |",
        "|---|---|---|---|",
    ]
    for base in names("rules/claims", ".toml"):
        claims = load_toml(f"rules/claims/{base}.toml")
        wording = load_toml(f"rules/wording/{base}.toml")
        count = sum(len(phrases) for rule, phrases in claims.items() if rule != "OK")
        lines.append(f"| {base} | {count} | {len(wording['cliches'])} | {len(wording['call'])} |")
    lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if TARGET.read_text(encoding="utf-8") == page() else "docs/rules.md is not current")
    TARGET.write_text(page(), encoding="utf-8")
