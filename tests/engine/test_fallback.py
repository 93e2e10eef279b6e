"""What a caller gets when its model cannot answer."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import pytest

from headgate.call import Call
from headgate.config.schema import (
    BudgetConfig,
    Config,
    MemoConfig,
    PoolCeiling,
    PricesConfig,
    RetryConfig,
    WorkflowConfig,
)
from headgate.core.message import StreamFacts
from headgate.edge import answers
from headgate.engine.engine import Engine
from headgate.engine.fallback import fallback_policies
from headgate.engine.load import load_catalog, load_prices
from headgate.errors import BudgetSpent, ConfigError, Refused, Unavailable
from headgate.events import ErrorClass, Outcome, Reason, UsageSource
from headgate.net.http import HeaderBlock
from headgate.records import CallRecord
from headgate.sim.scenario.plan import Cue, Phase, Scenario
from headgate.sim.virtual_time import EPOCH, memory_dial
from support.kept import store_of
from support.raw_upstream import CLOSE, Pause, RawUpstream, json_reply, message, message_events, sse_head
from support.world import KEY, MODEL, Answer, World, lanes, play

HAIKU = "claude-haiku-5-5"
ONCE = RetryConfig(max_attempts=1)
SORRY = "Please try again in a few minutes."


def workflow(*fallbacks: str, **options: Any) -> Config:
    """Settings in which calls of the workflow `test` fall back on these."""
    canned = options.pop("canned", SORRY)
    return Config(workflows={"test": WorkflowConfig(fallbacks=fallbacks, canned=canned, **options)})


def outage(*directives: str, model: str = MODEL, begin_s: float = 0.0) -> Scenario:
    """Whoever asks `model` meets this, for ever."""
    return Scenario(name="", about="", phases=(Phase(begin=begin_s, cues=(Cue(do=directives, model=model),)),))


OVERLOADED = outage("error=529")


def headers_of(answer: Answer) -> dict[bytes, bytes]:
    """What the caller is told."""
    return dict(HeaderBlock(answers.answered(answer.call, answer.reply)).items())


def text_of(answer: Answer) -> str:
    """The text of an answer, whole or streamed."""
    if answer.reply.stream is None:
        return "".join(block["text"] for block in answer.document["content"])
    events = [msgspec.json.decode(line[6:]) for line in answer.body.splitlines() if line.startswith(b"data: ")]
    return "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")


# -- another model -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_another_model_answers_and_it_is_said_which(stream):
    """INV-23: header, record and price name the model that answered; the record also the one that was asked for."""
    answer = play(lambda world: world.ask(stream=stream), config=workflow(f"model:{HAIKU}"), scenario=OVERLOADED)

    record = answer.record
    assert (record.outcome, record.reason, record.attempts) == (Outcome.OK, Reason.FALLBACK_MODEL, 5)
    assert (record.model, record.model_answered) == (MODEL, HAIKU)
    assert headers_of(answer)[b"x-headgate-model"] == HAIKU.encode()
    assert (record.price_row or "").startswith(HAIKU)


def test_inv_23_each_attempt_costs_what_its_own_model_costs():
    """The books of the simulator agree, to the pico-dollar."""

    async def scene(world: World) -> tuple[int | None, int]:
        answer = await world.ask(stream=True)
        return answer.record.cost_pico, sum(entry.cost_pico for entry in world.sim.world.books.entries)

    ours, theirs = play(scene, config=workflow(f"model:{HAIKU}"), scenario=OVERLOADED)

    assert ours == theirs > 0


def test_inv_17_the_other_model_is_sent_the_callers_own_bytes():
    """All but the name of the model."""
    body = b'{ "max_tokens":64, "n": [1.0],\n"model" : "claude-sonnet-5-5","messages":[{"role":"user","content":"x"}]}'

    async def scene(world: World) -> list[bytes]:
        upstream = RawUpstream([(json_reply(529, {}),), (json_reply(200, message()),)])
        call = world.make(base_url=await upstream.start())
        call.body = body
        await world.send(call)
        assert call.body == body
        return [seen.body for seen in upstream.seen]

    first, second = play(scene, config=workflow(f"model:{HAIKU}"), retry=ONCE)

    assert (first, second) == (body, body.replace(MODEL.encode(), HAIKU.encode()))


def test_the_other_model_is_asked_for_no_more_effort_than_it_takes():
    """The API refuses more; the rest of the field goes as it came."""
    body = (
        b'{"model":"claude-sonnet-5-5","max_tokens":64,"output_config":{"effort":"high", "format": {"x":1.0}},'
        b'"messages":[{"role":"user","content":"x"}]}'
    )

    async def scene(world: World) -> bytes:
        upstream = RawUpstream([(json_reply(529, {}),), (json_reply(200, message()),)])
        call = world.make(base_url=await upstream.start())
        call.body = body
        await world.send(call)
        return upstream.seen[1].body

    sent = play(scene, config=workflow("model:claude-haiku-4-5"), retry=ONCE)

    assert sent == body.replace(b'"effort":"high", ', b"").replace(MODEL.encode(), b"claude-haiku-4-5")


def test_inv_06_attempts_count_together():
    """What the first model used up, the next one has not; each has one attempt at least."""

    async def scene(world: World) -> list[str]:
        await world.ask("error=529")
        return [attempt.pool for attempt in world.ledger.attempts]

    pools = play(scene, config=workflow(f"model:{HAIKU}", "model:claude-opus-5-5"), retry=RetryConfig(max_attempts=3))

    assert pools == ["sonnet-5.5", "sonnet-5.5", "sonnet-5.5", "haiku-5.5", "opus-5.5"]


def test_the_other_model_has_the_tries_that_are_left():
    """Here the first has used none: it has no room."""

    async def scene(world: World) -> list[str]:
        await world.ask()
        late = world.make("error=529")
        late.requested_deadline_s = 10.0
        with suppress(Unavailable):
            await world.send(late)
        return [attempt.pool for attempt in world.ledger.attempts if attempt.call_id == late.record.call_id]

    config = workflow(f"model:{HAIKU}")
    config = replace(config, limits=replace(config.limits, pools={"sonnet-5.5": PoolCeiling(rpm=1)}))

    assert play(scene, config=config, retry=RetryConfig(max_attempts=3)) == ["haiku-5.5"] * 3


def test_a_wait_that_cannot_be_met_is_answered_by_another_model():
    """A call that Headgate does not send is fallen back on like one that failed."""

    async def scene(world: World) -> Answer:
        await world.ask()
        return await world.ask()

    config = replace(workflow(f"model:{HAIKU}"), lanes=lanes(max_wait_s=1.0))
    config = replace(config, limits=replace(config.limits, pools={"sonnet-5.5": PoolCeiling(rpm=1)}))
    answer = play(scene, config=config)

    assert (answer.record.reason, answer.record.model_answered, answer.record.attempts) == (
        Reason.FALLBACK_MODEL, HAIKU, 1,
    )  # fmt: skip


@pytest.mark.parametrize("stream", [True, False])
def test_without_any_step_that_answers_the_caller_gets_what_it_would_have_got(stream):
    """The error of the model it asked for, and not that of one it has never heard of."""
    scenario = Scenario(
        name="", about="",
        phases=(Phase(cues=(Cue(do=("error=529",), model=MODEL), Cue(do=("error=400",), model=HAIKU))),),
    )  # fmt: skip

    answer = play(
        lambda world: world.ask(stream=stream), config=workflow(f"model:{HAIKU}"), retry=ONCE, scenario=scenario
    )

    assert answer.reply.failure is not None
    assert (answer.reply.failure.error, answer.record.outcome) == (ErrorClass.OVERLOADED, Outcome.UPSTREAM_ERROR)
    assert (answer.record.model, answer.record.reason) == (MODEL, Reason.ATTEMPTS_SPENT)


def test_nor_is_it_told_why_the_other_model_failed():
    """The reason is the one of the model it asked for, and not that the other one's only attempt is spent."""
    cues = (Cue(do=("error=500; should-retry=false",), model=MODEL), Cue(do=("error=529",), model=HAIKU))
    scenario = Scenario(name="", about="", phases=(Phase(cues=cues),))

    answer = play(lambda world: world.ask(), config=workflow(f"model:{HAIKU}"), retry=ONCE, scenario=scenario)

    assert (answer.record.attempts, answer.record.reason) == (2, Reason.NOT_RETRYABLE)


