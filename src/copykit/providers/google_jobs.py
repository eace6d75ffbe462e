"""Google's batches: requests and answers both stand in the job itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

from copykit.accel import json
from copykit.errors import ProviderProtocolError
from copykit.providers.base import BatchJob, Completion
from copykit.providers.jobs import RemoteJobs
from copykit.providers.remote import Call, listed, mapping, text_of

__all__ = ["GoogleJobs"]

_STATES: dict[str, Any] = {
    "UNSPECIFIED": "pending",
    "QUEUED": "pending",
    "PENDING": "pending",
    "PAUSED": "pending",
    "UPDATING": "running",
    "RUNNING": "running",
    "CANCELLING": "running",
    "SUCCEEDED": "ended",
    "PARTIALLY_SUCCEEDED": "ended",
    "FAILED": "failed",
    "EXPIRED": "expired",
    "CANCELLED": "cancelled",
}
_PAGES = 100
"""Of the list of jobs, that are looked through for one; ten jobs each, since they may hold their answers."""


class GoogleJobs(RemoteJobs):
    """Batch jobs of generated content."""

    _most_of_a_job = 64 * 2**20

    def _item(self, key: str, call: Call) -> dict[str, Any]:
        return {"request": call.body, "metadata": {"key": key}}

    def _read(self, answer: dict[str, Any]) -> Completion:
        if answer.get("error"):  # told as inside of a 200
            return self._remote._read({"error": _numbered(mapping(answer["error"], "the error"))}, {})
        return self._remote._read(mapping(answer.get("response"), "the response"), {})

    async def _submit(self, requests: Sequence[bytes], model: str, label: str) -> Any:
        name = json.dumps(label)
        head = b'{"batch":{"displayName":' + name + b',"inputConfig":{"requests":{"requests":['
        path = f"/models/{quote(model.removeprefix('models/'), safe='')}:batchGenerateContent"
        return (await self._send(path, head + b",".join(requests) + b"]}}}}")).get("name")

    async def _find(self, label: str, requests: int, since: float) -> list[str]:
        found: list[str] = []
        after = ""
        for _ in range(_PAGES):
            page = await self._ask("GET", f"/batches?pageSize=10{after}", limit=self._most_of_a_job)
            for row in listed(page.get("operations") or [], "the list of jobs"):
                job = mapping(row, "a job")
                if _metadata(job).get("displayName") == label:
                    found.append(text_of(job.get("name")))
            token = text_of(page.get("nextPageToken"))
            if not token or found:
                break
            after = "&pageToken=" + quote(token, safe="")
        return found

    def _path(self, job_id: str) -> str:
        return f"/batches/{quote(job_id.removeprefix('batches/'), safe='')}"

    async def _cancel(self, job_id: str) -> None:
        await self._ask("POST", self._path(job_id) + ":cancel", {})

    def _state(self, document: dict[str, Any]) -> BatchJob:
        metadata = _metadata(document)
        told = text_of(metadata.get("state"))
        name = told.removeprefix("JOB_STATE_").removeprefix("BATCH_STATE_")
        if name not in _STATES:
            raise ProviderProtocolError(f"a batch job in an unknown state, {told[:40]!r}")
        stats, error = metadata.get("batchStats"), document.get("error") or metadata.get("error")
        stats = stats if isinstance(stats, dict) else {}
        return BatchJob(
            text_of(document.get("name")),
            _STATES[name],
            total=_number(stats.get("requestCount")),
            done=_number(stats.get("successfulRequestCount")),
            failed=_number(stats.get("failedRequestCount")),
            reason=text_of(error.get("message")) if isinstance(error, dict) else "",
        )

    async def _results(self, document: dict[str, Any]) -> AsyncIterator[tuple[str, bytes]]:
        output = _metadata(document).get("output") or document.get("response")
        if not output:
            return
        held = mapping(output, "the output").get("inlinedResponses")
        rows = mapping(held, "the answers").get("inlinedResponses")
        for row in listed(rows, "the answers"):
            metadata = row.get("metadata") if isinstance(row, dict) else None
            yield text_of(metadata.get("key")) if isinstance(metadata, dict) else "", json.dumps(row)


def _metadata(job: dict[str, Any]) -> dict[str, Any]:
    return mapping(job.get("metadata") or {}, "the job's metadata")


def _number(value: Any) -> int | None:
    """Read a count, which this interface writes as text."""
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


_STATUS = {1: 503, 3: 400, 4: 503, 5: 404, 7: 403, 8: 429, 13: 500, 14: 503, 16: 401}
"""HTTP's words for the numbers that a job's errors have (google.rpc.Code)."""


def _numbered(error: dict[str, Any]) -> dict[str, Any]:
    code = error.get("code")
    return error | {"code": _STATUS.get(code, code)} if isinstance(code, int) else error
