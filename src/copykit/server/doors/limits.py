"""How many requests one key, tenant or address may send: sliding windows, counted here or for all workers in Redis."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from math import ceil
from typing import Any, Literal, NamedTuple

from copykit.server.bounds import RATE
from copykit.server.config import ServerSettings
from copykit.server.doors.windows import Windows
from copykit.server.wire import Refused

__all__ = ["Limits", "Window"]

REDIS_S = 0.2
"""That Redis may take to count: a limit is worth no longer wait."""
REST_S = 2.0
"""That Redis is left alone after it failed; this worker counts alone meanwhile."""
_LENGTHS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_log = logging.getLogger("copykit.server")


class Window(NamedTuple):
    """What is left of a bound, for the headers that say so."""

    limit: int
    remaining: int
    reset_s: float

    def raw(self) -> list[tuple[bytes, bytes]]:
        """Give the same headers as they go out."""
        return [
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % max(0, self.remaining)),
            (b"ratelimit-reset", b"%d" % max(0, ceil(self.reset_s))),
        ]

    def headers(self) -> dict[str, str]:
        """Give the RateLimit headers, in whole requests and seconds."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(0, self.remaining)),
            "RateLimit-Reset": str(max(0, ceil(self.reset_s))),
        }


class Limits:
    """Counts requests against bounds.

    A sliding window: of the window before this one counts the part that it still overlaps, so that nobody gets twice
    the bound around its edge. Where Redis counts and fails, each worker counts its share alone until it is back.

    Args:
        settings: the bounds, and where they are counted.
        steady: monotonic seconds, for rests of a Redis that failed.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._own = Windows()
        self._shared = _in_redis(settings.limits_url) if settings.limits_url else None
        self._rest_until = float("-inf")
        self._steady = steady
        self._parsed: dict[str, tuple[int, int]] = {}

    @property
    def counted_by(self) -> Literal["redis", "each worker its share", "this worker"]:
        """Say who counts."""
        if self._shared is not None and self._steady() >= self._rest_until:
            return "redis"
        return "each worker its share" if self._settings.workers > 1 else "this worker"

    async def count(self, rate: str, kind: str, name: str, refused: str) -> Window | None:
        """Count one request of *name* against *rate*; None where nothing bounds it.

        Args:
            refused: what the client is told.

        Raises:
            Refused: 429, with the time to wait.
        """
        if not rate:
            return None
        window, fits = await self._hit(rate, kind, name)
        return _judged(window, fits, refused)

    def count_here(self, rate: str, kind: str, name: str, refused: str) -> Window | None:
        """Do as `count` where this worker counts: at once.

        Raises:
            Refused: as `count` does.
        """
        return _judged(*self._here(rate, kind, name), refused) if rate else None

    @property
    def is_here(self) -> bool:
        """Whether this worker counts, and nobody has to be asked."""
        return self._shared is None

    async def ping(self) -> None:
        """Have Redis answer, where it counts.

        Raises:
            OSError: it does not.
        """
        if self._shared is not None:
            await self._shared.ping()

    async def aclose(self) -> None:
        """Close the connection to Redis."""
        if self._shared is not None:
            await self._shared.aclose()

    async def _hit(self, rate: str, kind: str, name: str) -> tuple[Window, bool]:
        most, length_s = self._parsed.get(rate) or self._parse(rate)
        if self._shared is not None and self._steady() >= self._rest_until:
            try:
                return await self._shared.hit(most, length_s, kind, name)
            except Exception as error:  # whatever a Redis does, requests go on
                self._rest_until = self._steady() + REST_S
                _log.warning("limits: Redis failed (%s); each worker counts alone", type(error).__name__)
        return self._here(rate, kind, name)

    def _here(self, rate: str, kind: str, name: str) -> tuple[Window, bool]:
        most, length_s = self._parsed.get(rate) or self._parse(rate)
        most = max(1, most // self._settings.workers)
        fits, left, reset_s = self._own.count(kind, name, most, length_s)
        return Window(most, left, reset_s), fits

    def _parse(self, rate: str) -> tuple[int, int]:
        found = RATE.fullmatch(rate.strip())
        assert found is not None  # noqa: S101  # settings and keys are refused otherwise
        parsed = self._parsed[rate] = (int(found[1]), _LENGTHS[found[2]])
        return parsed


def _judged(window: Window, fits: bool, refused: str) -> Window:
    """Give *window* if the request fits into it.

    Raises:
        Refused: it does not.
    """
    if fits:
        return window
    wait_s = max(1, ceil(window.reset_s))
    headers = {**window.headers(), "Retry-After": str(wait_s)}
    raise Refused(429, "rate_limited", refused, headers=headers)


class _Redis:
    """The same windows in a Redis that all workers share."""

    def __init__(self, url: str) -> None:
        from limits import RateLimitItemPerSecond
        from limits.aio.storage import RedisStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter as Shared
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        # passed on to the client as they are; with its own defaults a frozen server would take a minute
        options: dict[str, Any] = {"socket_timeout": REDIS_S, "socket_connect_timeout": REDIS_S}
        options["retry"] = Retry(NoBackoff(), 0)
        self._storage = RedisStorage(f"async+{url}", implementation="redispy", **options)
        self._limiter = Shared(self._storage)
        self._item = RateLimitItemPerSecond

    async def hit(self, most: int, length_s: int, kind: str, name: str) -> tuple[Window, bool]:
        """Count one request; gives what is left and whether it fits."""
        item = self._item(most, length_s, namespace="copykit")
        fits = await self._limiter.hit(item, kind, name)
        stats = await self._limiter.get_window_stats(item, kind, name)
        return Window(most, stats.remaining, stats.reset_time - time.time()), fits

    async def ping(self) -> None:
        """Have it answer; raises OSError if it does not."""
        if not await self._storage.check():
            raise OSError("Redis does not answer")

    async def aclose(self) -> None:
        """Close the client."""
        bridge: Any = self._storage.bridge
        client = bridge.get_connection()
        await client.aclose()
        await (
            client.connection_pool.disconnect()
        )  # which the client leaves open: it was made without one of its own


def _in_redis(url: str) -> _Redis:
    from copykit.errors import MissingExtra

    try:
        return _Redis(url)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) or "redis" in str(error).casefold():
            raise MissingExtra("limits shared in Redis", "redis", "redis") from error
        raise