def test_content_that_the_caller_has_seen_is_never_replaced():
    """Committed: what breaks later ends with an error event."""
    answer = play(
        lambda world: world.ask("midstream-error=3", stream=True), config=workflow(f"model:{HAIKU}", "stale", "canned")
    )

    assert (answer.record.attempts, answer.ok, answer.record.reason) == (1, False, None)
    assert answer.body.rstrip().rpartition(b"\n\n")[2].startswith(b"event: error")


@pytest.mark.parametrize("sim", ["error=400", "error=404", "error=413", "error=409; should-retry=false"])
def test_a_wrong_request_is_not_fallen_back_on(sim):
    """Its author must hear of it."""
    answer = play(lambda world: world.ask(sim), config=workflow(f"model:{HAIKU}", "canned"))

    assert (answer.ok, answer.record.attempts) == (False, 1)


def test_another_workflow_falls_back_on_nothing():
    """And pays for nothing."""
    answer = play(lambda world: world.ask("error=529", workflow="other"), config=workflow("canned"), retry=ONCE)

    assert not answer.ok


def test_the_apis_own_fallbacks_are_not_combined_with_ours():
    """§15: the caller has arranged for other models itself."""
    body = {"fallbacks": [{"model": "claude-opus-4-8"}]}
    answer = play(
        lambda world: world.ask("error=529", body=body), config=workflow(f"model:{HAIKU}", "canned"), retry=ONCE
    )

    assert (answer.record.attempts, answer.record.reason) == (1, Reason.FALLBACK_CANNED)


