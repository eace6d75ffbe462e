"""``copykit generate --stream``: lines, events and a terminal's board; Ctrl-C closes the provider's connection."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from copykit.cli.app import app
from copykit.cli.bill import Bill
from copykit.errors import ProviderUnavailable
from copykit.providers.base import Completion
from copykit.providers.registry import register_provider, unregister_provider
from copykit.testing.servers import ScriptedServer, Step
from test_streaming import TEXT, Streaming

BRIEF = ("Oak desk", "--name", "Norr", "--platform", "x.post")


@pytest.fixture
def writer() -> Iterator[Streaming]:
    """A registered provider that streams."""
    provider = Streaming()
    register_provider("streaming", lambda: provider)
    yield provider
    unregister_provider("streaming")


def copykit(*arguments: str, **environment: str) -> Result:
    """Run in this process, into a pipe."""
    given = {"COPYKIT_PROVIDERS": "streaming", "COLUMNS": "80", **environment}
    return CliRunner(env=given).invoke(app, ("generate", *BRIEF, "--stream", *arguments))


def variants(*texts: str) -> str:
    """Give an answer with a variant for each of *texts*."""
    return json.dumps({"variants": [{"fields": {"text": text}} for text in texts]})


def again(text: str) -> Completion:
    """Give the answer to a request for one text."""
    return Completion(text=json.dumps({"texts": {"1": text}}))


def test_into_a_pipe_each_text_is_a_line_with_its_checks(writer: Streaming) -> None:
    """The text that fails is shown with its rule, then as it was mended; the receipt says who, cost and time."""
    writer.will_say(variants("Norr, the oak desk, only 99 EUR."), again(TEXT))
    told = copykit()
    assert told.exit_code == 0, told.output
    first, failed, rule, mended, status, *_, receipt = told.stdout.splitlines()
    assert first == "x.post · en"
    assert failed == "✗ text  32/280 xw  Norr, the oak desk, only 99 EUR."
    assert rule.startswith(" ✗ C-03 the price ")
    assert mended == f"~ text  33/280 xw  {TEXT}  (mended, C-03: asked again)"
    assert status == " repaired"
    assert re.fullmatch(
        r" receipt: streaming:streaming-1 · 2 attempts · cost unknown · 1 repair · \d+\.\d s · ck_\w+",
        receipt,
    )
    assert "\x1b" not in told.stdout


def test_variants_are_told_apart_and_ranked_at_the_end(writer: Streaming) -> None:
    """Each has a heading; the last line before the notes says which is best, by the numbers shown."""
    writer.will_say(variants(TEXT, "Norr, the oak desk, oiled by hand. See it today."))
    told = copykit("--variants", "2", "--key-point", "Oiled by hand")
    headings = [line for line in told.stdout.splitlines() if line.startswith("variant ")]
    assert headings[:2] == ["variant 1", "variant 2"]
    assert " best first: variant 2 ok, variant 1 ok" in told.stdout.splitlines()


def test_a_text_of_several_lines_stands_under_its_name(writer: Streaming) -> None:
    """So that a line that begins at the edge always begins something new."""
    writer.will_say(variants("Norr, the oak desk.\nSee it today."))
    assert "  Norr, the oak desk.\n  See it today.\n" in copykit().stdout


def test_with_json_each_event_is_a_line(writer: Streaming) -> None:
    """Nothing else is on standard output, and letters stay letters."""
    writer.will_say(variants("Norr, the oak desk – 見て. See it today."))
    told = copykit("--json")
    events = [json.loads(line) for line in told.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "started"
    assert set(kinds[1:-2]) == {"delta"}
    assert kinds[-2:] == ["field", "finished"]
    assert "".join(e["text"] for e in events if e["event"] == "delta") == events[-2]["text"]
    assert events[-1]["output"]["receipt"]["served_by"] == "streaming:streaming-1"
    assert events[-1]["order"] in ([0], [])
    assert "見て" in told.stdout


def test_a_rejected_result_has_status_one(writer: Streaming) -> None:
    """As without ``--stream``."""
    writer.will_say(variants("Norr for 99 EUR."), again("Norr for 98 EUR."))
    told = copykit()
    assert told.exit_code == 1
    assert " rejected" in told.stdout.splitlines()


def test_a_failure_has_the_status_and_the_words_of_generate(writer: Streaming) -> None:
    """One line on standard error; with ``--json`` it is the last event too; what was tried is told when it fails."""
    writer.will_say(ProviderUnavailable("down", status=503, retryable=False))
    told = copykit()
    plain = CliRunner(env={"COPYKIT_PROVIDERS": "streaming"}).invoke(app, ("generate", *BRIEF))
    assert (told.exit_code, told.stderr) == (plain.exit_code, plain.stderr)
    assert told.exit_code == 2
    assert " streaming: provider_unavailable after 0.0 s" in told.stdout.splitlines()
    last = json.loads(copykit("--json").stdout.splitlines()[-1])
    assert (last["event"], last["error"]["code"]) == ("failed", "provider_failed")


def test_what_was_shown_before_a_failure_is_no_result(writer: Streaming) -> None:
    """A stream that breaks after a whole text says so."""
    writer.breaks = 12
    writer.will_say(variants(TEXT, "Norr, and more of it than will ever come."))
    told = copykit("--variants", "2")
    assert told.exit_code == 2
    assert told.stdout.splitlines()[-1] == " what was shown is no result"


@pytest.mark.parametrize(
    ("words", "environment", "status"),
    [
        (("--platform", "instgram"), {}, 2),
        (("--variants", "99"), {}, 2),
        (("--plain",), {}, 2),
        ((), {"COPYKIT_CACHE_ENTRIES": "many"}, 78),
    ],
)
def test_mistakes_have_the_status_of_generate(
    writer: Streaming, words: tuple[str, ...], environment: dict[str, str], status: int
) -> None:
    """Whether they are seen before the stream or by it."""
    told = copykit(*words, **environment)
    assert told.exit_code == status
    assert told.stderr.count("\n") == 1


def test_a_terminal_obeys_no_model(writer: Streaming) -> None:
    """Control characters are shown by their numbers, marks that turn the direction not at all."""
    writer.will_say(variants("Norr\x1b[2J\x9b1m, the \u202eoak\u202c desk.\rSee it today."))
    shown = copykit().stdout
    assert r"Norr\x1b[2J\x9b1m, the oak desk.\x0dSee it today." in shown
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown)


@pytest.mark.parametrize(
    ("bill", "words"),
    [
        (Bill(0.0, 1, capped=False, free=True), "nothing was billed"),
        (Bill(0.25, 0, capped=False, free=False), "billed so far: 0.25 USD"),
        (Bill(0.25, 1, capped=False, free=False), "0.25 USD, and a call cut off, whose cost nobody told"),
        (
            Bill(0.25, 2, capped=True, free=False),
            "at most 0.25 USD, with 2 calls of unknown cost at the worst",
        ),
    ],
)
def test_a_bill_says_what_is_not_known(bill: Bill, words: str) -> None:
    """A sum that leaves a call out is never told as the whole."""
    assert words in str(bill)


# -- processes -----------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def piece(text: str | None, **more: Any) -> bytes:
    """Give one event of OpenAI's protocol."""
    delta = {} if text is None else {"content": text}
    choices = [{"index": 0, "delta": delta, "finish_reason": None if text is not None else "stop"}]
    return f"data: {json.dumps({'id': 'c', 'model': 'slow-1', 'choices': choices, **more})}\n\n".encode()


