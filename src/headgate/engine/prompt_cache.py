"""Have Claude's prompt cache used where callers do not ask for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Coroutine, Mapping
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec

from headgate.call import Call, Kind, Reply
from headgate.clock import Clock, utc_day
from headgate.config.schema import WorkflowConfig
from headgate.core.body import Marker, Ttl, mark_document, marked_head
from headgate.core.cache_plan import Plan, Terms
from headgate.core.catalog import Catalog
from headgate.core.estimate import TOOLS_BYTES, Estimator
from headgate.core.prefix import TTL_S, Border, Instructions, Prefix, borders_of, prefixes_at
from headgate.core.price import PriceBook
from headgate.core.prompt_cache import Planner
from headgate.core.untouchable import is_claude_code, sends_thinking
from headgate.engine.filter import Proceed
from headgate.engine.keep_alive import KeepAlive
from headgate.engine.keep_warm import KeepWarm
from headgate.usage import Usage

__all__ = ["NotMarked", "Placement", "PromptCache"]

NotMarked = Literal["below_minimum", "volatile", "caller_owned"]
"""Why a prompt has no marker of Headgate's: too short, not expected again in time, or to be sent as it came."""

LEAST_BODY_BYTES = 1_500
"""A shorter body cannot hold a beginning that any model caches: 512 tokens."""
ACCOUNTS_KEPT = 64
"""Callers in this process may bring API keys of their own, each of which may have a cache of its own."""
HEADS_KEPT, LONGEST_HEAD_BYTES = 256, 32_768
KINDS_KEPT = 256
BOUND_KEPT = 1_024
"""System prompts of conversations whose thinking is bound."""
PICO_PER_USD_PER_MILLION = 10**6
DAY_MS = 86_400_000

_MARKED = b'"cache_control"'
_KEPT_ELSEWHERE = frozenset(
    ("thread", "fallback_credit_token", "context_management", "container", "mcp_servers", "compaction")
)
"""Fields of requests whose prompt the API itself holds or changes, or that must stay as they were asked for."""


class _Head(NamedTuple):
    """How bodies that begin with the same bytes, and are marked there in the same way, are rewritten."""

    body: bytes
    """Up to the last marker."""
    marked: bytes
    markers: list[Marker]
    plan: str
    """As the ledger has it."""


class _Kind(msgspec.Struct, eq=False):
    """Calls of one workflow to one model on one day: what need not be looked up for each of them."""

    day: int
    terms: Terms
    tokenizer: str
    binds_thinking: bool
    """The model refuses thinking that is sent back after another prompt than it was produced for."""
    instructions: Instructions = msgspec.field(default_factory=Instructions)
    unmarked: bytes = b""
    """How the last body began in which Headgate put markers: others that begin like it have none there of their own."""


class Placement(msgspec.Struct, eq=False):
    """What was decided for one call."""

    planner: Planner
    plan: Plan
    borders: list[Border]
    marked: dict[str, Any]
    """The request with the markers."""
    settled: bool = False

    def prefixes(self, tokens_per_byte: float, least_tokens: float) -> tuple[Prefix, ...]:
        """As `prefixes_of` the marked document, which need not be read again."""
        borders = self.borders
        marks: list[tuple[int, float]] = []
        for border, ttl in self.plan.markers:
            marks.append((borders.index(border), TTL_S[ttl]))
        return prefixes_at(borders, marks, tokens_per_byte=tokens_per_byte, least_tokens=least_tokens)

    def settle(self, usage: Usage | None) -> None:
        """An attempt is over: with this usage, or without having begun to answer."""
        self.settled = True
        if usage is None:
            self.planner.failed(self.plan)
        else:
            own = usage.own
            self.planner.answered(
                self.plan, read=own.cache_read, written_5m=own.cache_write_5m, written_1h=own.cache_write_1h
            )

    def over(self) -> None:
        """The call is: if there was no attempt, nothing has become of the plan."""
        if not self.settled:
            self.settle(None)


