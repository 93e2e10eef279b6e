"""A strict budget raced by the threads of one program, through the official SDK's sync client (G01)."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import pytest

from headgate.core.price import usd
from headgate.sim.settings import Limits
from headgate.testing import SimSettings, simulated_claude
from support.sdk import Kept, asking, sync_client

FAST = SimSettings(limits=Limits(tier="scale", rpm=1_000_000, itpm=100_000_000, otpm=100_000_000))
ASKING: dict[str, Any] = asking("[[sim: tokens=40]]", max_tokens=40)


def test_g01_threads_spend_exactly_what_there_is(kept: Kept, monkeypatch: pytest.MonkeyPatch):
    """Three hundred calls on forty threads against money for a hundred; the SDK raises for the others, once each."""
    with simulated_claude(FAST) as claude:
        with sync_client(claude) as client:
            client.messages.create(**ASKING)
        call = kept.calls()[0]
        monkeypatch.setenv("HEADGATE_BUDGETS__RACE__USD", f"{usd(100 * call['cost_pico']):f}")
        monkeypatch.setenv("HEADGATE_BUDGETS__RACE__MODE", "strict")

        def ask(client: anthropic.Anthropic) -> str | None:
            try:
                return client.messages.create(**ASKING).stop_reason
            except anthropic.RateLimitError as error:
                return error.type

        with sync_client(claude, max_retries=3) as client, ThreadPoolExecutor(40) as threads:
            results = Counter(threads.map(ask, [client] * 300))

        assert results == {"end_turn": 100, "billing_error": 200}
        assert claude.books()["requests"] == 101
