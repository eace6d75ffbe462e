"""Batch jobs in the wire formats of three vendors: what is sent, how jobs and answers are read, what is never believed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from copykit.errors import (
    AuthenticationFailed,
    InvalidRequest,
    MalformedCompletion,
    ModelNotFound,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    TruncatedStream,
)
from copykit.providers.base import Batching, BatchJobs, Completion
from copykit.providers.compatible import Compatible
from copykit.providers.openrouter import OpenRouter
from copykit.providers.registry import load_provider
from copykit.providers.remote import Remote
from copykit.settings import ProvidersSettings, Secret, Settings
from copykit.testing.job_server import JobServer
from copykit.testing.servers import answer, hang
from fake_http import COPY, KEY, FakeHttp, prompt

VENDORS = ("openai", "anthropic", "google")
WHY = 'the vendors\' own clients are not installed: pip install "copykit[peers]"'


def provider(vendor: str, url: str) -> Remote:
    """Give the provider of *vendor* at *url*."""
    own: dict[str, Any] = {f"{vendor}_key": Secret(KEY), f"{vendor}_base_url": url}
    made = load_provider(vendor, Settings(providers=ProvidersSettings(**own)))
    assert isinstance(made, Remote)
    return made


@asynccontextmanager
async def serving(vendor: str) -> AsyncIterator[tuple[JobServer, BatchJobs, Remote]]:
    """Give a server, what submits jobs to it, and the provider."""
    async with JobServer(vendor, lambda body: COPY) as server:
        made = provider(vendor, server.base_url)
        jobs = made.batch_jobs()
        assert isinstance(made, Batching)
        assert isinstance(jobs, BatchJobs)
        try:
            yield server, jobs, made
        finally:
            await made.aclose()


async def submit(jobs: BatchJobs, made: Remote, keys: str = "abc", **changes: Any) -> str:
    """Begin a job with a request a key."""
    told = prompt(**changes)
    return await jobs.submit(
        [jobs.encode(key, told) for key in keys], model=made.model_of(told), label="run-1"
    )


async def results(jobs: BatchJobs, job_id: str) -> dict[str, bytes]:
    """Give the last answer of each key."""
    return {key: answer async for key, answer in jobs.results(job_id)}


async def over(jobs: BatchJobs, job_id: str) -> str:
    """Ask for a job until it is over; give its state."""
    while not (job := await jobs.job(job_id)).is_over:
        pass
    return job.state


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_job_from_its_submission_to_its_answers(vendor: str) -> None:
    """Requests as of single calls, counts while it runs, answers by key in any order, each read as a whole answer."""

    async def story() -> None:
        async with serving(vendor) as (server, jobs, made):
            job_id = await submit(jobs, made)
            assert (await jobs.job(job_id)).state == "running"
            assert await over(jobs, job_id) == "ended"
            job = await jobs.job(job_id)
            assert (job.total, job.done) == (3, 3)
            found = await results(jobs, job_id)
            assert sorted(found) == ["a", "b", "c"]
            completion = jobs.check(jobs.read(found["b"]), prompt())
            await made.complete(prompt())
            assert server.jobs[0].requests["b"] == server.live[0]
            single = await made.complete(prompt())
            assert (completion.text, completion.model) == (single.text, single.model)
            assert completion.usage == single.usage

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_job_is_found_again(vendor: str) -> None:
    """By its label, or where none is kept by its size and time: for want of a note of its id."""

    async def story() -> None:
        async with serving(vendor) as (_, jobs, made):
            job_id = await submit(jobs, made)
            assert await jobs.find("run-1", requests=3, since=1_000.0) == [job_id]
            size = 4 if vendor == "anthropic" else 3
            assert await jobs.find("run-2", requests=size, since=1_000.0) == []

    asyncio.run(story())


def test_a_job_is_looked_for_on_every_page() -> None:
    """Lists are followed to the job, at a vendor that gives ten at a time."""

    async def story() -> None:
        async with serving("google") as (server, jobs, made):
            first = await submit(jobs, made)
            for job in range(25):
                server.jobs.append(
                    type(server.jobs[0])(f"batches/x{job}", f"x{job}", {}, "BATCH_STATE_RUNNING", 1)
                )
            assert await jobs.find("run-1", requests=3, since=0.0) == [first]

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("fate", ["error", "expired"])
def test_a_request_that_failed_has_its_class(vendor: str, fate: str) -> None:
    """What the vendor could not do is the failure that a single call would have had, and costs nothing."""

    async def story() -> None:
        async with serving(vendor) as (server, jobs, made):
            server.fates = lambda place, key: fate if key == "b" else "ok"
            job_id = await submit(jobs, made)
            await over(jobs, job_id)
            found = await results(jobs, job_id)
            assert isinstance(jobs.read(found["a"]), Completion)
            if vendor == "google" and fate == "expired":
                assert "b" not in found
                return
            with pytest.raises(ProviderUnavailable) as told:
                jobs.read(found["b"])
            assert told.value.retryable
            assert told.value.target.startswith(vendor)

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
def test_states(vendor: str) -> None:
    """A job that is stopped, runs out of time or fails says so; what it answered is there."""

    async def story() -> None:
        async with serving(vendor) as (server, jobs, made):
            job_id = await submit(jobs, made, "abcd")
            await jobs.cancel(job_id)
            assert (await jobs.job(job_id)).state == "cancelled"
            found = await results(jobs, job_id)
            whole = [key for key, raw in found.items() if _is_whole(jobs, raw)]
            assert sorted(whole) == ["a", "b"]
            second = await submit(jobs, made, "efgh")
            server.expire(server.jobs[1])
            assert (await jobs.job(second)).state == ("ended" if vendor == "anthropic" else "expired")
            if vendor != "anthropic":
                third = await submit(jobs, made, "i")
                server.fail(server.jobs[2], "the file is not to our liking")
                job = await jobs.job(third)
                assert (job.state, job.reason) == ("failed", "the file is not to our liking")
                assert await results(jobs, third) == {}

    asyncio.run(story())


def _is_whole(jobs: BatchJobs, raw: bytes) -> bool:
    try:
        return bool(jobs.read(raw).text)
    except ProviderError:
        return False


@pytest.mark.parametrize("vendor", VENDORS)
def test_results_that_end_early_are_told(vendor: str) -> None:
    """What came whole before the end is given; then the reader is told that something is missing."""

    async def story() -> None:
        async with serving(vendor) as (server, jobs, made):
            job_id = await submit(jobs, made, "abcdef")
            await over(jobs, job_id)
            server.cuts = 1
            found: list[str] = []

            async def read() -> None:
                async for key, _ in jobs.results(job_id):
                    found.append(key)

            with pytest.raises(TruncatedStream):
                await read()
            assert len(found) < 6
            assert len(await results(jobs, job_id)) == 6

    asyncio.run(story())


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_a_result_beyond_all_measure_is_left_aside(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is held that is larger than an answer may be; those around it are read."""
    monkeypatch.setattr("copykit.providers.jobs._MOST_OF_A_LINE", 20_000)
    texts = iter((COPY, "x" * 400_000, COPY))

    async def story() -> None:
        async with serving(vendor) as (server, jobs, made):
            job_id = await submit(jobs, made)
            await over(jobs, job_id)
            server.write = lambda body: next(texts)
            found = await results(jobs, job_id)
            assert len(found.pop("")) == 0
            assert len(found) == 2
            assert all(_is_whole(jobs, raw) for raw in found.values())

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_is_no_result_among_them_is_left_aside(vendor: str) -> None:
    """A line that is no JSON, no object, or names no request stops nobody."""

    async def story() -> None:
        async with serving(vendor) as (server, jobs, made):
            job_id = await submit(jobs, made)
            await over(jobs, job_id)
            if vendor == "google":
                told = server._google_job(server.jobs[0])
                told["metadata"]["output"]["inlinedResponses"]["inlinedResponses"] += [
                    None,
                    7,
                    {},
                    {"metadata": 3},
                ]
                server.refusals = [answer(json=told)]
                strange = 4
            else:
                lines = server._openai_lines if vendor == "openai" else server._anthropic_lines
                raw = lines(server.jobs[0], "output") if vendor == "openai" else lines(server.jobs[0])
                body = b"no JSON\n[]\n\n7\n" + raw + b'{"custom_id": 3}'
                told = server._told(server.jobs[0])
                server.refusals = [answer(json=told), answer(body=body)]
                strange = 4
            found = [key async for key, _ in jobs.results(job_id)]
            assert sorted(filter(None, found)) == ["a", "b", "c"]
            assert found.count("") == strange

    asyncio.run(story())


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationFailed), (404, ModelNotFound), (429, RateLimited), (500, ProviderUnavailable)],
)
def test_failures_of_the_exchange_have_the_classes_of_a_single_call(
    vendor: str, status: int, kind: type[ProviderError]
) -> None:
    """One mapping a vendor, and no word of the key in it."""
    error = {"type": "x", "message": f"no {KEY}", "status": "X", "code": status}

    async def story() -> None:
        async with serving(vendor) as (server, jobs, made):
            server.refusals = [answer(status, json={"type": "error", "error": error})]
            with pytest.raises(kind) as told:
                await submit(jobs, made)
            assert KEY not in str(told.value)
            assert told.value.status == status

    asyncio.run(story())


