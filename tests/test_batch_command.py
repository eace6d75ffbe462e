"""``copykit batch`` from the command line: a file in, files out, and what survives a kill."""

import asyncio
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from copykit.caching.memory import MemoryCache
from copykit.caching.registry import register_cache
from copykit.cli import batch as command
from copykit.cli.batch_order import Outputs
from copykit.errors import InvalidRequest
from copykit.feeds.journal import Journal, read_lines
from copykit.models import BatchLine, CopywritingInput
from copykit.settings import CacheSettings, Settings

BUILD = command._engine
REQUEST = CopywritingInput(product_description="A cap.", product_name="Cap", target_platform="x.post")

# The engine of these tests: the words of the row come back, after a wait if one is set.
ENGINE = """
import asyncio, os
from datetime import UTC, datetime
from copykit.errors import InvalidRequest
from copykit.models import CopyVariant, CopywritingOutput, Receipt, Usage

class EchoEngine:
    async def generate(self, request, *, row=None):
        await asyncio.sleep(float(os.environ.get("COPYKIT_TEST_WAIT", "0")))
        if "refuse" in request.product_description:
            raise InvalidRequest("language", request.language, "not spoken yet")
        text = f"{request.product_name}: {request.product_description}"
        asset = {"headlines": [text, "b", "c"], "descriptions": [text, "d"], "final_url": request.url or ""}
        fields = asset if request.target_platform == "google_ads.rsa" else {"text": text}
        variant = CopyVariant(fields=fields, text=text, status="ok", field_status={})
        return CopywritingOutput(
            id=f"{request.target_platform}-{request.language}-{row}", variants=[variant], text=text,
            placement=request.target_platform, language=request.language, tone="plain", use_case="x",
            usage=Usage(), receipt=Receipt(served_by="phrasebank:"), created_at=datetime.now(UTC),
        )
"""
DRIVER = (
    ENGINE
    + """
import typer
from contextlib import nullcontext
from copykit.cli import batch
batch._engine = lambda settings: nullcontext(EchoEngine())
app = typer.Typer(add_completion=False)
app.command("batch")(batch.command)
app()
"""
)
_space: dict = {}
exec(ENGINE, _space)  # noqa: S102 - one text serves this process and the one that is killed