def test_the_same_model_is_no_fallback():
    answer = play(lambda world: world.ask("error=529"), config=workflow(f"model:{MODEL}"), retry=ONCE)

    assert answer.record.attempts == 1


def test_inv_05_no_model_is_asked_after_the_deadline():
    """Words of ours are still in time: they take none."""

    async def scene(world: World) -> tuple[Answer, float]:
        call = world.make("hang")
        call.requested_deadline_s = 5.0
        return await world.send(call), world.now_s

    answer, now_s = play(scene, config=workflow(f"model:{HAIKU}", "canned"))

    assert (answer.record.reason, answer.record.attempts, now_s) == (Reason.FALLBACK_CANNED, 1, 5.0)


# -- refusals ----------------------------------------------------------------------------------------------------------


DECLINED = f"refusal; refusing={MODEL}"


@pytest.mark.parametrize("stream", [True, False])
def test_c11_a_model_that_declines_can_be_fallen_back_on(stream):
    """C11: only where the workflow says so, and before any content has come."""
    config = workflow(fallbacks_on={"refusal": (f"model:{HAIKU}",)})

    answer = play(lambda world: world.ask(DECLINED, stream=stream), config=config)

    assert (answer.record.outcome, answer.record.model_answered) == (Outcome.OK, HAIKU)
    assert answer.record.reason == Reason.FALLBACK_MODEL
    assert text_of(answer)


@pytest.mark.parametrize("stream", [True, False])
def test_c11_otherwise_to_decline_is_an_answer(stream):
    """The general list is for calls that are not answered."""
    answer = play(lambda world: world.ask(DECLINED, stream=stream), config=workflow(f"model:{HAIKU}"))

    assert (answer.record.outcome, answer.record.attempts) == (Outcome.REFUSED, 1)


