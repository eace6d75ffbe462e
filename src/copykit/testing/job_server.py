"""A vendor on loopback that takes batch jobs and single calls, for tests of what submits them.

::

    async with JobServer("openai", write=lambda body: '{"variants": [...]}') as vendor:
        settings = ProvidersSettings(openai_key=Secret("sk-x"), openai_base_url=vendor.base_url)
        ...
        vendor.jobs[0].state = "completed"
    assert vendor.live == []

What a job does is set on the server before it is submitted (`polls`, `fates`, `strangers` ...), or on its entry in
`jobs` at any time.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from copykit.testing.servers import Received, ScriptedServer, Step, answer, reset

__all__ = ["JobServer", "ServedJob"]

TOKENS = (100, 50)
"""What each answer says that it took: of the prompt, and of the answer."""
_OVER = {"openai": "completed", "anthropic": "ended", "google": "BATCH_STATE_SUCCEEDED"}
_OPEN = {"openai": "in_progress", "anthropic": "in_progress", "google": "BATCH_STATE_RUNNING"}
_CANCELLED = {"openai": "cancelled", "anthropic": "ended", "google": "BATCH_STATE_CANCELLED"}
_EXPIRED = {"openai": "expired", "anthropic": "ended", "google": "BATCH_STATE_EXPIRED"}
_CREATED = "2026-11-22T03:00:00Z"


@dataclass(slots=True)
class ServedJob:
    """One job as the server knows it."""

    id: str
    label: str
    requests: dict[str, dict[str, Any]]
    """Body of each request by its key."""
    state: str
    """In the vendor's own word."""
    polls: int
    """How often it is asked for until it is over."""
    fates: dict[str, str] = field(default_factory=dict)
    """What becomes of a request, by its key: ``ok`` if not named, ``error``, ``expired`` or ``missing``."""
    reason: str = ""


