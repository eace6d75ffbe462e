"""The two public faces over one engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from copykit.caching.base import Cache
from copykit.engine import Engine
from copykit.errors import ConfigurationError, CopykitError, InvalidRequest
from copykit.models import CopywritingInput, CopywritingOutput
from copykit.performance import PerformanceConfig
from copykit.providers.registry import check_targets
from copykit.settings import Settings
from copykit.stats import Stats

if TYPE_CHECKING:
    from copykit.streaming import StreamEvent

__all__ = ["CopywritingService", "CopywritingServiceV11"]

Request = CopywritingInput | Mapping[str, Any]
"""A `CopywritingInput`, or a mapping of its fields."""


class _Service:
    """What both faces share; each adds its preset."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        config: PerformanceConfig | None = None,
        cache: Cache | None = None,
        engine: Engine | None = None,
    ) -> None:
        if engine is not None and (settings, config, cache) != (None, None, None):
            raise ConfigurationError("engine: it has settings, config and cache of its own; give it alone")
        if cache is not None and config is not None:
            _refuse_idle(config)
        if settings is None:
            settings = (
                engine.settings if engine is not None else Settings.from_env(check_targets=check_targets)
            )
        self.config = (config or self._preset()).filled_from(settings)
        self._stats = Stats()
        self._owns_engine = engine is None
        self.engine = engine or Engine(self.config.applied_to(settings), cache=cache)
        self.engine.add_hook(self._stats)

    @staticmethod
    def _preset() -> PerformanceConfig:
        return PerformanceConfig()

    async def generate(self, request: Request) -> CopywritingOutput:
        """Write, check and rank the variants of one brief.

        Raises:
            InvalidRequest: the request cannot be served; the message names field, value and nearest choice.
            NoProviderSucceeded: every target failed.
            DeadlineExceeded: no answer within ``deadline_s``.
        """
        return await self.engine.generate(_accepted(request))

    def stream(self, request: Request) -> AsyncIterator[StreamEvent]:
        """Write one brief and give what happens meanwhile: deltas of fields, whole fields with their checks, the result.

        ::

            async with aclosing(service.stream(request)) as events:
                async for event in events: ...

        The events are those of `copykit.streaming`; the last is a `StreamFinished` with the output or a
        `StreamFailed` with the error. Once text was given no other model goes on with it. Leaving the iteration
        closes the connection to the provider. Writers that cannot stream give whole fields at their end.

        Raises:
            InvalidRequest: at once, if *request* cannot be read.
        """
        return self.engine.stream(_accepted(request))

    async def batch_generate(self, requests: Iterable[Request]) -> list[CopywritingOutput | CopykitError]:
        """Write all briefs, at most ``max_workers`` at once: outputs in order, an error in the place of a failure."""
        from copykit.batch import gather  # only who runs batches pays for it

        concurrency = self.engine.settings.batch.concurrency
        return await gather(self.engine, [_accepted_or_error(request) for request in requests], concurrency)

    async def get_performance_stats(self) -> dict[str, Any]:
        """Give counts and latencies since this service was made, the cache's state, and what the config does."""
        return {
            **self._stats.snapshot(),
            "cache_tier": self.engine.results.stats(),
            "config": self.config.explain(),
            "providers": list(self.engine.settings.routing.providers),
            "routing": self.engine.router.look(),
            "ignored_settings": list(self.engine.settings.ignored),
        }

    async def health(self) -> dict[str, Any]:
        """Tell whether the service can answer, and with what."""
        targets = self.engine.settings.routing.targets
        unknown = [target for target in targets if check_targets((target,))]
        return {
            "status": "degraded" if unknown else "ok",
            "providers": list(targets),
            "unknown_providers": unknown,
            "cache": self.engine.results.stats() or None,
        }

    async def clear_cache(self) -> None:
        """Forget every cached result."""
        await self.engine.results.clear()

    async def aclose(self) -> None:
        """Give back what the service holds; it must not be used afterwards. A shared engine stays open."""
        self.engine.remove_hook(self._stats)
        if self._owns_engine:
            await self.engine.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class CopywritingService(_Service):
    """The first face: exact caching in memory and fallback over the configured targets.

    Args:
        settings: None reads the environment and ``copykit.toml`` once, now.
        config: the thirteen-field form; what it leaves unset is the settings' own.
        cache: used instead of the one the settings name.
        engine: share another face's engine, alone; the face that made it closes it.
    """

    _v11: CopywritingServiceV11 | None = None

    async def generate_v11(self, request: Request) -> CopywritingOutput:
        """Generate through the other face, over this one's engine."""
        if self._v11 is None:
            self._v11 = CopywritingServiceV11(engine=self.engine)
        return await self._v11.generate(request)

    async def aclose(self) -> None:
        """Close both faces."""
        if self._v11 is not None:
            await self._v11.aclose()
        await super().aclose()


class CopywritingServiceV11(_Service):
    """The second face: everything in `PerformanceConfig` that can act is on; takes the same arguments."""

    @staticmethod
    def _preset() -> PerformanceConfig:
        return PerformanceConfig.everything()


def _refuse_idle(config: PerformanceConfig) -> None:
    """Refuse what *config* asks of a cache that is the caller's own and stays as it was made."""
    if config.cache_size is not None:
        raise ConfigurationError("cache_size: the cache given with it has its own bound; give one of them")
    if not config.intelligent_caching:
        raise ConfigurationError("intelligent_caching: it is off, and a cache was given; give one of them")


def _accepted(request: Request) -> CopywritingInput:
    """Give *request* as an object of the engine's own: what the caller changes later is the next request's."""
    if isinstance(request, CopywritingInput):
        return request.snapshot()
    if isinstance(request, Mapping):
        return CopywritingInput(**request).snapshot()
    raise InvalidRequest("request", request, "must be a CopywritingInput or a mapping of its fields")


def _accepted_or_error(request: Request) -> CopywritingInput | CopykitError:
    try:
        return _accepted(request)
    except CopykitError as error:
        return error
