"""Group P: what goes wrong between copykit and a provider over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

from copykit.accel.http import open_client
from copykit.providers.compatible import Compatible
from copykit.providers.registry import register_provider, unregister_provider
from copykit.testing.servers import Step, answer, chunked, close, hang, raw, reset

from .catalogue import fault
from .stage import Asked, NotHere, Stage
from .vendors import COPY, VENDORS, Billed, Vendor, billed

TLS = Path(__file__).parent.parent / "tls"
OPENAI = VENDORS["openai"]


def closed_port() -> str:
    """Give an address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"


@contextmanager
def black_hole() -> Iterator[str]:
    """Give an address that takes no connection and refuses none: its queue is full."""
    if not sys.platform.startswith("linux"):
        raise NotHere("a full queue of connections is silent on Linux only")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = []
        try:
            for _ in range(4):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(listening.getsockname())
                waiting.append(one)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            for one in waiting:
                one.close()


def untold(step: Step) -> Billed:
    """A step that may be charged, and nobody tells how much."""
    return billed(step, untold=True)


def answered(asked: Asked, by: Vendor | str) -> None:
    """Check who answered."""
    name = by if isinstance(by, str) else by.name
    assert asked.output is not None, asked.error
    assert asked.output.receipt.served_by.startswith(f"{name}:")


def other(stage: Stage) -> tuple[Vendor, Vendor]:
    """Give the vendor of this seed and another one."""
    first = stage.vendor()
    return first, stage.vendor(besides=first)


@fault(
    "P01",
    "connection refused",
)
async def p01(stage: Stage) -> None:
    first, second = other(stage)
    sound = await stage.server(second.says())
    engine = stage.engine((first, closed_port()), (second, sound))
    asked = await stage.ask(engine)
    answered(asked, second)
    assert stage.counted("provider_unavailable") >= 1
    alone = await stage.ask(stage.engine((first, closed_port())))
    assert alone.kind == "ProviderUnavailable"
    assert asked.waited_s == 0, f"waited {asked.waited_s:.3f} s for the same target while another was free"


@fault("P02", "connections that nobody takes")
async def p02(stage: Stage) -> None:
    first, second = other(stage)
    sound = await stage.server(second.says())
    with black_hole() as address:
        engine = stage.engine((first, address), (second, sound))
        tries = 0
        while stage.of_target(engine, first.name)["breaker"] == "closed" if tries else True:
            asked = await stage.ask(engine)
            answered(asked, second)
            assert asked.waited_s <= 2 * 3 + 0.25
            tries += 1
            assert tries <= 5, "the breaker does not open"
        for _ in range(20):
            asked = await stage.ask(engine)
            answered(asked, second)
            assert asked.waited_s <= 0.01
            assert asked.outcomes[0] == (first.name, "circuit_open")


@fault("P03", "certificates that must not be trusted", lacks="readiness (no server yet)")
async def p03(stage: Stage) -> None:
    trust = ssl.create_default_context(cafile=str(TLS / "authority.pem"))
    for file, sound in (
        ("sound.pem", True),
        ("self_signed.pem", False),
        ("expired.pem", False),
        ("other_host.pem", False),
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / file)
        server = await stage.server(OPENAI.says(), tls=context)
        client = open_client(tls=trust)
        register_provider(
            "certified",
            lambda server=server, client=client: Compatible(
                name="certified", base_url=server.url, model="m", client=client
            ),
        )
        try:
            engine = stage.engine(targets=["certified:m"])
            asked = await stage.ask(engine)
        finally:
            unregister_provider("certified")
            await client.aclose()
        assert asked.kind == ("" if sound else "ProviderTLSError"), f"{file}: {asked.kind}"
        assert len(server.requests) == sound
        assert len(asked.attempts) == 1
    assert stage.counted("provider_tls") == 3