def test_the_key_goes_only_to_the_address_that_was_set() -> None:
    """A results address of another host is asked for at ours: whoever answers for the vendor keeps the credential."""

    async def story() -> None:
        async with serving("anthropic") as (server, jobs, made):
            job_id = await submit(jobs, made)
            await over(jobs, job_id)
            assert len(await results(jobs, job_id)) == 3
            last = server.requests[-1]
            assert last.path == f"/v1/messages/batches/{job_id}/results"
            assert last.headers["host"].startswith("127.0.0.1")

    asyncio.run(story())


@pytest.mark.parametrize("job_id", ["../files/secret", "a b", "", "x" * 300, "a?b", "a\r\nhost: x"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_an_id_that_leads_elsewhere_is_refused(vendor: str, job_id: str) -> None:
    """Ids come back out of files; nothing is sent for one that is none."""
    http = FakeHttp()
    made = provider(vendor, "http://127.0.0.1:9")
    made._given = http
    jobs = made.batch_jobs()
    assert jobs is not None
    with pytest.raises(InvalidRequest, match="not the id of a batch job"):
        asyncio.run(jobs.job(job_id))
    assert http.sent == []


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 65])
def test_a_key_that_not_all_take_is_refused(key: str) -> None:
    """64 letters, digits, underscores and hyphens, whoever is asked."""
    jobs = provider("anthropic", "http://127.0.0.1:9").batch_jobs()
    assert jobs is not None
    with pytest.raises(InvalidRequest):
        jobs.encode(key, prompt())


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b'{"response": 7}', b'{"result": {"type": "new"}}', b'{"error": []}']
)
def test_an_answer_that_is_none_is_told(vendor: str, raw: bytes) -> None:
    """Whatever stands in a kept answer, reading it fails in the words of the tree."""
    jobs = provider(vendor, "http://127.0.0.1:9").batch_jobs()
    assert jobs is not None
    with pytest.raises(ProviderError):
        jobs.read(raw)


