"""Opening a connection: names, addresses and TLS, on real sockets where they decide."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headgate.config.schema import Config, RetryConfig
from headgate.errors import Unavailable
from headgate.events import ErrorClass, Reason, UsageSource
from headgate.net.client import Connection, WireError
from headgate.net.connection_pool import ConnectionPool
from headgate.net.http import Origin
from headgate.sim.virtual_time import run
from headgate.upstream import dial as dialling
from headgate.upstream.dial import TcpDial, is_public
from support.ports import free_port
from support.world import Answer, World, lanes, play

TLS = Path(__file__).parent / "tls"
WITHIN_S = 5.0
"""A hang guard: only what must hang comes near it."""


async def take(dial: TcpDial, origin: Origin, within_s: float = WITHIN_S) -> Connection:
    return await ConnectionPool(origin, dial, max_connections=1, keepalive_s=1).take(within_s, within_s)


async def failure_of(dial: TcpDial, origin: Origin, within_s: float = WITHIN_S) -> WireError:
    with pytest.raises(WireError) as caught:
        await take(dial, origin, within_s)
    return caught.value


def resolves_to(*found: tuple[str, int], after_s: float = 0.0):
    """A resolver that knows one answer; none means that the name does not exist.  It notes how often it was asked."""
    asked: list[str] = []

    async def getaddrinfo(host, port, **_):
        asked.append(host)
        await asyncio.sleep(after_s)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, at or port))
            for ip, at in found
        ]

    getaddrinfo.asked = asked
    return getaddrinfo


class Peer(asyncio.Protocol):
    """Whoever answers at the other end: notes what it hears, and says `answer` to it, if there is one."""

    def __init__(self, peers: list[Peer], answer: bytes) -> None:
        peers.append(self)
        self.heard = b""
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data
        if self._answer:
            self.transport.write(self._answer)


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None, answer: bytes = b"") -> AsyncIterator[tuple[int, list[Peer]]]:
    """A server on loopback: its port, and its ends of the connections."""
    peers: list[Peer] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Peer(peers, answer), "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], peers
    finally:
        for peer in peers:
            if hasattr(peer, "transport"):
                peer.transport.abort()
        server.close()
        await asyncio.sleep(0.01)  # transports end in a later turn


# -- what the engine makes of it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "error", "again"),
    [
        ("dns", ErrorClass.DNS, True),
        ("connect", ErrorClass.CONNECT, True),
        ("connect_timeout", ErrorClass.CONNECT_TIMEOUT, True),
        ("tls", ErrorClass.TLS, False),
        ("egress_denied", ErrorClass.EGRESS_DENIED, False),
    ],
)
def test_a01_a02_a03_a04_a_connection_that_fails_is_never_charged(kind, error, again):
    """What may pass is tried again; what is wrong on purpose or by configuration is not."""

    async def dial(origin, factory, within_s):
        raise WireError(kind, "no", sent=False)

    answer: Answer = play(lambda world: world.ask(), dial=dial, retry=RetryConfig(max_attempts=3))

    record = answer.record
    assert (record.error, record.attempts) == (error, 3 if again else 1)
    assert (record.usage_source, record.cost_pico, record.unconfirmed_pico) == (UsageSource.NONE, 0, 0)
    assert record.reason == (Reason.ATTEMPTS_SPENT if again else None)


def test_a01_while_nothing_connects_callers_are_told_that_and_not_that_the_api_fails():
    """The breaker opens all the same, and an operator must not look for the trouble at the wrong end."""

    async def dial(origin, factory, within_s):
        raise WireError("dns", "no", sent=False)

    async def scene(world: World) -> str:
        for _ in range(5):
            await world.ask()
        with pytest.raises(Unavailable) as refused:
            await world.ask()
        return str(refused.value)

    told = play(scene, dial=dial, retry=RetryConfig(max_attempts=1), config=Config(lanes=lanes(max_wait_s=0.1)))

    assert told.startswith("Headgate cannot connect to the Claude API, so nothing is sent for about ")


# -- names -------------------------------------------------------------------------------------------------------------


def test_a01_a_name_that_does_not_exist_is_a_dns_failure():
    """Named so, and without the resolver's own words."""

    async def scene():
        asyncio.get_running_loop().getaddrinfo = resolves_to()
        return await failure_of(TcpDial(), Origin("https", "api.invalid", 443))

    problem = run(scene())

    assert (problem.kind, problem.sent) == ("dns", False)


