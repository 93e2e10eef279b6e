"""Open a connection: resolve, check where the name leads, race the addresses, shake hands."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable

import aiohappyeyeballs

from headgate.net.client import Connection, WireError, WireErrorKind
from headgate.net.http import Origin

__all__ = ["AddrInfo", "TcpDial", "is_public", "resolve", "verified_tls"]

STAGGER_S = 0.25
"""Between attempts at one address and the next (RFC 8305): a broken IPv6 route costs a quarter second, not a
timeout."""

AddrInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


class TcpDial:
    """Connections over TCP, with TLS where the origin is https: at least 1.2, always verified, never less.

    Args:
        setting: which one allows private addresses, for who meets one by mistake.
    """

    def __init__(
        self,
        *,
        ca_file: str | None = None,
        allow_private: bool = False,
        setting: str = "upstream.allow_private_addresses",
    ) -> None:
        self._ca_file = ca_file
        self._allow_private = allow_private
        self._setting = setting
        self._context: ssl.SSLContext | None = None

    async def __call__(self, origin: Origin, factory: Callable[[], Connection], within_s: float) -> Connection:
        addresses: list[AddrInfo] | None = None
        try:
            async with asyncio.timeout(within_s):
                addresses = await resolve(
                    origin.host, origin.port, allow_private=self._allow_private, setting=self._setting
                )
                return await self._open(origin, addresses, factory)
        except TimeoutError:
            if addresses is None:
                raise WireError("dns", f"the name {origin.host} was not resolved in time", sent=False) from None
            raise WireError("connect_timeout", "the connection was not established in time", sent=False) from None

    async def _open(self, origin: Origin, addresses: list[AddrInfo], factory: Callable[[], Connection]) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            sock = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=STAGGER_S, interleave=1)
        except OSError as problem:
            raise WireError("connect", f"cannot connect: {problem.strerror or 'unreachable'}", sent=False) from None
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            secure = origin.scheme == "https"
            _, connection = await loop.create_connection(
                factory,
                sock=sock,
                ssl=self._tls() if secure else None,
                server_hostname=origin.host if secure else None,
            )
        except ssl.SSLError as problem:
            raise WireError("tls", f"TLS failed: {problem.reason or type(problem).__name__}", sent=False) from None
        except OSError as problem:
            kind: WireErrorKind = "tls" if origin.scheme == "https" else "connect"
            raise WireError(kind, f"the handshake broke off: {problem.strerror or 'closed'}", sent=False) from None
        except BaseException:
            sock.close()
            raise
        return connection

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = verified_tls(self._ca_file)
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context


async def resolve(host: str, port: int, *, allow_private: bool, setting: str) -> list[AddrInfo]:
    """Where `host` leads.  What was checked here is what must be connected to: asked again, a name may lead elsewhere.

    Raises:
        WireError: nowhere (`dns`), or to where it must not (`egress_denied`), which `setting` allows.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise WireError("dns", f"the name {host} cannot be resolved", sent=False) from None
    if not allow_private:
        # A name may come to point inside at any time (rebinding).  An address, or this machine's own name, was written
        # down on purpose; but a cloud tells its secrets to whoever can ask a link-local one.
        may = _is_not_link_local if _is_literal(host) else is_public
        found = [info for info in found if may(str(info[4][0]))]
        if not found:
            raise WireError(
                "egress_denied", f"{host} resolves to a private address; if it should, set {setting}", sent=False
            )
    return found  # type: ignore[return-value]


def verified_tls(ca_file: str | None) -> ssl.SSLContext:
    """At least 1.2, and the peer's name is checked."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def is_public(address: str) -> bool:
    """Whether an address belongs to the open internet, however it is written."""
    return all(ip.is_global and not ip.is_multicast and not _is_reserved(ip) for ip in _meant(address))


def _is_not_link_local(address: str) -> bool:
    return not any(ip.is_link_local for ip in _meant(address))


_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_RESERVED = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("fec0::/10"))
"""Of protocols, among them one cloud's secrets; and of sites, as they once were."""
_HOLD_IPV4 = (ipaddress.ip_network("::/96"), ipaddress.ip_network("64:ff9b::/96"))
"""End in an address of IPv4: of the same host (RFC 4291), or for a translator on the way to it (RFC 6052)."""


def _is_reserved(ip: _Ip) -> bool:
    return any(ip in network for network in _RESERVED)


def _meant(address: str) -> tuple[_Ip, ...]:
    """The address, and the one of IPv4 that it holds; of an IPv4 address that is written as one of IPv6 only that."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return (ip,)
    if ip.ipv4_mapped is not None:
        return (ip.ipv4_mapped,)
    if int(ip) > 1 and any(ip in network for network in _HOLD_IPV4):
        return ip, ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return (ip,) if ip.sixtofour is None else (ip, ip.sixtofour)


def _is_literal(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
