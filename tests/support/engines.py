"""An engine with everything in memory, and the check that it holds on to nothing."""

from __future__ import annotations

from headgate.engine.engine import Engine
from headgate.stores.memory import MemoryLedger
from headgate.testing.virtual import engine_in_memory

__all__ = ["check_nothing_is_held", "engine_in_memory"]


def check_nothing_is_held(engine: Engine, ledger: MemoryLedger) -> None:
    """Every attempt that was begun is recorded, every permit is back, nobody waits."""
    assert not ledger.open, "an attempt was begun and never recorded"
    for state in engine.gates():
        assert not state.gate.under_way, "permits were taken and never given back"
        assert not state.gate.waiting, "somebody still waits"
    for account in engine.budgets.desk.accounts() if engine.budgets is not None else ():
        assert not account.held, f"money is still held in {account.key}"
        assert not account.waiting, f"somebody still waits for money in {account.key}"
