"""The command line: exit statuses, shapes, clean streams, every width."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from copykit.cli.app import app
from copykit.cli.table import Table

BRIEF = ("Oak bench, 140x40 cm, oiled", "--name", "Tarn", "--platform", "x.post")
COMMANDS = (
    ("generate",),
    ("batch",),
    ("providers",),
    ("check",),
    ("benchmark",),
    ("install-deps",),
    *(("catalog", name) for name in ("platforms", "languages", "tones", "use-cases", "structures")),
)


def copykit(*arguments: str, columns: int = 80, **environment: str) -> Result:
    """Run in this process, as if in a terminal of *columns*."""
    return CliRunner(env={"COLUMNS": str(columns), "COPYKIT_PROVIDERS": "phrasebank", **environment}).invoke(
        app, arguments
    )


def process(arguments: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run as a user does, piped."""
    return subprocess.run(
        [sys.executable, "-m", "copykit", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_every_command_explains_itself_with_an_example(command: tuple[str, ...], columns: int) -> None:
    """``--help`` and ``-h`` say the same, show an example, and keep to the width."""
    told = copykit(*command, "--help", columns=columns)
    assert told.exit_code == 0
    assert told.stdout == copykit(*command, "-h", columns=columns).stdout
    assert f"Example: copykit {' '.join(command)}" in " ".join(told.stdout.split())
    assert max(map(len, told.stdout.splitlines())) <= columns


def test_version_and_module_entry_agree() -> None:
    """``copykit --version`` and ``python -m copykit --version`` give the installed version."""
    from importlib.metadata import version

    assert process(["--version"]).stdout == f"copykit {version('copykit')}\n"
    assert copykit("--version").stdout == f"copykit {version('copykit')}\n"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["generate", *BRIEF], 0),
        (["generate", *BRIEF, "--plain"], 0),
        (["generate", "Oak", "--platform", "instgram"], 2),
        (["generate"], 2),
        (["catalog", "tones", "playful"], 0),
        (["catalog", "tones", "playfull"], 2),
        (["catalog", "tonez"], 2),
        (["nonsense"], 2),
        (["check", "--quick"], 0),
    ],
)
def test_the_exit_status_tells_what_happened(arguments: list[str], status: int) -> None:
    """0 fine, 2 cannot be served; what went wrong stands on standard error alone."""
    result = copykit(*arguments)
    assert result.exit_code == status
    assert bool(result.stderr) == bool(status)
    assert bool(result.stdout) == (status == 0)


