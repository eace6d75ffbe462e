"""The client without ``await``: each method runs that of `AsyncClient` on the one background loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from contextlib import suppress
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from copykit.accel.http import HttpClient
from copykit.background import run
from copykit.client.asynchronous import AsyncClient, Request
from copykit.client.place import HERE
from copykit.settings import Secret
from copykit.stream_events import StreamEvent

__all__ = ["Client"]

P = ParamSpec("P")
T = TypeVar("T")
_LEAVING_S = 1.0
"""To close a connection in: where a program ends amid a stream, the loop's thread may stand still already."""


class _Waiting(Generic[P, T]):
    """A method of `AsyncClient` that is waited for."""

    def __init__(self, method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, client: None, owner: type[Client]) -> _Waiting[P, T]: ...

    @overload
    def __get__(self, client: Client, owner: type[Client]) -> Callable[P, T]: ...

    def __get__(self, client: Client | None, owner: type[Client]) -> _Waiting[P, T] | Callable[P, T]:
        if client is None:
            return self
        method, ahead = self._method, client.awaited

        @wraps(method)
        def waiting(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                coming = method(ahead, *args, **kwargs)
            except TypeError as error:  # of the call itself: the method has not begun
                raise TypeError(str(error).replace("AsyncClient.", "Client.")) from None
            return run(coming)

        return waiting


class Client:
    """A client of one running service for programs without an event loop; safe to share between threads.

    ::

        with Client("https://copy.example.com", key="...") as client:
            print(client.generate({"product_description": "Oak desk", "target_platform": "x"}).text)

    Its arguments, its methods and what they raise are those of `AsyncClient`; it works where a loop is running too.
    """

    def __init__(
        self,
        base_url: str = HERE,
        *,
        key: Secret | str | None = None,
        prefix: str = "",
        timeout_s: float = 60.0,
        retries: int = 0,
        http: HttpClient | None = None,
    ) -> None:
        self.awaited = AsyncClient(
            base_url, key=key, prefix=prefix, timeout_s=timeout_s, retries=retries, http=http
        )
        """The client that does the work, on copykit's own background loop."""

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Give a client of what the environment names; see `AsyncClient.from_env`."""
        client = cls.__new__(cls)
        client.awaited = AsyncClient.from_env(environment, **given)
        return client

    def __repr__(self) -> str:
        return repr(self.awaited).replace("AsyncClient", type(self).__name__, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client is of no more use."""
        run(self.awaited.aclose())

    generate = _Waiting(AsyncClient.generate)
    generate_legacy = _Waiting(AsyncClient.generate_legacy)
    batch = _Waiting(AsyncClient.batch)
    batch_legacy = _Waiting(AsyncClient.batch_legacy)
    health = _Waiting(AsyncClient.health)
    live = _Waiting(AsyncClient.live)
    ready = _Waiting(AsyncClient.ready)
    performance_stats = _Waiting(AsyncClient.performance_stats)
    metrics = _Waiting(AsyncClient.metrics)
    prometheus = _Waiting(AsyncClient.prometheus)
    config = _Waiting(AsyncClient.config)
    clear_cache = _Waiting(AsyncClient.clear_cache)
    cache_stats = _Waiting(AsyncClient.cache_stats)
    optimization_report = _Waiting(AsyncClient.optimization_report)
    catalog = _Waiting(AsyncClient.catalog)
    openapi = _Waiting(AsyncClient.openapi)
    request = _Waiting(AsyncClient.request)

    def stream(
        self, request: Request, *, timeout_s: float | None = None, request_id: str | None = None
    ) -> Generator[StreamEvent, None, None]:
        """Write one brief and give what happens meanwhile; see `AsyncClient.stream`.

        Leaving the iteration, closing it or dropping it closes the connection.
        """
        return _following(self.awaited.stream(request, timeout_s=timeout_s, request_id=request_id))


def _following(events: AsyncGenerator[StreamEvent, None]) -> Generator[StreamEvent, None, None]:
    async def next_one() -> StreamEvent | None:
        return await anext(events, None)

    try:
        while (event := run(next_one())) is not None:
            yield event
    finally:
        with suppress(TimeoutError):
            run(events.aclose(), _LEAVING_S)
