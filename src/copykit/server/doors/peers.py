"""Who is at the other end of a connection, when proxies that are trusted stand in between."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.requests import Request
from starlette.types import Scope

__all__ = ["Peers"]

UNKNOWN = "unknown"
"""Of a peer without an address: one on a Unix socket."""


class Peers:
    """Finds the address of a request's client.

    ``X-Forwarded-For`` is believed from trusted peers alone, and read from its end: the first address there that no
    trusted proxy has wrote the rest itself, whatever it says.

    Args:
        trusted: addresses or networks of proxies.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted: tuple[IPv4Network | IPv6Network, ...] = tuple(
            ip_network(one, strict=False) for one in trusted
        )

    def of(self, request: Request) -> str:
        """Give the client's address."""
        return self.of_scope(request.scope)

    def of_scope(self, scope: Scope) -> str:
        """Give the address of the client whose request *scope* is."""
        client = scope.get("client")
        peer: str = client[0] if client is not None else UNKNOWN
        if not self._trusted or not self._is_trusted(peer):
            return peer
        told = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode(
            "latin-1"
        )
        for hop in reversed([part.strip() for part in told.split(",") if part.strip()]):
            address = _address(hop)
            if address is None:
                return peer
            peer = address
            if not self._is_trusted(peer):
                break
        return peer

    @staticmethod
    @lru_cache(maxsize=4096)
    def line_of(peer: str) -> str:
        """Give what counts as one subscriber: an address, and of IPv6 the first half, which is the smallest that one has."""
        try:
            address = ip_address(peer)
        except ValueError:
            return peer
        return peer if address.version == 4 else str(ip_network((peer, 64), strict=False))

    def _is_trusted(self, peer: str) -> bool:
        if peer == UNKNOWN:
            return True  # a Unix socket: who may open it is for the file system to say
        address = _address(peer)
        return address is not None and any(ip_address(address) in network for network in self._trusted)


@lru_cache(maxsize=4096)
def _address(text: str) -> str | None:
    """Give the address in *text*, without the port that some proxies add; None if there is none."""
    bare = text
    if text.startswith("["):
        bare = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        bare = text.partition(":")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)