def test_a_rejected_result_is_shown_and_gives_status_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that invents a price: the copy is printed with the rule, the status is 1."""
    from copykit.providers.registry import register_provider, unregister_provider
    from copykit.testing import FakeProvider

    register_provider("fake", lambda: FakeProvider().will_say({"text": "Tarn, an oak bench. Now 99 EUR."}))
    try:
        result = copykit("generate", *BRIEF, "--provider", "fake")
    finally:
        unregister_provider("fake")
    assert result.exit_code == 1
    assert "rejected" in result.stdout
    assert "✗ C-03" in result.stdout


def test_wrong_settings_give_status_78() -> None:
    """EX_CONFIG, one line, for `generate` as for `batch`."""
    result = copykit("generate", *BRIEF, COPYKIT_CACHE_ENTRIES="many")
    assert result.exit_code == 78
    assert result.stderr.startswith("configuration_error: ")
    assert result.stderr.count("\n") == 1


VARIANT = {"fields", "text", "status", "field_status", "violations", "scores", "structure", "parts"}
VIOLATION = {"rule", "field", "severity", "message", "measured", "limit", "unit", "span", "source"}
USAGE = {
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
}
RECEIPT = {"served_by", "cache", "saved_usd", "attempts", "repairs", "versions", "key"}
ATTEMPT = {
    "target", "model", "outcome", "latency_s", "waited_s", "input_tokens", "output_tokens", "cost_usd",
    "reason",
}  # fmt: skip
OUTPUT = {
    "id", "variants", "text", "placement", "language", "tone", "use_case", "usage", "receipt", "cached",
    "created_at", "restrictions", "info",
}  # fmt: skip


@pytest.mark.parametrize(
    ("platform", "language"), [("x.post", "en"), ("google_ads.rsa", "ja"), ("instagram", "ar")]
)
def test_json_has_the_fixed_shape_and_stands_alone(platform: str, language: str) -> None:
    """Standard output parses as one object with exactly the documented fields; standard error is empty."""
    done = process(
        ["generate", "Oak bench", "--platform", platform, "--language", language, "--variants", "2", "--json"]
    )
    assert done.returncode == 0
    assert done.stderr == ""
    told: dict[str, Any] = json.loads(done.stdout)
    assert set(told) == OUTPUT
    assert set(told["usage"]) == USAGE
    assert set(told["receipt"]) == RECEIPT
    assert set(told["receipt"]["versions"]) >= {"prompt", "platforms"}
    assert all(set(attempt) == ATTEMPT for attempt in told["receipt"]["attempts"])
    assert len(told["variants"]) == 2
    for variant in told["variants"]:
        assert set(variant) == VARIANT
        assert variant["status"] in {"ok", "repaired", "rejected"}
        assert set(variant["field_status"]) >= set(variant["fields"])
        assert all(set(violation) == VIOLATION for violation in variant["violations"])
        assert all(set(score) == {"value", "reasons"} for score in variant["scores"].values())
        assert all(0 <= score["value"] <= 1 for score in variant["scores"].values())
    assert told["text"] == told["variants"][0]["text"]


def test_json_keeps_letters_as_letters() -> None:
    """No escapes for other scripts."""
    assert "\\u" not in copykit("generate", "橡木长凳，140厘米", "--language", "zh", "--json").stdout


@pytest.mark.parametrize("language", ["en", "ar", "ja"])
def test_plain_is_the_copy_and_nothing_else(language: str) -> None:
    """The texts of the variants parted by an empty line: no colour, no frame, no trailing spaces."""
    arguments = ("generate", "Oak bench", "--platform", "x.post", "--language", language, "--variants", "3")
    told = json.loads(copykit(*arguments, "--json").stdout)
    plain = copykit(*arguments, "--plain").stdout
    assert plain == "\n\n".join(variant["text"] for variant in told["variants"]) + "\n"
    assert "\x1b" not in plain


def test_colour_is_for_terminals_that_want_it() -> None:
    """Piped: none. In a terminal: some, and none with NO_COLOR."""
    assert "\x1b" not in process(["generate", *BRIEF]).stdout
    coloured = process(["generate", *BRIEF], FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="").stdout
    assert "\x1b[" in coloured


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Oak bench, oiled"),
        ("ar", "مقعد من خشب البلوط، 140 سم"),
        ("zh", "橡木长凳，140厘米"),
        ("hi", "ओक की बेंच"),
    ],
)
def test_the_table_loses_no_letter_at_any_width(columns: int, language: str, text: str) -> None:
    """Every word of the copy can be read off the screen; only words wider than the column may be folded."""
    arguments = ("generate", text, "--language", language, "--platform", "google_ads.rsa")
    told = json.loads(copykit(*arguments, "--json").stdout)
    shown = "".join(copykit(*arguments, columns=columns).stdout.split())
    for headline in told["variants"][0]["fields"]["headlines"]:
        for word in headline.split():
            assert word in shown or len(word) > columns - 26


def test_generate_measures_every_field_against_its_limit() -> None:
    """Length, bound and unit stand beside each field; the receipt is one line."""
    shown = copykit("generate", *BRIEF, columns=60).stdout
    told = json.loads(copykit("generate", *BRIEF, "--json").stdout)
    assert "/280 xw" in shown
    receipts = [line for line in shown.splitlines() if line.startswith(" receipt: ")]
    assert len(receipts) == 1
    assert told["receipt"]["served_by"] in receipts[0]
    assert told["id"] in receipts[0]


def test_restrictions_say_whether_they_are_checked() -> None:
    """One is, one is guidance; both are told."""
    shown = copykit(
        "generate", *BRIEF, "--restriction", "no prices", "--restriction", "sound like my aunt"
    ).stdout
    assert "“no prices”: checked in every text" in " ".join(shown.split())
    assert "“sound like my aunt”: guidance for a model" in " ".join(shown.split())


def test_a_description_may_be_piped() -> None:
    """``-`` reads standard input, with or without a byte order mark."""
    run = CliRunner().invoke
    piped = run(app, ["generate", "-", *BRIEF[1:], "--plain"], input="\ufeffOak bench, 140x40 cm, oiled\n")
    assert piped.stdout == copykit("generate", *BRIEF, "--plain").stdout


def test_output_that_cannot_be_encoded_ends_in_no_traceback() -> None:
    """On a stream that holds Latin letters only, others appear as their numbers."""
    done = process(
        ["generate", "オーク材のベンチ", "--language", "ja", "--plain"],
        PYTHONIOENCODING="latin-1",
        PYTHONUTF8="0",
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "\\u30" in done.stdout


def test_a_reader_that_leaves_early_ends_in_no_traceback() -> None:
    """``copykit catalog platforms | head -1``."""
    command = f'"{sys.executable}" -m copykit catalog platforms | head -1'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert "placements" in done.stdout
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("kind", ["platforms", "languages", "tones", "use-cases", "structures"])
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_catalogue_tables_keep_to_the_width_and_cut_nothing(kind: str, columns: int) -> None:
    """No line is wider than the terminal, none ends in an ellipsis; ``--json`` lists as many entries."""
    shown = copykit("catalog", kind, columns=columns).stdout
    listed = json.loads(copykit("catalog", kind, "--json").stdout)
    wide = Console(width=columns)
    assert all(wide.measure(line).maximum <= columns for line in shown.splitlines())
    assert "…" not in shown
    assert shown.split()[0] == str(len(listed))


def test_check_and_install_deps_speak_json() -> None:
    """Standard output parses; the pip line of `install-deps` stands alone on it."""
    told = json.loads(copykit("check", "--quick", "--json").stdout)
    assert {"capabilities", "libraries"} <= set(told)
    line = copykit("install-deps").stdout.strip()
    assert line == "" or line.startswith('pip install "copykit[')
    assert "missing" in json.loads(copykit("install-deps", "--json").stdout)


@pytest.mark.slow
def test_benchmark_gives_figures() -> None:
    """Each generation has a rate, each capability a ratio."""
    told = json.loads(copykit("benchmark", "--seconds", "0.1", "--json").stdout)
    assert all(row["per_second"] > 0 for row in told["generation"])
    assert all(row["ratio"] > 0 for row in told["capabilities"])


def test_tables_fold_instead_of_cutting() -> None:
    """A word longer than its column goes on in the next line."""
    sink = io.StringIO()
    table = Table("a")
    table.add_row("x" * 50)
    Console(file=sink, width=20).print(table)
    assert sink.getvalue().count("x") == 50
