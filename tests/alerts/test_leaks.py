"""What is written down and should not be is told of: calls through an engine in virtual time, sampled, judged, told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from headgate.alerts.watch import Watch
from headgate.call import Kind
from headgate.config.schema import Config, LogConfig, WorkflowConfig
from headgate.engine.engine import Engine
from headgate.stores.memory import MemoryLedger
from headgate.stores.sqlite.telemetry import Telemetry
from headgate.telemetry.call_log import FileCallLog
from headgate.testing.engine_call import engine_call
from support.edge import body_of
from support.engines import engine_in_memory
from support.receiver import Receiver
from support.world import World, play

OURS = "sk-ant-api03-" + "Ab3" * 30
GITHUBS = "ghp_" + "a1B2" * 9


async def minutes(number: float) -> None:
    await asyncio.sleep(60 * number)


def told(rule: str, happens: Callable[[Engine], Awaitable[None]], config: Config, path: Path) -> list[tuple[str, str]]:
    """What is told of a rule in an hour in which something happens after a while, as kind and text."""

    async def scene(world: World) -> list[tuple[str, str]]:
        pager, clock, telemetry = Receiver(), world.engine.clock, Telemetry(None)
        settings = replace(config, upstream=world.engine.config.upstream)
        log = FileCallLog(str(path))
        engine = engine_in_memory(settings, MemoryLedger(), log, clock, (OURS,), 1, world.engine._upstream._dial)
        watch = Watch(settings, engine.metrics, clock, telemetry, senders=[pager])
        await watch.start()
        await minutes(30)
        await happens(engine)
        log.close()  # its thread has written everything
        await minutes(90)
        await watch.stop()
        await engine.close()
        return [(each.kind, each.text) for each in pager.notifications if each.rule == rule]

    return play(scene)


def asks(text: str = "hello", **record: str) -> Callable[[Engine], Awaitable[None]]:
    async def happens(engine: Engine) -> None:
        its = {"workflow": "chat", "lane": "standard", **record}
        call = engine_call(engine, Kind.MESSAGES, "POST", "/v1/messages", its, body=body_of(text))
        await engine.call(call)

    return happens


@pytest.mark.parametrize(("user", "key"), [(OURS, "own"), (GITHUBS, "form")])
def test_j04_a_caller_that_sends_a_key_as_its_name_is_told_of_and_the_log_is_clean(tmp_path: Path, user: str, key: str):
    """AL-27: no byte of it is in the log, nor in what people are told."""
    path = tmp_path / "calls.jsonl"

    (fired, text), (resolved, _) = told("secret_in_log", asks(user=user), Config(), path)

    assert (fired, resolved) == ("firing", "resolved")
    assert text == f"In the last quarter of an hour 1 key had to be taken out of the log of calls ({key})."
    assert user not in path.read_text()
    assert '"outcome":"ok"' in path.read_text()


def test_calls_without_a_key_are_told_nobody(tmp_path: Path):
    """Ids and digests are no keys."""
    path = tmp_path / "calls.jsonl"

    assert told("secret_in_log", asks(user="ann", session="f" * 64), Config(), path) == []
    assert '"user":"ann"' in path.read_text()


@pytest.mark.parametrize(("content", "kinds"), [("full", ["firing", "resolved"]), ("scrubbed", []), ("off", [])])
def test_personal_data_in_text_that_is_kept_as_it_is_is_told_of(tmp_path: Path, content: str, kinds: list[str]):
    """AL-28: only where it is kept whole."""
    config = Config(log=LogConfig(content="scrubbed"), workflows={"chat": WorkflowConfig(log_content=content)})

    found = told("pii_kept", asks("Write to ann@example.org, please."), config, tmp_path / "calls.jsonl")

    assert [kind for kind, _ in found] == kinds
    assert all("ann@" not in text for _, text in found)