app = typer.Typer(add_completion=False)
app.command("batch")(command.command)


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "_engine", lambda settings: nullcontext(_space["EchoEngine"]()))
    monkeypatch.chdir(tmp_path)

    def run(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


def catalogue(path, count=30, bad=()):
    with path.open("w", encoding="utf-8") as stream:
        stream.write("id,title,description,lang,handle\n")
        for n in range(1, count + 1):
            stream.write("broken\n" if n in bad else f'p{n},Cap {n},"A warm cap, no. {n}.",en,cap-{n}\n')
    return path


def stable(path):
    """The lines of a result without what differs between two equal runs (DESIGN 13.19)."""
    lines = [line.model_dump(mode="json") for line in read_lines(path)]
    for line in lines:
        if line["output"]:
            del line["output"]["created_at"], line["output"]["cached"], line["output"]["receipt"]["cache"]
    return lines


def test_a_catalogue_becomes_lines_and_a_summary(call, tmp_path):
    """Every row comes back once per platform and language; the exit code says that one did not work."""
    source = catalogue(tmp_path / "in.csv", 5, bad={3})
    done = call(
        "in.csv", "--out", "out.jsonl", "--platform", "X", "--platform", "google_ads.rsa", "--language", "en",
        "--language", "es", "--json",
    )  # fmt: skip
    summary = json.loads(done.stdout)
    assert done.exit_code == 3 == summary["exit_code"]
    assert (summary["rows_in"], summary["rows_out"], summary["lines"]) == (5, 5, 20)
    assert summary["status"] == {"ok": 16, "repaired": 0, "rejected": 0, "failed": 4}
    assert summary["reasons"] == [{"reason": "bad_record: 1 cells where the header has 5", "lines": 4}]
    assert summary["served_by"] == {"phrasebank:": 16}
    lines = list(read_lines(tmp_path / "out.jsonl"))
    assert [(x.row, x.placement, x.language) for x in lines[:4]] == [
        (1, "x.post", "en"), (1, "x.post", "es-ES"),
        (1, "google_ads.rsa", "en"), (1, "google_ads.rsa", "es-ES"),
    ]  # fmt: skip
    assert source.exists()


def test_the_mapping_is_shown_before_the_run(call, tmp_path):
    """Field, column and reason stand on the error stream; --map changes them."""
    catalogue(tmp_path / "in.csv", 2)
    done = call("in.csv", "--out", "out.jsonl", "--platform", "x", "--map", "name=handle")
    assert done.exit_code == 0
    shown = " ".join(done.stderr.split())
    assert "name" in shown
    assert "--map" in shown
    assert next(read_lines(tmp_path / "out.jsonl")).output.text.startswith("cap-1: ")


@pytest.mark.parametrize(
    "words, part",
    [
        (("--platform", "instagran"), "instagram"),
        (("--platform", "x", "--language", "enn"), "en"),
        (("--platform", "x", "--tone", "proffessional"), "professional"),
        (("--platform", "x", "--use-case", "product_lunch"), "product_launch"),
        (("--platform", "x", "--map", "titel=title"), "not a field"),
        (("--platform", "x", "--format", "shopfy"), "shopify"),
        (("--platform", "x", "--final-url", "https://x/{sku}"), "handle"),
        (("--platform", "x", "--out", "result.xlsx"), ".jsonl"),
        (("--platform", "x", "--input-format", "excel"), "merchant-tsv"),
    ],
)
def test_wrong_usage_is_refused_before_any_work(call, tmp_path, words, part):
    """A message with the nearest valid name, exit code 2, and no file."""
    catalogue(tmp_path / "in.csv", 2)
    out = () if "--out" in words else ("--out", "out.jsonl")
    done = call("in.csv", *out, *words)
    assert done.exit_code == 2
    assert part in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out*"))


def test_the_input_is_never_the_output(call, tmp_path):
    """Writing over the catalogue is refused."""
    (tmp_path / "in.jsonl").write_text('{"name": "A", "description": "A thing."}\n')
    assert call("in.jsonl", "--out", "in.jsonl", "--platform", "x", "--overwrite").exit_code == 2
    assert "A thing" in (tmp_path / "in.jsonl").read_text()


@pytest.mark.parametrize(
    "out, formats, expected",
    [
        ("a/out.jsonl", [], ("a/out", "a/out.jsonl", None, None)),
        ("out.jsonl.gz", [], ("out", "out.jsonl", "out.jsonl.gz", None)),
        ("out.csv", [], ("out", "out.jsonl", None, "out.csv")),
        ("out.csv.gz", [], ("out", "out.jsonl", None, "out.csv.gz")),
        ("out.jsonl", ["csv"], ("out", "out.jsonl", None, "out.csv")),
        ("folder/", [], ("folder/copy", "folder/copy.jsonl", None, None)),
        ("folder", ["csv"], ("folder/copy", "folder/copy.jsonl", None, "folder/copy.csv")),
    ],
)
def test_out_names_a_file_or_a_folder(out, formats, expected):
    """The ending decides what is asked for; the JSON Lines stand beside it."""
    found = Outputs.of(out, formats)
    names = [found.base, found.journal, found.packed, found.people]
    assert tuple(None if path is None else str(path) for path in names) == expected


def test_uploads_are_written_beside_the_result_and_again_on_resume(call, tmp_path):
    """A finished run can be exported anew, with other targets, without writing any copy again."""
    catalogue(tmp_path / "in.csv", 3)
    words = (
        "in.csv",
        "--out",
        "out.jsonl.gz",
        "--platform",
        "google_ads.rsa",
        "--format",
        "google_ads_editor",
        "--final-url",
        "https://s/{handle}",
    )
    first = json.loads(call(*words, "--json").stdout)
    assert first["left_out"][0]["lines"] == 3
    before = stable_gz(tmp_path / "out.jsonl.gz")
    done = call(
        *words,
        "--resume",
        "--campaign",
        "C",
        "--ad-group",
        "G",
        "--json",
    )
    second = json.loads(done.stdout)
    line = json.loads(before.splitlines()[0])
    assert line["output"]["variants"][0]["fields"]["final_url"] == "https://s/cap-1"
    assert second["resumed_after"] == 3
    assert second["files"]["out.google-ads-editor.csv"] == 3
    assert "https://s/cap-3" in (tmp_path / "out.google-ads-editor.csv").read_text("utf-8-sig")
    assert stable_gz(tmp_path / "out.jsonl.gz") == before
    assert not (tmp_path / "out.skipped.csv").exists()


def stable_gz(path):
    return gzip.decompress(path.read_bytes())


@pytest.mark.parametrize("out", ["out.jsonl", "out.jsonl.gz", "out.csv"])
@pytest.mark.parametrize("state", ["finished", "unfinished"])
def test_no_run_is_overwritten_by_accident(call, tmp_path, out, state):
    """Whether it is finished or not, its files stay unless one of two flags is given; the message names both."""
    catalogue(tmp_path / "in.csv", 3)
    words = ("in.csv", "--out", out, "--platform", "x", "--seed", "1")
    assert call(*words).exit_code == 0
    sidecar = tmp_path / "out.jsonl.run.json"
    if state == "unfinished":
        sidecar.write_text(sidecar.read_text().replace('"finished": true', '"finished": false'))
    before = (tmp_path / out).read_bytes()
    refused = call(*words)
    assert refused.exit_code == 2
    assert refused.stdout == ""
    for part in (f"a {state} run" if state == "finished" else "an unfinished run", "--resume", "--overwrite"):
        assert part in refused.stderr
    assert (tmp_path / out).read_bytes() == before
    assert call(*words, "--resume").exit_code == 0
    assert call(*words[:-1], "2", "--overwrite").exit_code == 0
    assert '"seed": 2' in sidecar.read_text()


@pytest.mark.parametrize(
    "name, words",
    [
        ("out.jsonl", ()),
        ("out.csv", ("--format", "csv")),
        ("out.shopify.en.csv", ("--platform", "shopify.product", "--format", "shopify")),
    ],
)
def test_files_that_no_run_left_are_kept(call, tmp_path, name, words):
    """Also under --resume, which would find nothing to go on with; an empty file holds nothing to keep."""
    catalogue(tmp_path / "in.csv", 2)
    order = ("in.csv", "--out", "out.jsonl", "--platform", "x", *words)
    (tmp_path / name).write_text("mine")
    for more in ((), ("--resume",)):
        refused = call(*order, *more)
        assert refused.exit_code == 2
        assert "--overwrite" in refused.stderr
        assert (tmp_path / name).read_text() == "mine"
    (tmp_path / name).write_text("")
    assert call(*order).exit_code in (0, 3)


@pytest.mark.parametrize(
    "name, needed",
    [
        ("google-ads-editor", "google_ads.rsa"),
        ("microsoft_ads", "microsoft_ads.rsa"),
        ("google-merchant", "google_merchant.product"),
        ("shopify", "shopify.product"),
    ],
)
def test_an_upload_format_needs_its_placement(call, tmp_path, name, needed):
    """Refused before any copy is written, with the option to add; a run that has the placement is not."""
    catalogue(tmp_path / "in.csv", 2)
    words = ("in.csv", "--out", "out.jsonl", "--platform", "x", "--format", name)
    refused = call(*words)
    assert refused.exit_code == 2
    assert f"add --platform {needed}" in refused.stderr
    assert not list(tmp_path.glob("out*"))
    assert call(*words, "--platform", needed).exit_code in (0, 3)


@pytest.mark.parametrize(
    "change, named",
    [
        (("--seed", "5"), "seed was 0, now 5"),
        (("--language", "es"), "languages"),
        (("--map", "name=handle"), "mapping"),
        (("--limit", "2"), "limit"),
        (("--final-url", "https://s/{id}"), "final url"),
    ],
)
def test_resuming_another_run_is_refused_and_says_what_differs(call, tmp_path, change, named):
    """Lines of two different runs never end up in one file."""
    catalogue(tmp_path / "in.csv", 3)
    words = ("in.csv", "--out", "out.jsonl", "--platform", "x", "--platform", "google_ads.rsa")
    call(*words)
    before = (tmp_path / "out.jsonl").read_bytes()
    done = call(*words, *change, "--resume")
    assert done.exit_code == 2
    assert named in " ".join(done.stderr.split())
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_resuming_with_a_changed_input_is_refused(call, tmp_path):
    """The input's digest is part of the run."""
    catalogue(tmp_path / "in.csv", 3)
    words = ("in.csv", "--out", "out.jsonl", "--platform", "x")
    call(*words)
    catalogue(tmp_path / "in.csv", 4)
    done = call(*words, "--resume")
    assert done.exit_code == 2
    assert "sha256" in done.stderr


@pytest.mark.parametrize("cut", [0, 1, 7, 400, 401, 1200])
def test_a_torn_line_is_cut_off_and_written_again(call, tmp_path, cut):
    """Wherever the file ends, the resumed result is the uninterrupted one."""
    catalogue(tmp_path / "in.csv", 5)
    words = ("in.csv", "--out", "out.jsonl", "--platform", "x", "--language", "en", "--language", "es")
    call(*words)
    path, sidecar = tmp_path / "out.jsonl", tmp_path / "out.jsonl.run.json"
    whole = stable(path)
    path.write_bytes(path.read_bytes()[:cut])
    sidecar.write_text(sidecar.read_text().replace('"finished": true', '"finished": false'))
    assert call(*words, "--resume").exit_code == 0
    assert stable(path) == whole


def test_lines_of_another_file_are_not_resumed(call, tmp_path):
    """The last kept line must be the one the plan has in that place."""
    catalogue(tmp_path / "in.csv", 5)
    words = ("in.csv", "--out", "out.jsonl", "--platform", "x")
    call(*words)
    path, sidecar = tmp_path / "out.jsonl", tmp_path / "out.jsonl.run.json"
    path.write_bytes(path.read_bytes().split(b"\n")[4] + b"\n")
    sidecar.write_text(sidecar.read_text().replace('"finished": true', '"finished": false'))
    done = call(*words, "--resume")
    assert done.exit_code == 2
    assert "not those of this run" in done.stderr


def test_a_journal_dies_whole_between_its_steps(tmp_path):
    """A run killed before its first line, or before its note, can be resumed as a new one."""
    journal = Journal(tmp_path / "out.jsonl", {"seed": 1})
    (tmp_path / "out.jsonl").write_bytes(b"")  # the file was made, the note was not
    with journal:
        assert journal.resume() is False
        assert journal.done == 0
    (tmp_path / "out.jsonl").write_bytes(b'{"row": 1}\n')
    journal.sidecar.unlink()
    with pytest.raises(InvalidRequest, match="missing"):
        Journal(tmp_path / "out.jsonl", {"seed": 1}).resume()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_killed_run_resumes_to_the_same_result(call, tmp_path):
    """
    The process is killed without warning, three times at random moments, and resumed:
    no row is lost, doubled or changed.
    """
    catalogue(tmp_path / "in.csv", 120, bad={50})
    words = ["in.csv", "--platform", "x", "--platform", "email", "--format", "csv"]
    assert call(*words, "--out", "whole.jsonl").exit_code == 3
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    environment = {**os.environ, "COPYKIT_TEST_WAIT": "0.02", "PYTHONPATH": os.pathsep.join(sys.path)}
    order = [sys.executable, str(driver), *words, "--out", "killed.jsonl", "--concurrency", "3", "--resume"]
    dice, path, kills = random.Random(5), tmp_path / "killed.jsonl", 0
    for _ in range(3):
        had = path.stat().st_size if path.exists() else 0
        child = subprocess.Popen(
            order, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wanted = had + dice.randrange(2_000, 15_000)
        while child.poll() is None and (not path.exists() or path.stat().st_size < wanted):
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        kills += child.wait() == -signal.SIGKILL
    assert kills >= 2
    assert subprocess.run(order, cwd=tmp_path, env={**environment, "COPYKIT_TEST_WAIT": "0"}).returncode == 3
    assert stable(path) == stable(tmp_path / "whole.jsonl")
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_result_that_is_no_text_fails_alone(tmp_path):
    """Half a surrogate pair cannot be written; the line says so and the file stays readable."""
    done = asyncio.run(_space["EchoEngine"]().generate(REQUEST, row=1))
    broken = done.model_copy(update={"text": "\ud800"})
    with Journal(tmp_path / "out.jsonl", {}) as journal:
        journal.start()
        for output in (done, broken, done):
            row = journal.done + 1
            line = BatchLine(row=row, id="p", placement="x.post", language="en", status="ok", output=output)
            journal.write(line)
    assert [line.status for line in read_lines(tmp_path / "out.jsonl")] == ["ok", "failed", "ok"]


def test_two_runs_never_write_one_file(tmp_path):
    """A run that is still alive keeps its file: neither resuming nor overwriting gets in."""
    pytest.importorskip("fcntl")
    with Journal(tmp_path / "out.jsonl", {"seed": 1}) as first:
        first.start()
        for attempt in (Journal.resume, lambda journal: journal.start(overwrite=True)):
            with pytest.raises(InvalidRequest, match="another run"):
                attempt(Journal(tmp_path / "out.jsonl", {"seed": 1}))
    with Journal(tmp_path / "out.jsonl", {"seed": 1}) as second:
        assert second.resume() is False


def test_a_pipe_is_read_too(call, tmp_path):
    """``-`` takes standard input."""
    data = '{"id": "a", "name": "Cap", "description": "A warm cap."}\n'
    done = CliRunner().invoke(app, ["-", "--out", str(tmp_path / "o.jsonl"), "--platform", "x"], input=data)
    assert done.exit_code == 0
    assert next(read_lines(tmp_path / "o.jsonl")).id == "a"


def test_ctrl_c_says_how_to_go_on(call, tmp_path, monkeypatch):
    """An interrupted run keeps its lines and prints the command that continues it."""
    catalogue(tmp_path / "in.csv", 3)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_generate", interrupted)
    monkeypatch.setattr(sys, "argv", ["copykit", "batch", "in.csv", "--out", "out.jsonl", "--platform", "x"])
    done = call("in.csv", "--out", "out.jsonl", "--platform", "x")
    assert done.exit_code == 130
    assert "copykit batch in.csv --out out.jsonl --platform x --resume" in done.stderr


async def entries(settings):
    async with BUILD(settings) as engine:
        return engine.settings.cache.max_entries


def test_the_cache_of_a_run_is_small():
    """Results kept for later rows are bounded well below a catalogue's size, so memory stays flat."""
    assert asyncio.run(entries(Settings())) == 500
    assert asyncio.run(entries(Settings(cache=CacheSettings(max_entries=0)))) == 0


def test_the_cache_of_a_run_is_closed_after_it(monkeypatch, tmp_path):
    """Whoever holds a connection or a file gets the chance to let it go."""
    closed = []

    class Closing(MemoryCache):
        async def aclose(self):
            closed.append(self)

    register_cache("closing", lambda settings: Closing(settings.max_entries, settings.max_bytes))
    settings = Settings(cache=CacheSettings(url="closing://"))
    monkeypatch.setattr(Settings, "from_env", lambda **_: settings)
    catalogue(tmp_path / "in.csv", 2)
    words = (str(tmp_path / "in.csv"), "--out", str(tmp_path / "out.jsonl"), "--platform", "x")
    assert CliRunner().invoke(app, words).exit_code == 0
    assert len(closed) == 1


def test_prices_without_a_currency_are_noted(call, tmp_path):
    """The user learns why no price is in the copy, and how to change it; a price that names one is fine."""
    words = ("in.csv", "--out", "out.jsonl", "--platform", "x", "--json", "--overwrite")

    def noted(price, *more):
        (tmp_path / "in.csv").write_text(f"id,title,description,price\n1,Cap,A warm cap.,{price}\n")
        return any("currency" in note for note in json.loads(call(*words, *more).stdout)["notes"])

    assert noted("20")
    assert not noted("20", "--map", "currency==EUR")
    assert not noted("20 EUR")


def test_the_command_is_documented():
    """Every option of the command stands in the docs."""
    text = (Path(__file__).parents[1] / "docs" / "batch.md").read_text(encoding="utf-8")
    for parameter in typer.main.get_command(app).params:
        for name in parameter.opts:
            assert name in text or not name.startswith("--"), name
