"""HTTP to providers: one contract for all libraries, certificates, proxies, the choice among them."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from copykit import events
from copykit.accel import http_wires, registry
from copykit.accel.http import open_client
from copykit.accel.measure import measure
from copykit.errors import ConfigurationError, ProviderTLSError, ProviderUnavailable
from copykit.routing.limits import AdaptiveLimit
from copykit.testing.accel import HttpContract
from copykit.testing.servers import Received, ScriptedServer, answer, chunked, hang

TLS = Path(__file__).parent / "tls"


def one_of(names):
    """Give a fixture over the candidates *names*, skipped with the reason where absent."""

    @pytest.fixture(params=names)
    def implementation(request):
        """One verified candidate."""
        try:
            return registry.load("http", request.param)
        except ConfigurationError as error:
            pytest.skip(str(error))

    return implementation


implementation = one_of(registry.candidate_names("http"))


class TestHttp(HttpContract):
    """http: aiohttp, httpx and httpx2."""


@pytest.fixture
def forced(monkeypatch):
    """Choose anew, with the environment of the test."""
    registry.reset()
    yield lambda name: monkeypatch.setenv("COPYKIT_HTTP", name)
    registry.reset()


def server_side(certificate):
    """Give the TLS context of a server that shows *certificate*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / certificate)
    return context


def trusting():
    """Give the TLS context of a client that trusts the tests' own authority."""
    return ssl.create_default_context(cafile=TLS / "authority.pem")


def run(main):
    """Run *main* within a minute."""

    async def bounded():
        async with asyncio.timeout(60):
            return await main

    return asyncio.run(bounded())


async def post(client, url, **given):
    """Send a request with the usual arguments."""
    call = {"headers": {"x-api-key": "secret"}, "body": b"{}", "timeout_s": 30.0, **given}
    return await client.request("POST", url, **call)


def test_a_trusted_certificate_is_talked_to(implementation):
    """Over TLS everything works as without it, kept connections, streams and cancelling included."""

    async def main():
        client = implementation.new(connections=2, tls=trusting(), proxies=False)
        async with ScriptedServer([answer(body=b"sealed")], tls=server_side("sound.pem")) as server:
            assert [(await post(client, server.url)).body for _ in range(3)] == [b"sealed"] * 3
            assert server.connections == 1
            task = asyncio.create_task(post(client, server.url))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert (await post(client, server.url)).body == b"sealed"
            await client.aclose()
            await server.until(lambda: server.open == 0)

    run(main())


@pytest.mark.parametrize(
    ("certificate", "trust", "why"),
    [
        ("self_signed.pem", True, "self"),
        ("expired.pem", True, "expired"),
        ("other_host.pem", True, "127.0.0.1"),
        ("sound.pem", False, "certificate"),
    ],
)
def test_a_certificate_without_trust_is_not_talked_to(implementation, certificate, trust, why):
    """Signed by itself, expired, for another host or of an unknown authority: nothing of the request is sent."""

    async def main():
        client = implementation.new(connections=2, tls=trusting() if trust else None, proxies=False)
        async with ScriptedServer([answer()], tls=server_side(certificate)) as server:
            for _ in range(2):
                with pytest.raises(ProviderTLSError, match=why) as caught:
                    await post(client, server.url)
                assert not caught.value.retryable
            assert server.requests == []
            await client.aclose()

    run(main())


