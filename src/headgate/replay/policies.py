"""Who decides when a call goes: Headgate's engine as it serves, or one of its rivals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal, Protocol, get_args

from headgate.call import Call, Kind
from headgate.clock import Clock
from headgate.config.schema import Config, LaneConfig, PromptCacheConfig, WorkflowConfig
from headgate.engine.engine import Engine
from headgate.errors import Refused
from headgate.net.client import Dial
from headgate.records import AttemptRecord, CallRecord
from headgate.replay.line import OF_THE_API, Line, headers_of
from headgate.replay.rivals import Fifo, FixedMinute, FixedRetry, Sdk, Semaphore
from headgate.replay.workload import Ask
from headgate.stores.memory import MemoryLedger
from headgate.testing.virtual import engine_in_memory

__all__ = ["POLICIES", "Policy", "PolicyName", "Terms", "policy_of"]

PolicyName = Literal["headgate", "fifo", "sdk", "fixed-retry", "semaphore", "fixed-minute"]
POLICIES: tuple[PolicyName, ...] = get_args(PolicyName)
FOR_EVER_S = 1e9
"""Longer than any run, and still a number that arithmetic can use."""
ENDLESS = 10**9


class Policy(Protocol):
    """Gets a call answered, in its own time."""

    async def ask(self, ask: Ask) -> bool:
        """Whether it was answered."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a policy is told.

    Attributes:
        per_minute: requests, input and output tokens, by pool; Headgate is not told.
        depth_s: of the API's buckets; only `fifo` is told.
        marked: prompts carry their cache markers.
        workers: of `fixed-retry`, and calls at a time of `semaphore`.
        lanes: Headgate's, beside or instead of its own.
        max_wait_s: longest wait in every lane; None waits as long as it takes.
        workflows: Headgate's policies.
        places_markers: Headgate may put cache markers on prompts.
        keeps_alive: and may ask prompts again so that the cache keeps them.
        length_inside: prompts ask the simulator for the length of their answers.
    """

    per_minute: Mapping[str, tuple[float, float, float]]
    depth_s: float
    marked: bool
    workers: int
    seed: int
    lanes: Mapping[str, LaneConfig] = field(default_factory=dict)
    max_wait_s: float | None = None
    workflows: Mapping[str, WorkflowConfig] = field(default_factory=dict)
    places_markers: bool = False
    keeps_alive: bool = True
    length_inside: bool = False


def policy_of(name: PolicyName, terms: Terms, base_url: str, dial: Dial, clock: Clock) -> Policy:
    """The policy of that name, against the API at `base_url`."""
    if name == "headgate":
        return Headgate(terms, base_url, dial, clock)
    line = Line(base_url, dial, marked=terms.marked, length_inside=terms.length_inside)
    rng = Random(terms.seed)  # noqa: S311  # reproducible on purpose
    rivals: dict[PolicyName, Callable[[], Policy]] = {
        "fifo": lambda: Fifo(line, clock, terms.per_minute, terms.depth_s, marked=terms.marked),
        "sdk": lambda: Sdk(line, clock, rng),
        "fixed-retry": lambda: FixedRetry(line, clock, terms.workers),
        "semaphore": lambda: Semaphore(line, clock, rng, terms.workers),
        "fixed-minute": lambda: FixedMinute(line, clock, rng, terms.per_minute),
    }
    return rivals[name]()


class Headgate:
    """The production engine: it learns the limits from the API's answers, like everywhere."""

    def __init__(self, terms: Terms, base_url: str, dial: Dial, clock: Clock) -> None:
        self._batched = {name for name, workflow in terms.workflows.items() if workflow.batch}
        """They say how long they can wait, since that decides whether a batch is in time for them."""
        config = Config()
        config = replace(
            config,
            upstream=replace(config.upstream, base_url=base_url, max_connections=ENDLESS),
            lanes={name: _patient(lane, terms.max_wait_s) for name, lane in (config.lanes | dict(terms.lanes)).items()},
            workflows=dict(terms.workflows),
            prompt_cache=PromptCacheConfig(
                mode="auto" if terms.places_markers else "off", keep_alive=terms.keeps_alive
            ),
        )
        self.engine: Engine = engine_in_memory(config, _Unwritten(), None, clock, ("sk-ant-replay",), terms.seed, dial)
        self._clock = clock
        self._terms = terms

    async def ask(self, ask: Ask) -> bool:
        engine, clock = self.engine, self._clock
        inside = self._terms.length_inside
        body = ask.body(marked=self._terms.marked, length_inside=inside)
        record = CallRecord(
            call_id=engine.new_call_id(clock.unix_ms()),
            started_ms=clock.unix_ms(),
            kind=Kind.MESSAGES,
            workflow=ask.tenant,
            session=ask.turn.session,
            user=ask.turn.user,
            lane=ask.lane,
            bytes_in=len(body),
        )
        call = Call(
            record=record,
            kind=Kind.MESSAGES,
            method="POST",
            target="/v1/messages",
            headers=[*OF_THE_API] if inside else headers_of(ask),  # a header of its own would keep it from being joined
            body=body,
            arrived_s=clock.now_s(),
            requested_deadline_s=ask.turn.tolerance_s if ask.tenant in self._batched else None,
        )
        try:
            reply = await engine.call(call)
        except Refused:
            return False
        return reply.failure is None

    async def close(self) -> None:
        await self.engine.close()


class _Unwritten(MemoryLedger):
    """Keeps nothing of what is over: a week of calls is many, and the figures come from the simulated API."""

    def record(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        for attempt in attempts:
            self.open.pop((attempt.call_id, attempt.attempt), None)


def _patient(lane: LaneConfig, max_wait_s: float | None) -> LaneConfig:
    """Every call is kept, unless the run says how long it may wait."""
    wait_s = FOR_EVER_S if max_wait_s is None else max_wait_s
    return replace(lane, max_wait_s=wait_s, max_queue=ENDLESS, total_timeout_s=FOR_EVER_S)