class PromptCache:
    """Marks prompts for the cache, as core/prompt_cache.py decides.

    Above all that prices a call or reserves for it; below Affinity, which knows what the API itself holds of a prompt.
    Workflows whose calls are joined or put in batches are not marked here: what is sent for them is made further down,
    and marked there, by `send` or `place`.  Nothing but markers is added, and nothing to a request that has one, comes
    from Claude Code, redeems a fallback credit, or whose thinking is bound to its prompt.
    """

    def __init__(
        self,
        prices: PriceBook,
        catalog: Catalog,
        estimator: Estimator,
        clock: Clock,
        *,
        auto: bool,
        workflows: Mapping[str, WorkflowConfig],
        made_below: Container[str] = (),
        keep_alive: KeepAlive | None = None,
        keep_warm: KeepWarm | None = None,
        on_not_marked: Callable[[str, NotMarked], None] = lambda workflow, why: None,
    ) -> None:
        """
        Args:
            auto: for workflows that do not say.
            made_below: workflows whose requests are made by a filter below.
            keep_alive: told of prompts that it may be worth to keep.
            keep_warm: shown the calls of its workflows.
            on_not_marked: told the workflow of a call whose prompt could be marked and is not.
        """
        self._prices = prices
        self._catalog = catalog
        self._estimator = estimator
        self._clock = clock
        self._auto = auto
        self._by_workflow = {
            name: workflow.prompt_cache == "auto"
            for name, workflow in workflows.items()
            if workflow.prompt_cache is not None
        }
        self._made_below = made_below
        self._keep_alive = keep_alive
        self._keep_warm = keep_warm
        self._not_marked = on_not_marked
        self._planners: OrderedDict[str | None, Planner] = OrderedDict()
        self._heads: OrderedDict[tuple[tuple[Border, Ttl], ...], _Head] = OrderedDict()
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._bound: OrderedDict[tuple[str, str | None, str | None], None] = OrderedDict()

    @property
    def does_nothing(self) -> bool:
        """Whether no workflow can have its prompts marked."""
        return not self._auto and not any(self._by_workflow.values())

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        if call.kind is Kind.MESSAGES and (call.record.workflow not in self._made_below or call.record.max_tokens == 0):
            return self.send(call, proceed)
        return proceed(call)

    def send(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        """Mark the prompt of `call` where that pays, and have it answered."""
        self.place(call)
        placement = call.placement
        if placement is None or not (placement.plan.written or placement.plan.fills):
            return proceed(call)
        return _watched(placement, call, proceed)

    def place(self, call: Call) -> None:
        """Mark the prompt of `call` where that pays; whoever asks for it without `send` tells what comes of it."""
        body, document, workflow = call.body, call.document, call.record.workflow
        if document is None or not self._by_workflow.get(workflow, self._auto):
            return
        if len(body) < LEAST_BODY_BYTES:
            self._not_marked(workflow, "below_minimum")
            return
        kind = self._kind_of(call)
        if kind is None:
            return
        if kind.binds_thinking and self._thinking_is_bound(call, document):
            self._not_marked(workflow, "caller_owned")
            return
        terms, planner = kind.terms, self._planner_of(call.own_key)
        habit = self._estimator.habit(workflow, call.record.model or "", kind.tokenizer)
        tokens_per_byte = habit.tokens_per_byte
        if _most_bytes(call, document) * tokens_per_byte < terms.least_tokens:
            planner.stakes.prompt(call.size * tokens_per_byte * terms.input, self._clock.now_s())
            self._not_marked(workflow, "below_minimum")
            return
        if not _may_be_marked(call, document, kind):
            self._not_marked(workflow, "caller_owned")
            return
        borders = borders_of(document, kind.instructions)
        plan = self._plan(planner, call, borders, terms, tokens_per_byte)
        if plan.markers:
            head = self._head_of(body, plan)
            kind.unmarked = head.body[:LONGEST_HEAD_BYTES]
            marked = mark_document(document, head.markers)
            call.rewrite(marked, head.marked + body[len(head.body) :])
            call.record.cache_plan = head.plan
            call.placement = Placement(planner, plan, borders, marked)
            if plan.keep is not None and self._keep_alive is not None:
                self._keep_alive.hold(planner, plan.keep, call)
        else:
            long_enough = borders and borders[-1].size * tokens_per_byte >= terms.least_tokens
            self._not_marked(workflow, "volatile" if long_enough else "below_minimum")

    def _plan(self, planner: Planner, call: Call, borders: list[Border], terms: Terms, tokens_per_byte: float) -> Plan:
        workflow, now_s, warm = call.record.workflow, self._clock.now_s(), self._keep_warm
        is_warm = warm is not None and workflow in warm.workflows
        if call.record.max_tokens == 0:
            ttl: Ttl = "1h" if is_warm else "5m"
            return planner.fill(borders, terms, ttl=ttl, tokens_per_byte=tokens_per_byte, now_s=now_s)
        if warm is not None and is_warm:
            warm.saw(planner, borders, call)
        return planner.plan(workflow, borders, terms, tokens_per_byte=tokens_per_byte, now_s=now_s)

    def _head_of(self, body: bytes, plan: Plan) -> _Head:
        """Many prompts begin with the same bytes and are marked there in the same way, so how is looked up once."""
        key = tuple(plan.markers)
        head = self._heads.get(key)
        if head is not None and body.startswith(head.body):
            return head
        markers = [Marker(border.part, border.at, border.block, ttl) for border, ttl in plan.markers if border.part]
        end, marked = marked_head(body, markers)
        head = _Head(body[:end], marked, markers, ",".join([ttl for _, ttl in plan.markers]))
        if end <= LONGEST_HEAD_BYTES:
            self._heads[key] = head
            if len(self._heads) > HEADS_KEPT:
                self._heads.popitem(last=False)
        return head

    def _thinking_is_bound(self, call: Call, document: dict[str, Any]) -> bool:
        """Whether the call sends thinking back to a model that checks what it came after, or calls like it have: then
        what comes before must be the same in all turns, and was not marked in those before."""
        sends = sends_thinking(document)
        if not sends and not self._bound:
            return False
        record = call.record
        key = (record.workflow, record.system_hash, record.model)
        if sends:
            self._bound[key] = None
            if len(self._bound) > BOUND_KEPT:
                self._bound.popitem(last=False)
        return key in self._bound

    # -- what is known ------------------------------------------------------------------------------------------

    def _planner_of(self, own_key: str | None) -> Planner:
        planner = self._planners.get(own_key)
        if planner is None:
            planner = self._planners[own_key] = Planner(keeps_alive=self._keep_alive is not None)
            if len(self._planners) > ACCOUNTS_KEPT:
                self._planners.popitem(last=False)
        return planner

    def _kind_of(self, call: Call) -> _Kind | None:
        """None for a model without a price."""
        workflow, model, day = call.record.workflow, call.record.model, call.record.started_ms // DAY_MS
        if model is None:
            return None
        kind = self._kinds.get((workflow, model))
        if kind is not None and kind.day == day:
            return kind
        row = self._prices.find(model, utc_day(call.record.started_ms))
        if row is None:
            return None
        if len(self._kinds) >= KINDS_KEPT:
            self._kinds.clear()
        band, known = row.bands[0], self._catalog.model(model)
        terms = Terms(
            _pico(band.input),
            _pico(band.cache_write_5m),
            _pico(band.cache_write_1h),
            _pico(band.cache_read),
            known.min_cacheable_tokens,
        )
        kind = self._kinds[workflow, model] = _Kind(day, terms, known.tokenizer, known.prefix_check)
        return kind


async def _watched(placement: Placement, call: Call, proceed: Proceed) -> Reply:
    """What is refused, or answered by Headgate itself, has not reached the cache."""
    try:
        reply = await proceed(call)
    except BaseException:
        placement.over()
        raise
    if reply.stream is None:
        placement.over()
    else:
        reply.stream.on_end(placement.over)
    return reply


def _most_bytes(call: Call, document: dict[str, Any]) -> int:
    """Its prompt has no more bytes that make tokens."""
    size = max(len(call.body), call.size)
    return size + TOOLS_BYTES if document.get("tools") else size


def _may_be_marked(call: Call, document: dict[str, Any], kind: _Kind) -> bool:
    """Nothing in it asks for caching, or must go to the API as it came."""
    body, unmarked = call.body, kind.unmarked
    begin = max(0, len(unmarked) - len(_MARKED)) if body.startswith(unmarked) else 0
    if body.find(_MARKED, begin) >= 0 or not _KEPT_ELSEWHERE.isdisjoint(document):
        return False
    return not is_claude_code(call.record.workflow, call.headers, document)


def _pico(usd_per_million: Decimal) -> float:
    return float(usd_per_million * PICO_PER_USD_PER_MILLION)