@fault("P04", "a name that does not resolve, resolves late, moves")
async def p04(stage: Stage) -> None:
    first, second = other(stage)
    sound = await stage.server(second.says())

    async def never() -> list[str]:
        await asyncio.Event().wait()
        return []

    def unknown() -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for name, rule in (("unknown.test", unknown), ("late.test", never)):
        stage.loop.names[name] = rule
        asked = await stage.ask(stage.engine((first, f"http://{name}:9"), (second, sound)))
        answered(asked, second)
        assert asked.waited_s <= 2 * 3 + 0.25
    before = await stage.server(first.says(), host="127.0.0.1")
    after = await stage.server(first.says(), host="127.0.0.2", port=before.port)
    place = ["127.0.0.1"]
    stage.loop.names["moves.test"] = lambda: place
    engine = stage.engine((first, f"http://moves.test:{before.port}"))
    answered(await stage.ask(engine), first)
    await before.__aexit__()
    place[:] = ["127.0.0.2"]
    await asyncio.sleep(1)
    answered(await stage.ask(engine), first)
    assert len(after.requests) == 1


@fault("P05", "429 with a time to come back", lacks="status 503 (no server yet)")
async def p05(stage: Stage) -> None:
    first, second = other(stage)
    throttled = first.fails(429, retry_after="2")
    server = await stage.server(throttled, first.says())
    asked = await stage.ask(stage.engine((first, server)))
    answered(asked, first)
    assert len(server.requests) == 2
    assert 2.0 <= asked.waited_s <= 2.2 + 1e-6
    server = await stage.server(throttled)
    engine = stage.engine((first, server), deadline_s=2.0)
    for _ in range(3):
        asked = await stage.ask(engine)
        assert asked.kind == "AllProvidersCooling"
        assert 1.0 <= asked.error.retry_after_s <= 2.4
        assert asked.waited_s == 0
    assert len(server.requests) == 1
    server, sound = await stage.server(throttled), await stage.server(second.says())
    engine = stage.engine((first, server), (second, sound))
    for _ in range(3):
        asked = await stage.ask(engine)
        answered(asked, second)
        assert asked.waited_s == 0
    assert len(server.requests) == 1
    assert stage.counted("rate_limited") == 3


@fault(
    "P06",
    "429 without a time",
)
async def p06(stage: Stage) -> None:
    first, second = other(stage)
    server, sound = await stage.server(first.fails(429)), await stage.server(second.says())
    engine = stage.engine((first, server), (second, sound))
    answered(await stage.ask(engine), second)
    assert stage.of_target(engine, first.name)["limit"] == 5
    tardy = await stage.server(Step((0.05, first.fails(429).acts[0])))
    alone = stage.engine((first, tardy))
    several = await asyncio.gather(*(stage.ask(alone) for _ in range(6)))
    assert {asked.kind for asked in several} == {"AllProvidersCooling"}
    assert stage.of_target(alone, first.name)["limit"] == 5, "cut more than once a round trip"
    for asked in several:
        repeated = sum(outcome == "rate_limited" for _, outcome in asked.outcomes) > 1
        assert asked.waited_s <= 0.06 or repeated, f"waited {asked.waited_s} s and asked nobody"


@fault("P07", "no money left: 402, insufficient_quota, spend limit")
async def p07(stage: Stage) -> None:
    spend = VENDORS["anthropic"].error(429, "rate_limit_error", "limit")
    spend["error"]["details"] = {"error_code": "enforced_spend_limit_reached"}
    for first, step in (
        (OPENAI, OPENAI.fails(402)),
        (OPENAI, OPENAI.fails(429, "insufficient_quota")),
        (VENDORS["openrouter"], VENDORS["openrouter"].fails(402)),
        (VENDORS["anthropic"], VENDORS["anthropic"].fails(402)),
        (VENDORS["anthropic"], billed(answer(429, json=spend))),
    ):
        second = stage.vendor(besides=first)
        server, sound = await stage.server(step), await stage.server(second.says())
        engine = stage.engine((first, server), (second, sound))
        asked = await stage.ask(engine)
        answered(asked, second)
        assert asked.outcomes[0] == (first.name, "provider_quota")
        assert (len(server.requests), asked.waited_s) == (1, 0)
        rest = engine.router.look()["resting"][first.name]
        assert (rest["kind"], rest["left_s"]) == ("quarantine", 300.0)
        stage.pause(299)
        answered(await stage.ask(engine), second)
        assert len(server.requests) == 1
        stage.pause(1.5)
        answered(await stage.ask(engine), second)
        assert len(server.requests) == 2
    assert stage.counted("provider_quota") == 10


