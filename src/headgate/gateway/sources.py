"""Where requests come from: those that are refused for want of a key, and those to the operators' port.

No address is a label of a metric.  A gauge tells how bad the worst source is and a counter how many are new; which ones
they are is told as an example beside it (docs/explanation/privacy.md).
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from headgate.clock import Clock
from headgate.core.failing_sources import FailingSources
from headgate.stores.sqlite.address_rows import note_addresses
from headgate.stores.sqlite.telemetry import Telemetry, TelemetryLost
from headgate.telemetry.metrics.catalogue import ADMIN_NEW_ADDRESSES, AUTH_WORST_SOURCE
from headgate.telemetry.metrics.exemplars import KEPT
from headgate.telemetry.metrics.registry import Registry

__all__ = ["AdminAddresses", "AuthFailures", "source_of"]

DAY_S = 86_400.0
MOST_WAITING = 256
"""Addresses that the file has not been asked about."""


class AuthFailures:
    """Requests without a credential that is known here, by source."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._sources = FailingSources()
        registry.on_read(self._tell)

    def count(self, peer: str) -> None:
        """One more from `peer`."""
        self._sources.failed(source_of(peer), self._clock.now_s())

    def _tell(self) -> None:
        worst = self._sources.worst(self._clock.now_s(), KEPT)
        self._registry.set(AUTH_WORST_SOURCE, [((), worst[0][1] if worst else 0.0)])
        for source, failures in worst:
            self._registry.exemplars.note(AUTH_WORST_SOURCE, "", source, failures)


class AdminAddresses:
    """From where operators come.  Those who were there before are known in the telemetry file, to all processes that
    share it; this machine always is."""

    def __init__(self, registry: Registry, telemetry: Telemetry, clock: Clock) -> None:
        self._registry = registry
        self._telemetry = telemetry
        self._clock = clock
        self._noted_s: dict[str, float] = {}
        """When each was last written down."""
        self._waiting: set[str] = set()

    def called(self, peer: str) -> None:
        """Somebody was let in.  Never waits."""
        if self._clock.now_s() - self._noted_s.get(peer, -DAY_S) >= DAY_S and len(self._waiting) < MOST_WAITING:
            self._waiting.add(peer)

    async def look(self) -> None:
        """Find out who is new, and remember all.  As long as the file cannot be used nobody is."""
        waiting, self._waiting = self._waiting, set()
        sources = {source_of(peer) for peer in waiting} - {LOOPBACK}
        now_ms = self._clock.unix_ms()
        try:
            new = await self._telemetry.ask("alerts", lambda db: note_addresses(db, sources, now_ms)) if sources else []
        except TelemetryLost:
            self._waiting |= waiting
            return
        self._noted_s |= dict.fromkeys(waiting, self._clock.now_s())
        self._registry.counter(ADMIN_NEW_ADDRESSES).value += len(new)
        for source in new:
            self._registry.exemplars.note(ADMIN_NEW_ADDRESSES, "", source, 1)


LOOPBACK = "this machine"


def source_of(peer: str) -> str:
    """Who stands behind an address: of IPv6 the network that one customer gets, else they would be another for each
    request."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return LOOPBACK  # a socket that has no address
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return LOOPBACK
    return str(address) if address.version == 4 else str(ip_network((address, 64), strict=False))
