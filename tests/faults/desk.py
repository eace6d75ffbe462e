"""A real server on a free port of this machine, with keys of two tenants, for clients that are broken or mean no good.

It is the server that ``copykit run`` starts, in a thread of this process; `Process` is that command itself. Both keep all
that they tell, so that a fault can end by looking for what must not be told.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx2

from copykit import CopywritingServiceV11, Settings, register_provider
from copykit.brief.prompt import Prompt
from copykit.models import Usage
from copykit.providers.base import Completion
from copykit.providers.registry import unregister_provider
from copykit.settings import RoutingSettings, Secret
from copykit.testing import FakeProvider

from .over_http import SERVER_KEY
from .stage import NotHere, Stage
from .vendors import COPY

__all__ = ["BRIEF", "HEAD", "Desk", "Process", "fold", "problem", "serving", "usual"]

BRIEF = {"product_description": "Standing desk, oiled oak, 120 x 60 cm", "target_platform": "x"}
PEPPER = "pepper-canary-7d20f4e1b85c963a-0f2e"
HEAD = b"POST /v11/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: %s\r\n" % SERVER_KEY.encode()
REFUSALS = range(400, 499)
"""Statuses that are counted on both sides: 499 is told to nobody."""


class Metered(FakeProvider):
    """A model whose calls cost at worst what they cost: 0.0011 USD; *hold* keeps every answer back until it is set."""

    timeout_s = 30.0

    def __init__(self) -> None:
        super().__init__("metered", "metered-1")
        self.calls = 0
        self.hold = threading.Event()
        self.hold.set()

    async def complete(self, prompt: Prompt) -> Completion:
        """Answer, once it may."""
        self.calls += 1
        while not self.hold.is_set():  # noqa: ASYNC110 -- it is set by another thread
            await asyncio.sleep(0.01)
        usage = Usage(input_tokens=1_000, output_tokens=100)
        return Completion(text=COPY, model=self.model, usage=usage)

    def model_of(self, prompt: Prompt) -> str:
        """One model, whatever is asked."""
        return self.model

    def most(self, prompt: Prompt) -> tuple[int, int]:
        """The bounds of every call."""
        return 1_000, 100


CALL_USD = 0.0011


class Pouring(Metered):
    """A model that writes one long text, in pieces; counts what was taken of it."""

    most = 1_000_000

    def __init__(self) -> None:
        super().__init__()
        self.poured = self.begun = 0

    async def stream(self, prompt: Prompt) -> AsyncIterator[str | Completion]:
        """Give the pieces, and last the whole."""
        self.begun += 1
        most = self.most if self.begun > 1 else 1_000
        yield '{"variants": [{"fields": {"text": "'
        for _ in range(most // 1_000):
            self.poured += 1_000
            yield "Oak desk. " * 100
            await asyncio.sleep(0)
        yield '"}}]}'
        text = '{"variants": [{"fields": {"text": "%s"}}]}' % ("Oak desk. " * (most // 10))
        yield Completion(text=text, model=self.model, usage=Usage(input_tokens=1_000, output_tokens=100))


class Desk:
    """One server, and its clients.

    Args:
        stage: takes down what it tells.
        targets: who writes.
        server: settings other than a free port, the operator's key and no bounds of rates.
    """

    def __init__(
        self, stage: Stage, *targets: str, routing: Mapping[str, Any] | None = None, **server: Any
    ) -> None:
        from copykit.server import ServerSettings
        from copykit.server.config import file_url

        self._held = ExitStack()
        self._stage = stage
        self.folder = Path(self._held.enter_context(tempfile.TemporaryDirectory()))
        self.keys = {"operator": SERVER_KEY}
        self.model, self.pouring = Metered(), Pouring()
        given = {
            "drain_s": 1.0,
            "rate": "",
            "ip_rate": "",
            "failure_rate": "",
            "key": Secret(SERVER_KEY),
            **server,
        }
        self.settings = ServerSettings(
            store_url=file_url(self.folder), pepper=Secret(PEPPER), port=0, **given
        )
        self.routing = RoutingSettings(
            targets or ("phrasebank",), prices={"metered": {"input": 1.0, "output": 1.0}}, **(routing or {})
        )
        self.told: list[str] = []
        """Every answer, head and body."""
        self.statuses: list[int] = []
        """Of every answer: what is refused is held against the server's own figures at the end."""

    def __enter__(self) -> Desk:
        from copykit.server import create_app
        from copykit.server.process.serving import Serving

        class OfThread(Serving):
            """Ends with its thread: the process that it would end at its last moment is the tests' own."""

            def _watch(self) -> None:
                pass

        register_provider("metered", lambda: self.model)
        self._held.callback(unregister_provider, "metered")
        register_provider("pouring", lambda: self.pouring)
        self._held.callback(unregister_provider, "pouring")
        asyncio.run(self._make_keys())
        service = CopywritingServiceV11(Settings(routing=self.routing))
        app = create_app(server=self.settings, service=service)
        self.listening = self._held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        self.port = self.listening.getsockname()[1]
        self._serving = OfThread(app, self.settings)
        self._thread = threading.Thread(target=lambda: self._serving.run([self.listening]), daemon=True)
        self._thread.start()
        self.client = self._held.enter_context(
            httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60.0)
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.model.hold.set()
        counted: Counter[int] = Counter()
        with suppress(httpx2.HTTPError):
            if kind is None:
                for path in (
                    "/metrics",
                    "/metrics/prometheus",
                    "/health",
                    "/config",
                    "/v11/performance-stats",
                ):
                    self.ask("GET", path)
                counted = self._refusals_counted()
        self._serving.leave()
        self._thread.join(30)
        files = [path.read_bytes().decode("latin-1") for path in self.folder.rglob("*") if path.is_file()]
        self._stage.secrets |= {f"{name} key of the server": key for name, key in self.keys.items()}
        self._stage.secrets["pepper"] = PEPPER
        told = self._stage.told
        told["answers of the server"] = told.get("answers of the server", []) + self.told
        told["files of the server"] = told.get("files of the server", []) + files
        self._held.close()
        if kind is None:
            assert not self._thread.is_alive(), "the server does not end"
            assert 500 not in self.statuses, "a status that is never planned"
            assert "Traceback" not in "".join(self.told), "a traceback was told"
            got = Counter(status for status in self.statuses if status in REFUSALS)
            assert counted == got, f"the figures have {counted}, clients were told {got}"

    def _refusals_counted(self) -> Counter[int]:
        """Give how many answers of each status the server's figures have, of those that refuse."""
        counted: Counter[int] = Counter()
        told = self._serving.config.app.state.answers.metered.figures.text().decode()
        for labels, value in re.findall(r"^copykit_http_requests_total\{(.*?)\} (\S+)$", told, re.MULTILINE):
            status = re.search(r'status="(\d+)"', labels)
            if status is not None and int(status[1]) in REFUSALS:
                counted[int(status[1])] += int(float(value))
        return counted

    async def _make_keys(self) -> None:
        from copykit.server.doors.keybook import KeyBook
        from copykit.server.kept.store import Store

        kept = Store(self.settings.store_url or "")
        await kept.open()
        book = KeyBook(kept, Secret(PEPPER))
        for name in ("ann", "bob"):
            made = await book.create(tenant=name, scopes=("generate", "batch", "read", "admin"))
            self.keys[name] = made[1]
        for scope in ("generate", "batch", "read", "admin"):
            self.keys[scope] = (await book.create(scopes=(scope,)))[1]
        self.keys["revoked"] = (await book.create())[1]
        await book.revoke(self.keys["revoked"].split("_")[2])
        await kept.aclose()

    async def key(self, **options: Any) -> str:
        """Make one more key while the server runs; gives its text, which counts as planted."""
        from copykit.server.doors.keybook import KeyBook
        from copykit.server.kept.store import Store

        kept = Store(self.settings.store_url or "")
        await kept.open()
        made = await KeyBook(kept, Secret(PEPPER)).create(**options)
        await kept.aclose()
        self.keys[f"key {len(self.keys)}"] = made[1]
        await asyncio.sleep(1.2)  # every worker has looked at the store by then
        return made[1]

    def ask(
        self,
        method: str = "POST",
        path: str = "/v11/generate",
        body: Any = None,
        *,
        key: str | None = "operator",
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Send one request with the key of that name, or with *key* itself; None for none."""
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        sent = {} if content is None else {"content-type": "application/json"}
        if key is not None:
            sent["x-api-key"] = self.keys.get(key, key)
        answer = self.client.request(method, path, content=content, headers={**sent, **(headers or {})})
        self.keep(answer)
        return answer

    def keep(self, answer: httpx2.Response) -> None:
        """Take down an answer."""
        self.statuses.append(answer.status_code)
        self.told.append(f"{dict(answer.headers)}\n{answer.text}")

    def connect(self) -> socket.socket:
        """Open a connection of one's own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def say(self, data: bytes, *, wait_s: float = 10.0) -> tuple[list[int], bytes, bool]:
        """Send *data* as it is; gives the statuses that came, all bytes, and whether the server closed."""
        with self.connect() as one:
            one.settimeout(wait_s)
            with suppress(OSError):
                one.sendall(data)
            got, closed = b"", False
            with suppress(TimeoutError):
                while True:
                    try:
                        piece = one.recv(65_536)
                    except ConnectionError:
                        piece = b""
                    if not piece:
                        closed = True
                        break
                    got += piece
        return self.heard(got), got, closed

    def heard(self, got: bytes) -> list[int]:
        """Take down answers as they came over a connection; gives their statuses. What is refused is a problem."""
        self.told.append(got.decode("latin-1"))
        found = []
        for one in re.split(rb"(?=HTTP/1\.1 \d{3} )", got)[1:]:
            head, _, body = one.partition(b"\r\n\r\n")
            found.append(status := int(head[9:12]))
            if status >= 400:
                assert b"\r\ncontent-type: application/problem+json" in head, one
                told = json.loads(body)
                assert told["status"] == status, one
                assert set(told) >= {"code", "detail", "retryable", "title", "type"}, one
                assert f"\r\nx-request-id: {told['request_id']}".encode() in head, one
        self.statuses += found
        return found

    def figure(self, name: str, **labels: str) -> float:
        """Give one figure of the Prometheus text; 0 if there is none."""
        wanted = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
        for line in self.ask("GET", "/metrics/prometheus").text.splitlines():
            head, _, value = line.rpartition(" ")
            base, _, rest = head.partition("{")
            if base == name and ",".join(sorted(rest.rstrip("}").split(","))) == wanted:
                return float(value)
        return 0.0


def problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Hold an answer against what the catalogue says of it; gives the problem."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text[:300]}"
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert (told["code"], told["status"]) == (code, status), told
    assert told["request_id"] == answer.headers["x-request-id"]
    assert isinstance(told["retryable"], bool)
    return told


def usual(name: str) -> Any:
    """Give what a setting of the server is where nobody sets it: a story that plays with a shorter one says so by this."""
    from copykit.server import ServerSettings

    return next(field.default for field in fields(ServerSettings) if field.name == name)


def fold(work: Callable[[], Any]) -> tuple[Any, float]:
    """Do *work*; gives what it gave and the seconds that it took."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def serving(stage: Stage, *targets: str, **server: Any) -> Desk:
    """Give a server for a ``with`` block, or say why there is none here."""
    try:
        import aiosqlite  # noqa: F401
        import sse_starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise NotHere("needs the extra server") from error
    if not _WARM:
        _WARM.append(True)
        with Desk(stage) as first:
            first.ask(body=BRIEF)
        stage.files_are_all_open()
    return Desk(stage, *targets, **server)


_WARM: list[bool] = []
"""Whether a server ran in this process before: the first one makes libraries open what they keep."""


class Process:
    """``copykit run`` itself, or another command line of it, in a folder of its own."""

    def __init__(
        self, stage: Stage, *words: str, toml: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        self._stage = stage
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        if toml:
            (self.folder / "copykit.toml").write_text(toml)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not re.match(r"COPYKIT_|.*API_KEY|OPENAI_|ANTHROPIC_|GOOGLE_|OTEL_|.*_PROXY", name)
        }
        self.environment = {**kept, "COPYKIT_DATA_DIR": str(self.folder), **(environment or {})}
        self.command = [sys.executable, "-m", "copykit", *words]

    def end(self, *, within_s: float = 60.0) -> tuple[int, str, float]:
        """Run it to its end; gives status, all it said, and the seconds that it took."""
        try:
            began = time.perf_counter()
            done = subprocess.run(
                self.command,
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=within_s,
            )
            took_s = time.perf_counter() - began
        finally:
            self._folder.cleanup()
        said = done.stdout + done.stderr
        self._stage.told["words of the command"] = [*self._stage.told.get("words of the command", []), said]
        assert "Traceback" not in said, said
        return done.returncode, said, took_s

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Run it while the block runs; gives its address."""
        log = self.folder / "said"
        with log.open("w") as written:
            process = subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdout=written, stderr=written
            )
        try:
            until = time.monotonic() + 60.0
            while (found := re.search(r"listens on (http://\S+)", log.read_text())) is None:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, "the server does not begin"
                time.sleep(0.05)
            self.process = process
            yield found.group(1)
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()
            said = log.read_text()
            self._stage.told["words of the command"] = [
                *self._stage.told.get("words of the command", []),
                said,
            ]
            self._folder.cleanup()