def slow(text: str, *, hangs_at: int | None = None) -> Step:
    """Stream an answer in pieces of six characters; silent from the piece *hangs_at* on."""
    pieces = [piece(text[at : at + 6]) for at in range(0, len(text), 6)]
    if hangs_at is not None:
        return Step((HEAD, *pieces[:hangs_at]), "hang")
    acts = [act for one in pieces for act in (one, 0.01)]
    return Step((HEAD, *acts, piece(None), b"data: [DONE]\n\n"), "close")


def environment(server: ScriptedServer, folder: Path, **more: str) -> dict[str, str]:
    """Name the server as the only target."""
    return {
        **os.environ,
        "PWD": str(folder),
        "COPYKIT_PROVIDERS": "openai:gpt-6-luna",
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "OPENAI_API_KEY": "sk-loopback-0123456789",
        **more,
    }


async def started(
    folder: Path, given: dict[str, str], *words: str, **streams: Any
) -> asyncio.subprocess.Process:
    """Start the command as a program of its own."""
    arguments = ("-m", "copykit", "generate", *BRIEF, *words)
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=given, cwd=folder, start_new_session=True, **streams
    )


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="the system has no signals of this kind")
@pytest.mark.parametrize("words", [("--stream", "--json"), ()], ids=["json", "whole"])
def test_ctrl_c_closes_the_connection_and_tells_the_bill(tmp_path: Path, words: tuple[str, ...]) -> None:
    """The provider sees its client leave, the status is 130, and a call of unknown cost is told as one."""
    import signal

    async def story() -> tuple[int, str, str]:
        text = variants(TEXT, TEXT)
        async with ScriptedServer([slow(text, hangs_at=12)]) as server:
            pipe = asyncio.subprocess.PIPE
            child = await started(tmp_path, environment(server, tmp_path), *words, stdout=pipe, stderr=pipe)
            assert child.stdout is not None
            seen = b""
            if words:
                while TEXT.encode() not in seen:
                    seen += await child.stdout.readline()
            await server.until(lambda: server.open == 1)
            await asyncio.sleep(0 if words else 0.5)
            child.send_signal(signal.SIGINT)
            await server.until(lambda: server.open == 0)
            out, err = await child.communicate()
            assert child.returncode is not None
            return child.returncode, (seen + out).decode(), err.decode()

    status, out, err = asyncio.run(story())
    assert status == 130
    assert "Traceback" not in err
    if "--json" in words:
        told = {"event": "interrupted", "billed_usd": 0.0, "calls_of_unknown_cost": 1}
        assert json.loads(out.splitlines()[-1]) == told
    else:
        assert err.splitlines()[-1] == (
            "interrupted, the connection is closed; billed so far: 0 USD, and a call cut off, whose cost nobody told"
        )