@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_comes_back_as_it_was_if_nobody_else_answers(stream):
    """Byte by byte, with its outcome."""

    async def scene(world: World) -> tuple[Answer, Answer]:
        plain = await world.ask("refusal", stream=stream, workflow="other")
        return plain, await world.ask("refusal", stream=stream)

    plain, fallen = play(scene, config=workflow(fallbacks_on={"refusal": (f"model:{HAIKU}",)}))

    assert (fallen.record.outcome, fallen.record.attempts, fallen.record.model) == (Outcome.REFUSED, 2, MODEL)
    assert fallen.record.bytes_out == len(fallen.body)
    assert without_ids(fallen.body) == without_ids(plain.body)


def without_ids(body: bytes) -> list[bytes]:
    """The names of the events, and how it ended."""
    return re.findall(rb'event: \w+|"stop_reason":"?\w+', body)


def test_words_of_ours_after_a_refusal_are_an_answer():
    """To the caller nothing was declined."""
    config = workflow(fallbacks_on={"refusal": ("canned",)})

    answer = play(lambda world: world.ask("refusal"), config=config)

    assert (answer.record.outcome, answer.record.reason) == (Outcome.OK, Reason.FALLBACK_CANNED)


def test_a_refusal_that_is_passed_over_is_read_to_its_end():
    """So that it is billed as it was and not as a stream that broke, and its permits are free for the next model."""
    events = message_events(stop_reason="refusal")
    refusal = (sse_head(), events[0], events[-2], Pause(3), events[-1], CLOSE)

    async def scene(world: World) -> World:
        upstream = RawUpstream([refusal, (sse_head(), *message_events("Yes.", model=HAIKU), CLOSE)])
        await world.ask(base_url=await upstream.start(), stream=True)
        return world

    world = play(scene, config=workflow(fallbacks_on={"refusal": (f"model:{HAIKU}",)}))

    first, second = world.ledger.attempts
    assert (first.error, first.stop_reason, first.usage_source) == (None, "refusal", UsageSource.VENDOR)
    assert (second.error, second.stop_reason) == (None, "end_turn")


def test_a_refusal_after_content_has_gone_out_stands():
    """What the caller has read cannot be taken back."""
    scripts = [(sse_head(), *message_events("I will ", "not", stop_reason="refusal"), CLOSE)]

    async def scene(world: World) -> Answer:
        return await world.ask(base_url=await RawUpstream(scripts).start(), stream=True)

    answer = play(scene, config=workflow(fallbacks_on={"refusal": (f"model:{HAIKU}",)}))

    assert (answer.record.outcome, answer.record.attempts) == (Outcome.REFUSED, 1)


# -- the last good answer ----------------------------------------------------------------------------------------------


def aged(first: dict[str, Any], then: dict[str, Any], *, after_s: float = 100.0, **options: Any) -> list[Answer]:
    """A call that is answered, and `after_s` later one in an outage."""

    async def scene(world: World) -> list[Answer]:
        good = await world.ask(**{"max_tokens": 4096, **first})
        await asyncio.sleep(max(0.0, after_s - world.now_s))
        return [good, await world.ask(**{"max_tokens": 4096, **then})]

    scenario = outage("error=529", begin_s=after_s - 1)
    return play(scene, config=options.pop("config", workflow("stale")), retry=ONCE, scenario=scenario)


@pytest.mark.parametrize("then_stream", [True, False])
@pytest.mark.parametrize("first_stream", [True, False])
def test_the_last_good_answer_is_given_again_however_it_was_and_is_asked_for(first_stream, then_stream):
    """It has used nothing, costs nothing, and says how old it is."""
    good, stale = aged({"stream": first_stream}, {"stream": then_stream})

    told = headers_of(stale)
    assert text_of(stale) == text_of(good)
    assert (stale.record.reason, stale.record.outcome, stale.record.cost_pico) == (
        Reason.FALLBACK_STALE, Outcome.OK, 0,
    )  # fmt: skip
    assert 95 <= int(told[b"age"]) <= 100
    assert (told[b"x-headgate-reason"], told[b"x-headgate-model"]) == (b"fallback_stale", MODEL.encode())