def test_a01_a_resolver_that_takes_half_a_minute_is_not_waited_for():
    """The connect timeout covers the name too, and what took so long is said."""

    async def scene():
        loop = asyncio.get_running_loop()
        loop.getaddrinfo = resolves_to(("8.8.8.8", 0), after_s=30)
        problem = await failure_of(TcpDial(), Origin("https", "api.example", 443), 5)
        return problem.kind, loop.time()

    assert run(scene()) == ("dns", 5)


INSIDE = (
    "127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "192.0.0.192",
    "::1", "::", "fe80::1%eth0", "fd00::1", "fec0::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::7f00:1",
    "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1", "2002:7f00:1::",
)  # fmt: skip
"""Addresses of this machine, its networks and its cloud, in every way to write them."""


@pytest.mark.parametrize("address", INSIDE)
def test_a02_j09_a_name_that_comes_to_point_inside_is_not_connected_to(address):
    """Checked after the name was resolved, at every connection: rebinding is how a key is stolen."""

    async def scene():
        asyncio.get_running_loop().getaddrinfo = resolves_to((address, 0))
        return (await failure_of(TcpDial(), Origin("https", "api.example", 443))).kind

    assert run(scene()) == "egress_denied"
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::6810:84e5", "64:ff9b::808:808", "2002:808:808::1"])
def test_j09_an_address_outside_is_taken_however_it_is_written(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "017700000001", "127.1", "0", "0x7f000001"], ids=lambda host: f"host-{host}"
)
def test_j09_a_number_that_a_resolver_reads_as_an_address_is_a_name(host):
    """The C library takes these for 127.0.0.1 or 0.0.0.0; they were hardly written down on purpose."""

    async def scene():
        return (await failure_of(TcpDial(), Origin("https", host, 443))).kind

    assert asyncio.run(scene()) == "egress_denied"


@pytest.mark.parametrize("host", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "64:ff9b::a9fe:a9fe"])
def test_j09_where_a_cloud_tells_its_secrets_nothing_is_sent_even_if_it_is_written_down(host):
    """Link-local: of all that is private the one address that answers whoever asks."""

    async def scene():
        return (await failure_of(TcpDial(), Origin("http", host, 80))).kind

    assert asyncio.run(scene()) == "egress_denied"


def test_a02_what_was_checked_is_what_is_connected_to(monkeypatch):
    """One question to the resolver, and of its answers only the public ones: there is no second look in between."""
    tried = []

    async def start_connection(addresses, **_):
        tried.extend(info[4][0] for info in addresses)
        raise OSError("enough")

    monkeypatch.setattr(dialling.aiohappyeyeballs, "start_connection", start_connection)
    resolver = resolves_to(("127.0.0.1", 0), ("8.8.8.8", 0), ("10.0.0.1", 0))

    async def scene():
        asyncio.get_running_loop().getaddrinfo = resolver
        await failure_of(TcpDial(), Origin("https", "api.example", 443))

    run(scene())

    assert (tried, resolver.asked) == (["8.8.8.8"], ["api.example"])


def test_a02_a_private_address_that_was_allowed_or_written_down_is_taken():
    """`upstream.allow_private_addresses`, and an address in the base URL itself."""

    async def scene():
        async with listening() as (port, _):
            asyncio.get_running_loop().getaddrinfo = resolves_to(("127.0.0.1", 0))
            written = await take(TcpDial(), Origin("http", "127.0.0.1", port))
            allowed = await take(TcpDial(allow_private=True), Origin("http", "inside.example", port))
            good = written.is_open, allowed.is_open
            written.abort()
            allowed.abort()
            return good

    assert asyncio.run(scene()) == (True, True)


# -- addresses ---------------------------------------------------------------------------------------------------------


def test_a03_a_closed_port_is_a_connect_failure():
    """Nothing was sent."""
    problem = asyncio.run(failure_of(TcpDial(), Origin("http", "127.0.0.1", free_port())))

    assert (problem.kind, problem.sent) == ("connect", False)


