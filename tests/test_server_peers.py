"""Whose address counts, when somebody says that he speaks for another."""

from __future__ import annotations

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")

from starlette.requests import Request

from copykit.server.doors.peers import Peers


def request(peer: str | None, *forwarded: str) -> Request:
    """Make a request of *peer* with these X-Forwarded-For headers."""
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    return Request({"type": "http", "client": None if peer is None else (peer, 1), "headers": headers})


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "found"),
    [
        ((), "203.0.113.9", ("198.51.100.7",), "203.0.113.9"),
        (("10.0.0.0/8",), "203.0.113.9", ("198.51.100.7",), "203.0.113.9"),
        (("10.0.0.0/8",), "10.1.2.3", ("198.51.100.7",), "198.51.100.7"),
        (("10.0.0.0/8",), "10.1.2.3", ("1.2.3.4, 198.51.100.7, 10.9.9.9",), "198.51.100.7"),
        (("10.0.0.0/8",), "10.1.2.3", ("1.2.3.4", "198.51.100.7"), "198.51.100.7"),
        (("10.0.0.0/8",), "10.1.2.3", ("nonsense",), "10.1.2.3"),
        (("10.0.0.0/8",), "10.1.2.3", (), "10.1.2.3"),
        (("10.0.0.0/8",), "10.1.2.3", ("198.51.100.7:5123",), "198.51.100.7"),
        (("::1",), "::1", ("[2001:db8::7]:99",), "2001:db8::7"),
        (("10.0.0.0/8",), "10.1.2.3", ("::ffff:198.51.100.7",), "198.51.100.7"),
        (("10.0.0.0/8",), None, ("198.51.100.7",), "198.51.100.7"),
        ((), None, ("198.51.100.7",), "unknown"),
    ],
)
def test_forwarded_addresses_are_believed_of_trusted_proxies_alone(
    trusted: tuple[str, ...], peer: str | None, forwarded: tuple[str, ...], found: str
) -> None:
    """Read from the end: what stands before the first stranger, he may have written himself."""
    assert Peers(trusted).of(request(peer, *forwarded)) == found


def test_an_address_of_ipv6_counts_by_its_first_half() -> None:
    """A subscriber has 2**64 of them, and changes them at will."""
    lines = {Peers.line_of(f"2001:db8:1:2::{n:x}") for n in range(100)}
    assert lines == {"2001:db8:1:2::/64"}
    assert Peers.line_of("198.51.100.7") == "198.51.100.7"
    assert Peers.line_of("unknown") == "unknown"
