"""What is known of Claude's models, prices, pools and tiers: `facts.json`, a copy of the reference sheet, as types.

Money enters as `Decimal` US dollars per million tokens, exactly as the sheet writes it, time as dates (UTC).  No other
module of the simulator types in a figure that stands in the sheet.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from functools import cached_property
from importlib.resources import files
from typing import Literal

from msgspec import Struct, field
from msgspec.json import Decoder

__all__ = ["FACTS", "Band", "Facts", "FastMode", "Lifecycle", "Model", "PoolLimits", "RetiredModel", "Tier"]

Lifecycle = Literal["active", "deprecated", "retired"]


class Band(Struct, frozen=True):
    """Prices of one model for prompts of a certain length, in dollars per million tokens (claude-api.md §13)."""

    prompt_tokens_over: int
    prompt_tokens_up_to: int | None
    input: Decimal
    output: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    cache_read: Decimal
    batch_input: Decimal
    batch_output: Decimal
    batch_cache_write_5m: Decimal
    batch_cache_write_1h: Decimal
    batch_cache_read: Decimal


class FastMode(Struct, frozen=True):
    """Prices of `speed: fast`, in dollars per million tokens, and whether a beta header is still asked for."""

    input: Decimal
    output: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    cache_read: Decimal
    beta_header_required: bool
    status: str

    def available(self, day: date) -> bool:
        """Whether fast mode still exists on `day`; the sheet dates a removal in `status`."""
        removed = re.search(r"removed (\d{4}-\d\d-\d\d)", self.status)
        return removed is None or day < date.fromisoformat(removed[1])


class Multipliers(Struct, frozen=True):
    inference_geo_us: Decimal | None


class Model(Struct, frozen=True, dict=True):
    """One model that answers, or that the catalogue still lists."""

    id: str
    aliases: list[str]
    line: str
    rate_limit_pool: str | None
    stage: str = field(name="lifecycle")
    """As the sheet has it today; `lifecycle()` gives the stage on a day."""
    released: date | None
    deprecated_on: date | None
    retires_on: date | None
    context_window_tokens: int
    max_output_tokens: int | None
    batch_max_output_tokens_beta: int | None
    min_cacheable_tokens: int
    price_bands: list[Band]
    multipliers: Multipliers
    fast_mode: FastMode | None
    tokenizer: Literal["claude-4.7", "pre-4.7"]
    thinking: str
    forced_tool_choice_supported: bool
    assistant_prefill_supported: bool
    priority_tier_supported: bool | None
    """None where the sheet does not say."""
    prefix_check: bool
    """Whether it has preserved thinking: a thought that comes back is checked against what stood before it (§9.10)."""

    @property
    def served(self) -> bool:
        """False where the sheet knows neither pool nor price (`claude-mythos-preview`): listed, never served.  Gated
        models are served: the simulated account has been let in."""
        return self.rate_limit_pool is not None and bool(self.price_bands)

    def lifecycle(self, day: date) -> Lifecycle:
        """Its stage on `day`, so that a model retires by the simulated date (claude-api.md §11, §13)."""
        if self.retires_on is not None and day >= self.retires_on:
            return "retired"
        if self.deprecated_on is not None:
            return "deprecated" if day >= self.deprecated_on else "active"
        return "deprecated" if self.stage == "deprecated" else "active"

    def released_by(self, day: date) -> bool:
        return self.released is None or day >= self.released

    @cached_property
    def thinking_types(self) -> frozenset[str]:
        """The values of `thinking.type` it takes, read from the sheet's one-line description."""
        told = self.thinking
        types = {name for name, word in _THINKING_WORDS.items() if word in told}
        return frozenset(types if "always on" in told else types | {"disabled"})

    @cached_property
    def default_thinking(self) -> str:
        """The `thinking.type` that omitting it means."""
        thinks = any(words in self.thinking for words in ("always on", "on by default", "between_tools"))
        return "adaptive" if thinks else "disabled"

    @cached_property
    def takes_sampling(self) -> bool:
        """Models from 4.7 on refuse sampling parameters that are not at their default (claude-api.md §2)."""
        return self.tokenizer == "pre-4.7"

    @cached_property
    def default_effort(self) -> str:
        """The `output_config.effort` that omitting it means; the sheet names it where it is not `high`."""
        told = re.search(r"default effort (\w+)", self.thinking)
        return told[1] if told else "high"

    @property
    def display_name(self) -> str:
        return _display_name(self.id)