def test_a_reader_that_leaves_closes_the_connection(tmp_path: Path) -> None:
    """``copykit generate --stream --json | head -1`` ends at its next event, without a traceback."""

    async def story() -> tuple[int | None, str]:
        steps = [slow(variants(TEXT * 8))]
        async with ScriptedServer(steps) as server:
            pipe = asyncio.subprocess.PIPE
            given = environment(server, tmp_path)
            child = await started(tmp_path, given, "--stream", "--json", stdout=pipe, stderr=pipe)
            assert child.stdout is not None
            assert child.stderr is not None
            await child.stdout.readline()
            child.stdout._transport.close()  # type: ignore[attr-defined]
            err = await child.stderr.read()
            await server.until(lambda: server.open == 0)
            return await child.wait(), err.decode()

    status, err = asyncio.run(story())
    assert status == 1
    assert "Traceback" not in err
    assert "Exception ignored" not in err


TERMINAL = """
import fcntl, os, struct, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", {lines}, {columns}, 0, 0))
os.execv(sys.executable, [sys.executable, "-m", "copykit", *sys.argv[1:]])
"""


class Screen:
    """A program under a terminal of its own: what it draws, and keys for it."""

    def __init__(self, columns: int, lines: int) -> None:
        self.program = TERMINAL.format(columns=columns, lines=lines)
        self.columns = columns
        self.drawn = ""
        self._raw = b""
        self._news = asyncio.Event()
        self._over = asyncio.Event()

    async def run(self, words: tuple[str, ...], given: dict[str, str], folder: Path) -> None:
        """Start ``copykit`` with *words*."""
        self.keys, end = os.openpty()
        given = {k: v for k, v in given.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")}
        self.child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", self.program, *words,
            stdin=end, stdout=end, stderr=end, start_new_session=True, cwd=folder,
            env={**given, "TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(end)
        asyncio.get_running_loop().add_reader(self.keys, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self.keys, 65536)
        except OSError:  # the program has ended
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self.keys)
            self._over.set()
        self._raw += data
        self.drawn = self._raw.decode(errors="ignore")
        self._news.set()

    async def until(self, text: str) -> None:
        """Wait until *text* was drawn."""
        async with asyncio.timeout(60):
            while text not in self.drawn:
                self._news.clear()
                await self._news.wait()

    async def ended(self) -> int:
        """Wait for the program's end, and for all that it drew; give its status."""
        async with asyncio.timeout(60):
            await self._over.wait()
            status = await self.child.wait()
        os.close(self.keys)
        return status

    @property
    def left(self) -> list[str]:
        """The lines that stay when everything was drawn."""
        return played(self.drawn)


def played(drawn: str) -> list[str]:
    """Play what rich sends: lines, moves up, erasures; give the screen's lines without colours."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", drawn):
        if part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part.endswith("A") and part.startswith("\x1b["):
            row = max(0, row - int(part[2:-1] or 1))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column] + part
            column += len(part)
    return [line.rstrip() for line in lines if line.strip()]


pseudo = pytest.mark.skipif(not hasattr(os, "openpty"), reason="the system has no pseudo terminals")


def at(server: ScriptedServer, folder: Path) -> dict[str, str]:
    """Name the server as a free target."""
    return environment(
        server, folder, COPYKIT_PROVIDERS="local:slow-1", COPYKIT_LOCAL_BASE_URL=f"{server.url}/v1"
    )


@pseudo
@pytest.mark.parametrize(
    ("language", "columns", "text", "other"),
    [
        ("en", 80, TEXT, "Norr, the oak desk. See it soon."),
        ("ar", 40, "نور، مكتب من خشب البلوط. اكتشفه اليوم.", "نور، مكتب من خشب البلوط. تعرف عليه."),
        (
            "ja",
            24,
            "ノール、オーク材のデスク。今日ご覧ください。",
            "ノール、オーク材のデスク。ぜひご覧ください。",
        ),
    ],
)
def test_on_a_terminal_copy_grows_in_place(
    tmp_path: Path, language: str, columns: int, text: str, other: str
) -> None:
    """While it is written there is a mark before it, a tick when it is whole; the result alone stays on the screen."""

    async def story() -> tuple[int, Screen]:
        async with ScriptedServer([slow(variants(text, other))]) as server:
            screen = Screen(columns, 24)
            words = ("generate", *BRIEF, "--stream", "--variants", "2", "--language", language)
            await screen.run(words, at(server, tmp_path), tmp_path)
            await screen.until("receipt:")
            return await screen.ended(), screen

    status, screen = asyncio.run(story())
    assert status == 0, screen.drawn
    assert "› text" in screen.drawn
    assert "✓ text" in screen.drawn
    assert "variant 2 of 2" in screen.drawn
    left = screen.left
    assert sum(line.startswith(("1 of 2", "2 of 2")) for line in left) == 2
    assert not any("✓" in line or "›" in line or "variant" in line for line in left)
    joined = "".join("".join(line.split()) for line in left)
    for word in (text if language == "ja" else text.replace(" ", "")).split():
        assert language != "en" or word in joined


@pseudo
def test_more_copy_than_lines_shows_its_end(tmp_path: Path) -> None:
    """A terminal of eight lines: the text being written is always in sight, and nothing is left behind."""

    async def story() -> tuple[int, Screen]:
        fields = {
            "headlines": [f"Norr, oak desk number {n}" for n in "abcdefghijklmno"],
            "descriptions": ["Norr, the oak desk. See it today."] * 2,
        }
        async with ScriptedServer([slow(json.dumps({"variants": [{"fields": fields}]}))]) as server:
            screen = Screen(60, 8)
            words = ("generate", *BRIEF[:3], "--platform", "google_ads.rsa", "--stream")
            await screen.run(words, at(server, tmp_path), tmp_path)
            await screen.until("receipt:")
            return await screen.ended(), screen

    status, screen = asyncio.run(story())
    assert status in (0, 1), screen.drawn
    assert "› headlines 15" in screen.drawn or "✓ headlines 15" in screen.drawn
    assert sum("receipt:" in line for line in screen.left) == 1
    assert not any(line.startswith("google_ads.rsa · en · ") for line in screen.left)


@pseudo
def test_ctrl_c_on_a_terminal_leaves_what_had_come(tmp_path: Path) -> None:
    """The key itself: the connection is closed, the status is 130, the screen says that it is no result."""

    async def story() -> tuple[int, Screen]:
        async with ScriptedServer([slow(variants(TEXT, TEXT), hangs_at=12)]) as server:
            screen = Screen(80, 24)
            words = ("generate", *BRIEF, "--stream", "--variants", "2")
            await screen.run(words, at(server, tmp_path), tmp_path)
            await screen.until("✓ text")
            os.write(screen.keys, b"\x03")
            await server.until(lambda: server.open == 0)
            return await screen.ended(), screen

    status, screen = asyncio.run(story())
    assert status == 130
    left = screen.left
    assert "what had come, which is no result:" in left
    assert any(TEXT in line for line in left)
    assert "nothing was billed: these targets are free" in "".join(left)
