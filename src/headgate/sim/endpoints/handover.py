"""A model that declines, and the next one that takes over; and what a refusal gives back to whoever asks another model
later (claude-api.md §5.2)."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import Any

from headgate.sim.account.credit import CREDIT_BETAS, Redemption, redeem, refused_request
from headgate.sim.account.limits import Limited
from headgate.sim.account.tab import Pass
from headgate.sim.endpoints.sampling import Stage, sample
from headgate.sim.errors import ApiError
from headgate.sim.facts import FACTS
from headgate.sim.misbehave import Misbehaviour
from headgate.sim.reply.answer import Answer
from headgate.sim.reply.blocks import ToolUse
from headgate.sim.reply.seams import Fallback
from headgate.sim.request.fallbacks import allowed_of, bodies, body_for, recommended
from headgate.sim.request.reading import Reading, read, rules_of
from headgate.sim.world import Visit, World

__all__ = ["give_credit", "redeemed", "seam", "with_fallbacks"]


def with_fallbacks(world: World, visit: Visit, stage: Stage, reading: Reading, asked: Misbehaviour) -> list[Pass]:
    """Ask one model after the other until one does not decline, or cannot be asked."""
    settings, model = world.settings.fallbacks, reading.ask.model
    organisation, messages = visit.caller.organisation, reading.ask.body["messages"]
    hops = [reading, *_named(world, visit, reading)]
    number = _sticky(world, visit, reading, hops)
    passes = [_hop(world, stage, hops[number], asked, number)]
    said: list[dict[str, Any]] = []
    while passes[-1].answer.stop_reason == "refusal":
        declined = passes[-1]
        if reading.ask.stream and _is_inside_a_call(declined.answer):
            break
        if number == 0 and len(hops) == 1:
            category = (declined.answer.stop_details or {}).get("category")
            rules = rules_of(world, visit, "message")
            hops += _unnamed(world, visit, reading, recommended(model, category, rules, settings))
        number += 1
        if number == len(hops):
            break
        said += [block.whole() for block in declined.answer.blocks] if reading.ask.stream else []
        hop = _after(hops[number], said)
        said.append(seam(declined, passes[0], hop.ask.model.id).whole())
        if hop.ask.signer is not None:  # the caller will send back all that is out, whatever the next model sees
            hop.ask.signer = hop.ask.signer.after(said)
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


def _unnamed(world: World, visit: Visit, reading: Reading, model_id: str | None) -> list[Reading]:
    """The request to a model that `"default"` leads to; none where there is none, or where it would not be valid."""
    if model_id is None:
        return []
    rules = rules_of(world, visit, "message")
    try:
        return [read(world, body_for(reading.ask.body, model_id, rules), rules, visit.caller, visit.began_ms)]
    except ApiError:
        return []


def _sticky(world: World, visit: Visit, reading: Reading, hops: list[Reading]) -> int:
    """Which hop to begin with: the model that served this conversation before, if it is one of them."""
    body = reading.ask.body
    model_id = world.routes.find(visit.caller.organisation, body["messages"], world.clock.now_s())
    if model_id is None:
        return 0
    if body["fallbacks"] == "default" and model_id in allowed_of(reading.ask.model, world.settings.fallbacks):
        hops += _unnamed(world, visit, reading, model_id)
    return next((number for number, hop in enumerate(hops) if hop.ask.model.id == model_id), 0)


def _hop(
    world: World, stage: Stage, reading: Reading, asked: Misbehaviour, number: int, *, warm_blocks: int = 0
) -> Pass:
    """Ask the `number`th model; as many decline as were asked to."""
    declines = asked.declines if asked.refusal or asked.refusal_midway else 0
    if number >= declines:
        asked = replace(asked, refusal=False, refusal_midway=False)
    elif not asked.inside_call:
        asked = replace(asked, tools=[])  # they are for whoever answers in the end to call
    one = sample(world, stage, reading, asked, warm_blocks=warm_blocks)
    if one.answer.refused_unheard:
        one.usage.output = 0
    return one


def _is_inside_a_call(answer: Answer) -> bool:
    """Whether a decline left a tool call open, which on a stream is the end of it."""
    last = answer.blocks[-1] if answer.blocks else None
    return isinstance(last, ToolUse) and last.kept is not None


def _after(reading: Reading, said: list[dict[str, Any]]) -> Reading:
    """The request to the next model: of what is out already it goes on from the text, and sees nothing else."""
    text = [block for block in said if block["type"] == "text"]
    if not text:
        return replace(reading, ask=replace(reading.ask))
    turn = {"role": "assistant", "content": text}
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


def seam(declined: Pass, first: Pass, serving: str) -> Fallback:
    """The block of a hand-over.  It names the requested model as it was written, others by their ids."""
    name = str(declined.ask.body["model"]) if declined is first else declined.ask.model.id
    return Fallback(name, serving, (declined.answer.stop_details or {}).get("category"))


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
    model_id = model.id if model is not None else ""
    return redeem(body, betas, visit.caller, visit.began_ms, model_id, world.seed, unavailable=asked.credit_unavailable)


def _warm_blocks(world: World, one: Pass) -> int:
    """How many blocks of its prompt a model had in the cache."""
    split = one.split
    warm = split.read
    if world.settings.fallbacks.credit_covers_writes:
        warm += split.write_5m + split.write_1h
    return bisect_left(one.ends, warm) + 1 if warm else 0


def give_credit(world: World, visit: Visit, reading: Reading, last: Pass, answer: Answer) -> None:
    """Put a token on a refusal, if another model may answer what this one did not."""
    targets = allowed_of(last.ask.model, world.settings.fallbacks)
    details = _details(last)
    details["fallback_credit_token"] = details["fallback_has_prefill_claim"] = None
    if not targets:
        return
    claim = refused_request(
        reading.ask.body,
        visit.betas,
        visit.caller,
        visit.began_ms,
        targets,
        _warm_blocks(world, last),
        [block.whole() for block in answer.blocks],
        tools_ran=answer.web_searches + answer.web_fetches + answer.code_executions > 0,
    )
    details["fallback_credit_token"] = claim.signed(world.seed)
    details["fallback_has_prefill_claim"] = claim.partial is not None