@fault("P08", "times to come back that make no sense")
async def p08(stage: Stage) -> None:
    vendor = stage.vendor()
    now = datetime.now(UTC)
    past, later = (format_datetime(now + timedelta(seconds=s), usegmt=True) for s in (-500, 3600))
    odd = [
        "86400",
        "-1",
        "nan",
        "inf",
        "1e400",
        past,
        later,
        "soon",
        "²",
        "9" * 10_000,
        "x" * 7_000,
        " ",
        "0x10",
    ]
    stage.random.shuffle(odd)
    for told in odd:
        step = answer(429, json=vendor.error(429))
        head = f"HTTP/1.1 429 X\r\nretry-after: {told}\r\n".encode("latin-1")
        body = step.acts[0].split(b"\r\n", 1)[1]
        server = await stage.server(billed(raw(head + body, then="keep")))
        engine = stage.engine((vendor, server))
        asked = await stage.ask(engine)
        assert asked.kind in ("AllProvidersCooling", "RateLimited", "ProviderProtocolError"), asked.error
        rest = engine.router.look()["resting"]
        assert all(entry["left_s"] <= 900.0 for entry in rest.values())
        if told in ("86400", later):
            assert (len(server.requests), asked.waited_s) == (1, 0)
            assert rest[vendor.name]["left_s"] == 900.0
    two = b"HTTP/1.1 429 X\r\nretry-after: 200\r\nretry-after: 300\r\ncontent-length: 2\r\n\r\n{}"
    engine = stage.engine((vendor, await stage.server(billed(raw(two, then="keep")))))
    await stage.ask(engine)
    assert engine.router.look()["resting"][vendor.name]["left_s"] in (200.0, 300.0)
    told = iter(stage.random.sample(["200", "700"], 2))

    def throttle(_: object) -> Step:
        return vendor.fails(429, retry_after=next(told))

    engine = stage.engine((vendor, await stage.server(choose=throttle)))
    await asyncio.gather(stage.ask(engine), stage.ask(engine))
    assert engine.router.look()["resting"][vendor.name]["left_s"] == 700.0


@fault("P09", "one 500, then an answer")
async def p09(stage: Stage) -> None:
    vendor = stage.vendor()
    for status in (500, 502, 503, 504):
        server = await stage.server(vendor.fails(status), vendor.says())
        asked = await stage.ask(stage.engine((vendor, server)))
        answered(asked, vendor)
        assert len(server.requests) == 2
        assert 0 <= asked.waited_s <= 0.25
        assert [outcome for _, outcome in asked.outcomes] == ["provider_unavailable", "ok"]


@fault("P10", "5xx for ever")
async def p10(stage: Stage) -> None:
    vendor = stage.vendor()
    statuses = [500, 502, 503, 504, 529]
    requests = 10_000 if stage.whole else 300
    for status in statuses if stage.whole else [statuses[stage.seed % 5]]:
        server = await stage.server(vendor.fails(status))
        engine = stage.engine((vendor, server))
        opened = 0
        waits = []
        for number in range(requests):
            asked = await stage.ask(engine)
            assert asked.error is not None
            state = stage.of_target(engine, vendor.name)["breaker"]
            if not opened and state != "closed":
                opened = len(server.requests)
            if opened and number >= 60:
                waits.append(asked.waited_s)
            stage.pause(0.01)
        assert len(server.requests) <= 1.1 * requests + 10
        assert 20 <= opened <= 40, f"open at call {opened}"
        waits.sort()
        assert waits[int(0.99 * len(waits))] <= 0.01
        stage.note(f"{status}: {requests} requests, {len(server.requests)} calls, open at call {opened}")


