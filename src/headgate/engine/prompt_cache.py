"""Have Claude's prompt cache used where callers do not ask for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Coroutine, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from headgate.call import Call, Kind, Reply
from headgate.clock import Clock, utc_day
from headgate.config.schema import WorkflowConfig
from headgate.core.body import Marker, Ttl, mark_document, marked_head
from headgate.core.cache_plan import Plan, Terms
from headgate.core.catalog import Catalog
from headgate.core.estimate import Estimator, Habit
from headgate.core.prefix import TTL_S, Border, Prefix, borders_of, prefixes_at
from headgate.core.price import PriceBook
from headgate.core.prompt_cache import Planner
from headgate.core.untouchable import is_claude_code, sends_thinking
from headgate.engine.filter import Proceed
from headgate.engine.keep_alive import KeepAlive
from headgate.engine.keep_warm import KeepWarm
from headgate.usage import Usage

__all__ = ["Placement", "PromptCache"]

LEAST_BODY_BYTES = 1_500
"""A shorter body cannot hold a beginning that any model caches: 512 tokens."""
ACCOUNTS_KEPT = 64
"""Callers in this process may bring API keys of their own, each of which may have a cache of its own."""
HEADS_KEPT, LONGEST_HEAD_BYTES = 256, 32_768
BOUND_KEPT = 1_024
"""System prompts of conversations whose thinking is bound."""
PICO_PER_USD_PER_MILLION = 10**6
DAY_MS = 86_400_000

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


class Placement:
    """What was decided for one call."""

    __slots__ = ("_borders", "_plan", "_planner", "marked")

    def __init__(self, planner: Planner, plan: Plan, borders: list[Border], marked: dict[str, Any]) -> None:
        self._planner = planner
        self._plan = plan
        self._borders = borders
        self.marked = marked
        """The request with the markers."""

    def prefixes(self, tokens_per_byte: float, least_tokens: float) -> tuple[Prefix, ...]:
        """As `prefixes_of` the marked document, which need not be read again."""
        borders = self._borders
        marks = {borders.index(border): TTL_S[ttl] for border, ttl in self._plan.markers}
        return prefixes_at(borders, marks, tokens_per_byte=tokens_per_byte, least_tokens=least_tokens)

    def settle(self, usage: Usage | None) -> None:
        """An attempt is over: with this usage, or without having begun to answer."""
        if usage is None:
            self._planner.failed(self._plan)
        else:
            own = usage.own
            self._planner.answered(
                self._plan, read=own.cache_read, written_5m=own.cache_write_5m, written_1h=own.cache_write_1h
            )


class PromptCache:
    """Marks prompts for the cache, as core/prompt_cache.py decides.

    Above all that prices a call or reserves for it; below Affinity, which knows what the API itself holds of a prompt.
    Workflows whose calls are joined or put in batches are not marked here: what is sent for them is made further down,
    and marked there, by `place`.  Nothing but markers is added, and nothing to a request that has one, comes from
    Claude Code, redeems a fallback credit, or whose thinking is bound to its prompt.
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
    ) -> None:
        """
        Args:
            auto: for workflows that do not say.
            made_below: workflows whose requests are made by a filter below.
            keep_alive: told of prompts that it may be worth to keep.
            keep_warm: shown the calls of its workflows.
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
        self._planners: OrderedDict[str | None, Planner] = OrderedDict()
        self._heads: OrderedDict[tuple[tuple[int, Ttl], ...], _Head] = OrderedDict()
        self._terms: dict[tuple[str, int], Terms] = {}
        self._bound: OrderedDict[tuple[str, str | None, str], None] = OrderedDict()

    @property
    def does_nothing(self) -> bool:
        """Whether no workflow can have its prompts marked."""
        return not self._auto and not any(self._by_workflow.values())

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        if call.kind is Kind.MESSAGES and (call.record.workflow not in self._made_below or call.record.max_tokens == 0):
            self.place(call)
        return proceed(call)

    def place(self, call: Call) -> None:
        """Mark the prompt of `call` where that pays."""
        if len(call.body) < LEAST_BODY_BYTES or not self._by_workflow.get(call.record.workflow, self._auto):
            return
        document, model = call.document, call.record.model
        if document is None or model is None or not self._may_be_marked(call, document, model):
            return
        terms = self._terms_of(model, call.record.started_ms)
        if terms is None:
            return
        borders = borders_of(document)
        planner = self._planner_of(call.own_key)
        plan = self._plan(planner, call, borders, terms, self._habit_of(call, model).tokens_per_byte)
        if plan.markers:
            head = self._head_of(document, call.body, plan)
            marked = mark_document(document, head.markers)
            call.rewrite(marked, head.marked + call.body[len(head.body) :])
            call.record.cache_plan = head.plan
            call.placement = Placement(planner, plan, borders, marked)
            if plan.keep is not None and self._keep_alive is not None:
                self._keep_alive.hold(planner, plan.keep, call)

    def _plan(self, planner: Planner, call: Call, borders: list[Border], terms: Terms, tokens_per_byte: float) -> Plan:
        workflow, now_s, warm = call.record.workflow, self._clock.now_s(), self._keep_warm
        is_warm = warm is not None and workflow in warm.workflows
        if call.record.max_tokens == 0:
            ttl: Ttl = "1h" if is_warm else "5m"
            return planner.fill(borders, terms, ttl=ttl, tokens_per_byte=tokens_per_byte, now_s=now_s)
        if warm is not None and is_warm:
            warm.saw(planner, borders, call)
        return planner.plan(workflow, borders, terms, tokens_per_byte=tokens_per_byte, now_s=now_s)

    def _head_of(self, document: dict[str, Any], body: bytes, plan: Plan) -> _Head:
        """Many prompts begin with the same bytes and are marked there in the same way, so how is looked up once."""
        key = tuple([(border[0], ttl) for border, ttl in plan.markers])
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

    # -- what is left alone -------------------------------------------------------------------------------------

    def _may_be_marked(self, call: Call, document: dict[str, Any], model: str) -> bool:
        if b'"cache_control"' in call.body or not _KEPT_ELSEWHERE.isdisjoint(document):
            return False
        if is_claude_code(call.record.workflow, call.headers, document):
            return False
        return not self._thinking_is_bound(call, model)

    def _thinking_is_bound(self, call: Call, model: str) -> bool:
        """Whether the call sends thinking back to a model that checks what it came after, or calls like it have: then
        what comes before must be the same in all turns, and was not marked in those before."""
        if not self._catalog.model(model).prefix_check:
            return False
        key = (call.record.workflow, call.record.system_hash, model)
        if sends_thinking(call.document or {}):
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

    def _terms_of(self, model: str, now_ms: int) -> Terms | None:
        """None for a model without a price."""
        key = (model, now_ms // DAY_MS)
        terms = self._terms.get(key)
        row = self._prices.find(model, utc_day(now_ms)) if terms is None else None
        if row is not None:
            band = row.bands[0]
            terms = self._terms[key] = Terms(
                _pico(band.input),
                _pico(band.cache_write_5m),
                _pico(band.cache_write_1h),
                _pico(band.cache_read),
                self._catalog.model(model).min_cacheable_tokens,
            )
        return terms

    def _habit_of(self, call: Call, model: str) -> Habit:
        return self._estimator.habit(call.record.workflow, model, self._catalog.model(model).tokenizer)


def _pico(usd_per_million: Decimal) -> float:
    return float(usd_per_million * PICO_PER_USD_PER_MILLION)
