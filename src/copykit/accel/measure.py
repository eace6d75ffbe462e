"""What each candidate gains on this machine, on inputs of the size that copykit has.

All candidates of a workload take turns in one run, so that a busy machine slows them alike; what counts
is the ratio to the fallback in the same round, and its spread over the rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import quantiles
from typing import Any

from copykit.errors import ConfigurationError

from . import registry

__all__ = ["Gain", "measure", "workloads"]

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Gain:
    """One candidate on one workload, against the fallback of its capability."""

    capability: str
    workload: str
    candidate: str
    took_us: float
    """Median time of one call, in microseconds."""
    fallback_us: float
    """The same for the fallback."""
    ratio: float
    """Median of fallback time / candidate time in the same round; above 1 is faster."""
    low: float
    """Lower quartile of that ratio."""
    high: float
    """Upper quartile of that ratio."""

    @property
    def verdict(self) -> str:
        """Say ``faster`` or ``slower`` where both quartiles agree by more than 5 %, else ``no gain``."""
        if self.low > 1.05:
            return "faster"
        return "slower" if self.high < 1 / 1.05 else "no gain"


@dataclass(frozen=True, slots=True)
class Workload:
    """Something that copykit asks of a capability."""

    name: str
    prepare: Callable[[Any], Work]
    """Takes an implementation and gives the call to time."""


def workloads(capability: str) -> tuple[Workload, ...]:
    """List what is timed for *capability*."""
    return _WORKLOADS[capability]()


def measure(capability: str, *, candidates: Sequence[str] | None = None, rounds: int = 21) -> list[Gain]:
    """Time the usable candidates of *capability* against its fallback.

    Args:
        capability: A name of `registry.capability_names`.
        candidates: Only these; all by default. Absent and unusable ones are left out.
        rounds: Rounds in which every candidate takes its turn, each about 2 ms for the fallback.
    """
    names = registry.candidate_names(capability)
    fallback = names[-1]
    usable: dict[str, Any] = {}
    for name in dict.fromkeys((*(names if candidates is None else candidates), fallback)):
        try:
            usable[name] = registry.load(capability, name)
        except ConfigurationError:
            continue
    gains = []
    for workload in workloads(capability):
        works = {name: workload.prepare(made) for name, made in usable.items()}
        times = _interleave(works, fallback, rounds)
        for name in works:
            if name == fallback:
                continue
            ratios = [base / took for base, took in zip(times[fallback], times[name], strict=True)]
            low, ratio, high = quantiles(ratios, n=4)
            took, base = quantiles(times[name], n=2)[0], quantiles(times[fallback], n=2)[0]
            gains.append(Gain(capability, workload.name, name, took * 1e6, base * 1e6, ratio, low, high))
    return gains


def _interleave(works: dict[str, Work], fallback: str, rounds: int) -> dict[str, list[float]]:
    for work in works.values():
        work()
    repeats = 1
    while _time(works[fallback], repeats) < 0.002 and repeats < 100_000:
        repeats *= 2
    times: dict[str, list[float]] = {name: [] for name in works}
    order = list(works)
    for _ in range(rounds):
        for name in order:
            times[name].append(_time(works[name], repeats) / repeats)
        order.append(order.pop(0))
    return times


def _time(work: Work, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return time.perf_counter() - start


def _result() -> dict[str, Any]:
    """A finished result of about 2 kB, shaped as `CopywritingOutput` is when it is cached."""
    texts = [
        "Zapatos deportivos que acompañan cada paso 👟 Comodidad y estilo, también el lunes. Pruébalos en "
        "casa y decide con calma. #EstiloActivo #Comodidad",
        "Built for the long way home: a light sole, a calm fit, and room for one more kilometre. Lace up "
        "once and forget about them until the stairs.",
        "Du choix du cuir à la dernière couture, rien n'est laissé au hasard. Découvrez la collection et "
        "trouvez la pointure qui vous suit partout.",
    ]
    variants = [
        {
            "fields": {"text": text, "headlines": [text[:30], text[10:38]]},
            "text": text,
            "status": "ok",
            "field_status": {"text": "ok", "headlines": "ok"},
            "violations": [],
            "scores": {name: {"value": 0.875, "reasons": [text[:20]]} for name in ("coverage", "clarity")},
        }
        for text in texts
    ]
    usage = {"input_tokens": 412, "output_tokens": 188, "cost_usd": 0.00031, "cached_tokens": None}
    return {
        "id": "b2f1c0",
        "variants": variants,
        "placement": "instagram.caption",
        "usage": usage,
        "cached": False,
    }


def _json() -> tuple[Workload, ...]:
    from .json import StdlibJson

    value = _result()
    data = StdlibJson().dumps(value)
    return (
        Workload(f"encode a result of {len(data):,} bytes", lambda codec: lambda: codec.dumps(value)),
        Workload(f"decode a result of {len(data):,} bytes", lambda codec: lambda: codec.loads(data)),
    )


def _digest() -> tuple[Workload, ...]:
    headline, page = b"Comfort and style for every day", b"Comfort and style for every day. " * 32
    return (
        Workload(
            f"fingerprint a headline of {len(headline)} bytes", lambda d: lambda: d.fingerprint(headline)
        ),
        Workload(f"fingerprint a text of {len(page):,} bytes", lambda d: lambda: d.fingerprint(page)),
    )


def _compress() -> tuple[Workload, ...]:
    from .compress import decompress
    from .json import StdlibJson

    data = StdlibJson().dumps(_result())

    def unpack(compressor: Any) -> Work:
        blob = compressor.format + len(data).to_bytes(4, "big") + compressor.pack(data)
        return lambda: decompress(blob)

    return (
        Workload(f"compress a result of {len(data):,} bytes", lambda c: lambda: c.pack(data)),
        Workload(f"decompress a result of {len(data):,} bytes", unpack),
    )


def _store() -> tuple[Workload, ...]:
    random = Random(1)  # noqa: S311 -- the same accesses for every candidate
    keys = [str(int(random.paretovariate(0.9)) % 5000) for _ in range(500)]

    def mixed(maker: Any) -> Work:
        store = maker.new(1000, 2_000_000, time.monotonic)

        def work() -> None:
            for key in keys:
                if store.get(key) is None:
                    store.set(key, key, 1900, 3600.0)

        return work

    def hit(maker: Any) -> Work:
        store = maker.new(1000, 2_000_000, time.monotonic)
        store.set("key", "value", 1900, 3600.0)
        return lambda: store.get("key")

    return Workload("500 look-ups, a miss is stored", mixed), Workload("one hit", hit)


def _similarity() -> tuple[Workload, ...]:
    random = Random(2)  # noqa: S311 -- the same vectors for every candidate

    def pairs(count: int, width: int) -> Workload:
        vectors = [[random.randrange(6) for _ in range(width)] for _ in range(count)]

        def prepare(similarity: Any) -> Work:
            def work() -> object:
                result = similarity.product(vectors, vectors, 25 * width)
                return result if isinstance(result, list) else result.tolist()

            return work

        return Workload(f"all pairs of {count} vectors of {width}", prepare)

    return pairs(8, 64), pairs(15, 128), pairs(60, 256), pairs(400, 256)


def _fuzzy() -> tuple[Workload, ...]:
    headlines = [
        "Comfort for every day", "Comfort on every day", "Style that stays", "Made for runners",
        "Shop the new soles", "Comodidad cada día", "Estilo que se queda",
        "Nuevas suelas ligeras", "Free returns in 30 days",
    ]  # fmt: skip

    def prepare(fuzzy: Any) -> Work:
        return lambda: [fuzzy.distance(a, b) for a in headlines for b in headlines]

    texts = [
        "Comfort and style for every day of the week, " * 5,
        "Style and comfort on any day of a week, " * 5,
    ]
    return (
        Workload(f"compare {len(headlines)} headlines with each other", prepare),
        Workload(f"compare two texts of {len(texts[0])} characters", lambda f: lambda: f.distance(*texts)),
    )


def _system() -> tuple[Workload, ...]:
    return (Workload("read the memory in use", lambda system: system.rss_bytes),)


def _loop() -> tuple[Workload, ...]:
    import asyncio

    async def tasks() -> None:
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(200)))

    async def threads() -> None:
        for _ in range(20):
            await asyncio.to_thread(int)

    def run(main: Callable[[], Any]) -> Callable[[Any], Work]:
        def prepare(maker: Any) -> Work:
            def work() -> None:
                with asyncio.Runner(loop_factory=maker.new_event_loop) as runner:
                    runner.run(main())

            return work

        return prepare

    return (
        Workload("start a loop and run 200 tasks", run(tasks)),
        Workload("start a loop and run 20 calls in threads", run(threads)),
    )


def _http() -> tuple[Workload, ...]:
    import asyncio

    url, body = "http://127.0.0.1:{}/v1/chat", b'{"model": "m"}' + b" " * 2000
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n\r\n" + b" " * 2000

    class Server(asyncio.Protocol):
        """Answers whatever ends with the body."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport: Any = transport
            self._seen = b""

        def data_received(self, data: bytes) -> None:
            self._seen += data
            if self._seen.endswith(body):
                self._seen = b""
                self._transport.write(reply)

    async def exchanges(maker: Any, rounds: int, at_once: int) -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        client = maker.new(connections=at_once, tls=None, proxies=False)
        here = url.format(server.sockets[0].getsockname()[1])
        for _ in range(rounds):
            calls = [
                client.request("POST", here, headers={}, body=body, timeout_s=30) for _ in range(at_once)
            ]
            await asyncio.gather(*calls)
        await client.aclose()
        server.close()
        await server.wait_closed()

    def work(rounds: int, at_once: int) -> Callable[[Any], Work]:
        return lambda maker: lambda: asyncio.run(exchanges(maker, rounds, at_once))

    return (
        Workload("50 calls on loopback, one at a time", work(50, 1)),
        Workload("4 times 32 calls on loopback at once", work(4, 32)),
    )


_WORKLOADS: dict[str, Callable[[], tuple[Workload, ...]]] = {
    "json": _json,
    "digest": _digest,
    "compress": _compress,
    "store": _store,
    "similarity": _similarity,
    "fuzzy": _fuzzy,
    "system": _system,
    "loop": _loop,
    "http": _http,
}