def test_a_stale_stream_is_a_whole_stream():
    """Every reader takes it for one that ended well."""
    _, stale = aged({}, {"stream": True})

    facts = StreamFacts()
    facts.feed(stale.body)
    assert (facts.finished, facts.malformed, facts.facts.usage.total.output) == (True, False, 0)
    assert stale.reply.headers.get(b"content-type") == b"text/event-stream; charset=utf-8"


@pytest.mark.parametrize(
    "other",
    [
        {"text": "something else"},
        {"model": "claude-sonnet-5"},
        {"body": {"temperature": 0.5}},
        {"own_key": "sk-ant-another-caller"},
        {"target": "/v1/messages?beta=true"},
    ],
)
def test_inv_24_another_request_or_another_caller_gets_nothing_of_it(other):
    """Not even where the words are the same."""

    async def scene(world: World) -> Answer:
        await world.ask(max_tokens=4096)
        changes = {name: value for name, value in other.items() if name != "target"}
        call = world.make("error=529", max_tokens=4096, **changes)
        call.target = other.get("target", call.target)
        return await world.send(call)

    answer = play(scene, config=workflow("stale"), retry=ONCE)

    assert not answer.ok


@pytest.mark.parametrize(("field", "value"), [("caller_key", "key-b"), ("user", "user-b")])
def test_inv_24_another_key_or_user_gets_nothing_of_it(field, value):
    """A tenant is who the gateway knows it to be."""

    async def scene(world: World) -> list[bool]:
        await world.ask(max_tokens=4096)
        found = []
        for who in (None, value):
            call = world.make("error=529", max_tokens=4096)
            setattr(call.record, field, who)
            found.append((await world.send(call)).ok)
        return found

    assert play(scene, config=workflow("stale"), retry=ONCE) == [True, False]


def test_an_answer_that_is_too_old_is_not_given():
    config = replace(workflow("stale"), memo=MemoConfig(stale_max_age_s=60))

    _, stale = aged({}, {}, config=config)

    assert not stale.ok


@pytest.mark.parametrize("first", [{"body": {"tools": [{"name": "f", "input_schema": {"type": "object"}}],
                                             "tool_choice": {"type": "tool", "name": "f"}}},
                                   {"max_tokens": 1},
                                   {"sim": "refusal"}])  # fmt: skip
@pytest.mark.parametrize("stream", [True, False])
def test_only_a_whole_answer_in_words_is_kept(first, stream):
    """No call of a tool, nothing cut short, nothing declined."""
    again = {**first, "stream": stream}
    again.pop("sim", None)

    _, stale = aged({**first, "stream": stream}, again)

    assert not stale.ok


def test_the_answer_of_another_model_is_not_kept_as_the_answer():
    """Or a fallback would be given for the real thing, for as long as it is remembered."""
    config = workflow("stale", f"model:{HAIKU}")

    async def scene(world: World) -> list[str | None]:
        first = await world.ask(max_tokens=4096)
        again = await world.ask(max_tokens=4096)
        return [first.record.reason, again.record.reason]

    assert play(scene, config=config, retry=ONCE, scenario=OVERLOADED) == [Reason.FALLBACK_MODEL] * 2