_THINKING_WORDS = {"adaptive": "adaptive", "enabled": "manual", "between_tools": "between_tools"}


class PoolLimits(Struct, frozen=True):
    """Per minute: requests, input tokens, output tokens."""

    rpm: int
    itpm: int
    otpm: int


class BatchLimits(Struct, frozen=True):
    rpm: int
    max_queued_requests: int
    max_requests_per_batch: int


class CountLimits(Struct, frozen=True):
    rpm: int


class Tier(Struct, frozen=True):
    """A usage tier.  The figures are None where they are not published (evaluation) or arranged (custom)."""

    id: str
    monthly_spend_cap_usd: Decimal | None
    pools: dict[str, PoolLimits] | None
    batch: BatchLimits | None
    token_count: CountLimits | None


class RetiredModel(Struct, frozen=True):
    """A model that is gone: the sheet keeps its name and the day."""

    id: str
    retired_on: date

    @property
    def display_name(self) -> str:
        return _display_name(self.id)


class FastExample(Struct, frozen=True):
    input_tokens_per_minute: int
    output_tokens_per_minute: int


class FastLimits(Struct, frozen=True):
    observed_example: FastExample


class OtherLimits(Struct, frozen=True):
    files_api_rpm_approx: int
    messages_max_body_mb: int
    batch_max_body_mb: int
    files_max_body_mb: int
    max_messages_per_request: int
    max_cache_breakpoints: int
    cache_lookback_blocks: int
    batch_expiry_hours: int
    batch_result_retention_days: int


class PriceModifiers(Struct, frozen=True):
    cache_read_default: Decimal
    batch: Decimal


class CodeExecution(Struct, frozen=True):
    usd_per_container_hour: Decimal
    free_hours_per_org_month: int
    minimum_billed_minutes: int


class ServerTools(Struct, frozen=True):
    code_execution: CodeExecution
    web_search_usd_per_1000: Decimal


class BurnDown(Struct, frozen=True):
    """What a token takes from a commitment of the Priority Tier."""

    cache_read: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    other_input: Decimal
    output: Decimal
    inference_geo_us: Decimal


class PriorityTier(Struct, frozen=True):
    burn_down: BurnDown


class ToolPromptTokens(Struct, frozen=True):
    auto_none: int
    any_tool: int


class Facts(Struct, frozen=True, dict=True):
    """The whole sheet, as far as the simulator reads it."""

    api_versions: list[str]
    models: list[Model]
    usage_tiers: list[Tier]
    fast_mode_limits: FastLimits
    other_limits: OtherLimits
    price_modifiers: PriceModifiers
    server_tools: ServerTools
    priority_tier: PriorityTier
    tool_use_system_prompt_tokens: dict[str, ToolPromptTokens]
    retired_models: list[RetiredModel]

    @cached_property
    def by_name(self) -> dict[str, Model]:
        """Every model under its id and under each alias."""
        return {name: model for model in self.models for name in (model.id, *model.aliases)}

    def tier(self, name: str) -> Tier:
        for tier in self.usage_tiers:
            if tier.id == name:
                return tier
        raise ValueError(f"no usage tier {name!r}; there are {', '.join(tier.id for tier in self.usage_tiers)}")


def _display_name(model_id: str) -> str:
    """`claude-opus-4-5-20251101` → `Claude Opus 4.5`, `claude-3-7-sonnet-20250219` → `Claude Sonnet 3.7`."""
    parts = re.sub(r"-20\d{6}$", "", model_id).split("-")[1:]
    words = [part.capitalize() for part in parts if part.isalpha()]
    version = ".".join(part for part in parts if not part.isalpha())
    return " ".join(["Claude", *words, version]).strip()


def _load() -> Facts:
    return Decoder(Facts).decode(files(__package__).joinpath("facts.json").read_bytes())


FACTS = _load()
