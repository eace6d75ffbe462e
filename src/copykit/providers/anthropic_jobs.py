"""Anthropic's message batches: the requests go up in one body, the results come back as lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from copykit.errors import ProviderProtocolError, ProviderUnavailable
from copykit.providers.base import BatchJob, Completion
from copykit.providers.jobs import RemoteJobs
from copykit.providers.remote import Call, count, listed, mapping, text_of

__all__ = ["AnthropicJobs"]

_STATES: dict[str, Any] = {"in_progress": "running", "canceling": "running", "ended": "ended"}
_ROOT = "/v1/messages/batches"
_PAGES = 20
"""Of the list of jobs, that are looked through for one; a hundred jobs each."""


class AnthropicJobs(RemoteJobs):
    """Batch jobs of messages."""

    def _item(self, key: str, call: Call) -> dict[str, Any]:
        return {"custom_id": key, "params": call.body}

    def _read(self, answer: dict[str, Any]) -> Completion:
        result = mapping(answer.get("result"), "the result")
        kind = text_of(result.get("type"))
        if kind == "succeeded":
            return self._remote._read(mapping(result.get("message"), "the message"), {})
        if kind == "errored":
            return self._remote._read({**mapping(result.get("error"), "the error"), "type": "error"}, {})
        if kind in ("expired", "canceled"):
            raise ProviderUnavailable(f"the batch job ended before it came to this request ({kind})")
        raise ProviderProtocolError(f"a result of an unknown kind, {kind[:40]!r}")

    async def _submit(self, requests: Sequence[bytes], model: str, label: str) -> Any:
        body = b'{"requests":[' + b",".join(requests) + b"]}"
        return (await self._send(_ROOT, body)).get("id")

    async def _find(self, label: str, requests: int, since: float) -> list[str]:
        # its jobs take no label: time and number of requests have to do
        found: list[str] = []
        after = ""
        for _ in range(_PAGES):
            page = await self._ask("GET", f"{_ROOT}?limit=100{after}")
            rows = [mapping(row, "a job") for row in listed(page.get("data"), "the list of jobs")]
            recent = [row for row in rows if _begun(row) >= since - 60]
            found += [text_of(row.get("id")) for row in recent if sum(_counts(row).values()) == requests]
            if not rows or len(recent) < len(rows) or not page.get("has_more"):
                break
            after = "&after_id=" + quote(text_of(page.get("last_id") or rows[-1].get("id")), safe="")
        return found

    def _path(self, job_id: str) -> str:
        return f"{_ROOT}/{quote(job_id, safe='')}"

    def _state(self, document: dict[str, Any]) -> BatchJob:
        told = text_of(document.get("processing_status"))
        if told not in _STATES:
            raise ProviderProtocolError(f"a batch job in an unknown state, {told[:40]!r}")
        counts = _counts(document)
        state = _STATES[told]
        if state == "ended" and counts["canceled"]:
            state = "cancelled"
        return BatchJob(
            text_of(document.get("id")),
            state,
            total=sum(counts.values()),
            done=counts["succeeded"],
            failed=counts["errored"] + counts["canceled"] + counts["expired"],
        )

    async def _results(self, document: dict[str, Any]) -> AsyncIterator[tuple[str, bytes]]:
        url = text_of(document.get("results_url"))
        if not url:
            return
        base = self._remote.base_url
        if not url.startswith(base + "/"):  # a gateway's own address stands for the vendor's
            parts = urlsplit(url)
            url = base + quote(parts.path, safe="/%:@-._~") + (f"?{parts.query}" if parts.query else "")
        async for result in self._lines(url):
            yield result


def _counts(document: dict[str, Any]) -> dict[str, int]:
    told = document.get("request_counts")
    told = told if isinstance(told, dict) else {}
    names = ("processing", "succeeded", "errored", "canceled", "expired")
    return {name: count(told.get(name)) or 0 for name in names}


def _begun(document: dict[str, Any]) -> float:
    try:
        return datetime.fromisoformat(text_of(document.get("created_at"))).timestamp()
    except ValueError:
        return 0.0