def arrive_together(*, leave: bool) -> int:
    """Six streams of 100 kB each are under way at the same time, where there is room for five; then, in an outage, how
    many of their answers are given again.  With `leave`, after six readers have left in the middle."""
    opening, closing = (sse_head(), *message_events("x" * 100_000)[:3]), message_events()[-3:]
    answer = (*opening, Pause(10), *closing, CLOSE)
    overloaded = (json_reply(529, {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}),)

    async def scene(world: World) -> int:
        upstream = RawUpstream([answer] * (12 if leave else 6) + [overloaded])
        base_url = await upstream.start()
        if leave:
            left = [asyncio.create_task(world.ask(text=f"left {n}", base_url=base_url, stream=True)) for n in range(6)]
            await asyncio.sleep(5)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        await asyncio.gather(*(world.ask(text=str(n), base_url=base_url, stream=True) for n in range(6)))
        again = [await world.ask(text=str(n), base_url=base_url) for n in range(6)]
        return sum(answer.record.reason is Reason.FALLBACK_STALE for answer in again)

    return play(scene, config=replace(workflow("stale"), memo=MemoConfig(max_mb=1)), retry=ONCE)


@pytest.mark.parametrize("leave", [True, False])
def test_inv_19_streams_under_way_count_into_the_memory_of_answers(leave):
    """INV-19: half of `memo.max_mb` for all of them together; who finds no room is answered, and not kept."""
    assert arrive_together(leave=leave) == 5


# -- words of our own --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_canned_words_are_a_message_that_says_what_it_is(stream):
    """By its id and by the header; it costs nothing and no model is named."""
    answer = play(lambda world: world.ask("error=529", stream=stream), config=workflow("canned"), retry=ONCE)

    told = headers_of(answer)
    assert (answer.reply.status, text_of(answer)) == (200, SORRY)
    assert (told[b"x-headgate-reason"], b"x-headgate-model" in told) == (b"fallback_canned", False)
    assert b'"id":"msg_headgate_' in answer.body
    assert told[b"request-id"] == b"req_" + answer.record.call_id[5:].encode()
    assert (answer.record.outcome, answer.record.cost_pico, answer.record.bytes_out) == (
        Outcome.OK, 0, len(answer.body),
    )  # fmt: skip
    assert (answer.record.error, answer.record.attempts) == (ErrorClass.OVERLOADED, 1)


@pytest.mark.parametrize("stream", [True, False])
def test_where_text_is_kept_the_words_of_ours_are(stream):
    """What the caller read, and not what it would have read."""

    async def scene(world: World) -> Any:
        answer = await world.ask("error=529", stream=stream)
        kept = store_of(world.engine).text_of(answer.record.call_id)
        assert kept is not None
        return kept.response

    kept = play(scene, config=workflow("canned", log_content="full"), retry=ONCE)

    assert SORRY in kept


def test_a_call_that_was_never_sent_gets_them_too():
    """Without a single attempt."""

    async def scene(world: World) -> Answer:
        await world.ask()
        return await world.ask()

    config = replace(workflow("canned"), lanes=lanes(max_wait_s=1.0))
    config = replace(config, limits=replace(config.limits, pools={"sonnet-5.5": PoolCeiling(rpm=1)}))
    answer = play(scene, config=config)

    assert (text_of(answer), answer.record.attempts, answer.record.outcome) == (SORRY, 0, Outcome.OK)
    assert headers_of(answer)[b"x-headgate-attempts"] == b"0"


def test_what_broken_attempts_cost_is_still_paid_for():
    """G11: a canned answer is free; what was sent before it is not."""
    config = workflow("canned")

    async def scene(world: World) -> Answer:
        events = message_events("a")
        upstream = RawUpstream([(sse_head(), events[0], CLOSE)])
        return await world.ask(base_url=await upstream.start(), stream=True)

    answer = play(scene, config=config, retry=ONCE)

    assert (answer.record.reason, answer.record.input_tokens) == (Reason.FALLBACK_CANNED, 21)
    assert answer.record.cost_pico


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"}},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
    ],
)
@pytest.mark.parametrize("step", ["canned", "queue"])
def test_who_reads_the_answer_by_program_gets_the_error_instead(body, step):
    """A forced tool, a schema: a text would be taken for a broken answer."""

    async def scene(world: World) -> Answer:
        return await with_jobs(world, Jobs(), step).ask("error=529", body=body)

    answer = play(scene, retry=ONCE)

    assert not answer.ok