@fault("P11", "400, 413, 422, a prompt that is too long", lacks="status 422 (no server yet)")
async def p11(stage: Stage) -> None:
    first = stage.vendor()
    for status in (400, 413, 422):
        server = await stage.server(first.fails(status))
        asked = await stage.ask(stage.engine((first, server)))
        assert (asked.kind, len(server.requests), asked.waited_s) == ("ProviderError", 1, 0)
        assert asked.error.retryable or not asked.error.__cause__.retryable
    server = await stage.server(first.too_long())
    engine = stage.engine((first, server))
    asked = await stage.ask(engine)
    assert (asked.kind, len(server.requests)) == ("ContextTooLong", 1)
    assert asked.outcomes == [(first.name, "context_too_long")]
    assert stage.of_target(engine, first.name)["recent_failures"] == 0

    def by_model(received: object) -> Step:
        return OPENAI.says() if received.json()["model"] == "gpt-6-luna" else OPENAI.too_long()

    server = await stage.server(choose=by_model)
    larger = stage.engine((OPENAI, server), targets=["openai:gpt-4-turbo", "openai:gpt-6-luna"])
    answered(await stage.ask(larger), "openai")
    server = await stage.server(OPENAI.too_long())
    smaller = stage.engine((OPENAI, server), targets=["openai:gpt-6-luna", "openai:gpt-4-turbo"])
    assert (await stage.ask(smaller)).kind == "ContextTooLong"
    assert len(server.requests) == 1


@fault("P12", "401, 403, a key revoked at work")
async def p12(stage: Stage) -> None:
    first, second = other(stage)
    for status in (401, 403):
        refused = first.fails(status, message=f"the key {first.key} is not valid; bearer {first.key}")
        server = await stage.server(first.says(), refused)
        sound = await stage.server(second.says())
        engine = stage.engine((first, server), (second, sound))
        answered(await stage.ask(engine), first)
        asked = await stage.ask(engine)
        answered(asked, second)
        assert asked.outcomes[0] == (first.name, "provider_auth")
        assert (len(server.requests), asked.waited_s) == (2, 0)
        assert engine.router.look()["resting"][first.name]["kind"] == "quarantine"
        answered(await stage.ask(engine), second)
        assert len(server.requests) == 2
        state = stage.of_target(engine, second.name)
        assert (state["breaker"], state["recent_failures"]) == ("closed", 0)
    lone = stage.engine((first, await stage.server(refused)))
    asked = await stage.ask(lone)
    assert asked.kind == "AuthenticationFailed"
    assert first.name in str(asked.error)
    assert stage.counted("provider_auth") == 3


@fault("P13", "a model that is gone", lacks="status 502 (no server yet)")
async def p13(stage: Stage) -> None:
    vendor = stage.vendor()
    gone = vendor.fails(404, "model_not_found" if vendor.name in ("openai", "openrouter") else None)

    def by_model(received: object) -> Step:
        return gone if b"old-1" in received.body or "old-1" in received.path else vendor.says()

    server = await stage.server(choose=by_model)
    engine = stage.engine((vendor, server), targets=[f"{vendor.name}:old-1", f"{vendor.name}:new-1"])
    asked = await stage.ask(engine)
    answered(asked, vendor)
    assert asked.outcomes == [(f"{vendor.name}:old-1", "model_not_found"), (f"{vendor.name}:new-1", "ok")]
    assert engine.router.look()["resting"] == {}
    alone = await stage.ask(stage.engine((vendor, server), targets=[f"{vendor.name}:old-1"]))
    assert (alone.kind, len(alone.attempts), alone.waited_s) == ("ModelNotFound", 1, 0)
    assert stage.counted("model_not_found") == 2


@fault("P14", "accepts and never answers")
async def p14(stage: Stage) -> None:
    first, second = other(stage)
    silent, sound = await stage.server(untold(hang())), await stage.server(second.says())
    asked = await stage.ask(stage.engine((first, silent), (second, sound)), deadline_s=250.0)
    answered(asked, second)
    assert 60.0 <= asked.waited_s <= 121.0
    deadline = stage.random.choice([2.0, 20.0, 100.0])
    alone = stage.engine((first, silent))
    asked = await stage.ask(alone, deadline_s=deadline)
    assert asked.kind in ("DeadlineExceeded", "ProviderTimeout")
    assert deadline - 1 <= asked.waited_s <= deadline + 0.25