@pytest.mark.parametrize("dead", ["::1", "2001:db8::1", "127.0.0.2"])
def test_a17_a_dead_address_beside_a_live_one_is_no_failure(dead):
    """Refused or unreachable, whichever family comes first: the other is raced (RFC 8305)."""

    async def scene():
        async with listening() as (port, _):
            asyncio.get_running_loop().getaddrinfo = resolves_to((dead, free_port()), ("127.0.0.1", port))
            connection = await take(TcpDial(allow_private=True), Origin("http", "two.example", port))
            good = connection.is_open
            connection.abort()
            return good

    assert asyncio.run(scene())


def test_a17_an_address_that_swallows_packets_does_not_use_up_the_time():
    """The next address is tried while the first still hangs, not after its timeout: with a first address that
    never answers, the connection stands before the timeout is over."""

    async def scene():
        async with listening() as (port, peers):
            with socket.socket() as full, socket.socket() as one, socket.socket() as two:
                full.bind(("127.0.0.1", 0))
                full.listen(0)
                for sock in (one, two):  # with its queue full it answers nobody any more
                    sock.setblocking(False)
                    sock.connect_ex(full.getsockname())
                hole = full.getsockname()[1]
                asyncio.get_running_loop().getaddrinfo = resolves_to(("127.0.0.1", hole), ("127.0.0.1", port))
                connection = await take(TcpDial(allow_private=True), Origin("http", "two.example", port))
                connection.abort()
                return len(peers) == 1

    assert asyncio.run(scene())


# -- TLS ---------------------------------------------------------------------------------------------------------------


def server_context(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / f"{certificate}.pem", TLS / "key.pem")
    return context


def old_context() -> ssl.SSLContext:
    context = server_context("good")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def dialled(
    context: ssl.SSLContext | None, dial: TcpDial, *, answer: bytes = b"", within_s: float = WITHIN_S
) -> tuple[str, list[bytes]]:
    """How dialling a server with that context over https ends: `open`, or the kind of failure; and what each of the
    server's connections heard."""

    async def scene() -> tuple[str, list[bytes]]:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's view of a broken handshake
        async with listening(context, answer) as (port, peers):
            try:
                connection = await take(dial, Origin("https", "localhost", port), within_s)
                connection.abort()
                ended = "open"
            except WireError as problem:
                ended = problem.kind
            await asyncio.sleep(0.01)
            return ended, [peer.heard for peer in peers]

    return asyncio.run(scene())


OURS = str(TLS / "ca.pem")


def test_a04_a_certificate_that_we_trust_for_that_name_is_taken():
    """`upstream.ca_file`; without this the refusals below would prove nothing."""
    assert dialled(server_context("good"), TcpDial(ca_file=OURS))[0] == "open"


@pytest.mark.parametrize("certificate", ["expired", "wrong-name", "self-signed"])
def test_a04_a_bad_certificate_is_refused(certificate):
    """Fail closed: no second try, no plain HTTP."""
    assert dialled(server_context(certificate), TcpDial(ca_file=OURS))[0] == "tls"


def test_a04_a_certificate_of_a_stranger_is_refused():
    """Good in itself, but signed by nobody that this machine trusts."""
    assert dialled(server_context("good"), TcpDial())[0] == "tls"


def test_a04_an_old_protocol_is_refused():
    """TLS 1.2 at least."""
    assert dialled(old_context(), TcpDial(ca_file=OURS))[0] == "tls"


def test_a04_plain_http_where_tls_belongs_is_refused():
    """No fallback to a wire that anybody can read, and no byte of a request on it."""
    ended, heard = dialled(None, TcpDial(ca_file=OURS), answer=b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert (ended, len(heard)) == ("tls", 1)
    assert heard[0].startswith(b"\x16\x03")  # a TLS handshake and nothing else


def test_a05_a_handshake_that_hangs_is_bounded_by_the_connect_timeout():
    """Accepted, then silence."""
    assert dialled(None, TcpDial(ca_file=OURS), within_s=0.2)[0] == "connect_timeout"
