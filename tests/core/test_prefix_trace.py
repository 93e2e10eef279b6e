"""What the order by prefix is worth on a recorded half hour of chat: 1,000 requests, 450,000 input and 90,000 output
tokens a minute, and a cache that keeps what it has read or written for five minutes."""

from __future__ import annotations

from functools import cache
from math import inf

import pytest

from headgate.core.fair_queue import FairQueue, Lane, Ticket
from headgate.core.prefix import Prefix
from headgate.core.prefix_heat import PrefixHeat
from headgate.replay.bounds import Levels, fluid_bound_s
from headgate.replay.workload import Ask, from_trace

LIMIT = (1_000.0, 450_000.0, 90_000.0)
DEPTH_S = 60.0
TTL_S = 300.0


@cache
def chat() -> tuple[list[Ask], float]:
    """The calls, and the time that no order beats even with an ideal cache."""
    asks = list(from_trace("mooncake-chat").asks)
    return asks, fluid_bound_s(asks, LIMIT, DEPTH_S, cached=True)


def prefixes_of(ask: Ask, *, every_border: bool) -> tuple[Prefix, ...]:
    """With a marker at each border, or where an application would set its four."""
    found, tokens = [], 0
    for number, part in enumerate(ask.prompt.parts):
        tokens += part.tokens
        marked = every_border or number in ask.prompt.markers
        found.append(Prefix(b"%d" % part.id, float(tokens), TTL_S, marked))
    return tuple(found)


def last_admitted_s(asks: list[Ask], *, every_border: bool = True, **settings: float) -> float:
    """When the last call goes if each goes as soon as it is due and there are permits."""
    heat = PrefixHeat()
    queue = FairQueue([Lane(name="standard")], heat, **settings)
    levels = Levels(LIMIT, DEPTH_S)
    now_s, come, gone = 0.0, 0, 0

    def wait_s(ticket: Ticket, into_headroom: bool) -> float:
        served = heat.served(ticket.prefixes, now_s)
        ticket.needs = (1.0, ticket.prompt_tokens - served, ticket.needs[2])
        missing_s = levels.wait_s(ticket.needs, now_s)
        return missing_s if missing_s > 1e-9 else 0.0

    while gone < len(asks):
        while come < len(asks) and asks[come].at_s <= now_s:
            ask = asks[come]
            tokens = float(ask.input_tokens)
            prefixes = prefixes_of(ask, every_border=every_border)
            needs = (1.0, tokens, float(ask.output_tokens))
            queue.add(Ticket("standard", "chat", needs, now_s, prefixes, tokens), now_s)
            come += 1
        ticket, next_s = queue.pick(now_s, wait_s)
        if ticket is None:
            now_s = min(now_s + next_s, asks[come].at_s if come < len(asks) else inf)
            continue
        levels.take(ticket.needs, now_s)
        heat.sent(ticket.prefixes, now_s)
        heat.begun(ticket.prefixes, now_s)
        gone += 1
    return now_s


@pytest.mark.parametrize("every_border", [True, False], ids=["every-border", "four-markers"])
def test_in_the_order_of_prefixes_all_is_done_nearly_as_soon_as_can_be(every_border):
    """Calls that share a beginning go while it is cached; the oldest is passed for a minute at most."""
    asks, bound_s = chat()

    assert last_admitted_s(asks, every_border=every_border) <= 1.02 * bound_s


def test_in_the_order_of_arrival_it_takes_a_third_longer():
    """Each call comes when what it shares with another has long expired: this is what the order is for."""
    asks, bound_s = chat()

    assert last_admitted_s(asks, longest_passed_s=0.0) >= 1.3 * bound_s
