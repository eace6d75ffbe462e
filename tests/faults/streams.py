"""Group S: what goes wrong while an answer is streamed."""

from __future__ import annotations

import json

from copykit.providers.events import EventStream
from copykit.testing.servers import Step, chunked, hang, reset

from .catalogue import fault
from .providers import answered, other, peak_kib, untold
from .stage import Stage, Streamed
from .vendors import COPY, TEXT, VENDORS, Vendor, billed, copy_of

CUT = [COPY[at : at + 7] for at in range(0, len(COPY), 7)]


def broken_off(asked: Streamed, kind: str | None = None) -> None:
    """Check that a stream ended as a failure, with what was shown before it."""
    assert asked.output is None, asked.output
    assert asked.said, "nothing was shown before it broke"
    assert TEXT.startswith("".join(asked.said)), asked.said
    assert kind is None or asked.kind == kind, asked.kind


def halves(vendor: Vendor) -> list[bytes]:
    """Give the events of the first half of an answer."""
    return vendor.pieces(CUT[: len(CUT) // 2 + 2], ended=False)


@fault("S01", "no first token")
async def s01(stage: Stage) -> None:
    first, second = other(stage)
    for silent in (hang(), chunked(end=False, then="hang"), chunked(b": ping\n\n", end=False, then="hang")):
        server, sound = await stage.server(untold(silent)), await stage.server(second.streams(*CUT))
        asked = await stage.watch(stage.engine((first, server), (second, sound)))
        answered(asked, second)
        assert "".join(asked.said) == TEXT
        assert 15 <= asked.waited_s <= 2 * 15.0 + 1, asked.waited_s


@fault("S02", "a stall in the middle")
async def s02(stage: Stage) -> None:
    first, second = other(stage)
    server = await stage.server(untold(chunked(*halves(first), end=False, then="hang")))
    sound = await stage.server(second.streams(*CUT))
    engine = stage.engine((first, server), (second, sound))
    asked = await stage.watch(engine, cache="on", seed=0)
    broken_off(asked, "ProviderTimeout")
    assert 15 <= asked.waited_s <= 15.25
    assert (len(server.requests), len(sound.requests)) == (1, 0)
    await stage.watch(engine, cache="on", seed=0)
    assert len(server.requests) + len(sound.requests) == 2, "a broken stream came from the cache"


@fault("S03", "reset after some tokens")
async def s03(stage: Stage) -> None:
    first, second = other(stage)
    whole = chunked(*halves(first), end=False)
    server = await stage.server(untold(Step((*whole.acts, 0.1), "reset")))
    sound = await stage.server(second.streams(*CUT))
    engine = stage.engine((first, server), (second, sound))
    asked = await stage.watch(engine, cache="on", seed=0)
    broken_off(asked, "TruncatedStream")
    assert (len(server.requests), len(sound.requests)) == (1, 0), "another call went on with it"
    server = await stage.server(billed(reset(chunked(*first.pieces(CUT)), after=40)))
    asked = await stage.watch(stage.engine((first, server), (second, sound)))
    answered(asked, second)


@fault("S04", "an end without its signal")
async def s04(stage: Stage) -> None:
    for vendor in VENDORS.values():
        pieces = [*vendor.pieces(CUT, ended=False)]
        for end in (chunked(*pieces), chunked(*pieces, end=False, then="close")):
            server = await stage.server(untold(end))
            engine = stage.engine((vendor, server))
            asked = await stage.watch(engine, cache="on", seed=0)
            broken_off(asked, "TruncatedStream")
            assert len(server.requests) == 1
            await stage.watch(engine, cache="on", seed=0)
            assert len(server.requests) == 2, "half an answer came from the cache"


def told_inside(vendor: Vendor, status: int, kind: str | None) -> bytes:
    """Give an event that tells a failure."""
    name = "event: error\n" if vendor.name == "anthropic" else ""
    return f"{name}data: {json.dumps(vendor.error(status, kind))}\n\n".encode()


@fault("S05", "an error told inside of a stream")
async def s05(stage: Stage) -> None:
    kinds = {"openai": "server_error", "anthropic": "overloaded_error", "google": None, "openrouter": None}
    for vendor in VENDORS.values():
        second = stage.vendor(besides=vendor)
        wrong = told_inside(vendor, 503, kinds[vendor.name])
        server = await stage.server(untold(chunked(*halves(vendor), wrong, then="close")))
        sound = await stage.server(second.streams(*CUT))
        engine = stage.engine((vendor, server), (second, sound))
        broken_off(await stage.watch(engine), "ProviderUnavailable")
        assert len(sound.requests) == 0
        server = await stage.server(billed(chunked(wrong, then="close")))
        asked = await stage.watch(stage.engine((vendor, server), (second, sound)))
        answered(asked, second)
        assert "".join(asked.said) == TEXT


def split(stage: Stage, data: bytes) -> list[bytes]:
    """Cut *data* at random, down to single bytes."""
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        size = 1 if stage.random.random() < 0.5 else stage.random.randrange(1, 60)
        pieces.append(data[at : at + size])
        at += size
    return pieces


WIDE = "Norr. Oak desk, 120x60 cm – it’s oiled. Take a look at the details today 🪵."


@fault("S06", "slices of one byte, characters cut in the middle")
async def s06(stage: Stage) -> None:
    for vendor in VENDORS.values():
        text = json.dumps(json.loads(copy_of(WIDE)), ensure_ascii=False)
        raw = b"".join(vendor.pieces([text[at : at + 3] for at in range(0, len(text), 3)]))
        for event in (raw, raw.replace(b"\n", b"\r\n")):
            expected = EventStream().feed(event)
            for _ in range(1_000 if stage.whole else 8):
                stream = EventStream()
                found = [one for piece in split(stage, event) for one in stream.feed(piece)]
                assert found == expected
        server = await stage.server(
            billed(chunked(*(raw[at : at + 1] for at in range(len(raw)))), (100, 50)),
            billed(chunked(*split(stage, raw)), (100, 50)),
            billed(chunked(raw), (100, 50)),
        )
        engine = stage.engine((vendor, server))
        seen = [await stage.watch(engine) for _ in range(3)]
        for asked in seen:
            assert "".join(asked.said) == WIDE
            assert asked.output is not None
            assert asked.output.variants[0].fields == seen[-1].output.variants[0].fields


@fault("S07", "line ends, marks, comments, pings, unknown events")
async def s07(stage: Stage) -> None:
    noise = (
        b': ping\n\nevent: ping\ndata: {"type": "ping"}\n\nretry: 10\nid: 7\n\nevent: news\n\n:\n\nodd\n\n'
    )
    for vendor in VENDORS.values():
        events = vendor.pieces(CUT)
        quiet = (
            noise
            if vendor.name == "anthropic"
            else b": ping\n\nretry: 10\nid: 7\n\nevent: news\n\n:\n\nodd\n\n"
        )
        mixed = b"\xef\xbb\xbf" + quiet + quiet.join(events)
        several = [b"data: " + e.split(b"data: ", 1)[1].replace(b"{", b"{\ndata: ", 1) for e in events]
        if vendor.name == "anthropic":
            several = [e.split(b"data: ", 1)[0] + s for e, s in zip(events, several, strict=True)]
        for data in (
            mixed,
            mixed.replace(b"\n", b"\r\n"),
            mixed.replace(b"\n", b"\r"),
            b"".join(several),
            b"".join(events).replace(b"data: ", b"data:"),
        ):
            server = await stage.server(billed(chunked(data), (100, 50)))
            asked = await stage.watch(stage.engine((vendor, server)))
            answered(asked, vendor)
            assert "".join(asked.said) == TEXT


@fault("S08", "an event of 8 MiB, a stream without end")
async def s08(stage: Stage) -> None:
    vendor = stage.vendor()
    large = b"data: " + b"x" * (8 * 2**20) + b"\n\n"
    more = vendor.pieces(["more words " * 400], ended=False)
    if vendor.name == "anthropic":
        more = more[1:]
    endless = [*vendor.pieces(CUT[:5], ended=False), *more * 4_000]
    comments = [b": nothing to say, and that at length\n\n" * 2_000] * 4_000
    before = peak_kib()
    for pieces in ([large], endless, comments):
        server = await stage.server(untold(chunked(*pieces)))
        asked = await stage.watch(stage.engine((vendor, server)))
        assert asked.kind == "ProviderProtocolError", asked.kind
        assert sum(map(len, asked.said)) <= 2**20
        began = stage.loop.now
        await server.until(lambda server=server: server.open == 0)
        assert stage.loop.now - began <= 0.1
    grown = (peak_kib() - before) / 1024
    stage.note(f"memory grew by {grown:.1f} MiB")


@fault("S09", "a caller that leaves", lacks="a client of the server (not built)")
async def s09(stage: Stage) -> None:
    vendor = stage.vendor()
    slow: list[bytes | float] = []
    for piece in vendor.pieces(CUT):
        slow += [piece, 1.0]
    server = await stage.server(untold(chunked(*slow)))
    engine = stage.engine((vendor, server))
    for leave_at in (1, 3):
        asked = await stage.watch(engine, leave_at=leave_at)
        assert len(asked.said) == leave_at
        began = stage.loop.now
        await server.until(lambda: server.open == 0)
        assert stage.loop.now - began <= 0.5
        target = stage.of_target(engine, vendor.name)
        assert (target["in_progress"], target["recent_failures"]) == (0, 0)
        assert engine.router.look()["money"]["reserved_usd"] == 0
        stage.cancelled += 1
    assert engine.router.look()["money"]["spent_usd"] > 0


@fault("S11", "data after the end, two ends")
async def s11(stage: Stage) -> None:
    for vendor in VENDORS.values():
        events = vendor.pieces(CUT)
        extra = vendor.pieces([' and more"}'], ended=False)[-1]
        for pieces in ([*events, extra], [*events, *events[-2:]], [*events, b"data: {broken\n\n", *events]):
            server = await stage.server(billed(chunked(*pieces), (100, 50)))
            asked = await stage.watch(stage.engine((vendor, server)))
            answered(asked, vendor)
            assert "".join(asked.said) == TEXT
            assert asked.output.text == TEXT
            assert len(server.requests) == 1
