"""Eight secrets planted in the environment of a real server with two workers: none of them is written anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

for package in (
    "sse_starlette",
    "prometheus_client",
    "structlog",
    "aiosqlite",
    "uvicorn",
    "limits",
    "sqlalchemy",
):
    pytest.importorskip(package, reason="needs the extra server")
pytest.importorskip("redis", reason="needs the extra redis")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otel")

BRIEF = {"product_name": "Norr", "product_description": "Oak desk, oiled by hand", "target_platform": "x"}
NOBODY = "http://127.0.0.1:9/v1"
PLANTED = {
    "API_KEY": "Vq7xK2mZp9Wc4RtY8bNd3LsF6hJgA1eQ_u",
    "OPENAI_API_KEY": "sk-proj-planted0openai0planted0",
    "ANTHROPIC_API_KEY": "sk-ant-planted1anthropic1planted1",
    "GOOGLE_API_KEY": "AIzaSyPlanted2google2planted2",
    "OPENROUTER_API_KEY": "sk-or-planted3openrouter3planted3",
    "COPYKIT_KEY_PEPPER": "planted4 pepper of plain words".replace(" ", "-"),
    "COPYKIT_LIMITS_URL": "redis://:planted5redispassword5@127.0.0.1:9/0",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20planted6collector6",
}
SECRETS = (
    *(value for name, value in PLANTED.items() if not name.endswith(("URL", "HEADERS"))),
    "planted5redispassword5",
    "planted6collector6",
)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run a server with all of it, at the level that tells most; gives its address."""
    environment = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME")},
        **PLANTED,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TMPDIR": str(folder / "tmp"),
        "COPYKIT_DATA_DIR": str(folder / "data"),
        "COPYKIT_PROVIDERS": "openai,anthropic,google,openrouter,phrasebank",
        "OPENAI_BASE_URL": NOBODY,
        "ANTHROPIC_BASE_URL": NOBODY,
        "GOOGLE_GEMINI_BASE_URL": NOBODY,
        "OPENROUTER_BASE_URL": NOBODY,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }
    (folder / "tmp").mkdir()
    command = [sys.executable, "-m", "copykit", "run", "--port", "0", "--workers", "2"]
    command += ["--log-format", "json", "--log-level", "debug", "--json"]
    with (
        (folder / "err").open("w") as errors,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as server,
    ):
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line, (folder / "err").read_text()
            (folder / "out").write_text(line)
            yield json.loads(line)["url"]
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=60) == 0
        finally:
            server.kill()


def ask(client: httpx2.Client, told: list[str]) -> None:
    """Ask for everything that could tell a secret, rightly and wrongly."""
    key = {"x-api-key": PLANTED["API_KEY"]}
    wrong: list[dict[str, Any]] = [
        {"headers": {"x-api-key": PLANTED["API_KEY"][:-1] + "x"}},
        {"headers": {"authorization": f"Basic {PLANTED['OPENAI_API_KEY']}"}},
        {"headers": {**key, "x-request-id": PLANTED["API_KEY"]}},
        {"headers": key, "params": {"key": PLANTED["API_KEY"], "token": PLANTED["OPENAI_API_KEY"]}},
        {"headers": {**key, "idempotency-key": "once"}},
        {"headers": {**key, "x-request-timeout-ms": "soon"}},
        {"headers": {**key, "content-type": "application/json"}, "content": b"{", "json": None},
        {"headers": {**key, "cookie": f"session={PLANTED['GOOGLE_API_KEY']}"}},
    ]
    answers = [
        client.post("/v11/generate", **{"json": {**BRIEF, "product_name": f"Norr {at}"}, **options})
        for at, options in enumerate(wrong)
    ]
    answers.append(client.post("/v11/batch-generate", headers=key, json=[BRIEF, {"wrong": True}]))
    answers.append(client.post("/v11/generate/stream", headers=key, json=BRIEF))
    for path in (
        "/health",
        "/config",
        "/metrics",
        "/metrics/prometheus",
        "/v11/performance-stats",
        "/v11/cache/stats",
        "/optimization/report",
        "/openapi.json",
        "/nope",
    ):
        answers += [client.get(path, headers=key) for _ in range(4)]  # both workers
    assert {answer.status_code for answer in answers} >= {200, 400, 401, 404, 422}
    assert 500 not in {answer.status_code for answer in answers}
    # a request's own number comes back in its own answer: that is the client's to choose
    told += [answer.text for answer in answers if "x-request-id" not in answer.request.headers]
    told += [
        str(value) for answer in answers for name, value in answer.headers.items() if name != "x-request-id"
    ]


def test_no_planted_secret_is_written(tmp_path: Path) -> None:
    """Not in an answer, a header, a log line at DEBUG, a figure, the store or any other file: 0 of 8."""
    told: list[str] = []
    with served(tmp_path) as url, httpx2.Client(base_url=url, timeout=60) as client:
        ask(client, told)
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len((tmp_path / "err").read_text().splitlines()) > 40
    names = {path.name for path in written}
    assert {"err", "out", "server.sqlite"} <= names
    found = [
        (secret[:12], where)
        for secret in SECRETS
        for where, text in (
            *((path.name, data) for path, data in written.items()),
            *(("answer", t.encode()) for t in told),
        )
        if secret.encode() in text
    ]
    assert found == []
    assert "oiled by hand" not in (tmp_path / "err").read_text()  # nor what clients and models write
    for line in (tmp_path / "err").read_text().splitlines()[2:]:
        if line.startswith("{"):
            assert json.loads(line)["event"]