# -- a place in the queue ----------------------------------------------------------------------------------------------


class Jobs:
    """A job store that keeps what it is given."""

    def __init__(self, refusal: Refused | None = None) -> None:
        self.bodies: list[bytes] = []
        self._refusal = refusal

    async def submit(self, call: Call) -> str:
        if self._refusal is not None:
            raise self._refusal
        self.bodies.append(call.body)
        return f"job_{len(self.bodies)}"


def with_jobs(world: World, jobs: Jobs, *fallbacks: str) -> World:
    """The same world, with an engine that can queue."""
    settings = replace(world.engine.config, workflows=workflow(*fallbacks).workflows)
    clock = world.engine.clock
    engine = Engine(
        settings, keyring=world.engine.keyring, prices=load_prices(None), catalog=load_catalog(), ledger=world.ledger,
        log=world.log, clock=clock, rng=Random(1), dial=memory_dial, jobs=jobs,
    )  # fmt: skip
    return World(engine, world.sim, world.ledger, world.log)


@pytest.mark.parametrize("stream", [True, False])
def test_a_queued_call_is_answered_with_its_ticket(stream):
    """In the text for a person, in a header for a program; the job is what the caller sent."""
    jobs = Jobs()

    async def scene(world: World) -> Answer:
        return await with_jobs(world, jobs, f"model:{HAIKU}", "queue").ask("error=529", stream=stream)

    answer = play(scene, retry=ONCE)

    told = headers_of(answer)
    assert (told[b"x-headgate-reason"], told[b"x-headgate-ticket"]) == (b"fallback_queued", b"job_1")
    assert text_of(answer) == "Your request is queued and will be answered later. Ticket: job_1"
    assert [msgspec.json.decode(body)["model"] for body in jobs.bodies] == [MODEL]


def test_a_queue_that_takes_nothing_is_passed_over():
    full = Unavailable("full", reason=Reason.LANE_FULL, status=503, retry_after_s=None)

    async def scene(world: World) -> Answer:
        return await with_jobs(world, Jobs(full), "queue", "canned").ask("error=529")

    assert play(scene, retry=ONCE).record.reason == Reason.FALLBACK_CANNED


# -- what refuses the start --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("queue", r'workflows.test: the fallback "queue" needs a job store, and this Headgate has none yet'),
        ("model:claude-haiku-5.5", "'model:claude-haiku-5.5' has no price, so it would never be asked"),
    ],
)
def test_a_fallback_that_could_not_work_refuses_the_start(step, told):
    """Found before the outage."""
    with pytest.raises(ConfigError, match=told):
        fallback_policies(workflow(step), load_prices(None), EPOCH.date(), jobs=None)


def test_a_model_without_a_price_may_be_asked_where_that_is_allowed():
    config = replace(workflow("model:claude-next"), prices=PricesConfig(unknown_model="record"))

    assert list(fallback_policies(config, load_prices(None), EPOCH.date(), jobs=None)) == ["test"]


def test_the_same_key_is_used_for_all():
    """What belongs to one account stays there."""

    async def scene(world: World) -> set[str]:
        call = world.make("error=529")
        call.credential = "key2"
        await world.send(call)
        return {attempt.credential for attempt in world.ledger.attempts}

    credentials = (KEY, KEY + "2")

    assert play(scene, config=workflow(f"model:{HAIKU}"), retry=ONCE, credentials=credentials) == {"key2"}


# -- for as long as it lasts -------------------------------------------------------------------------------------------