@fault("P15", "one byte every five seconds")
async def p15(stage: Stage) -> None:
    vendor = stage.vendor()
    whole = answer(json=vendor.document(COPY)).acts[0]
    slices: list[bytes | float] = []
    for at in range(len(whole)):
        slices += [whole[at : at + 1], 5.0]
    server = await stage.server(untold(Step(slices)))
    asked = await stage.ask(stage.engine((vendor, server)), deadline_s=65.0)
    assert asked.kind in ("ProviderTimeout", "DeadlineExceeded")
    assert asked.waited_s <= 65.25
    assert stage.attempts_heard()[0].outcome == "provider_timeout"
    assert 60 <= stage.attempts_heard()[0].latency_s <= 60.25


@fault("P16", "an answer that breaks off")
async def p16(stage: Stage) -> None:
    vendor = stage.vendor()
    whole = answer(json=vendor.document(COPY))
    length = len(whole.acts[0])
    cut = stage.random.randrange(length - len(json.dumps(vendor.document(COPY))) + 1, length)
    short = answer(
        200, {"content-length": "9999", "content-type": "application/json"}, whole.acts[0], then="close"
    )
    early = Step((whole.acts[0][:cut],), "close")
    open_end = chunked(
        json.dumps(vendor.document(COPY)).encode(),
        headers={"content-type": "application/json"},
        end=False,
        then="close",
    )
    for broken in (reset(whole, after=cut), early, short, open_end):
        server = await stage.server(untold(broken), vendor.says())
        engine = stage.engine((vendor, server))
        asked = await stage.ask(engine, cache="on", seed=0)
        answered(asked, vendor)
        assert [outcome for _, outcome in asked.outcomes] == ["truncated_stream", "ok"], asked.outcomes
        assert len(server.requests) == 2
        server = await stage.server(untold(broken))
        engine = stage.engine((vendor, server))
        asked = await stage.ask(engine, cache="on", seed=0)
        assert (asked.kind, len(server.requests)) == ("TruncatedStream", 2)
        await stage.ask(engine, cache="on", seed=0)
        assert len(server.requests) > 2, "a broken answer came from the cache"


def garbage(stage: Stage, vendor: Vendor) -> list[bytes]:
    """Give bodies of status 200 that are no answer."""
    whole = json.dumps(vendor.document(COPY)).encode()
    bodies = [
        b"<html><body>Bad gateway</body></html>",
        b"",
        whole[: stage.random.randrange(1, len(whole) - 1)],
        b"NaN",
        b"[]",
        b"null",
        b'"text"',
        b"12",
        b"{}",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"choices": null, "content": null, "candidates": null}',
        b'{"choices": [null], "content": [null], "candidates": [null]}',
        b'{"choices": [{"message": []}], "content": [[]], "candidates": [{"content": 5}]}',
        b'{"choices": {}, "content": {}, "candidates": {}}',
    ]
    return bodies if stage.whole else stage.random.sample(bodies, 8)


@fault("P17", "200 with something else in it")
async def p17(stage: Stage) -> None:
    vendor = stage.vendor()
    for body in garbage(stage, vendor):
        server = await stage.server(untold(answer(200, body=body)))
        engine = stage.engine((vendor, server))
        asked = await stage.ask(engine)
        assert (asked.kind, len(server.requests)) == ("ProviderProtocolError", 2), (body[:60], asked.error)
        assert stage.of_target(engine, vendor.name)["recent_failures"] == 2
    twice = json.dumps(vendor.document(COPY)).encode()[:-1] + b', "id": "again"}'
    answered(
        await stage.ask(stage.engine((vendor, await stage.server(billed(answer(body=twice), (100, 50)))))),
        vendor,
    )
    whole = json.dumps(vendor.document(COPY))
    for old in ("100", "50"):
        body = whole.replace(old, "NaN").encode()
        server = await stage.server(untold(answer(body=body)))
        asked = await stage.ask(stage.engine((vendor, server)))
        assert asked.kind in ("", "ProviderProtocolError"), asked.error


