"""Two authors' worth of money: the ledger against the simulator's books over a thousand seeds of everything that makes
an answer more than one plain pass (claude-api.md §4, §5.2, §12, §13).

The two share no code: `core/price.py` reads the shipped price book, `sim/account/invoice.py` the sheet's own rows.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
import pytest

from headgate.call import Kind
from headgate.events import UsageSource
from headgate.records import AttemptRecord
from headgate.sim import SimSettings
from headgate.sim.account.books import Entry
from headgate.sim.facts import FACTS
from headgate.sim.settings import Caching, Commitment, Fallbacks, Limits, Priority
from support.world import World, play

SEEDS = 1_000
BLOCK = 50
CALLS = 8
HANDBOOK = "The gate at the head of a canal decides how much of the river enters, and who gets it first. " * 120
LONG = HANDBOOK * 18  # some 65,000 tokens
CHAINS = {
    "claude-fable-5-2": ("claude-opus-5-5", "claude-opus-5", "claude-opus-4-8"),
    "claude-fable-5-1": ("claude-opus-5", "claude-opus-4-8"),
    "claude-opus-5-5": ("claude-opus-5", "claude-opus-4-8"),
    "claude-sonnet-5-5": ("claude-sonnet-5", "claude-sonnet-4-6"),
    "claude-haiku-5-5": ("claude-haiku-4-5", "claude-sonnet-5"),
}
FAST = ("claude-fable-5-2", "claude-opus-5-5", "claude-opus-5", "claude-opus-4-8")
BETAS = (
    "server-side-fallback-2026-07-01", "fallback-credit-2026-07-01", "compact-2026-01-12", "compact-2026-09-04",
    "context-management-2025-06-27", "fast-mode-2026-02-01",
)  # fmt: skip
DAYS = [datetime(2026, month, day, 8, tzinfo=UTC) for month, day in ((11, 21), (11, 21), (10, 8), (10, 6), (9, 23))]
"""Either side of what changed: cache reads of Sonnet 5.5 on 10-07, which refusals are billed on 09-24 (§0)."""
REFUSALS = ("refusal", "refusal=cyber", "refusal=bio", "refusal=frontier_llm", "refusal-mid", "refusal-mid=bio")
OVERRIDES: tuple[dict[str, Any], ...] = ({}, {}, {"max_tokens": 30}, {"speed": None}, {"thinking": None})
TOOL = {"name": "look", "description": "Look at a gauge. " * 5, "input_schema": {"type": "object"}}


class Caller:
    """One user of the account, who draws what to ask next."""

    def __init__(self, world: World, rng: Random, today: datetime) -> None:
        self.world = world
        self.rng = rng
        self.models = [model for model in CHAINS if FACTS.by_name[model].released_by(today.date())]

    async def asks(self) -> None:
        draws = (self.plain, self.falls_back, self.falls_back, self.redeems, self.edits, self.summarises, self.caches)
        for _ in range(CALLS):
            await self.rng.choice(draws)()

    async def send(self, model: str, messages: Any, sim: str = "", **fields: Any) -> Any:
        rng = self.rng
        body = {"messages": messages, **fields}
        if rng.random() < 0.3:
            body["inference_geo"] = "us"
        if model in FAST and rng.random() < 0.2:
            body["speed"] = "fast"
        if rng.random() < 0.2 and "haiku-4" not in model:
            body["thinking"] = {"type": "adaptive"}
        call = self.world.make(
            sim, stream=rng.random() < 0.5, model=model, max_tokens=rng.choice((40, 400, 4_000)), body=body
        )
        call.headers.append((b"anthropic-beta", ",".join(BETAS).encode()))
        return await self.world.send(call)

    def user(self) -> list[dict[str, Any]]:
        return [{"role": "user", "content": f"Question {self.rng.getrandbits(32)}"}]

    def system(self) -> list[dict[str, Any]]:
        ttl = self.rng.choice(("5m", "1h"))
        return [{"type": "text", "text": HANDBOOK, "cache_control": {"type": "ephemeral", "ttl": ttl}}]

    async def plain(self) -> None:
        sim = self.rng.choice(("", "web-search=2", "refusal", "refusal=bio", "refusal-mid", "max-tokens"))
        await self.send(self.rng.choice(self.models), self.user(), sim)

    async def caches(self) -> None:
        mark = {"type": "ephemeral"}
        await self.send(self.rng.choice(self.models), self.user(), system=self.system(), cache_control=mark)

    async def falls_back(self) -> None:
        model = self.rng.choice(self.models)
        sim = f"{self.rng.choice(REFUSALS)}; declines={self.rng.randint(1, 3)}"
        if self.rng.random() < 0.2:
            sim += "; web-search=1"
        chain = CHAINS[model][: self.rng.randint(1, 3)]
        fallbacks: Any = [{"model": name} | self.rng.choice(OVERRIDES) for name in chain]
        if self.rng.random() < 0.2:
            fallbacks = "default"
        more = {"system": self.system()} if self.rng.random() < 0.5 else {}
        messages = self.user()
        answer = await self.send(model, messages, sim, fallbacks=fallbacks, **more)
        if answer.ok and not answer.reply.stream and self.rng.random() < 0.5:
            said = [block for block in answer.document["content"] if block["type"] in ("text", "fallback")]
            if said:
                messages = [*messages, {"role": "assistant", "content": said}, *self.user()]
                await self.send(model, messages, "", fallbacks=fallbacks, **more)

    async def redeems(self) -> None:
        model = self.rng.choice(self.models)
        messages, system = self.user(), self.system()
        state = self.rng.getstate()
        warm = await self.send(model, self.user(), system=system)
        self.rng.setstate(state)
        refused = await self.send(model, messages, self.rng.choice(REFUSALS[:3]), system=system)
        if not (warm.ok and refused.ok) or refused.reply.stream:
            return
        token = refused.document["stop_details"].get("fallback_credit_token")
        given = {"token": token, "mode": "best_effort"}
        if token is not None:
            await self.send(self.rng.choice(CHAINS[model]), messages, system=system, fallback_credit_token=given)

    async def edits(self) -> None:
        messages: list[dict[str, Any]] = []
        for number in range(self.rng.randint(2, 6)):
            call = {"type": "tool_use", "id": f"toolu_{number}", "name": "look", "input": {}}
            result = {"type": "tool_result", "tool_use_id": call["id"], "content": HANDBOOK[:2_000]}
            messages += [{"role": "user", "content": "Look."}] if not messages else []
            messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
        trigger = {"type": "tool_uses", "value": 2}
        edits = [{"type": "clear_tool_uses_20250919", "trigger": trigger, "keep": {"type": "tool_uses", "value": 1}}]
        model = self.rng.choice(self.models)
        mark = {"type": "ephemeral"}
        await self.send(model, messages, tools=[TOOL], context_management={"edits": edits}, cache_control=mark)

    async def summarises(self) -> None:
        model = self.rng.choice(self.models)
        sim = self.rng.choice(("", "", "refusal", "refusal=bio"))
        if self.rng.random() < 0.7:
            await self.send(model, self.user(), sim, compaction={"type": "summarize"}, system=self.system())
            return
        edit = {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 50_000}}
        edit["pause_after_compaction"] = self.rng.random() < 0.3
        long = LONG * self.rng.choice((1, 1, 2))
        messages = [{"role": "user", "content": f"{self.rng.getrandbits(32)} {long}"}]
        await self.send(model, messages, sim, context_management={"edits": [edit]})


async def batch(world: World, rng: Random) -> None:
    """A Message Batch of what a batch may have."""
    edit = {"type": "clear_tool_uses_20250919", "trigger": {"type": "tool_uses", "value": 1}}
    kinds = (
        {},
        {"compaction": {"type": "summarize"}},
        {"context_management": {"edits": [edit]}},
        {"inference_geo": "us"},
    )
    mark = {"type": "ephemeral", "ttl": rng.choice(("5m", "1h"))}
    requests = []
    for number in range(rng.randint(1, 4)):
        said = rng.choice(("hello", "[[sim: refusal=bio]]", "[[sim: refusal]]", "[[sim: web-search=2]]"))
        params = {
            "model": rng.choice(("claude-opus-5", "claude-sonnet-5", "claude-opus-4-8")),
            "max_tokens": 900,
            "system": [{"type": "text", "text": HANDBOOK, "cache_control": mark}],
            "messages": [{"role": "user", "content": said}],
            **rng.choice(kinds),
        }
        requests.append({"custom_id": f"item-{number}", "params": params})
    body = msgspec.json.encode({"requests": requests})
    batches = "/v1/messages/batches"
    name = msgspec.json.decode(await of_batches(world, "POST", batches, body=body))["id"]
    await asyncio.sleep(300)
    await of_batches(world, "GET", f"{batches}/{name}/results", resource_id=name)


async def of_batches(world: World, method: str, target: str, **more: Any) -> bytes:
    call = world.make_other(Kind.BATCHES, method, target, workflow="nightly", lane="bulk", **more)
    call.headers.append((b"anthropic-beta", ",".join(BETAS).encode()))
    return (await world.send(call)).body


@pytest.mark.parametrize("seed", range(100))
def test_ledger_and_books_agree_on_the_items_of_batches(seed):
    """§10: half of everything, a summary in a batch included."""

    async def scene(world: World) -> tuple[list[int], list[int]]:
        await batch(world, Random(seed))
        entries = [entry.cost_pico for entry in world.sim.world.books.entries if entry.batch]
        items = list(world.ledger.batch_items.values())
        assert [item.cost_problem for item in items] == [None] * len(entries)
        return sorted(item.cost_pico or 0 for item in items), sorted(entries)

    ledger, booked = play(scene, seed=seed)

    assert ledger == booked, f"seed {seed}"


def pairs(seed: int) -> list[tuple[AttemptRecord, Entry]]:
    """Every attempt of one run beside what the books say of it."""
    rng = Random(seed)
    epoch = rng.choice(DAYS)

    async def scene(world: World) -> list[tuple[AttemptRecord, Entry]]:
        await Caller(world, rng, epoch).asks()
        booked = {entry.request_id: entry for entry in world.sim.world.books.entries}
        return [(a, booked[a.upstream_request_id]) for a in world.ledger.attempts if a.upstream_request_id is not None]

    settings = SimSettings(
        limits=Limits(tier="scale"),
        caching=Caching(),
        fallbacks=Fallbacks(
            allowed={**Fallbacks().allowed, "claude-sonnet-5-5": CHAINS["claude-sonnet-5-5"],
                     "claude-haiku-5-5": ("claude-haiku-4-5-20251001", "claude-sonnet-5")}
        ),
    )  # fmt: skip
    return play(scene, sim=settings, seed=seed, start=epoch)


def is_told(attempt: AttemptRecord) -> bool:
    return attempt.usage_source == UsageSource.VENDOR and attempt.cost_pico is not None


def of_ledger(a: AttemptRecord) -> tuple[int | None, ...]:
    return (a.input_tokens, a.output_tokens, a.cache_read_tokens, a.cache_write_5m_tokens, a.cache_write_1h_tokens,
            a.web_searches, a.cost_pico)  # fmt: skip


def of_books(e: Entry) -> tuple[int, ...]:
    u = e.usage
    return u.input, u.output, u.cache_read, u.cache_write_5m, u.cache_write_1h, u.web_searches, e.cost_pico


def replay(seed: int) -> str:
    return f"replay: python -c 'from engine.test_passes import pairs; print(pairs({seed}))' in tests/"


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_ledger_and_books_agree_whatever_the_passes(first):
    """To the token and the pico-dollar, request by request, for everything that the API told us of."""
    for seed in range(first, first + BLOCK):
        told = [(attempt, entry) for attempt, entry in pairs(seed) if is_told(attempt)]

        assert [of_ledger(a) for a, _ in told] == [of_books(e) for _, e in told], replay(seed)


def test_the_runs_meet_what_they_are_about():
    """The claim above would be empty if the API had answered plainly, or if most of it went untold."""
    met = [pair for seed in range(60) for pair in pairs(seed)]
    told = [pair for pair in met if is_told(pair[0])]

    assert len(told) > 0.95 * len(met)
    stops = {attempt.stop_reason for attempt, _ in told}
    assert {"end_turn", "refusal", "compaction", "max_tokens"} <= stops
    assert {(attempt.speed, attempt.inference_geo) for attempt, _ in told} >= {("fast", "us"), ("standard", "global")}
    assert {entry.streamed for _, entry in told} == {True, False}
    for kind in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "web_searches"):
        assert any(getattr(entry.usage, kind) for _, entry in told), kind
    assert {entry.model for _, entry in told} >= {"claude-opus-4-8", "claude-opus-5", *CHAINS}
    assert any(entry.cost_pico == 0 < entry.usage.input for _, entry in told)


COMPACT = {
    "context_management": {
        "edits": [{"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 50_000}}]
    }
}
BROKEN = {
    "a decline, then a cut": ("refusal-mid; tokens=40; cut=30", {"fallbacks": [{"model": "claude-opus-5"}]}),
    "a decline before the cut": ("refusal=bio; cut=0", {"fallbacks": [{"model": "claude-opus-5"}]}),
    "a summary on demand": ("cut=0", {"compaction": {"type": "summarize"}}),
    "a summary at a threshold": ("cut=0", COMPACT | {"messages": [{"role": "user", "content": LONG}]}),
    "after such a summary": (
        "tokens=40; midstream-error=600",
        COMPACT | {"messages": [{"role": "user", "content": LONG}]},
    ),
}


def broken(sim: str, fields: dict[str, Any]) -> tuple[AttemptRecord, Entry]:
    async def scene(world: World) -> tuple[AttemptRecord, Entry]:
        call = world.make(sim, stream=True, model="claude-fable-5-1", max_tokens=2_000, body=fields)
        call.headers.append((b"anthropic-beta", ",".join(BETAS).encode()))
        await world.send(call)
        return world.ledger.attempts[-1], world.sim.world.books.entries[-1]

    return play(scene)


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_with_passes_untold_has_no_known_cost(name):
    """§4, §7.1: only the end tells of a model that declined, or of a summary; what was seen is too little."""
    attempt, entry = broken(*BROKEN[name])

    assert entry.cost_pico > 0
    assert (attempt.usage_source, attempt.cost_pico) == (UsageSource.UNKNOWN, 0)
    assert attempt.unconfirmed_pico > 0


@pytest.mark.parametrize(
    "fields", [{"fallbacks": [{"model": "claude-opus-5"}]}, COMPACT, {}], ids=["fallbacks", "threshold", "plain"]
)
def test_a_stream_that_breaks_in_its_only_pass_costs_what_was_seen(fields):
    """Whatever else might have happened: the first block shows that it has not."""
    attempt, entry = broken("tokens=40; cut=9", fields)

    assert (attempt.usage_source, attempt.cost_pico) == (UsageSource.OBSERVED, entry.cost_pico)


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_commitment_paid_for_has_no_known_cost(stream):
    """§13: its price is in a contract that nobody here has read, so the ledger says so and does not guess."""
    commitment = Commitment(input_tokens_per_minute=10_000, output_tokens_per_minute=10_000)

    async def scene(world: World) -> AttemptRecord:
        await world.ask(model="claude-opus-4-8", stream=stream)
        return world.ledger.attempts[-1]

    attempt = play(scene, sim=SimSettings(priority=Priority(commitments={"claude-opus-4-8": commitment})))

    assert (attempt.cost_pico, attempt.cost_problem) == (None, "service_tier:priority")