@asynccontextmanager
async def tunnelling_proxy():
    """A proxy on loopback that speaks CONNECT, and the request heads that it was sent."""
    heads = []

    async def pump(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        host, _, port = head.split(" ")[1].partition(":")
        if port == "1":
            writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
            writer.close()
            return
        upstream = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, upstream[1]), pump(upstream[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()


PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def environment(monkeypatch):
    """An environment without proxies, to put some into."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


def test_proxies_of_the_environment_are_used_only_when_asked(implementation, environment):
    """A plain request goes to the proxy with the whole URL and the proxy's credentials; NO_PROXY is heeded."""

    async def main():
        async with (
            ScriptedServer([answer(body=b"direct")]) as server,
            ScriptedServer([answer(body=b"by")]) as proxy,
        ):
            environment.setenv("HTTP_PROXY", proxy.url.replace("//", "//me:p%40ss@"))
            plain = implementation.new(connections=2, tls=None, proxies=False)
            asked = implementation.new(connections=2, tls=None, proxies=True)
            assert (await post(plain, server.url + "/x?y=1")).body == b"direct"
            for _ in range(2):
                assert (await post(asked, server.url + "/x?y=1")).body == b"by"
            seen = proxy.requests[0]
            assert (seen.path, seen.headers["host"]) == (
                server.url + "/x?y=1",
                server.url.removeprefix("http://"),
            )
            assert seen.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
            assert (proxy.connections, len(server.requests)) == (1, 1)
            environment.setenv("NO_PROXY", "127.0.0.1")
            assert (await post(asked, server.url)).body == b"direct"
            await plain.aclose()
            await asked.aclose()

    run(main())


def test_https_goes_through_a_tunnel(implementation, environment):
    """The proxy sees host, port and its own credentials, the server's certificate is checked, the key stays inside."""

    async def main():
        async with tunnelling_proxy() as (proxy, heads):
            environment.setenv("HTTPS_PROXY", f"http://me:word@{proxy}")
            client = implementation.new(connections=2, tls=trusting(), proxies=True)
            async with ScriptedServer([answer(body=b"sealed")], tls=server_side("sound.pem")) as server:
                assert (await post(client, server.url + "/secret")).body == b"sealed"
                assert server.requests[0].path == "/secret"
                assert "proxy-authorization" not in server.requests[0].headers
                assert heads[0].startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n")
                assert "Basic " + base64.b64encode(b"me:word").decode() in heads[0]
                assert "secret" not in heads[0]
            async with ScriptedServer([answer()], tls=server_side("other_host.pem")) as server:
                with pytest.raises(ProviderTLSError):
                    await post(client, server.url)
            with pytest.raises(ProviderUnavailable):
                await post(client, "https://127.0.0.1:1/")
            await client.aclose()

    run(main())


@pytest.mark.parametrize(
    "value", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://127.0.0.1:x", "http://"]
)
def test_a_proxy_that_cannot_be_used_is_refused(implementation, environment, value):
    """Going around a proxy that was asked for would be worse than not going."""
    environment.setenv("ALL_PROXY", value)

    async def main():
        client = implementation.new(connections=2, tls=None, proxies=True)
        with pytest.raises(ConfigurationError, match="proxy"):
            await post(client, "http://127.0.0.1:1/")
        await client.aclose()

    run(main())


def test_nothing_of_the_users_files_is_sent(implementation, environment, tmp_path):
    """Credentials in ~/.netrc and cookies of earlier answers stay where they are."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password word\n", encoding="utf-8")
    environment.setenv("HOME", str(tmp_path))
    environment.setenv("NETRC", str(tmp_path / ".netrc"))

    async def main():
        async with ScriptedServer([answer(headers={"set-cookie": "a=b"})]) as server:
            for proxies in (False, True):
                client = implementation.new(connections=2, tls=None, proxies=proxies)
                for _ in range(2):
                    await post(client, server.url)
                await client.aclose()
            for seen in server.requests:
                assert set(seen.headers) == {
                    "host", "accept-encoding", "content-length", "user-agent", "x-api-key",
                }  # fmt: skip

    run(main())


def test_the_sockets_of_a_forgotten_client_close_with_the_loop(implementation):
    """Without `aclose`, the end of the event loop closes them: the server in another loop sees it."""
    ready, gone = threading.Event(), threading.Event()
    port = []

    async def serve():
        async with ScriptedServer([answer()]) as server:
            port.append(server.port)
            ready.set()
            await server.until(lambda: server.connections == 1 and server.open == 0)
            gone.set()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    client = implementation.new(connections=2, tls=None, proxies=False)
    run(post(client, f"http://127.0.0.1:{port[0]}"))
    assert gone.wait(30)
    thread.join(30)


def test_idle_connections_are_closed_after_their_time(implementation, monkeypatch):
    """Nobody has to ask again for that: a client that is not used gives its sockets back."""
    monkeypatch.setattr(http_wires, "KEEP_ALIVE_S", 0.1)

    async def main():
        client = implementation.new(connections=3, tls=None, proxies=False)
        async with ScriptedServer([chunked(b"a", 0.05, b"b")]) as server:
            await asyncio.gather(*(post(client, server.url) for _ in range(3)))
            assert server.connections == 3
            await server.until(lambda: server.open == 0)
            assert (await post(client, server.url)).body == b"ab"
            await client.aclose()

    run(main())


@pytest.mark.parametrize("size", [2, 900_000])
def test_aiohttp_sends_in_the_turn_in_which_a_call_begins(size):
    """Calls that begin together do not wait for one another to be made ready; what a socket cannot take follows."""
    try:
        wires = registry.load("http", "aiohttp")
    except ConfigurationError as error:
        pytest.skip(str(error))
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

    async def main():
        client = wires.new(connections=2, tls=None, proxies=False)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # not all of a long body at once
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            first = asyncio.create_task(post(client, url))
            line, _ = await asyncio.to_thread(listening.accept)
            line.settimeout(30)
            await asyncio.to_thread(line.recv, 65536)
            line.sendall(head)
            await first
            second = asyncio.create_task(post(client, url, body=b"x" * size))
            await asyncio.sleep(0)
            got = line.recv(65536)  # the loop stands still meanwhile
            assert got.startswith(b"POST ")
            assert size == 2 or len(got) < size
            whole = got.index(b"\r\n\r\n") + 4 + size
            while len(got) < whole:
                got += await asyncio.to_thread(line.recv, 65536)
            line.sendall(head)
            assert (await second).body == b"ok"
            third = asyncio.create_task(post(client, url, body=b"x" * size))
            await asyncio.sleep(0)
            third.cancel()
            await asyncio.gather(third, return_exceptions=True)
            left = line.recv(65536)
            while left:  # a call that is given up ends its connection, also in the middle of its body
                left = await asyncio.to_thread(line.recv, 65536)
            line.close()
            await client.aclose()

    run(main())


class SlowSocket:
    """A request whose socket takes the second half later."""

    def __init__(self):
        self.ready = asyncio.get_running_loop().create_future()
        self.did = []

    async def write_bytes(self, first, second):
        """Write both halves."""
        try:
            self.did.append(first)
            await self.ready
            self.did.append(second)
        except asyncio.CancelledError:
            self.did.append("closed")
            raise


def test_what_a_socket_does_not_take_at_once_is_left_to_a_task():
    """The rest is written when the socket is ready; cancelled, it ends as it would have ended alone."""

    async def main():
        written_at_once = http_wires._written_at_once(SlowSocket)
        whole, left = written_at_once(), written_at_once()
        task, given_up = (asyncio.create_task(one.write_bytes("head", "body")) for one in (whole, left))
        assert whole.did == left.did == ["head"]
        await asyncio.sleep(0)
        whole.ready.set_result(None)
        given_up.cancel()
        assert await asyncio.gather(task, given_up, return_exceptions=True) != [None, None]
        assert whole.did == ["head", "body"]
        assert left.did == ["head", "closed"]
        assert given_up.cancelled()

    run(main())


def test_the_environment_chooses_the_library(forced):
    """`COPYKIT_HTTP` forces a candidate and the event says so; a misspelt one is refused with the nearest."""
    forced("httpx2")
    heard = []
    events.subscribe(heard.append)
    try:
        open_client()
    finally:
        events.unsubscribe(heard.append)
    assert heard == [events.CapabilitySelected("http", "httpx2", "forced by COPYKIT_HTTP")]
    registry.reset()
    forced("htpx2")
    with pytest.raises(ConfigurationError, match="nearest: 'httpx2'"):
        open_client()


def test_measuring_leaves_no_noise(caplog):
    """`copykit check --measure` times calls on loopback, and its server ends without a word."""
    gains = measure("http", rounds=2)
    assert {gain.candidate for gain in gains} == {
        probe.candidate for probe in registry.probe("http") if probe.state == "verified"
    } - {"httpx2"}
    assert caplog.records == []


def test_no_call_that_the_router_lets_out_waits_for_a_connection():
    """As many calls as a target's limit ever allows are with the server at once, over the client that providers open."""
    limit = AdaptiveLimit()
    for _ in range(1_000):
        limit.succeeded(limit.limit)

    async def main():
        async with ScriptedServer([hang()]) as server:
            client = open_client()
            calls: list[asyncio.Task[object]] = []

            def all_there():
                return len(server.requests) == len(calls)

            while len(calls) < limit.limit:  # in turns, since a listening socket queues a hundred
                calls += [
                    asyncio.create_task(
                        client.request("GET", server.url, headers={}, timeout_s=30, connect_s=30)
                    )
                    for _ in range(64)
                ]
                await server.until(all_there)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await client.aclose()

    asyncio.run(main())


def test_a_client_needs_a_connection(forced):
    """A bound below one is refused when the client is made."""
    with pytest.raises(ConfigurationError, match="at least 1"):
        open_client(connections=0)


def test_no_library_is_loaded_before_it_is_needed():
    """Importing copykit, the port or the providers' parser loads none of the candidates, and no TLS."""
    code = (
        "import sys, copykit, copykit.accel.http, copykit.providers.events\n"
        "print(sorted({'aiohttp', 'httpx', 'httpx2', 'httpcore', 'httpcore2', 'anyio', 'ssl'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_scripted_server_says_when_it_has_nothing_to_say():
    """A request beyond the script is the test's own mistake; a function may choose each step."""

    async def main():
        client = open_client(connections=1)
        async with ScriptedServer(lambda received: answer(json={"path": received.path})) as server:
            reply = await post(client, server.url + "/a?b=c")
            assert reply.body == b'{"path": "/a?b=c"}'
            received = server.requests[0]
            assert isinstance(received, Received)
            assert (received.json(), received.connection, server.open) == ({}, 1, 1)
        await client.aclose()

    run(main())