@fault("P18", "200 that carries an error")
async def p18(stage: Stage) -> None:
    for name in ("openrouter", "openai"):
        vendor = VENDORS[name]
        for code, kind, calls in (
            (429, "AllProvidersCooling", 1),
            (402, "ProviderQuotaError", 1),
            (401, "AuthenticationFailed", 1),
            (404, "ModelNotFound", 1),
            (502, "ProviderUnavailable", 3),
            (503, "ProviderUnavailable", 3),
            ("context_length_exceeded", "ContextTooLong", 1),
            ("server_error", "ProviderUnavailable", 3),
        ):
            body = {"error": {"code": code, "message": "told inside"}}
            if stage.random.random() < 0.5:
                body = {"id": "x", "choices": [{"message": {"content": ""}, **body}]}
            server = await stage.server(billed(answer(200, json=body)))
            asked = await stage.ask(stage.engine((vendor, server)), deadline_s=4.0)
            assert asked.kind == kind, (code, asked.error)
            assert len(server.requests) == calls


@fault("P19", "redirects to other hosts")
async def p19(stage: Stage) -> None:
    vendor = stage.vendor()
    elsewhere = await stage.server(vendor.says())
    for status in (301, 302, 303, 307, 308):
        for place in (elsewhere.url + "/v1/steal", "http://169.254.169.254/latest/meta-data/"):
            server = await stage.server(untold(answer(status, {"location": place})))
            asked = await stage.ask(stage.engine((vendor, server)))
            assert asked.kind == "ProviderProtocolError"
            assert len(server.requests) <= 2
    assert elsewhere.connections == 0