def test_b01_through_an_outage_people_are_answered_at_once_and_the_api_is_left_in_peace():
    """While the breaker is open next to nothing is sent and nobody waits long; when the API is back, so
    are its answers."""
    storm = Scenario(name="", about="", phases=(Phase(end=720.0, cues=(Cue(do=("error=529",)),)),))

    async def scene(world: World) -> list[CallRecord]:
        records = []
        for _ in range(400):
            asked_s = world.now_s
            records.append((await world.ask(lane="interactive")).record)
            await asyncio.sleep(max(0.0, asked_s + 2.0 - world.now_s))
        return records

    records = play(scene, config=replace(workflow("canned"), lanes=lanes(max_wait_s=1.0)), scenario=storm)

    canned = [record for record in records if record.reason == Reason.FALLBACK_CANNED]
    assert {record.outcome for record in records} == {Outcome.OK}
    assert sum(record.attempts for record in canned) <= 0.1 * len(canned)
    assert max(record.total_ms for record in records) <= 3_000
    assert [record.reason for record in records[-10:]] == [None] * 10


# -- no money ----------------------------------------------------------------------------------------------------------


def without_money(*steps: str, others: tuple[str, ...] = (), **named: dict[str, Any]) -> Config:
    """Calls of the workflow `test` do this where a budget has too little; by default one for its model has nothing."""
    budgets = named or {"sonnet": {"usd": "0.000001", "model": MODEL}, "all": {"usd": "1.00"}}
    return replace(
        workflow(*others, fallbacks_on={"budget": steps}),
        budgets={name: BudgetConfig(**settings) for name, settings in budgets.items()},
    )


def spent(world: World) -> dict[str, int]:
    """What each budget has spent; nothing is held any more."""
    assert world.engine.budgets is not None
    accounts = world.engine.budgets.desk.accounts()
    assert not any(account.held for account in accounts)
    return {account.budget.name: account.really_spent for account in accounts}


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_a_budget_refuses_can_be_answered_in_words(stream):
    """Nothing is sent, and nothing spent."""

    async def scene(world: World) -> None:
        answer = await world.ask(stream=stream)

        assert text_of(answer) == SORRY
        record = answer.record
        assert (record.reason, record.fell_back_on, record.attempts) == (Reason.FALLBACK_CANNED, "budget", 0)
        assert set(spent(world).values()) == {0}

    play(scene, config=without_money("stale", "canned"))


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_whose_budget_is_spent_can_have_another_for_it(stream):
    """The other is held for by itself, and charged once, to the budgets that cover it."""

    async def scene(world: World) -> None:
        answer = await world.ask(stream=stream)

        record = answer.record
        assert (record.reason, record.model, record.model_answered) == (Reason.FALLBACK_MODEL, MODEL, HAIKU)
        assert record.fell_back_on == "budget"
        assert record.cost_pico
        assert spent(world) == {"sonnet": 0, "all": record.cost_pico}

    play(scene, config=without_money(f"model:{HAIKU}", "canned"))


def test_a_model_that_no_budget_pays_for_either_is_passed_over():
    """The budget of all calls is spent, whichever model is asked."""
    config = without_money(f"model:{HAIKU}", "canned", all={"usd": "0.000001"})

    answer = play(lambda world: world.ask(), config=config)

    assert (answer.record.reason, answer.record.attempts, answer.record.model) == (Reason.FALLBACK_CANNED, 0, MODEL)


def test_the_other_model_falls_back_like_any():
    """It is overloaded, and for that the workflow has a list of its own."""
    config = without_money(f"model:{HAIKU}", others=("canned",))

    answer = play(lambda world: world.ask(), config=config, scenario=outage("error=529", model=HAIKU))

    assert (text_of(answer), answer.record.reason) == (SORRY, Reason.FALLBACK_CANNED)


def test_a_budget_is_a_limit_where_the_workflow_says_nothing_else():
    """The general list is for what nobody wanted."""
    config = replace(workflow("canned"), budgets={"all": BudgetConfig(usd="0.000001")})

    with pytest.raises(BudgetSpent):
        play(lambda world: world.ask(), config=config)