def test_an_answer_cut_by_its_length_is_refused() -> None:
    """As of a single call: a text that ends in the middle is no copy, and is charged."""
    jobs = provider("openai", "http://127.0.0.1:9").batch_jobs()
    assert jobs is not None
    with pytest.raises(MalformedCompletion):
        jobs.check(Completion(text='{"variants": [{"fields": {"te', stop="length"), prompt())


def test_who_speaks_a_format_need_not_have_its_jobs() -> None:
    """Local servers and OpenRouter speak OpenAI's format and take none of its jobs."""
    assert Compatible(base_url="http://127.0.0.1:9").batch_jobs() is None
    assert OpenRouter(key=Secret(KEY)).batch_jobs() is None


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_that_keeps_silent_keeps_nobody(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange has a bound in time."""

    async def story() -> None:
        async with serving(vendor) as (server, jobs, _):
            server.refusals = [hang()]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await jobs.job("batches/1")
            server.refusals = []

    asyncio.run(story())


def test_our_bodies_are_theirs() -> None:
    """The vendors' own typed requests take ours, and their readers our answers."""
    pytest.importorskip("openai", reason=WHY)
    pytest.importorskip("anthropic", reason=WHY)
    pytest.importorskip("google.genai", reason=WHY)
    from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse
    from anthropic.types.messages.batch_create_params import BatchCreateParams as TheirMessages
    from google.genai import types
    from openai.types import Batch
    from openai.types.batch_create_params import BatchCreateParams
    from pydantic import TypeAdapter

    async def story() -> dict[str, JobServer]:
        servers = {}
        for vendor in VENDORS:
            async with serving(vendor) as (server, jobs, made):
                server.fates = lambda place, key: "error" if key == "b" else "ok"
                job_id = await submit(jobs, made)
                await over(jobs, job_id)
                servers[vendor] = server
                for raw in (await results(jobs, job_id)).values():
                    if vendor == "anthropic":
                        MessageBatchIndividualResponse.model_validate_json(raw)
        return servers

    servers = asyncio.run(story())
    created = servers["openai"].requests[1]
    TypeAdapter(BatchCreateParams).validate_python(created.json())
    Batch.model_validate(servers["openai"]._told(servers["openai"].jobs[0]))
    TypeAdapter(TheirMessages).validate_python(servers["anthropic"].requests[0].json())
    MessageBatch.model_validate(servers["anthropic"]._told(servers["anthropic"].jobs[0]))
    batch = servers["google"].requests[0].json()["batch"]
    assert set(batch) == {"displayName", "inputConfig"}
    for row in batch["inputConfig"]["requests"]["requests"]:
        types.GenerateContentConfig.model_validate(row["request"]["generationConfig"])
    for row in servers["google"]._google_job(servers["google"].jobs[0])["metadata"]["output"][
        "inlinedResponses"
    ]["inlinedResponses"]:
        types.InlinedResponse.model_validate(row)


def test_their_clients_begin_the_same_jobs() -> None:
    """Given our requests, the vendors' own clients send what we send."""
    openai = pytest.importorskip("openai", reason=WHY)
    anthropic = pytest.importorskip("anthropic", reason=WHY)

    async def story() -> None:
        async with serving("openai") as (server, jobs, made):
            await submit(jobs, made)
            mine = server.requests[:]
            lines = [jobs.encode(key, prompt()) for key in "abc"]
            async with openai.AsyncOpenAI(api_key=KEY, base_url=server.base_url, max_retries=0) as client:
                raw = (f"{'run-1'}.jsonl", b"\n".join(lines) + b"\n")
                uploaded = await client.files.create(file=raw, purpose="batch")
                await client.batches.create(
                    input_file_id=uploaded.id,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={"label": "run-1"},
                )
            theirs = server.requests[len(mine) :]
            assert [(r.method, r.path) for r in mine] == [(r.method, r.path) for r in theirs]
            assert {**mine[1].json(), "input_file_id": ""} == {**theirs[1].json(), "input_file_id": ""}
            assert server.jobs[0].requests == server.jobs[1].requests
        async with serving("anthropic") as (server, jobs, made):
            await submit(jobs, made)
            items = [json.loads(jobs.encode(key, prompt())) for key in "abc"]
            async with anthropic.AsyncAnthropic(
                api_key=KEY, base_url=server.base_url, max_retries=0
            ) as client:
                await client.messages.batches.create(requests=items)
            mine_, theirs_ = server.requests
            assert (mine_.method, mine_.path) == (theirs_.method, theirs_.path.removesuffix("?beta=true"))
            assert mine_.json() == theirs_.json()

    asyncio.run(story())