def peak_kib() -> int:
    """Give the most memory this process has held, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@fault("P20", "bodies without end, heads without end, bombs")
async def p20(stage: Stage) -> None:
    vendor = stage.vendor()
    piece = b"x" * 65_536
    many = [piece] * 16_384
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    bomb = gzip.compress(b"\0" * 2**24)
    steps = {
        "a gigabyte declared": raw(head + b"content-length: 1073741824\r\n\r\n", *many),
        "a gigabyte in chunks": raw(
            head + b"transfer-encoding: chunked\r\n\r\n", *([b"10000\r\n" + piece + b"\r\n"] * 16_384)
        ),
        "a gigabyte until the end": raw(head + b"\r\n", *many),
        "a head without end": raw(head, *[b"x-more: %s\r\n" % (b"y" * 4_000)] * 20_000),
        "one line without end": raw(b"HTTP/1.1 200 OK\r\nx-long: ", *many),
        "gzip": answer(200, {"content-encoding": "gzip"}, bomb),
        "brotli": answer(200, {"content-encoding": "br"}, bomb),
        "zstd": answer(200, {"content-encoding": "zstd"}, bomb),
    }
    await stage.ask(stage.engine((vendor, await stage.server(vendor.says()))))
    before = peak_kib()
    for name, step in steps.items():
        server = await stage.server(untold(step))
        asked = await stage.ask(stage.engine((vendor, server)))
        assert asked.kind == "ProviderProtocolError", f"{name}: {asked.error}"
        assert server.requests[0].headers["accept-encoding"] == "identity"
        assert len(server.requests) <= 2
    grown = (peak_kib() - before) / 1024
    stage.note(f"memory grew by {grown:.1f} MiB")
    assert grown <= 20


@fault("P21", "an idle connection that the server has closed")
async def p21(stage: Stage) -> None:
    vendor = stage.vendor()
    stage.cancelled = 1  # the one that was sent again
    server = await stage.server(vendor.says(), billed(close()), vendor.says())
    engine = stage.engine((vendor, server))
    answered(await stage.ask(engine), vendor)
    await asyncio.sleep(1)
    asked = await stage.ask(engine)
    answered(asked, vendor)
    assert [outcome for _, outcome in asked.outcomes] == ["ok"]
    assert (len(server.requests), server.connections) == (3, 2)
    target = stage.of_target(engine, vendor.name)
    assert (target["recent_calls"], target["recent_failures"], target["repeats_left"]) == (2, 0, 10.0)
    closing = answer(json=vendor.document(COPY)).acts[0]
    server = await stage.server(billed(Step((closing, 1.0), "close"), (100, 50)), vendor.says())
    engine = stage.engine((vendor, server))
    answered(await stage.ask(engine), vendor)
    await asyncio.sleep(5)
    asked = await stage.ask(engine)
    assert [outcome for _, outcome in asked.outcomes] == ["ok"]


@fault("P22", "usage that cannot be true", lacks="`usage_estimated` in the receipt: only the ledger marks it")
async def p22(stage: Stage) -> None:
    vendor = stage.vendor()
    names = list(vendor.document("")["usageMetadata" if vendor.name == "google" else "usage"])
    odd: list[object] = [{}, [], "many", dict.fromkeys(names, -5), dict.fromkeys(names, 10**18)]
    odd += [dict.fromkeys(names, "12"), dict.fromkeys(names, 1.5), dict.fromkeys(names, True)]
    odd += [dict.fromkeys(names, None), {names[0]: 10}]
    spent = 0.0
    engine = None
    for usage in odd:
        server = await stage.server(untold(answer(json=vendor.document(COPY, usage=usage))))
        engine = stage.engine((vendor, server))
        answered(await stage.ask(engine), vendor)
        money = engine.router.look()["money"]
        assert money["spent_usd"] > 0, usage
        assert money["estimated_calls"] == 1, usage
        spent += money["spent_usd"]
    stage.note(f"charged {spent} USD by estimate")


@fault("P23", "a provider that fails every other call")
async def p23(stage: Stage) -> None:
    first, second = other(stage)
    flips = stage.random

    def flap(_: object) -> Step:
        return first.says() if flips.random() < 0.5 else first.fails(503)

    engine = stage.engine(
        (first, await stage.server(choose=flap)), (second, await stage.server(second.says()))
    )
    seconds = 600 if stage.whole else 60
    requests = seconds * (10 if stage.whole else 3)
    good = 0
    for _ in range(requests):
        good += (await stage.ask(engine)).output is not None
        stage.pause(seconds / requests)
    moves = sum(map(stage.moves, ("open", "half_open", "closed")))
    stage.note(f"{good} of {requests} answered, {moves} moves of the breaker in {seconds} s")
    assert good >= 0.99 * requests
    assert stage.moves("open") >= 1
    assert moves <= seconds / 5


@fault("P24", "a provider ten times slower")
async def p24(stage: Stage) -> None:
    first, second = other(stage)
    pace = [1.2]
    said, other_said = (answer(json=one.document(COPY)).acts[0] for one in (first, second))

    def paced(_: object) -> Step:
        return billed(Step((pace[0], said)), (100, 50))

    slow = await stage.server(choose=paced)
    sound = await stage.server(billed(Step((1.0, other_said)), (100, 50)))
    engine = stage.engine((first, slow), (second, sound))
    for _ in range(5):
        await asyncio.gather(*(stage.ask(engine) for _ in range(8)))
    assert stage.of_target(engine, first.name)["breaker"] == "closed"
    pace[0] = 12.0
    beside: list[Asked] = []

    async def besides() -> None:
        for _ in range(20):
            beside.append(await stage.ask(engine, provider=second.name))

    await asyncio.gather(besides(), *(stage.ask(engine) for _ in range(24)))
    await asyncio.gather(*(stage.ask(engine) for _ in range(24)))
    assert stage.moves("open") == 1
    asked = await stage.ask(engine)
    answered(asked, second)
    assert asked.waited_s <= 1.2
    assert max(asked.waited_s for asked in beside) <= 1.2


@fault("P25", "every provider down or cooling", lacks="an old answer from the cache (not built), status 503")
async def p25(stage: Stage) -> None:
    first, second = other(stage)
    one = await stage.server(first.fails(429, retry_after="200"))
    two = await stage.server(second.fails(500))
    engine = stage.engine((first, one), (second, two))
    while not stage.moves("open"):
        assert (await stage.ask(engine)).error is not None
        assert len(stage.asked) < 60
    for _ in range(3):
        await stage.ask(engine)
    before = stage.calls
    waits = set()
    for _ in range(20):
        asked = await stage.ask(engine)
        assert asked.kind == "AllProvidersCooling"
        assert asked.waited_s == 0
        soonest = stage.of_target(engine, second.name)["opens_in_s"]
        assert 1.0 <= asked.error.retry_after_s <= 60.0
        assert max(1.0, 0.8 * soonest) <= asked.error.retry_after_s + 0.001
        assert asked.error.retry_after_s <= max(1.0, 1.2 * soonest) + 0.001
        waits.add(asked.error.retry_after_s)
    assert stage.calls == before
    assert len(waits) > 5, "all callers would come back at once"
