"""What happens between a request that was read and an answer that can be sent: limits, cache, model, pass by pass.

Nearly every request is one pass.  A summary may come before it (claude-api.md §12), and another model after it that
takes over from one that declined (§5.2).  Each pass draws from the pool of its model and is looked up in the cache by
itself.  All of them are decided, and admitted, when the request begins; a stream then tells of them one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import Any, NamedTuple

from headgate.clock import utc_day
from headgate.sim.account.access import Caller
from headgate.sim.account.cache import CacheSplit
from headgate.sim.account.credit import CREDIT_BETAS, Redemption, redeem, refused_request
from headgate.sim.account.invoice import Terms
from headgate.sim.account.limits import Limited
from headgate.sim.account.tab import Pass, PassKind
from headgate.sim.errors import ApiError
from headgate.sim.facts import FACTS
from headgate.sim.misbehave import Misbehaviour
from headgate.sim.reply.answer import LENGTH, WORDS, Answer, Dice, Outside, compose
from headgate.sim.reply.blocks import Text, ToolUse
from headgate.sim.reply.content import prose
from headgate.sim.reply.message import iteration, usage_object, used
from headgate.sim.reply.seams import Compaction, Fallback
from headgate.sim.request.compaction import sign, summary_turn
from headgate.sim.request.fallbacks import allowed_of, bodies, recommended
from headgate.sim.request.reading import Reading, read, rules_of
from headgate.sim.world import Visit, World

__all__ = ["Stage", "answer_of", "redeemed", "run", "run_in_batch", "usage_of"]


class Stage(NamedTuple):
    """Who asks, and when; an item of a batch has no limits."""

    caller: Caller
    now_s: float
    now_ms: int
    batch: bool = False


def run(
    world: World, visit: Visit, reading: Reading, asked: Misbehaviour, credit: Redemption | None = None
) -> list[Pass]:
    """All passes of one request, the first of them admitted.

    Raises:
        Limited: 429.
        ApiError: fallbacks that cannot be.
    """
    stage = Stage(visit.caller, visit.began_s, visit.began_ms)
    if _is_summarised(reading):
        return _with_summary(world, stage, reading, asked)
    if reading.ask.body.get("fallbacks") is not None:
        passes = _with_fallbacks(world, visit, stage, reading, asked)
    else:
        passes = [_sample(world, stage, reading, asked, warm_blocks=credit.warm_blocks if credit is not None else 0)]
    if passes[-1].answer.stop_reason == "refusal" and not visit.betas.isdisjoint(CREDIT_BETAS):
        _give_credit(world, visit, reading, passes)
    return passes


def run_in_batch(world: World, stage: Stage, reading: Reading, asked: Misbehaviour) -> list[Pass]:
    """All passes of an item of a batch, which has no fallbacks and no credit (§5.2)."""
    if _is_summarised(reading):
        return _with_summary(world, stage, reading, asked)
    return [_sample(world, stage, reading, asked)]


def _sample(
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
    dice = Dice(world.seed, ask.body)
    if answer is None:
        answer = _compose(world, stage, reading, asked, dice)
    if reading.prompt.markers and any(isinstance(block, ToolUse) and block.server for block in answer.blocks):
        world.cache.extend(split, reading.prompt, reading.cache_scope, ask.model)
    terms = Terms(ask.model, utc_day(stage.now_ms), batch=stage.batch, fast=ask.fast, us=ask.us)
    return Pass(kind, ask, terms, pool, estimate, split, answer, used(ask, split, answer), dice, reading.prompt.ends)


def _compose(world: World, stage: Stage, reading: Reading, asked: Misbehaviour, dice: Dice) -> Answer:
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


# -- a model that declines, and the next one -------------------------------------------------------------------------


def _with_fallbacks(world: World, visit: Visit, stage: Stage, reading: Reading, asked: Misbehaviour) -> list[Pass]:
    """Ask one model after the other until one does not decline, or cannot be asked."""
    settings, model = world.settings.fallbacks, reading.ask.model
    organisation, messages = visit.caller.organisation, reading.ask.body["messages"]
    hops = [reading, *_named(world, visit, reading)]
    number = _sticky(world, visit, reading, hops)
    passes = [_hop(world, stage, hops[number], asked, number)]
    while passes[-1].answer.stop_reason == "refusal":
        declined = passes[-1]
        if number == 0 and len(hops) == 1 and allowed_of(model, settings):
            hops += _recommended(world, visit, reading, (declined.answer.stop_details or {}).get("category"))
        number += 1
        if number == len(hops):
            break
        hop = _continued(hops[number], declined) if reading.ask.stream else hops[number]
        try:
            _check_overload(world)
            warm = _warm_blocks(world, declined)
            passes.append(_hop(world, stage, hop, asked, number, warm_blocks=warm))
        except ApiError as error:
            if not isinstance(error, Limited) and error.status != 529:
                raise
            _details(declined)["recommended_model"] = hops[number].ask.model.id
            break
    last = passes[-1]
    if last.ask.model is not model:
        last.kind = "fallback_message"
        if last.answer.stop_reason != "refusal":
            world.routes.keep(organisation, messages, last.ask.model.id, world.clock.now_s())
    if last.answer.stop_reason == "refusal":
        _details(last).setdefault("recommended_model", None)
    return passes


def _named(world: World, visit: Visit, reading: Reading) -> list[Reading]:
    """The requests to the models that were named, each as valid as if it had been sent there."""
    rules = rules_of(world, visit, "message")
    named = bodies(reading.ask.body, reading.ask.model, rules, world.settings.fallbacks)
    return [read(world, body, rules, visit.caller, visit.began_ms) for body in named]


def _recommended(world: World, visit: Visit, reading: Reading, category: str | None) -> list[Reading]:
    """The request to the model that `"default"` has for a refusal; none where it stands, or could not be asked."""
    rules = rules_of(world, visit, "message")
    body = recommended(reading.ask.body, reading.ask.model, category, rules, world.settings.fallbacks)
    try:
        return [] if body is None else [read(world, body, rules, visit.caller, visit.began_ms)]
    except ApiError:
        return []


def _sticky(world: World, visit: Visit, reading: Reading, hops: list[Reading]) -> int:
    """Which hop to begin with: the model that served this conversation before, if it is one of them."""
    body = reading.ask.body
    model_id = world.routes.find(visit.caller.organisation, body["messages"], world.clock.now_s())
    if model_id is None:
        return 0
    if body["fallbacks"] == "default":
        hops += [hop for hop in _recommended(world, visit, reading, None) if hop.ask.model.id == model_id]
    return next((number for number, hop in enumerate(hops) if hop.ask.model.id == model_id), 0)


def _hop(
    world: World, stage: Stage, reading: Reading, asked: Misbehaviour, number: int, *, warm_blocks: int = 0
) -> Pass:
    """Ask the `number`th model; as many decline as were asked to."""
    declines = number < (asked.declines if asked.refusal or asked.refusal_midway else 0)
    # The tools are for whoever answers in the end to call.
    asked = replace(asked, tools=[]) if declines else replace(asked, refusal=False, refusal_midway=False)
    one = _sample(world, stage, reading, asked, warm_blocks=warm_blocks)
    if one.answer.refused_unheard:
        one.usage.output = 0
    return one


def _continued(reading: Reading, declined: Pass) -> Reading:
    """The request to the next model of a stream: it goes on from the text that is out already."""
    said = [block.whole() for block in declined.answer.blocks if isinstance(block, Text)]
    if not said:
        return reading
    turn = {"role": "assistant", "content": said}
    shown = {**reading.shown, "messages": [*reading.shown["messages"], turn]}
    body = {**reading.ask.body, "messages": [*reading.ask.body["messages"], turn]}
    return replace(reading, ask=replace(reading.ask, body=body), shown=shown, prompt=reading.measure(shown))


def _check_overload(world: World) -> None:
    """§6: the platform's load meets every model that is asked."""
    share = world.weather.overload_share
    if share and world.rng.random() < share:
        raise ApiError(529, "Overloaded")


