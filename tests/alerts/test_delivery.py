"""J18: a receiver is gone and comes back; nothing is lost, nothing is told twice, no secret is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate.alerts import outbox as sending
from headgate.alerts.outbox import Outbox
from headgate.alerts.senders.build import senders_of
from headgate.clock import SystemClock
from headgate.config.schema import AlertsConfig, AlertSenderConfig
from headgate.secret import Secret
from headgate.stores.sqlite.telemetry import Telemetry
from headgate.telemetry.metrics.registry import Registry
from support.http_receiver import HttpReceiver, http_receiver
from support.notifications import notification
from support.patience import HANG_S
from support.ports import free_port

CANARY = "CANARY-webhook-0001"
KEYS = ["a-1", "b-2", "c-3"]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(sending, "LONGEST_WAIT_S", 0.05)


def made(port: int, folder: Path) -> Outbox:
    hook = AlertSenderConfig(kind="webhook", url=Secret(f"http://127.0.0.1:{port}/{CANARY}"), secret=Secret(CANARY))
    clock = SystemClock()
    senders = senders_of(AlertsConfig(senders={"hook": hook}), clock)
    return Outbox(Telemetry(folder / "telemetry.db"), senders, Registry({}, max_series=1_000), clock)


def tell(outbox: Outbox) -> None:
    now_ms = SystemClock().unix_ms()
    for key in KEYS:
        outbox.put(notification(key=key, at_ms=now_ms))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not holds():  # noqa: ASYNC110 - a thread of its own listens
            await asyncio.sleep(0.01)


async def closed(outbox: Outbox) -> None:
    await outbox.close()
    outbox._telemetry.close()


def keys(listener: HttpReceiver) -> list[str]:
    return sorted(got.json["key"] for got in listener.got)


def test_j18_what_a_receiver_missed_it_is_told_when_it_is_back(tmp_path: Path):
    """It was not there at all; then everything comes, each once."""
    port = free_port()

    async def scene() -> list[str]:
        outbox = made(port, tmp_path)
        tell(outbox)
        await until(lambda: all(each.problem == "nobody listens there" for each in outbox.deliveries()))
        with http_receiver(port) as listener:
            await until(lambda: not outbox.deliveries())
            await closed(outbox)
            return keys(listener)

    assert asyncio.run(scene()) == KEYS


def test_j18_a_restart_forgets_nothing(tmp_path: Path):
    """The outbox is in the file; another process sends what the first could not."""
    port = free_port()

    async def before() -> None:
        outbox = made(port, tmp_path)
        tell(outbox)
        await until(lambda: all(each.tries for each in outbox.deliveries()))
        await closed(outbox)

    async def after() -> list[str]:
        outbox = made(port, tmp_path)
        with http_receiver(port) as listener:
            await outbox.load()
            await until(lambda: len(listener.got) == len(KEYS) and not outbox.deliveries())
            await closed(outbox)
            return keys(listener)

    asyncio.run(before())

    assert asyncio.run(after()) == KEYS


def test_j04_no_secret_is_in_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Neither the address nor what signs: the outbox names the receiver."""

    async def scene() -> None:
        outbox = made(free_port(), tmp_path)
        tell(outbox)
        await until(lambda: all(each.tries for each in outbox.deliveries()))
        await closed(outbox)

    asyncio.run(scene())

    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert KEYS[0].encode() in written
    assert CANARY.encode() not in written
    assert CANARY not in caplog.text
