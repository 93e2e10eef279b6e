"""An engine with everything in memory, and the check that it holds on to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from headgate.clock import Clock
from headgate.config.schema import Config
from headgate.engine.engine import Engine, load_catalog, load_prices
from headgate.net.client import Dial
from headgate.secret import Secret
from headgate.stores.memory import MemoryLedger
from headgate.telemetry.call_log import MemoryCallLog
from headgate.upstream.keyring import Credential, Keyring

__all__ = ["check_nothing_is_held", "engine_in_memory"]


def engine_in_memory(
    config: Config, ledger: MemoryLedger, log: MemoryCallLog, clock: Clock, keys: Sequence[str], seed: int, dial: Dial
) -> Engine:
    """An engine whose `keys` are called default, key2, key3 and so on."""
    names = ["default", *(f"key{number}" for number in range(2, len(keys) + 1))]
    credentials = [Credential(name, Secret(key)) for name, key in zip(names, keys, strict=True)]
    return Engine(
        config,
        keyring=Keyring(credentials, clock),
        prices=load_prices(None),
        catalog=load_catalog(),
        ledger=ledger,
        log=log,
        clock=clock,
        rng=Random(seed),
        dial=dial,
    )


def check_nothing_is_held(engine: Engine, ledger: MemoryLedger) -> None:
    """Every attempt that was begun is recorded, every permit is back, nobody waits."""
    assert not ledger.open, "an attempt was begun and never recorded"
    for state in engine.gates():
        assert not state.gate.under_way, "permits were taken and never given back"
        assert not state.gate.waiting, "somebody still waits"
