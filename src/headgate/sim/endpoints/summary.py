"""A summary, and what goes on from it (claude-api.md §12).

A request that is summarised has no fallbacks: a decline in either pass is the answer.  How the API has both at once is
not told.
"""

from __future__ import annotations

from dataclasses import replace

from headgate.sim.account.tab import Pass
from headgate.sim.endpoints.sampling import Stage, composed, sample
from headgate.sim.misbehave import Misbehaviour
from headgate.sim.reply.answer import Answer
from headgate.sim.reply.content import prose
from headgate.sim.reply.dice import LENGTH, WORDS, Dice
from headgate.sim.reply.seams import Compaction
from headgate.sim.request.compaction import sign, summary_turn
from headgate.sim.request.reading import Reading
from headgate.sim.world import World

__all__ = ["is_due", "with_summary"]


def is_due(reading: Reading) -> bool:
    """Whether a summary is asked for and due."""
    compaction = reading.management.compaction if reading.management is not None else None
    return compaction is not None and (compaction.at_tokens is None or reading.prompt.tokens >= compaction.at_tokens)


def with_summary(world: World, stage: Stage, reading: Reading, asked: Misbehaviour) -> list[Pass]:
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
    passes = [sample(world, stage, whole, asked, "compaction", answer=summary)]
    if compaction.pause or summary.stop_reason != "compaction":
        return passes
    text = summary.blocks[0].whole()["content"]
    shown = {**reading.shown, "messages": [summary_turn(text)]}
    ask = replace(reading.ask, body={**reading.ask.body, "messages": [summary_turn(text)]})
    if ask.signer is not None:
        ask.signer = replace(ask.signer, context=None, body=shown)
    shorter = replace(reading, ask=ask, shown=shown, prompt=reading.measure(shown))
    return [*passes, sample(world, stage, shorter, asked, goes_on=True)]


def _summary(world: World, stage: Stage, reading: Reading, asked: Misbehaviour, dice: Dice, *, signed: bool) -> Answer:
    """What a summarising pass says.  One that is cut short or declined has no block (§12)."""
    ask, settings = reading.ask, world.settings.compactions
    if asked.refusal:
        return composed(world, stage, reading, asked, dice)
    count = dice.tokens(LENGTH, settings.median_tokens, settings.spread, world.settings.answers.most_tokens)
    room = ask.model.context_window_tokens - reading.prompt.tokens
    if room <= 0:
        return Answer(stop_reason="model_context_window_exceeded")
    pieces = prose(min(count, room), dice.roll(WORDS))
    if signed and count > ask.max_tokens:
        return Answer(stop_reason="max_tokens", silent=ask.max_tokens)
    signature = sign("".join(pieces), world.seed) if signed else None
    return Answer([Compaction(pieces, signature)], stop_reason="compaction")
