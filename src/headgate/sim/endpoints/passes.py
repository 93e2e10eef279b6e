"""What happens between a request that was read and an answer that can be sent, pass by pass.

Nearly every request is one pass.  A summary may come before it (claude-api.md §12), and another model after it that
takes over from one that declined (§5.2).  All of them are decided, and admitted, when the request begins; a stream then
tells of them one by one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from headgate.sim.account.credit import CREDIT_BETAS, Redemption
from headgate.sim.account.tab import Pass
from headgate.sim.endpoints.handover import give_credit, seam, with_fallbacks
from headgate.sim.endpoints.sampling import Stage, sample
from headgate.sim.endpoints.summary import is_due, with_summary
from headgate.sim.misbehave import Misbehaviour
from headgate.sim.reply.answer import Answer
from headgate.sim.reply.message import iteration, usage_object
from headgate.sim.request.reading import Reading
from headgate.sim.world import Visit, World

__all__ = ["answer_of", "run", "run_in_batch", "usage_of"]


def run(
    world: World, visit: Visit, reading: Reading, asked: Misbehaviour, credit: Redemption | None = None
) -> list[Pass]:
    """All passes of one request, the first of them admitted.

    Raises:
        Limited: 429.
        ApiError: fallbacks that cannot be.
    """
    stage = Stage(visit.caller, visit.began_s, visit.began_ms)
    if is_due(reading):
        return with_summary(world, stage, reading, asked)
    if reading.ask.body.get("fallbacks") is not None:
        passes = with_fallbacks(world, visit, stage, reading, asked)
    else:
        passes = [sample(world, stage, reading, asked, warm_blocks=credit.warm_blocks if credit is not None else 0)]
    if passes[-1].answer.stop_reason == "refusal" and not visit.betas.isdisjoint(CREDIT_BETAS):
        give_credit(world, visit, reading, passes[-1], answer_of(passes))
    return passes


def run_in_batch(world: World, stage: Stage, reading: Reading, asked: Misbehaviour) -> list[Pass]:
    """All passes of an item of a batch, which has no fallbacks and no credit (§5.2)."""
    if is_due(reading):
        return with_summary(world, stage, reading, asked)
    return [sample(world, stage, reading, asked)]


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
            told.blocks.append(seam(before, passes[0], one.ask.model.id))
        if stream or one is passes[-1] or one.kind == "compaction":
            told.blocks += one.answer.blocks
        before = one
    told.turns = tuple(turns)
    return told


def usage_of(passes: list[Pass], answer: Answer, credit: Redemption | None = None) -> dict[str, Any]:
    """The `usage` of a whole answer: at the top what the pass used that made the message (§4), and all of them in
    `iterations` where they are more than that."""
    last = passes[-1]
    terms = last.terms
    tier = "batch" if terms.batch else "priority" if terms.priority else "standard"
    told = usage_object(last.top_usage, last.ask, answer, tier)
    if len(passes) > 1:  # the thoughts of a model that declined are told with its own tokens
        told.pop("output_tokens_details", None)
        if last.answer.thinking_tokens:
            told["output_tokens_details"] = {"thinking_tokens": last.answer.thinking_tokens}
    if len(passes) > 1 or last.kind != "message":
        told["iterations"] = [iteration(one.kind, one.usage, one.ask.model.id) for one in passes]
    if credit is not None:
        told["fallback_credit"] = credit.told()
    return told
