"""One pass: a request that was read meets limits, cache and model.

Each pass draws from the pool of its model and is looked up in the cache by itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from headgate.clock import utc_day
from headgate.sim.account.access import Caller
from headgate.sim.account.cache import CacheSplit
from headgate.sim.account.invoice import Terms
from headgate.sim.account.tab import Pass, PassKind
from headgate.sim.misbehave import Misbehaviour
from headgate.sim.reply.answer import Answer, Outside, compose
from headgate.sim.reply.blocks import ToolUse
from headgate.sim.reply.dice import Dice
from headgate.sim.reply.message import used
from headgate.sim.request.reading import Reading
from headgate.sim.request.validate import Ask
from headgate.sim.world import World

__all__ = ["Stage", "composed", "sample"]


class Stage(NamedTuple):
    """Who asks, and when; an item of a batch has no limits."""

    caller: Caller
    now_s: float
    now_ms: int
    batch: bool = False


def sample(
    world: World,
    stage: Stage,
    reading: Reading,
    asked: Misbehaviour,
    kind: PassKind = "message",
    *,
    warm_blocks: int = 0,
    answer: Answer | None = None,
    goes_on: bool = False,
) -> Pass:
    """One pass, admitted.

    Args:
        warm_blocks: blocks that are billed as read, because another model had them in its cache.
        answer: what is said, where it is not an answer.
        goes_on: the request was let in with the pass before.

    Raises:
        Limited: 429.
    """
    ask, caller = reading.ask, stage.caller
    split = world.cache.look_up(reading.prompt, reading.cache_scope, ask.model, stage.now_s)
    if warm_blocks:
        _reprice(split, reading.prompt.ends[min(warm_blocks, len(reading.prompt.ends)) - 1])
    pool = None if stage.batch else world.limits.pool(caller.organisation, ask.model, caller.workspace)
    estimate = 0  # what goes on is charged when it begins
    if pool is not None and not goes_on:
        estimate = _estimate(world, split)
        whose = f"(org: {caller.organisation}, model: {ask.model.id})"
        pool.admit(estimate, split.read, fast=ask.fast, now_s=world.clock.now_s(), unix_s=world.unix_s(), whose=whose)
    world.cache.use(split)
    if asked.refusing is not None and asked.refusing != ask.model.id:
        asked = replace(asked, refusal=False, refusal_midway=False)
    dice = Dice(world.seed, ask.body)
    if answer is None:
        answer = composed(world, stage, reading, asked, dice)
    if reading.prompt.markers and any(isinstance(block, ToolUse) and block.server for block in answer.blocks):
        world.cache.extend(split, reading.prompt, reading.cache_scope, ask.model)
    priority = world.commitments.any and pool is not None and _takes_priority(world, stage, ask, split)
    day = utc_day(stage.now_ms)
    return Pass(
        kind,
        ask,
        Terms(ask.model, day, batch=stage.batch, fast=ask.fast, us=ask.us, priority=priority),
        pool,
        estimate,
        split,
        answer,
        used(ask, split, answer),
        dice,
        reading.prompt.ends,
        caller.organisation,
        prepaid=priority and not world.settings.priority.billed,
    )


def _takes_priority(world: World, stage: Stage, ask: Ask, split: CacheSplit) -> bool:
    return world.commitments.take(stage.caller.organisation, ask, split, world.clock.now_s())


def composed(world: World, stage: Stage, reading: Reading, asked: Misbehaviour, dice: Dice) -> Answer:
    organisation, now_ms = stage.caller.organisation, stage.now_ms
    outside = Outside(now_ms, lambda file_id: world.files.get(file_id, organisation, now_ms).upload.data, stage.batch)
    return compose(reading.ask, reading.prompt, asked, dice, world.ids, world.settings.answers, outside)


def _estimate(world: World, split: CacheSplit) -> int:
    """Input tokens to charge before the answer begins (§8.1)."""
    limits = world.settings.limits
    counted = split.fresh + split.write_5m + split.write_1h
    if limits.estimate_counts_cache_reads:
        counted += split.read
    return round(counted * limits.input_estimate_factor)


def _reprice(split: CacheSplit, warm_tokens: int) -> None:
    """Bill the first `warm_tokens` as read, as far as they would have been written; what is written stays written."""
    shift = max(0, warm_tokens - split.read)
    from_1h = min(shift, split.write_1h)
    from_5m = min(shift - from_1h, split.write_5m)
    split.write_1h -= from_1h
    split.write_5m -= from_5m
    split.read += from_1h + from_5m
