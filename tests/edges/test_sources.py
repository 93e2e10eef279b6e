"""Where requests come from that have no key, and where operators come from (AL-26)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from headgate.clock import LoopClock
from headgate.config.schema import AdminConfig, CallerKey, Config, GatewayConfig
from headgate.gateway.callers import make_key
from headgate.gateway.sources import LOOPBACK, AdminAddresses, AuthFailures, source_of
from headgate.secret import Secret
from headgate.sim.virtual_time import EPOCH, run
from headgate.stores.sqlite.address_rows import KEPT_MS, note_addresses
from headgate.stores.sqlite.telemetry import Telemetry, TelemetryLost, open_telemetry
from headgate.telemetry.metrics.catalogue import ADMIN_NEW_ADDRESSES, AUTH_WORST_SOURCE
from headgate.telemetry.metrics.registry import Registry
from support.edge import Edge, play, request_of

_, DIGEST = make_key("a" * 43)
LOCKED = Config(
    admin=AdminConfig(token=Secret("operators-token-0001")),
    gateway=GatewayConfig(keys=(CallerKey(name="team-search", sha256=DIGEST),)),
)


def value_of(registry: Registry, name: str) -> float:
    return next(value for found, _, value in registry.snapshot({name}) if found == name)


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", LOOPBACK),
        ("::1", LOOPBACK),
        ("local", LOOPBACK),
    ],
)
def test_who_stands_behind_an_address(peer: str, source: str):
    """Of IPv6 a customer has a network of 64 bits, and may use another address of it each time."""
    assert source_of(peer) == source


# -- keys that are tried -----------------------------------------------------------------------------------------------


def test_requests_without_a_known_key_are_counted_at_both_doors():
    """A wrong key, a right one that may not do this, and the operators' port without its token."""

    async def scene(edge: Edge) -> float:
        for _ in range(3):
            await edge.ask(headers={"x-api-key": "wrong"})
        wire = await edge.connect(admin=True)
        await wire.send(request_of("GET", "/api/now", None, {}))
        await wire.reply("GET")
        return value_of(edge.gateway.engine.metrics, AUTH_WORST_SOURCE.name)

    assert play(scene, virtual=True, config=LOCKED) == 4


def test_a_malformed_request_is_nobody_who_tries_keys():
    async def scene(edge: Edge) -> float:
        await edge.ask(headers={"host": "not-served-here"})
        return value_of(edge.gateway.engine.metrics, AUTH_WORST_SOURCE.name)

    assert play(scene, virtual=True) == 0


def test_the_worst_address_is_told_and_no_label_holds_it():
    """As an example beside the gauge."""

    async def scene() -> tuple[float, list[tuple[str, float]], bytes]:
        registry = Registry({})
        failures = AuthFailures(registry, LoopClock(EPOCH))
        for number in range(30):
            failures.count("192.0.2.7")
            failures.count(f"192.0.2.{100 + number}")
        worst = value_of(registry, AUTH_WORST_SOURCE.name)
        return worst, [each[2:] for each in registry.exemplars.take()], registry.exposition()

    worst, examples, text = run(scene())

    assert worst == 30
    assert max(examples, key=lambda each: each[1]) == ("192.0.2.7", 30)
    assert b"192.0.2" not in text


# -- operators ---------------------------------------------------------------------------------------------------------


def told(scene: Callable[[AdminAddresses, Registry], Awaitable[None]], telemetry: Telemetry | None = None) -> list[str]:
    """Addresses that were new."""

    async def main() -> list[str]:
        registry = Registry({})
        addresses = AdminAddresses(registry, telemetry or Telemetry(None), LoopClock(EPOCH))
        await scene(addresses, registry)
        new = [each.what for each in registry.exemplars.take()]
        assert value_of(registry, ADMIN_NEW_ADDRESSES.name) == len(new)
        return new

    return run(main())


def test_an_address_that_was_never_there_is_new_once():
    """However often it comes."""

    async def scene(addresses: AdminAddresses, _: Registry) -> None:
        for _ in range(3):
            addresses.called("192.0.2.7")
            await addresses.look()

    assert told(scene) == ["192.0.2.7"]


def test_this_machine_is_known():
    async def scene(addresses: AdminAddresses, _: Registry) -> None:
        addresses.called("127.0.0.1")
        await addresses.look()

    assert told(scene) == []


def test_who_was_known_before_a_restart_is_known():
    """And to other processes that share the file."""
    telemetry = Telemetry(None)

    async def scene(addresses: AdminAddresses, registry: Registry) -> None:
        await AdminAddresses(Registry({}), telemetry, LoopClock(EPOCH)).look()
        earlier = AdminAddresses(Registry({}), telemetry, LoopClock(EPOCH))
        earlier.called("192.0.2.7")
        await earlier.look()
        addresses.called("192.0.2.7")
        await addresses.look()

    assert told(scene, telemetry) == []


def test_while_the_file_cannot_be_used_nobody_is_new_yet():
    """It is asked again."""
    telemetry = Telemetry(None)
    ask = telemetry.ask
    lost = [True]

    async def sometimes(signal, work):
        if lost.pop() if lost else False:
            raise TelemetryLost("disk full")
        return await ask(signal, work)

    telemetry.ask = sometimes

    async def scene(addresses: AdminAddresses, registry: Registry) -> None:
        addresses.called("192.0.2.7")
        await addresses.look()
        assert value_of(registry, ADMIN_NEW_ADDRESSES.name) == 0
        await addresses.look()

    assert told(scene, telemetry) == ["192.0.2.7"]


def test_who_does_not_come_for_ninety_days_is_forgotten():
    """And is new when it comes again; who comes now and then is not."""
    db = open_telemetry(None)
    first = note_addresses(db, ["a", "b"], 0)
    note_addresses(db, ["b"], KEPT_MS)
    later = note_addresses(db, ["a", "b"], KEPT_MS + 1)
    db.close()

    assert (first, later) == (["a", "b"], ["a"])


def test_only_who_is_let_in_is_an_operator():
    """Who has no token is told of elsewhere; a look whether the process lives is none."""

    class Seen:
        def __init__(self) -> None:
            self.peers: list[str] = []

        def called(self, peer: str) -> None:
            self.peers.append(peer)

    async def scene(edge: Edge) -> int:
        seen = edge.gateway._operators._addresses = Seen()
        for path, token in (("/api/now", "wrong"), ("/healthz", ""), ("/api/now", "operators-token-0001")):
            wire = await edge.connect(admin=True)
            await wire.send(request_of("GET", path, None, {"authorization": f"Bearer {token}"}))
            await wire.reply("GET")
        await asyncio.sleep(0)
        return len(seen.peers)

    assert play(scene, virtual=True, config=LOCKED) == 1
