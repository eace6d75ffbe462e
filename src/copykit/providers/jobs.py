"""What the batch jobs of all providers behind an address share: bodies, results line by line, failures."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from copykit.accel import json
from copykit.brief.prompt import Prompt
from copykit.errors import InvalidRequest, ProviderProtocolError, TruncatedStream
from copykit.providers.base import BatchJob, Completion
from copykit.providers.remote import Call, Headers, Remote, document_of, quietly, text_of

if TYPE_CHECKING:
    from copykit.accel.http import HttpClient

__all__ = ["RemoteJobs"]

_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Of a request: what all three providers take."""
_ID = re.compile(r"[A-Za-z0-9._/-]{1,200}")
_MOST_OF_A_LINE = 4 * 2**20
"""Bytes of one result, as of one answer."""
_MOST_OF_ALL = 2**30
_TRANSFER_S = 900.0
"""Bound of sending a job or fetching its results."""


class RemoteJobs(ABC):
    """The batch jobs of a `Remote`, part of it though apart; its wire format adds how they are put and read.

    Args:
        remote: whose address, credential and bodies they share.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self.most_requests = remote.facts.job_requests
        self.most_bytes = remote.facts.job_bytes

    def encode(self, key: str, prompt: Prompt) -> bytes:
        """Put *prompt* as one request of a job; raises `InvalidRequest` for a *key* that not all providers take."""
        if not _KEY.fullmatch(key):
            raise InvalidRequest("key", key, "1 to 64 letters, digits, underscores and hyphens")
        return json.dumps(self._item(key, self._call(prompt)))

    def check(self, completion: Completion, prompt: Prompt) -> Completion:
        """Refuse what is no whole answer to *prompt*, and add what its reader should know."""
        call = self._call(prompt)
        with self._remote._told(call.model):
            return self._remote._finished(completion, prompt, call)

    def read(self, answer: bytes) -> Completion:
        """Read one answer as it came; raises `ProviderError` as an exchange of its own would."""
        with self._remote._told(""):
            return self._read(document_of(answer, {}))

    async def submit(self, requests: Sequence[bytes], *, model: str, label: str) -> str:
        """Begin a job; gives its id."""
        with self._remote._told(model):
            return _named(await self._submit(requests, model, label))

    async def find(self, label: str, *, requests: int, since: float) -> list[str]:
        """Give the ids of the jobs that may be the one begun under *label*."""
        with self._remote._told(""):
            return await self._find(label, requests, since)

    async def job(self, job_id: str) -> BatchJob:
        """Tell how far a job is."""
        with self._remote._told(""):
            return self._state(await self._document_of(job_id))

    async def results(self, job_id: str) -> AsyncIterator[tuple[str, bytes]]:
        """Give key and answer of each request as they come."""
        with self._remote._told(""):
            async for key, answer in self._results(await self._document_of(job_id)):
                yield key, answer

    async def cancel(self, job_id: str) -> None:
        """Stop a job."""
        with self._remote._told(""):
            await self._cancel(_safe(job_id))

    # what a wire format adds

    @abstractmethod
    def _item(self, key: str, call: Call) -> dict[str, Any]:
        """Put one request."""

    @abstractmethod
    def _read(self, answer: dict[str, Any]) -> Completion:
        """Read one answer."""

    @abstractmethod
    async def _submit(self, requests: Sequence[bytes], model: str, label: str) -> Any:
        """Send them; give the id of the job."""

    @abstractmethod
    async def _find(self, label: str, requests: int, since: float) -> list[str]:
        """Look through the provider's list of jobs."""

    @abstractmethod
    def _path(self, job_id: str) -> str:
        """Give where a job is to be asked for."""

    @abstractmethod
    def _state(self, document: dict[str, Any]) -> BatchJob:
        """Read the job's own document."""

    @abstractmethod
    def _results(self, document: dict[str, Any]) -> AsyncIterator[tuple[str, bytes]]:
        """Give what the job that *document* describes has answered."""

    async def _cancel(self, job_id: str) -> None:
        await self._ask("POST", self._path(job_id) + "/cancel", {})

    # what they are made of

    def _call(self, prompt: Prompt) -> Call:
        return self._remote._put(prompt, self._remote.model_of(prompt), streamed=False)

    async def _document_of(self, job_id: str) -> dict[str, Any]:
        return await self._ask("GET", self._path(_safe(job_id)), limit=self._most_of_a_job)

    _most_of_a_job = _MOST_OF_A_LINE
    """Bytes of a job's own document."""

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, limit: int = _MOST_OF_A_LINE
    ) -> dict[str, Any]:
        document, _ = await self._remote._document(method, path, body, limit=limit)
        return document

    async def _send(self, path: str, body: bytes, headers: Headers | None = None) -> dict[str, Any]:
        """Send bytes as they are, once; give the answer's document.

        On a connection of its own: a request on one that was idle is sent again where that turns out to be closed,
        which would begin a job twice.
        """
        remote = self._remote
        given = remote._given
        client = given if given is not None else _own_client()
        try:
            reply = await client.request(
                "POST",
                remote.base_url + path,
                headers={**remote._headers(), **(headers or {})},
                body=body,
                timeout_s=_TRANSFER_S,
            )
        finally:
            if given is None:
                await client.aclose()
        if reply.status not in (200, 202):
            raise remote._failure(reply.status, reply.headers, quietly(reply.body))
        return document_of(reply.body, reply.headers)

    async def _lines(self, url: str) -> AsyncIterator[tuple[str, bytes]]:
        """Give the lines of a file as they come, each with its key; what is no result, or beyond all measure, has none."""
        remote = self._remote
        async with remote._client().stream(
            "GET",
            url,
            headers=remote._headers(),
            timeout_s=_TRANSFER_S,
            first_s=remote.timeout_s,
            gap_s=remote.timeout_s,
            limit=_MOST_OF_ALL,
        ) as reply:
            if reply.status != 200:
                raise remote._failure(reply.status, reply.headers, quietly(await reply.read()))
            rest, too_long = bytearray(), False
            async for chunk in reply:
                rest += chunk
                *lines, rest = rest.split(b"\n")
                for line in lines:
                    if too_long or line.strip():
                        yield ("", b"") if too_long or len(line) > _MOST_OF_A_LINE else _keyed(bytes(line))
                    too_long = False
                if len(rest) > _MOST_OF_A_LINE:
                    rest, too_long = bytearray(), True
            if too_long:
                yield "", b""
            elif rest.strip():
                yield _keyed(_whole(bytes(rest)))


def _keyed(line: bytes) -> tuple[str, bytes]:
    """Give *line* with the key that it has by the name which OpenAI and Anthropic both use."""
    told = quietly(line)
    return (text_of(told.get("custom_id")) if isinstance(told, dict) else ""), line


def _own_client() -> HttpClient:
    from copykit.accel.http import open_client  # as late as every provider does

    return open_client(connections=1)


def _whole(line: bytes) -> bytes:
    """Give the last line, which need not end in a line feed, if it is whole."""
    try:
        json.loads(line)
    except ValueError:
        raise TruncatedStream("the results end in the middle of a line") from None
    return line


def _named(job_id: Any) -> str:
    if not isinstance(job_id, str) or not _ID.fullmatch(job_id) or ".." in job_id:
        raise ProviderProtocolError("the job has no usable id")
    return job_id


def _safe(job_id: str) -> str:
    """Refuse an id that would lead elsewhere; it may come from a file that anybody can write."""
    if not _ID.fullmatch(job_id) or ".." in job_id:
        raise InvalidRequest("job", job_id, "not the id of a batch job")
    return job_id