def _details(one: Pass) -> dict[str, Any]:
    details = one.answer.stop_details
    assert details is not None
    return details


# -- what a refusal gives back ---------------------------------------------------------------------------------------


def redeemed(world: World, visit: Visit, body: Any, asked: Misbehaviour) -> Redemption | None:
    """What comes of the fallback credit that a request brings; None where it brings none, or may not.

    Raises:
        ApiError: 400, as `redeem`.
    """
    if not isinstance(body, dict) or body.get("fallback_credit_token") is None:
        return None
    betas = visit.betas
    if betas.isdisjoint(CREDIT_BETAS):
        return None  # and validation says what it thinks of the field
    model = FACTS.by_name.get(str(body.get("model")))
    return redeem(
        body,
        betas,
        visit.caller,
        visit.began_ms,
        model.id if model is not None else "",
        world.seed,
        unavailable=asked.credit_unavailable,
    )


def _warm_blocks(world: World, one: Pass) -> int:
    """How many blocks of its prompt a model had in the cache."""
    split = one.split
    warm = split.read
    if world.settings.fallbacks.credit_covers_writes:
        warm += split.write_5m + split.write_1h
    return bisect_left(one.ends, warm) + 1 if warm else 0


def _reprice(split: CacheSplit, warm_tokens: int) -> None:
    """Bill the first `warm_tokens` as read, as far as they would have been written; what is written stays written."""
    shift = max(0, warm_tokens - split.read)
    from_1h = min(shift, split.write_1h)
    from_5m = min(shift - from_1h, split.write_5m)
    split.write_1h -= from_1h
    split.write_5m -= from_5m
    split.read += from_1h + from_5m