class JobServer:
    """Serves the batch jobs and the single calls of one vendor.

    Args:
        vendor: ``openai``, ``anthropic`` or ``google``.
        write: gives the text of an answer to a request's body.
        seed: of the order in which answers come.
    """

    def __init__(self, vendor: str, write: Callable[[dict[str, Any]], str], *, seed: int = 0) -> None:
        self.vendor = vendor
        self.write = write
        self.jobs: list[ServedJob] = []
        self.live: list[dict[str, Any]] = []
        """Bodies of the single calls."""
        self.polls = 1
        """How often a new job is asked for until it is over."""
        self.fates: Callable[[int, str], str] = lambda place, key: "ok"
        """What becomes of a request of a new job, by its place among all of them and its key."""
        self.strangers: list[str] = []
        """Keys of answers that every job gives though nobody asked."""
        self.twice = False
        """Whether each answer comes twice."""
        self.cuts = 0
        """How often results are cut in the middle before they come whole."""
        self.begins = 1
        """How many jobs one submission begins: 0 loses it, and the answer, like a connection that breaks."""
        self.loses_answers = 0
        """How many submissions are heard, and their answer lost."""
        self.refusals: list[Step] = []
        """Answers to the next requests, whatever they ask."""
        self._files: dict[str, bytes] = {}
        self._random = random.Random(seed)  # noqa: S311
        self._server = ScriptedServer(self._choose)
        self._taken = 0

    @property
    def base_url(self) -> str:
        """What the vendor's provider is given as its address."""
        return self._server.url + ("/v1" if self.vendor == "openai" else "")

    @property
    def requests(self) -> list[Received]:
        """Everything that was asked."""
        return self._server.requests

    async def __aenter__(self) -> JobServer:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *why: object) -> None:
        await self._server.__aexit__(*why)

    def _choose(self, asked: Received) -> Step:
        if self.refusals:
            return self.refusals.pop(0)
        path = urlsplit(asked.path).path
        query = {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}
        chosen: Step = getattr(self, f"_{self.vendor}")(asked, path, query)
        return chosen

    # what all of them do

    def _begin(self, label: str, requests: dict[str, dict[str, Any]], name: str) -> Step:
        for _ in range(self.begins):
            number = len(self.jobs) + 1
            fates = {key: self.fates(self._taken + at, key) for at, key in enumerate(requests)}
            job_id = name.format(number)
            self.jobs.append(ServedJob(job_id, label, requests, _OPEN[self.vendor], self.polls, fates))
        self._taken += len(requests)
        if not self.begins or self.loses_answers:
            self.loses_answers = max(0, self.loses_answers - 1)
            return reset()
        return answer(json=self._told(self.jobs[-1]))

    def _found(self, job_id: str) -> ServedJob | None:
        return next((job for job in self.jobs if job.id == job_id), None)

    def _asked_for(self, job: ServedJob) -> Step:
        if job.state == _OPEN[self.vendor]:
            job.polls -= 1
            if job.polls < 0:
                job.state = _OVER[self.vendor]
        return answer(json=self._told(job))

    def cancel(self, job: ServedJob) -> None:
        """End *job* as its owner would: what was not answered yet never is."""
        job.state = _CANCELLED[self.vendor]
        for key in list(job.requests)[len(job.requests) // 2 :]:
            job.fates[key] = "cancelled"

    def expire(self, job: ServedJob) -> None:
        """End *job* as time does: the second half of it was not come to."""
        job.state = _EXPIRED[self.vendor]
        for key in list(job.requests)[len(job.requests) // 2 :]:
            job.fates[key] = "expired"

    def fail(self, job: ServedJob, reason: str) -> None:
        """End *job* as a whole, before it began; Anthropic's jobs do not."""
        job.state = {"openai": "failed", "google": "BATCH_STATE_FAILED"}[self.vendor]
        job.reason = reason

    def _told(self, job: ServedJob) -> dict[str, Any]:
        told: dict[str, Any] = getattr(self, f"_{self.vendor}_job")(job)
        return told

    def _answers(self, job: ServedJob) -> list[tuple[str, str]]:
        """Give key and fate of each answer, in some order."""
        rows = [(key, job.fates.get(key, "ok")) for key in job.requests]
        rows = [row for row in rows if row[1] != "missing"] * (2 if self.twice else 1)
        rows += [(key, "ok") for key in self.strangers]
        self._random.shuffle(rows)
        return rows

    def _cut(self, body: bytes) -> bytes:
        if not self.cuts:
            return body
        self.cuts -= 1
        return body[: len(body) * 2 // 3 - 7]  # in the middle of a line

    def _text(self, body: Mapping[str, Any] | None) -> str:
        return self.write(dict(body or {}))

    # OpenAI

    def _openai(self, asked: Received, path: str, query: dict[str, str]) -> Step:
        if path == "/v1/chat/completions":
            self.live.append(asked.json())
            return answer(json=self._completion(asked.json()))
        if path == "/v1/files":
            name = f"file-{len(self._files) + 1}"
            self._files[name] = _file_in(asked)
            return answer(json={"id": name, "object": "file", "purpose": "batch"})
        if path.endswith("/content"):
            kind, _, job_id = path.split("/")[-2].partition("-")
            job = self._found(job_id)
            return (
                answer(404, json={}) if job is None else answer(body=self._cut(self._openai_lines(job, kind)))
            )
        if path == "/v1/batches" and asked.method == "POST":
            lines = map(json.loads, self._files[asked.json()["input_file_id"]].splitlines())
            requests = {line["custom_id"]: line["body"] for line in lines}
            return self._begin(asked.json()["metadata"]["label"], requests, "batch_{}")
        if path == "/v1/batches":
            rows = [self._openai_job(job) for job in reversed(self.jobs)]
            return answer(json={"object": "list", "data": rows, "has_more": False})
        job = self._found(path.split("/")[3])
        if job is None:
            return answer(404, json={"error": {"message": "No such batch", "code": "not_found"}})
        if path.endswith("/cancel"):
            self.cancel(job)
            return answer(json=self._openai_job(job))
        return self._asked_for(job)

    def _openai_job(self, job: ServedJob) -> dict[str, Any]:
        over = job.state in ("completed", "expired", "cancelled")
        lost = sum(fate in ("expired", "cancelled", "error") for fate in job.fates.values())
        counts = {"total": len(job.requests), "completed": len(job.requests) - lost, "failed": lost}
        told = {
            "id": job.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "created_at": 1795316400,
            "input_file_id": "file-1",
            "status": job.state,
            "metadata": {"label": job.label},
            "request_counts": counts if over else {"total": len(job.requests), "completed": 0, "failed": 0},
            "errors": {"object": "list", "data": [{"message": job.reason}]} if job.reason else None,
        }
        if over:
            told |= {"output_file_id": f"output-{job.id}", "error_file_id": f"error-{job.id}"}
        return told

    def _openai_lines(self, job: ServedJob, kind: str) -> bytes:
        lines = []
        for key, fate in self._answers(job):
            if (fate == "ok") != (kind == "output"):
                continue
            row: dict[str, Any] = {"id": f"batch_req_{key[:8]}", "custom_id": key, "error": None}
            if fate == "ok":
                body, status = self._completion(job.requests.get(key)), 200
            else:
                body, status = {"error": {"message": "too much of it", "code": "server_error"}}, 500
            row["response"] = {"status_code": status, "request_id": f"req_{key[:8]}", "body": body}
            if fate in ("expired", "cancelled"):
                row |= {"response": None, "error": {"code": f"batch_{fate}", "message": "not executed"}}
            lines.append(json.dumps(row).encode())
        return b"\n".join(lines) + (b"\n" if lines else b"")

    def _completion(self, body: dict[str, Any] | None) -> dict[str, Any]:
        message = {"role": "assistant", "content": self._text(body), "refusal": None}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1795316400,
            "model": (body or {}).get("model", "gpt-6-luna"),
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
            "usage": {
                "prompt_tokens": TOKENS[0],
                "completion_tokens": TOKENS[1],
                "total_tokens": sum(TOKENS),
            },
        }

    # Anthropic

    def _anthropic(self, asked: Received, path: str, query: dict[str, str]) -> Step:
        if path == "/v1/messages":
            self.live.append(asked.json())
            return answer(json=self._message(asked.json()))
        if path == "/v1/messages/batches" and asked.method == "POST":
            requests = {row["custom_id"]: row["params"] for row in asked.json()["requests"]}
            return self._begin("", requests, "msgbatch_{}")
        if path == "/v1/messages/batches":
            rows = [self._anthropic_job(job) for job in reversed(self.jobs)]
            return answer(json={"data": rows, "has_more": False, "first_id": None, "last_id": None})
        job = self._found(path.split("/")[4])
        if job is None:
            error = {"type": "not_found_error", "message": "no such batch"}
            return answer(404, json={"type": "error", "error": error})
        if path.endswith("/cancel"):
            self.cancel(job)
            return answer(json=self._anthropic_job(job))
        if path.endswith("/results"):
            return answer(body=self._cut(self._anthropic_lines(job)))
        return self._asked_for(job)

    def _anthropic_job(self, job: ServedJob) -> dict[str, Any]:
        over = job.state == "ended"
        fates = [job.fates.get(key, "ok") if over else "processing" for key in job.requests]
        names = {"ok": "succeeded", "error": "errored", "cancelled": "canceled", "missing": "succeeded"}
        fates = [names.get(fate, fate) for fate in fates]
        kinds = ("processing", "succeeded", "errored", "canceled", "expired")
        return {
            "id": job.id,
            "type": "message_batch",
            "processing_status": job.state,
            "request_counts": {kind: fates.count(kind) for kind in kinds},
            "created_at": "2099-01-01T00:00:00Z",
            "expires_at": "2099-01-02T00:00:00Z",
            "results_url": f"https://api.anthropic.com/v1/messages/batches/{job.id}/results"
            if over
            else None,
        }

    def _anthropic_lines(self, job: ServedJob) -> bytes:
        lines = []
        for key, fate in self._answers(job):
            result: dict[str, Any] = {"type": {"cancelled": "canceled"}.get(fate, fate)}
            if fate == "ok":
                result = {"type": "succeeded", "message": self._message(job.requests.get(key))}
            elif fate == "error":
                told = {"type": "error", "error": {"type": "api_error", "message": "too much of it"}}
                result = {"type": "errored", "error": told}
            lines.append(json.dumps({"custom_id": key, "result": result}).encode())
        return b"\n".join(lines) + b"\n"

    def _message(self, body: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": (body or {}).get("model", "claude-haiku-5-5"),
            "content": [{"type": "text", "text": self._text(body)}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": TOKENS[0], "output_tokens": TOKENS[1]},
        }

    # Google

    def _google(self, asked: Received, path: str, query: dict[str, str]) -> Step:
        if path.endswith(":generateContent"):
            self.live.append(asked.json())
            return answer(json=self._content(asked.json()))
        if path.endswith(":batchGenerateContent"):
            batch = asked.json()["batch"]
            rows = batch["inputConfig"]["requests"]["requests"]
            requests = {row["metadata"]["key"]: row["request"] for row in rows}
            return self._begin(batch["displayName"], requests, "batches/{}")
        if path == "/v1/batches":
            rows = [self._google_job(job) for job in reversed(self.jobs)]
            at = int(query.get("pageToken", "0"))
            size = int(query["pageSize"])
            more = {"nextPageToken": str(at + size)} if at + size < len(rows) else {}
            return answer(json={"operations": rows[at : at + size], **more})
        name, _, verb = path.removeprefix("/v1/").partition(":")
        job = self._found(name)
        if job is None:
            error = {"code": 404, "message": "not found", "status": "NOT_FOUND"}
            return answer(404, json={"error": error})
        if verb == "cancel":
            self.cancel(job)
            return answer(json={})
        chosen = self._asked_for(job)
        if self.cuts and job.state != _OPEN["google"]:
            self.cuts -= 1
            return reset(chosen, after=400)
        return chosen

    def _google_job(self, job: ServedJob) -> dict[str, Any]:
        over = job.state.endswith(("SUCCEEDED", "EXPIRED", "CANCELLED"))
        lost = sum(fate != "ok" for fate in job.fates.values())
        metadata: dict[str, Any] = {
            "displayName": job.label,
            "state": job.state,
            "createTime": _CREATED,
            "batchStats": {
                "requestCount": str(len(job.requests)),
                "successfulRequestCount": str(len(job.requests) - lost if over else 0),
            },
        }
        if over:
            rows = [self._google_answer(job, key, fate) for key, fate in self._answers(job)]
            rows = [row for row in rows if row is not None]
            metadata["output"] = {"inlinedResponses": {"inlinedResponses": rows}}
        told: dict[str, Any] = {"name": job.id, "metadata": metadata}
        if job.reason:
            told["error"] = {"code": 3, "message": job.reason}
        return told

    def _google_answer(self, job: ServedJob, key: str, fate: str) -> dict[str, Any] | None:
        if fate == "ok":
            return {"response": self._content(job.requests.get(key)), "metadata": {"key": key}}
        if fate == "error":
            return {"error": {"code": 13, "message": "too much of it"}, "metadata": {"key": key}}
        return None

    def _content(self, body: dict[str, Any] | None) -> dict[str, Any]:
        part = {"parts": [{"text": self._text(body)}], "role": "model"}
        return {
            "candidates": [{"content": part, "finishReason": "STOP", "index": 0}],
            "modelVersion": "gemini-3.8-flash",
            "responseId": "r-1",
            "usageMetadata": {
                "promptTokenCount": TOKENS[0],
                "candidatesTokenCount": TOKENS[1],
                "totalTokenCount": sum(TOKENS),
            },
        }


def _file_in(asked: Received) -> bytes:
    """Take the file out of a form, as strictly as a form is read."""
    found = re.fullmatch(r"multipart/form-data; boundary=(\w+)", asked.headers["content-type"])
    assert found is not None, asked.headers["content-type"]
    mark = b"--" + found[1].encode()
    start, *parts, end = asked.body.split(mark)
    assert (start, end) == (b"", b"--\r\n")
    fields = {}
    for part in parts:
        head, _, body = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="(\w+)"', head)
        assert name is not None
        fields[name[1]] = body.removesuffix(b"\r\n")
    assert fields[b"purpose"] == b"batch"
    return fields[b"file"]
