"""OpenAI's batch jobs: a file of requests goes up, a job runs it, and two files come back."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

from copykit.accel import json
from copykit.errors import ProviderProtocolError, ProviderUnavailable
from copykit.providers.base import BatchJob, Completion
from copykit.providers.jobs import RemoteJobs
from copykit.providers.remote import Call, count, listed, mapping, text_of

__all__ = ["OpenAIJobs"]

_STATES: dict[str, Any] = {
    "validating": "pending",
    "in_progress": "running",
    "finalizing": "running",
    "cancelling": "running",
    "completed": "ended",
    "failed": "failed",
    "expired": "expired",
    "cancelled": "cancelled",
}
_ENDPOINT = "/v1/chat/completions"
_PAGES = 20
"""Of the list of jobs, that are looked through for one; a hundred jobs each."""


class OpenAIJobs(RemoteJobs):
    """Batch jobs of chat completions."""

    def _item(self, key: str, call: Call) -> dict[str, Any]:
        return {"custom_id": key, "method": "POST", "url": _ENDPOINT, "body": call.body}

    def _read(self, answer: dict[str, Any]) -> Completion:
        failed = answer.get("error")
        if failed:
            told = mapping(failed, "the error")
            code = text_of(told.get("code"))
            if code in ("batch_expired", "batch_cancelled"):
                raise ProviderUnavailable(f"the batch job ended before it came to this request ({code})")
            raise self._remote._failure(500, {}, {"error": told})
        response = mapping(answer.get("response"), "the response")
        status, body = count(response.get("status_code")) or 0, response.get("body")
        if status != 200:
            raise self._remote._failure(status, {}, body)
        request_id = text_of(response.get("request_id"))
        return self._remote._read(mapping(body, "the answer"), {"x-request-id": request_id})

    async def _submit(self, requests: Sequence[bytes], model: str, label: str) -> Any:
        uploaded = await self._upload(requests, label)
        body = {
            "input_file_id": uploaded,
            "endpoint": _ENDPOINT,
            "completion_window": "24h",
            "metadata": {"label": label},
        }
        return (await self._send("/batches", json.dumps(body))).get("id")

    async def _upload(self, requests: Sequence[bytes], label: str) -> str:
        boundary = os.urandom(16).hex()
        field = f'--{boundary}\r\ncontent-disposition: form-data; name="'
        head = f'{field}purpose"\r\n\r\nbatch\r\n{field}file"; filename="{label}.jsonl"\r\n'
        kind = "content-type: application/octet-stream\r\n\r\n"
        body = b"".join(((head + kind).encode(), b"\n".join(requests), f"\n\r\n--{boundary}--\r\n".encode()))
        headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        uploaded = text_of((await self._send("/files", body, headers)).get("id"))
        if not uploaded:
            raise ProviderProtocolError("the uploaded file has no id")
        return uploaded

    async def _find(self, label: str, requests: int, since: float) -> list[str]:
        found: list[str] = []
        after = ""
        for _ in range(_PAGES):
            page = await self._ask("GET", f"/batches?limit=100{after}")
            rows = [mapping(row, "a job") for row in listed(page.get("data"), "the list of jobs")]
            for row in rows:
                metadata = row.get("metadata")
                if isinstance(metadata, dict) and metadata.get("label") == label:
                    found.append(text_of(row.get("id")))
            # newest first: what is older was begun by others
            if not rows or not page.get("has_more") or (count(rows[-1].get("created_at")) or 0) < since - 60:
                break
            after = "&after=" + quote(text_of(rows[-1].get("id")), safe="")
        return found

    def _path(self, job_id: str) -> str:
        return f"/batches/{quote(job_id, safe='')}"

    def _state(self, document: dict[str, Any]) -> BatchJob:
        told = text_of(document.get("status"))
        if told not in _STATES:
            raise ProviderProtocolError(f"a batch job in an unknown state, {told[:40]!r}")
        counts, errors = document.get("request_counts"), document.get("errors")
        counts = counts if isinstance(counts, dict) else {}
        rows = errors.get("data") if isinstance(errors, dict) else None
        reasons = [text_of(row.get("message")) for row in rows or [] if isinstance(row, dict)]
        return BatchJob(
            text_of(document.get("id")),
            _STATES[told],
            total=count(counts.get("total")),
            done=count(counts.get("completed")),
            failed=count(counts.get("failed")),
            reason="; ".join(filter(None, reasons[:3])),
        )

    async def _results(self, document: dict[str, Any]) -> AsyncIterator[tuple[str, bytes]]:
        for name in ("output_file_id", "error_file_id"):
            file_id = text_of(document.get(name))
            if not file_id:
                continue
            url = f"{self._remote.base_url}/files/{quote(file_id, safe='')}/content"
            async for result in self._lines(url):
                yield result