def _give_credit(world: World, visit: Visit, reading: Reading, passes: list[Pass]) -> None:
    """Put a token on a refusal, if another model may answer what this one did not."""
    last = passes[-1]
    targets = allowed_of(last.ask.model, world.settings.fallbacks)
    details = _details(last)
    details["fallback_credit_token"] = details["fallback_has_prefill_claim"] = None
    if not targets:
        return
    answer = answer_of(passes)
    claim = refused_request(
        reading.ask.body,
        visit.betas,
        visit.caller,
        visit.began_ms,
        targets,
        _warm_blocks(world, last),
        [block.whole() for block in answer.blocks],
        tools_ran=answer.web_searches > 0,
    )
    details["fallback_credit_token"] = claim.signed(world.seed)
    details["fallback_has_prefill_claim"] = claim.partial is not None


# -- a summary, and what goes on from it -----------------------------------------------------------------------------


def _is_summarised(reading: Reading) -> bool:
    """Whether a summary is asked for and due."""
    compaction = reading.management.compaction if reading.management is not None else None
    return compaction is not None and (compaction.at_tokens is None or reading.prompt.tokens >= compaction.at_tokens)


def _with_summary(world: World, stage: Stage, reading: Reading, asked: Misbehaviour) -> list[Pass]:
    """Summarise; and then answer, unless the summary is all that was asked for."""
    management = reading.management
    assert management is not None
    compaction = management.compaction
    assert compaction is not None
    instructions = {"role": "user", "content": [{"type": "text", "text": compaction.instructions}]}
    longer = {**reading.shown, "messages": [*reading.shown["messages"], instructions]}
    whole = replace(reading, prompt=reading.measure(longer))
    dice = Dice(world.seed, longer)
    summary = _summary(world, stage, whole, asked, dice, signed=compaction.at_tokens is None)
    passes = [_sample(world, stage, whole, asked, "compaction", answer=summary)]
    if compaction.pause or summary.stop_reason != "compaction":
        return passes
    text = summary.blocks[0].whole()["content"]
    shown = {**reading.shown, "messages": [summary_turn(text)]}
    ask = replace(reading.ask, body={**reading.ask.body, "messages": [summary_turn(text)]})
    if ask.signer is not None:
        ask.signer = replace(ask.signer, context=None, body=shown)
    shorter = replace(reading, ask=ask, shown=shown, prompt=reading.measure(shown))
    return [*passes, _sample(world, stage, shorter, asked, goes_on=True)]


def _summary(world: World, stage: Stage, reading: Reading, asked: Misbehaviour, dice: Dice, *, signed: bool) -> Answer:
    """What a summarising pass says.  One that is cut short or declined has no block (§12)."""
    ask, settings = reading.ask, world.settings.compactions
    if asked.refusal:
        return _compose(world, stage, reading, asked, dice)
    count = dice.tokens(LENGTH, settings.median_tokens, settings.spread, world.settings.answers.most_tokens)
    room = ask.model.context_window_tokens - reading.prompt.tokens
    if room <= 0:
        return Answer(stop_reason="model_context_window_exceeded")
    pieces = prose(min(count, room), dice.roll(WORDS))
    if signed and count > ask.max_tokens:
        return Answer(stop_reason="max_tokens", silent=ask.max_tokens)
    signature = sign("".join(pieces), world.seed) if signed else None
    return Answer([Compaction(pieces, signature)], stop_reason="compaction")


# -- all of them together --------------------------------------------------------------------------------------------


def answer_of(passes: list[Pass]) -> Answer:
    """What the caller gets: in a stream all that was said, else what was said in the end."""
    last = passes[-1].answer
    if len(passes) == 1 and passes[0].kind != "fallback_message":
        return last
    stream = passes[-1].ask.stream
    told = replace(
        last,
        blocks=[],
        web_searches=sum(one.answer.web_searches for one in passes),
        web_fetches=sum(one.answer.web_fetches for one in passes),
        code_executions=sum(one.answer.code_executions for one in passes),
    )
    turns = []
    before: Pass | None = None
    for one in passes:
        if before is not None and before.answer.deltas and (stream or before.kind == "compaction"):
            turns.append(len(told.blocks))
        if before is not None and before.kind != "compaction":
            category = (before.answer.stop_details or {}).get("category")
            told.blocks.append(Fallback(_name(before, passes[0]), one.ask.model.id, category))
        if stream or one is passes[-1] or one.kind == "compaction":
            told.blocks += one.answer.blocks
        before = one
    told.turns = tuple(turns)
    return told


def _name(one: Pass, first: Pass) -> str:
    """A model as a `fallback` block names it: the requested one as it was written."""
    return str(one.ask.body["model"]) if one is first else one.ask.model.id


def usage_of(passes: list[Pass], answer: Answer, credit: Redemption | None = None) -> dict[str, Any]:
    """The `usage` of a whole answer: at the top what the pass used that made the message (§4), and all of them in
    `iterations` where they are more than that."""
    last = passes[-1]
    told = usage_object(last.top_usage, last.ask, answer, batch=last.terms.batch)
    if len(passes) > 1 or last.kind != "message":
        told["iterations"] = [iteration(one.kind, one.usage, one.ask.model.id) for one in passes]
    if credit is not None:
        told["fallback_credit"] = credit.told()
    return told
