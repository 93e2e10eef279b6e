"""Every choice the simulator leaves open, with its default explained.  Times in seconds, money in US dollars.

What `claude-api.md` states is not here: it is behaviour.  What it leaves open is a named setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal
from math import inf
from typing import Any

from headgate.sim.account.limiter_types import LIMITER_TYPES
from headgate.sim.facts import FACTS, PoolLimits
from headgate.sim.plain_types import check_plain_types
from headgate.sim.weather import CHANGEABLE, checked

__all__ = [
    "TYPICAL_BATCHES",
    "TYPICAL_LATENCY",
    "Access",
    "Answers",
    "Batches",
    "Billing",
    "BooksKept",
    "Caching",
    "Commitment",
    "Compactions",
    "Conditions",
    "Diagnostics",
    "Fallbacks",
    "Files",
    "Latency",
    "Limits",
    "Priority",
    "SimSettings",
    "Speed",
    "Thinking",
    "Threads",
    "Validation",
    "Workspace",
]

MOST_WORKSPACES = 100
"""Of one organisation (claude-api.md §8.5)."""
DEFAULT_WORKSPACE = "default"
"""What stands for the default workspace, which has no id at the API."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """A workspace of the account, for `Access.workspaces` (claude-api.md §1, §8.5)."""

    id: str
    """As `anthropic-workspace-id` names it: `wrkspc_01…` at the API."""
    name: str = ""
    """For people; empty is the id."""
    keys: frozenset[str] = frozenset()
    """API keys that belong to it.  A key of several workspaces has to choose one by `anthropic-workspace-id`."""
    limits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Overrides: pool of models → limiter type of the Rate Limits API → value, as in
    `{"opus-5": {"input_tokens_per_minute": 50_000}}`.  That type counts cache reads;
    `input_tokens_per_minute_cache_aware` does not; both may stand side by side."""
    spend_limit_usd: Decimal | None = None
    """Dollars a calendar month (UTC) after which every request of the workspace is a 400 (§8.3); None is no limit."""
    claude_code: bool = False
    """The Claude Code workspace: its spend limit is checked by itself, and is a 429 with `retry-after` (§8.3)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Who may call, and whose limits, cache and threads a call uses."""

    accepted_keys: frozenset[str] = frozenset()
    """Empty takes any credential: a simulator is nobody's secret."""
    revoked_keys: frozenset[str] = frozenset()
    """Answered with 401, whatever else is accepted."""
    organisation_per_key: bool = False
    """False puts all keys into one organisation, as the keys of one account are (claude-api.md §8.1)."""
    workspaces: tuple[Workspace, ...] = ()
    """The workspaces of every organisation beside its default one.  A key that belongs to none of them may work in any,
    and does so in the default workspace unless it names another.  Empty takes every workspace that is named."""
    admin_keys: frozenset[str] = frozenset()
    """Keys for `/v1/organizations/…`, and for nothing else.  Empty takes every key that begins with `sk-ant-admin`, as
    real ones do."""

    def check(self) -> None:
        """Raise ValueError for workspaces that cannot be."""
        ids = [workspace.id for workspace in self.workspaces]
        if len(ids) > MOST_WORKSPACES:
            raise ValueError(f"access.workspaces are {len(ids)}, and can be at most {MOST_WORKSPACES}")
        if len(set(ids)) < len(ids) or not all(ids):
            raise ValueError("access.workspaces must each have an id of its own")
        pools = {model.rate_limit_pool for model in FACTS.models if model.rate_limit_pool is not None}
        for workspace in self.workspaces:
            if workspace.id == DEFAULT_WORKSPACE:
                raise ValueError(
                    f"access.workspaces: {DEFAULT_WORKSPACE!r} is the default workspace, which has no settings"
                )
            for pool, values in workspace.limits.items():
                if pool not in pools:
                    raise ValueError(
                        f"workspace {workspace.id}: no pool {pool!r}; there are {', '.join(sorted(pools))}"
                    )
                for type_, value in values.items():
                    if type_ not in LIMITER_TYPES:
                        raise ValueError(
                            f"workspace {workspace.id}: no limiter {type_!r}; there are {', '.join(LIMITER_TYPES)}"
                        )
                    if value < 1:
                        raise ValueError(f"workspace {workspace.id}: {type_} is {value}, and must be 1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Rate limits and spend limits (claude-api.md §8)."""

    tier: str = "start"
    """A tier of the facts with published figures; the other two need `rpm`, `itpm` and `otpm`."""
    rpm: int | None = None
    itpm: int | None = None
    otpm: int | None = None
    """Each overrides its figure in every pool; None keeps the tier's."""
    pools: Mapping[str, PoolLimits] = field(default_factory=dict)
    """Overrides for single pools by name, stronger than the three above."""
    depth_s: float = 60.0
    """How many seconds' worth of refill a bucket holds.  Not published (§8.1): 60 lets a whole minute's worth go at
    once, 1 enforces 60 RPM as one a second."""
    input_estimate_factor: float = 1.0
    """A request's input is first charged at its true size times this, then corrected (§8.1).  How the API estimates is
    not known, so the default does not err."""
    estimate_counts_cache_reads: bool = False
    """Whether the first charge includes what the cache will give.  Not known; reads are free in the end (§8.1)."""
    rejected_requests_count: bool = False
    """Whether a 429 takes a request from the bucket.  Not stated (§8.1, §17.2)."""
    ramp_growth: float | None = None
    """The ramp limit (§8.1): in any minute a pool takes at most so many times the input tokens of the minute before,
    else 429 `ramp_limit_exceeded`.  Thresholds are not published, and a guess would bend every plan: None is none."""
    ramp_floor_share: float = 0.1
    """The share of its input limit that a pool may take in any minute, however idle it was, under `ramp_growth`."""
    enforced_spend_cap_usd: Decimal | None = None
    """Dollars a calendar month (UTC) after which every request is a 429 without `retry-after` (§8.3); None is none."""
    enforce_tier_spend_cap: bool = False
    """Take the cap above from the tier where it is not set.  Not applied unasked, or a load test would end at $500."""
    contract_spend_limit_usd: Decimal | None = None
    """As above for the limit of a contract: 429 `contract_spend_limit_reached` (§6)."""
    self_set_spend_limit_usd: Decimal | None = None
    """As above for the limit that a customer sets for the organisation: a 400 (§8.3)."""
    told_only: Mapping[str, Mapping[str, int]] = field(
        default_factory=lambda: {
            "skills": {"requests_per_minute": 500},
            "web_search": {"tool_uses_per_second": 30},
        }
    )
    """Groups that the Rate Limits API tells of and that limit nothing here (§8.5); the figures are not published."""
    workspace_change_delay_s: float = 0.0
    """How long a change of a workspace's limits takes to come into force.  "Within about an hour" (§8.5); a test that
    sets one wants to see it."""

    def pool(self, name: str) -> PoolLimits:
        """The limits of one pool.

        Raises:
            ValueError: the tier has no published figures and not all of them are set here.
        """
        if name in self.pools:
            return self.pools[name]
        published = FACTS.tier(self.tier).pools
        known = published.get(name) if published else None
        rpm = self.rpm if self.rpm is not None or known is None else known.rpm
        itpm = self.itpm if self.itpm is not None or known is None else known.itpm
        otpm = self.otpm if self.otpm is not None or known is None else known.otpm
        if rpm is None or itpm is None or otpm is None:
            raise ValueError(f"tier {self.tier!r} has no published limits: set rpm, itpm and otpm")
        return PoolLimits(rpm, itpm, otpm)

    def check(self) -> None:
        """Raise ValueError for a combination that cannot be simulated."""
        if not 1 <= self.depth_s <= 60:
            raise ValueError(f"depth_s is {self.depth_s}, and must be from 1 to 60")
        if self.ramp_growth is not None and not (self.ramp_growth >= 1 and 0 < self.ramp_floor_share <= 1):
            raise ValueError("ramp_growth must be 1 or more, and ramp_floor_share above 0 and at most 1")
        for model in FACTS.models:
            if model.rate_limit_pool is not None:
                limits = self.pool(model.rate_limit_pool)
                if min(limits.rpm, limits.itpm, limits.otpm) < 1:
                    raise ValueError(f"the limits of {model.rate_limit_pool} must be 1 or more: rpm, itpm and otpm")


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """What a request may hold (claude-api.md §1, §3, §6)."""

    refuse_unknown_fields: bool = False
    """The API answers 400 to a field it does not know.  Its list grows by the month, and a simulator that is older
    than a client would refuse what the API takes; True makes it as strict as the sheet."""
    refuse_unknown_betas: bool = False
    """Whether a value of `anthropic-beta` that nobody knows is a 400.  Clients send many (§18), and new ones come by
    the month, so the default lets them pass."""
    fields_need_their_beta: bool = True
    """A field of a beta without its header is a 400 (§16).  False lets it pass, for clients that a proxy in between
    takes the header from."""
    system_turns_on: frozenset[str] = frozenset(
        ("claude-fable-5-2", "claude-mythos-5-2", "claude-fable-5-1", "claude-mythos-5-1", "claude-fable-5",
         "claude-mythos-5", "claude-opus-5-5", "claude-opus-5", "claude-opus-4-8", "claude-sonnet-5-5",
         "claude-haiku-5-5")
    )  # fmt: skip
    """Models that take `role: system` in a conversation.  The sheet says "newer models" (§3); these are the ones that
    Anthropic's page on it names, and the two that came after the page."""
    accepted_encodings: frozenset[str] = frozenset()
    """Which `Content-Encoding`s of a request are decoded, of `gzip` and `deflate`; any other is a 400 with its code.
    The API has codes for bad ones, so it takes some, but which is not known (§1): what needs none works with it."""
    untyped_schemas: bool = False
    """Whether structured outputs take a schema, or a part of one, that names no type and so allows anything.  The
    documentation does not say; the official SDK refuses to send one."""
    most_tools: int = 10_000
    """More tools than this are `available_tools_limit_exceeded` (§6), whose number is not published: a tool search
    catalogue may hold as many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caching:
    """The prompt cache (claude-api.md §9)."""

    entries: int = 100_000
    """Most entries kept; beyond it the oldest go.  The API's own bound is not known."""
    fast_shares_tools: bool = False
    """Whether `speed: fast` reads the tools that standard speed cached.  The facts say both: the table of §9.6 keeps
    the tools, while §13 gives fast mode a cache of its own, as §14.4 does; the default is the more careful reading."""
    thinking_loses_all_on: frozenset[str] = frozenset()
    """Models on which another thinking configuration or effort loses cached tools and system prompts too.  Messages are
    always lost; the rest is "model-specific" (§9.6), and by which models is not told."""
    refuse_markers_inside: bool = False
    """Whether a `cache_control` inside a block, as on the text of a tool result, is a 400.  It marks nothing (§9.1);
    the types of the SDK allow it, so the default passes it over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thinking:
    """Thinking blocks that are sent back (claude-api.md §7.3, §9.10)."""

    account_created_on: date = date(2026, 11, 1)
    """When the simulated account was made.  Fable 5.1 answers a failed prefix check with a 400 only for accounts of
    2026-08-31 and later; the default is an account that gets the check."""
    prefix_check_enforced_on: frozenset[str] = frozenset(
        ("claude-mythos-5-1", "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")
    )
    """Of the models that check and of which the sheet does not say whether they refuse, those that do.  "400 or no
    error, depending on the model" (§9.10); all of them by default, so that what passes here passes there (§14.11)."""
    cache_markers_bind: bool = False
    """Whether adding or moving `cache_control` counts as a change of what stands before a thought.  Open in §17.4; a
    third party's documentation says that markers are left out of the comparison."""
    unknown_signatures_pass: bool = False
    """Whether a thinking block is taken whose signature does not fit its text, instead of a 400.  For conversations
    recorded elsewhere: no signature but this simulator's own, of this seed, can be checked here."""
    readable: Mapping[str, frozenset[str]] = field(
        default_factory=lambda: {
            "claude-fable-5-1": frozenset({"claude-opus-5", "claude-opus-5-5"}),
            "claude-mythos-5-1": frozenset({"claude-opus-5", "claude-opus-5-5"}),
            "claude-fable-5-2": frozenset({"claude-fable-5-1", "claude-opus-5", "claude-opus-5-5"}),
            "claude-mythos-5-2": frozenset({"claude-mythos-5-1", "claude-opus-5", "claude-opus-5-5"}),
        }
    )
    """Model → other models whose thoughts it may read; thoughts of the rest are dropped.  Anthropic's page on preserved
    thinking gives the row of Fable 5.1; the others follow it.  Models without preserved thinking read one another, and
    all read Haiku 5.5."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnostics:
    """Cache diagnostics (claude-api.md §9.9)."""

    kept_s: float = 3_600.0
    """How long what a request looked like is remembered.  "Short" is all that is said of it."""
    entries: int = 10_000
    """Most requests remembered; beyond it the oldest are not found any more."""
    pending: bool = False
    """Answer `{cache_miss_reason: null}`, as the API does while it still compares.  How often it does is not told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """Medians for the models of one line, for `Latency.lines`."""

    ttft_s: float = 0.0
    """From the request to the first event, or to the start of generation."""
    ttft_s_per_1k_tokens: float = 0.0
    """And so much more for every thousand tokens of the prompt that do not come from the cache."""
    tokens_per_s: float = 0.0
    """Speed of generation; 0 is at once.  A non-streamed answer takes the sum of all three."""

    def check(self, name: str) -> None:
        """Raise ValueError for what cannot be."""
        for what in ("ttft_s", "ttft_s_per_1k_tokens", "tokens_per_s"):
            value = getattr(self, what)
            if not 0 <= value < inf:
                raise ValueError(f"{name}.{what} is {value}, and must be 0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency(Speed):
    """How long an answer takes.  All zero answers at once, so that tests are fast.

    The API's documentation gives no figures: measure your own traffic and set these, or begin with `TYPICAL_LATENCY`.
    """

    lines: Mapping[str, Speed] = field(default_factory=dict)
    """Medians by line of models (`fable`, `mythos`, `opus`, `sonnet`, `haiku`) instead of the three above."""
    spread: float = 0.25
    """Sigma of the log-normal distribution of both, decided by the prompt and the seed; 0 always gives the medians."""
    full_speed_answers: float | None = None
    """How many answers at once run at full speed; one that begins among n times as many takes n times as long.  None
    is any number: the API is shared with so many others that one account is hardly felt."""
    fast_mode_factor: float = 2.5
    """How many times faster `speed: "fast"` makes tokens.  Not in the facts; an assumption."""

    def check(self, name: str = "latency") -> None:
        """Raise ValueError for what cannot be."""
        super(Latency, self).check(name)
        known = {model.line for model in FACTS.models}
        for line, speed in self.lines.items():
            if line not in known:
                raise ValueError(f"{name}.lines: no line of models {line!r}; there are {', '.join(sorted(known))}")
            speed.check(f"{name}.lines[{line!r}]")
        if not 0 <= self.spread <= 3:
            raise ValueError(f"{name}.spread is {self.spread}, and must be from 0 to 3")
        if self.full_speed_answers is not None and not 0 < self.full_speed_answers < inf:
            raise ValueError(f"{name}.full_speed_answers is {self.full_speed_answers}, and must be above 0, or None")
        if not 0 < self.fast_mode_factor < inf:
            raise ValueError(f"{name}.fast_mode_factor is {self.fast_mode_factor}, and must be above 0")


TYPICAL_LATENCY = Latency(
    ttft_s=1.0,
    ttft_s_per_1k_tokens=0.02,
    tokens_per_s=60,
    spread=0.35,
    lines={
        "haiku": Speed(ttft_s=0.6, ttft_s_per_1k_tokens=0.01, tokens_per_s=140),
        "sonnet": Speed(ttft_s=1.0, ttft_s_per_1k_tokens=0.02, tokens_per_s=75),
        "opus": Speed(ttft_s=1.6, ttft_s_per_1k_tokens=0.03, tokens_per_s=50),
        "fable": Speed(ttft_s=2.0, ttft_s_per_1k_tokens=0.04, tokens_per_s=40),
        "mythos": Speed(ttft_s=2.0, ttft_s_per_1k_tokens=0.04, tokens_per_s=40),
    },
)
"""Of the right order for large language models, and no more than that: assumptions, not measurements of the API."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What is said, and who pays for what nobody got."""

    median_tokens: int = 60
    spread: float = 0.6
    """Length of an answer: log-normal with this median and this sigma, decided by the prompt and the seed."""
    most_tokens: int = 2_000
    """Longest answer that is drawn; `[[sim: tokens=N]]` is not bound by it."""
    prompt_exponent: float = 0.0
    """How the length of an answer grows with its prompt: the median is that of a prompt of 1,000 tokens, times (tokens
    / 1,000) to this power.  0 makes it the same for all, 0.3 doubles it for a prompt ten times as long."""
    thinking_omitted_on: frozenset[str] = frozenset()
    """Models whose thinking is omitted where `display` is not given.  Its default "depends on the model" (the SDK's
    types), and by which the sheet does not tell; newer ones are said to omit it, and a test wants to see it."""
    tool_call_share: float = 0.0
    """How likely an answer calls a tool that it may call and need not: one of the client's, and one of the server's.
    Never, unless set, so that a test gets what it asks for.  A turn that brings tool results is answered in words."""
    most_calls: int = 1
    """Most calls of the client's tools in an answer that no directive fills, where parallel calls are allowed."""
    server_tool_passes: int = 10
    server_tool_passes_in_batch: int = 30
    """After so many server tool calls an answer stops with `pause_turn` (§5.1).  The sheet gives 10, and for batches
    only that it is more."""
    grammar_compile_s: float = 0.0
    """How much longer the first answer takes that is held to a schema (§12); the grammar is kept for 24 hours from its
    last use.  The API says "slower" and gives no figure."""
    bill_unsent_answers: bool = False
    """Whether a non-streamed answer that never left whole is billed.  Not stated by the API (§7.5); nobody has seen
    its usage, so the default leaves it out and a meter that settles nothing agrees with these books."""

    def check(self) -> None:
        """Raise ValueError for a share that is none, and a number below what it counts."""
        if not 0 <= self.tool_call_share <= 1:
            raise ValueError(f"answers.tool_call_share is {self.tool_call_share}, and must be from 0 to 1")
        for name in ("median_tokens", "most_tokens", "most_calls", "server_tool_passes", "server_tool_passes_in_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"answers.{name} is {getattr(self, name)}, and must be 1 or more")
        for name in ("spread", "grammar_compile_s"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"answers.{name} is {getattr(self, name)}, and must be 0 or more")
        if not -2 <= self.prompt_exponent <= 2:
            raise ValueError(f"answers.prompt_exponent is {self.prompt_exponent}, and must be from -2 to 2")


@dataclass(frozen=True, kw_only=True, slots=True)
class Batches:
    """Message Batches (claude-api.md §10)."""

    processing_s: float = 1.0
    """From creation to the end of processing.  The API says "most within an hour"; a test does not want to wait so
    long. Past 24 h the rest expires."""
    per_request_s: float = 0.0
    """So much longer for every request of the batch."""
    spread: float = 0.0
    """The whole time is log-normal with this sigma, decided by the seed."""
    ramp: float = 0.0
    """The share of that time in which processing gets up to speed; 0 is an even pace from the start."""
    cancelling_s: float = 0.0
    """How long a batch stays `canceling`; items go on being done meanwhile."""
    cache_hit_share: float = 0.65
    """How likely an item finds what others have cached.  In batches caching is best effort, and 30 to 98 % are quoted
    (§10): this is about the middle.  An item that misses pays for the write."""
    failed_share: float = 0.0
    """How likely an item ends `errored` by the server's fault, as 500 `api_error`."""
    overshoot_requests: int = 100
    """How many items are still done after a spend limit was reached.  A batch may overshoot it "a little" (§8.3)."""
    kept: int = 1_000
    """Most batches held; beyond it the oldest that has ended goes."""
    kept_bytes: int = 1024**3
    """Most bytes of requests and results held, so that a run of many days stays in memory; beyond it the oldest that
    has ended goes, and while none has, a new batch is a 529."""

    def check(self) -> None:
        """Raise ValueError for what is no time and no share."""
        for name in ("processing_s", "per_request_s", "spread", "cancelling_s"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"batches.{name} is {getattr(self, name)}, and must be 0 or more")
        for name in ("ramp", "cache_hit_share", "failed_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"batches.{name} is {getattr(self, name)}, and must be from 0 to 1")


TYPICAL_BATCHES = Batches(processing_s=1_800.0, spread=0.5)
"""Nine in ten end within the hour, which is as much as the API says ("most within 1 hour"): an assumption."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """The Files API, in memory."""

    quota_bytes: int = 1024**3
    """All files of an organisation together; beyond it a 400 with `storage_quota_exceeded`.  The API's figure does not
    stand in the facts; this one is what a simulator can hold in memory, and takes two files of the largest size."""
    uploads_downloadable: bool = True
    """The API lets only files made by a tool be downloaded.  No tool here makes any, so uploads stand in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Threads:
    """Message threads, beta message-threads-2026-08-12 (claude-api.md §18)."""

    kept_turns: int = 10_000
    """Most turns held over all conversations; beyond it the oldest is forgotten, which a client sees as 404
    `thread_not_found`.  0 holds none, so every `continue` fails."""
    unsupported: frozenset[str] = frozenset({"cache_control", "context_management", "fallbacks"})
    """Top-level fields that cannot stand beside `thread`: those of the SDK's list that a request can carry, except
    `thinking`, which clients do send."""
    organisation_has: frozenset[str] = frozenset()
    """What the organisation has that threads do not support, in the SDK's words `hipaa` or `inference_hooks`: every
    request with a thread is then a 400 `thread_unsupported_request`."""


def _targets() -> dict[str, tuple[str, ...]]:
    older = ("claude-opus-5-5", "claude-opus-5", "claude-opus-4-8")
    return {
        **dict.fromkeys(("claude-fable-5-2", "claude-mythos-5-2", "claude-fable-5-1", "claude-mythos-5-1"), older),
        **dict.fromkeys(("claude-fable-5", "claude-mythos-5", "claude-opus-5-5"), older[1:]),
        "claude-opus-5": older[2:],
        "claude-sonnet-5-5": ("claude-sonnet-5", "claude-opus-4-8", "claude-sonnet-4-6"),
        "claude-haiku-5-5": ("claude-haiku-4-5-20251001", "claude-sonnet-5"),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Fallbacks:
    """Server-side fallback and fallback credit (claude-api.md §5.2)."""

    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=_targets)
    """Which models may take over from which, best first; a model that is not here supports no fallback.  Published only
    through the Models API, where Claude Fable 5 and Opus 5 were seen to name `claude-opus-4-8`; the rest of the default
    is models that are older and still answer, so that a chain of three can be tried out."""
    recommended_for: frozenset[str | None] = frozenset({"cyber", "bio", "general_harms", None})
    """Categories for which `fallbacks: "default"` has a model, the first that is allowed; any other refusal stands.
    The routing is not published; None is the refusal without a category."""
    sticky_s: float = 3_600.0
    """How long a conversation that fell back goes straight to the model that served it; 0 asks the first model again
    each time.  The API says about an hour, best effort."""
    sticky_conversations: int = 10_000
    """Most of them remembered; beyond it the oldest is forgotten."""
    credit_covers_writes: bool = False
    """Whether a fallback credit also covers what the refused request itself wrote to its cache.  The retry is billed
    "as if the conversation had been on the new model all along", where that part would have been a write too; so the
    default covers what the refused model had read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Billing:
    """Who is billed for a request with `billing_policy` (claude-api.md §3, §6)."""

    profiles: Mapping[str, str] = field(default_factory=dict)
    """User profiles by id: the organisation that is billed for one, or the code of the error that asking for it gets
    (`user_profile_billing_not_authorized`, `linked_organization_spend_limit_reached`, …).  A profile that is not here
    is `user_profile_not_billable`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Commitment:
    """Tokens a minute that were bought for one model."""

    input_tokens_per_minute: int
    output_tokens_per_minute: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Priority:
    """The Priority Tier (claude-api.md §8.1, §8.4, §13).  No longer sold; accounts that have it keep it."""

    commitments: Mapping[str, Commitment] = field(default_factory=dict)
    """By model id.  None by default, so no request is served by it and no header tells of it."""
    billed: bool = False
    """Whether its tokens are on the bill at the standard price too.  A commitment is paid in advance, and the cost
    report leaves its costs out (§13), so the default bills nothing."""

    def check(self) -> None:
        """Raise ValueError for a model that the tier does not have."""
        for name in self.commitments:
            model = FACTS.by_name.get(name)
            if model is None or model.id != name or model.priority_tier_supported is False:
                raise ValueError(f"priority.commitments names {name!r}, which is no model id that the tier serves")


@dataclass(frozen=True, kw_only=True, slots=True)
class Compactions:
    """Compaction (claude-api.md §12)."""

    median_tokens: int = 300
    spread: float = 0.4
    """Length of a summary, as that of an answer; `max_tokens` bounds it."""
    most_tools: int = 1_000
    """Tools that a conversation may have called for a block to record them; beyond it a 400 with
    `compaction_too_many_tool_references`.  The API's own bound is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BooksKept:
    entries: int = 20_000
    """Most per-request entries kept; the totals know all."""
    usage_minutes: int = 50_000
    """Most minutes whose usage is kept for the reports of the Admin API, for each organisation: a month and more."""
    reports_late_s: float = 300.0
    """How late usage shows in those reports: "about five minutes" (claude-api.md §13).  0 shows it at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """How the run begins and what changes in it.  Spend caps and revoked keys begin as `limits` and `access` say, and
    can change in the forecast like the rest."""

    overload_share: float = 0.0
    """How likely a message or a token count is answered with 529, before it is read or charged to any limit."""
    overload_retry_after_s: float | None = None
    """The `retry-after` of those 529s.  Not documented (claude-api.md §17.6), so there is none unless it is set."""
    others_share: float = 0.0
    """What others on the same account take of every limit of a pool of models, as a share of it: 0.5 leaves half the
    refill.  It shows only in headers and in 429s, whose `retry-after` does not know about them."""
    others_rpm: float = 0.0
    others_itpm: float = 0.0
    others_otpm: float = 0.0
    """What others take of every pool besides, each minute: requests, input tokens, output tokens."""
    latency_factor: float = 1.0
    """Every wait of an answer takes so many times as long."""
    forecast: Mapping[float, Mapping[str, Any]] = field(default_factory=dict)
    """What changes later: seconds after the start → conditions and their new values, as in
    `{60: {"overload_share": 1}, 780: {"overload_share": 0, "revoked_keys": ["key-1"]}}`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SimSettings:
    """Everything, by concept."""

    access: Access = field(default_factory=Access)
    limits: Limits = field(default_factory=Limits)
    caching: Caching = field(default_factory=Caching)
    thinking: Thinking = field(default_factory=Thinking)
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    latency: Latency = field(default_factory=Latency)
    answers: Answers = field(default_factory=Answers)
    batches: Batches = field(default_factory=Batches)
    files: Files = field(default_factory=Files)
    threads: Threads = field(default_factory=Threads)
    validation: Validation = field(default_factory=Validation)
    fallbacks: Fallbacks = field(default_factory=Fallbacks)
    compactions: Compactions = field(default_factory=Compactions)
    billing: Billing = field(default_factory=Billing)
    priority: Priority = field(default_factory=Priority)
    books: BooksKept = field(default_factory=BooksKept)
    weather: Conditions = field(default_factory=Conditions)

    def __post_init__(self) -> None:
        """Check what cannot be simulated.

        Raises:
            ValueError: naming the setting.
        """
        for concept in fields(self):
            group, kind = getattr(self, concept.name), concept.default_factory
            if not isinstance(kind, type) or not isinstance(group, kind):
                raise ValueError(f"{concept.name} is {group!r}, and must be a {getattr(kind, '__name__', kind)}(...)")
            check_plain_types(group, concept.name)
        self.access.check()
        self.limits.check()
        self.answers.check()
        self.batches.check()
        self.priority.check()
        checked(self.conditions())
        for changes in self.weather.forecast.values():
            checked(changes)
        self.latency.check()

    def conditions(self) -> dict[str, Any]:
        """The value at the start of everything that `weather` can change."""
        homes = (self.weather, self.limits, self.access)
        told = {name: getattr(home, name) for name in CHANGEABLE for home in homes if hasattr(home, name)}
        if self.limits.enforce_tier_spend_cap and told["enforced_spend_cap_usd"] is None:
            told["enforced_spend_cap_usd"] = FACTS.tier(self.limits.tier).monthly_spend_cap_usd
        return told
