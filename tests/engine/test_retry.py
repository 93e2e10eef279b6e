"""What is tried again, how often, and what that adds up to."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass

import pytest

from headgate.config.schema import Config, LimitsConfig, RetryConfig
from headgate.engine.retry import UPSTREAMS_KEPT
from headgate.engine.retry_turns import RetryTurns
from headgate.errors import Refused
from headgate.events import ErrorClass, Outcome, Reason, UsageSource
from headgate.sim import SimSettings
from headgate.sim.scenario import Scenario, load_scenario
from headgate.sim.settings import Access, Conditions, Latency, Limits
from headgate.upstream.send import ROUTES_KEPT
from support.raw_upstream import (
    CLOSE,
    HANG,
    RESET,
    Pause,
    RawUpstream,
    Script,
    json_reply,
    message,
    message_events,
    sse_head,
    whole,
)
from support.world import Answer, World, lanes, play

OK: Script = (json_reply(200, message()),)


def error_reply(status: int, type_: str, *headers: bytes, code: str | None = None, text: str = "no") -> bytes:
    error: dict[str, object] = {"type": type_, "message": text}
    if code is not None:
        error["details"] = {"error_code": code}
    return json_reply(status, {"type": "error", "error": error, "request_id": "req_1"}, *headers)


def answered(*scripts: Script, **options) -> tuple[Answer, RawUpstream, World]:
    """One call to an upstream that answers with these scripts, one after the other."""

    async def scene(world: World) -> tuple[Answer, RawUpstream, World]:
        upstream = RawUpstream(scripts)
        return await world.ask(base_url=await upstream.start(), **options), upstream, world

    return play(scene)


# -- once more ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sim", ["flaky=3:529", "flaky=3:500", "flaky=2:502", "flaky=3:503", "flaky=3:504"])
@pytest.mark.parametrize("stream", [True, False])
def test_b17_what_passes_is_never_seen_by_the_caller(sim, stream):
    """B17: up to three failures in a row cost time and nothing else."""
    answer = play(lambda world: world.ask(sim, stream=stream))

    assert (answer.ok, answer.record.outcome, answer.record.reason) == (True, Outcome.OK, Reason.RETRIED)


def test_b17_a_504_may_have_been_billed():
    """The API worked on it until its own time was over: what it used is unknown, not nothing."""
    world = play(lambda world: finished(world, "flaky=1:504"))

    first, second = world.ledger.attempts
    assert (first.usage_source, second.usage_source) == (UsageSource.UNKNOWN, UsageSource.VENDOR)
    assert first.unconfirmed_pico > 0


async def finished(world: World, sim: str, **options) -> World:
    await world.ask(sim, **options)
    return world


@pytest.mark.parametrize("sim", ["error=529", "error=500", "error=429; retry-after=1", "reset", "error-200", "cut=0"])
@pytest.mark.parametrize("max_attempts", [1, 2, 4, 7])
def test_inv_06_attempts_are_bounded(sim, max_attempts):
    """Whatever fails, for ever: so many trips to the API and no more, each with its row."""
    retry = RetryConfig(max_attempts=max_attempts, max_elapsed_s=1e6)

    world = play(lambda world: finished(world, sim), retry=retry)

    assert (world.sim.world.books.totals.requests, len(world.ledger.attempts)) == (max_attempts, max_attempts)
    assert world.attempts()[-1][1] == Reason.ATTEMPTS_SPENT


@pytest.mark.parametrize(("caller_attempts", "ours"), [(0, 4), (1, 3), (3, 1), (4, 1), (99, 1)])
def test_inv_06_the_tries_of_the_caller_count_as_ours(caller_attempts, ours):
    """`x-stainless-retry-count`: layers add up and never multiply."""
    world = play(lambda world: finished(world, "error=529", caller_attempts=caller_attempts))

    assert world.sim.world.books.totals.requests == ours


@pytest.mark.parametrize("sim", ["error=400", "error=401", "error=402", "error=403", "error=404", "error=413",
                                 "error=418", "redirect", "error=429:enforced_spend_limit_reached",
                                 "error=400:spend", "refusal"])  # fmt: skip
@pytest.mark.parametrize("stream", [True, False])
def test_b10_inv_07_what_would_fail_again_is_sent_once(sim, stream):
    """B05, B06, B07, B10, B20: the API's first word is its last."""
    world = play(lambda world: finished(world, sim, stream=stream))

    assert world.sim.world.books.totals.requests == 1


@pytest.mark.parametrize(
    ("sim", "requests"),
    [
        ("error=500; should-retry=false", 1),
        ("error=529; should-retry=false", 1),
        ("error=400; should-retry=true", 1),
        ("error=401; should-retry=true", 1),
        ("error=500; should-retry=true", 4),
    ],
)
def test_b18_x_should_retry_is_obeyed_where_that_is_safe(sim, requests):
    """A no always, a yes only for what we hold repeatable ourselves."""
    world = play(lambda world: finished(world, sim))

    assert world.sim.world.books.totals.requests == requests


def test_b19_an_error_under_status_200_is_an_error():
    """The body decides."""
    answer, upstream, _ = answered((error_reply(200, "overloaded_error"),), OK)

    assert (answer.ok, answer.record.attempts, len(upstream.seen)) == (True, 2, 2)


def test_b19_an_error_under_status_200_is_not_billed():
    """The API said in words that there is no answer."""
    _, _, world = answered((error_reply(200, "overloaded_error"),), OK)

    assert world.ledger.attempts[0].usage_source == UsageSource.NONE


@pytest.mark.parametrize(
    "noise", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 3]
)
def test_b20_informational_answers_are_passed_over(noise):
    """They are no answer."""
    answer, upstream, _ = answered((noise + json_reply(200, message()),))

    assert (answer.ok, len(upstream.seen)) == (True, 1)


@pytest.mark.parametrize("header", [(), (b"request-id: req_same",), (b"request-id: ",)], ids=["none", "same", "empty"])
def test_b21_rows_do_not_hang_on_the_apis_request_id(header):
    """Missing or given twice: each attempt has its own row under our own ids."""
    script = (json_reply(200, message(), *header),)

    async def scene(world: World) -> World:
        base_url = await RawUpstream((script,)).start()
        for _ in range(3):
            await world.ask(base_url=base_url)
        return world

    world = play(scene)

    assert len({(row.call_id, row.attempt) for row in world.ledger.attempts}) == 3


def test_b22_output_counted_before_a_429_in_the_stream_stays_counted():
    """An output limit that strikes midway: what had come is charged, and the permits are not given back."""
    events = message_events("one", "two")
    limited = b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"otpm"}}\n\n'

    answer, upstream, world = answered((sse_head(), b"".join(events[:4]), limited, CLOSE), stream=True)

    [attempt] = world.ledger.attempts
    assert (attempt.error, attempt.usage_source, attempt.input_tokens, attempt.output_tokens) == (
        ErrorClass.RATE_LIMIT,
        UsageSource.OBSERVED,
        21,
        2,
    )
    assert (answer.ok, len(upstream.seen)) == (False, 1)


# -- a bad wire --------------------------------------------------------------------------------------------------------


def test_a06_a_reset_before_the_answer_is_tried_again_and_its_cost_kept_in_doubt():
    """It may have run: the row stays, with the estimate unconfirmed."""
    answer, _, world = answered((RESET,), OK)

    first, _ = world.ledger.attempts
    assert (answer.ok, first.error, first.usage_source) == (True, ErrorClass.RESET, UsageSource.UNKNOWN)
    assert first.unconfirmed_pico > 0
    assert answer.record.unconfirmed_pico == first.unconfirmed_pico


@pytest.mark.parametrize("html", [502, 503, 200, 403])
def test_a16_a_web_page_is_the_work_of_an_intermediary(html):
    """Named so; tried again where a gateway failed, not where somebody blocks."""
    page = whole(html, b"<html>no</html>", b"content-type: text/html")

    answer, upstream, world = answered((page,), OK)

    assert world.attempts()[0][0] == ErrorClass.INTERMEDIARY
    assert len(upstream.seen) == (2 if html >= 500 else 1)
    assert answer.ok == (html >= 500)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a15_a_redirect_is_not_followed(status):
    """The key goes to nobody else."""
    moved = whole(status, b"", b"location: http://127.0.0.1:1/elsewhere")

    _, upstream, world = answered((moved,))

    assert (world.attempts()[0][0], len(upstream.seen)) == (ErrorClass.REDIRECT, 1)


def test_a18_connection_close_on_every_answer_works():
    """A connection for each call, and none is left behind."""
    closing = (json_reply(200, message(), b"connection: close"), CLOSE)

    async def scene(world: World) -> tuple[list[bool], int, int]:
        upstream = RawUpstream((closing,))
        base_url = await upstream.start()
        good = [(await world.ask(base_url=base_url)).ok for _ in range(10)]
        await asyncio.sleep(1)
        return good, upstream.connections, len(upstream.lost_s)

    assert play(scene) == ([True] * 10, 10, 10)


def test_connections_are_used_again():
    """Ten calls in a row, one connection."""

    async def scene(world: World) -> int:
        upstream = RawUpstream((OK,))
        base_url = await upstream.start()
        for _ in range(10):
            await world.ask(base_url=base_url)
        return upstream.connections

    assert play(scene) == 1


def test_a12_a_connection_closed_while_idle_is_replaced_unseen():
    """Nothing was sent on it, so that is no attempt."""

    async def scene(world: World) -> tuple[int, list[int]]:
        upstream = RawUpstream(((json_reply(200, message()), CLOSE), OK))
        base_url = await upstream.start()
        await world.ask(base_url=base_url)
        await asyncio.sleep(1)
        second = await world.ask(base_url=base_url)
        return second.record.attempts, [seen.connection for seen in upstream.seen]

    assert play(scene) == (1, [1, 2])


def test_a10_a_kept_connection_whose_peer_vanished_costs_one_timeout():
    """A half-open connection takes the request and says nothing: the call is made again on a new one, and as the first
    may have run, its cost stays in doubt."""

    async def scene(world: World) -> tuple[Answer, list[int], str]:
        upstream = RawUpstream((OK, (HANG,), (sse_head(), *message_events("hi"))))
        base_url = await upstream.start()
        await world.ask(base_url=base_url)
        answer = await world.ask(base_url=base_url, stream=True, lane="interactive")
        return answer, [seen.connection for seen in upstream.seen], world.ledger.attempts[1].usage_source

    answer, connections, source = play(scene)

    assert (answer.ok, connections, source) == (True, [1, 1, 2], UsageSource.UNKNOWN)


@pytest.mark.parametrize(("idle_s", "connections"), [(49, 1), (51, 2)])
def test_a10_a_connection_is_kept_no_longer_than_keepalive_s(idle_s, connections):
    """Fifty seconds: what idles longer may have been forgotten on the way."""

    async def scene(world: World) -> int:
        upstream = RawUpstream((OK,))
        base_url = await upstream.start()
        await world.ask(base_url=base_url)
        await asyncio.sleep(idle_s)
        await world.ask(base_url=base_url)
        return upstream.connections

    assert play(scene) == connections


def test_inv_19_of_many_addresses_only_the_last_are_remembered():
    """A program may name a new one with every call: neither connections nor retry budgets pile up."""
    addresses = ROUTES_KEPT + 20

    async def scene(world: World) -> tuple[int, int]:
        upstream = RawUpstream((OK,))
        base_url = await upstream.start()
        for number in range(addresses):
            await world.ask(base_url=f"{base_url}/{number}")
        gc.collect()
        return len(upstream.lost_s), sum(isinstance(each, RetryTurns) for each in gc.get_objects())

    closed, budgets = play(scene)

    assert (closed, budgets <= UPSTREAMS_KEPT) == (addresses - ROUTES_KEPT, True)


def test_an_address_with_a_call_under_way_is_not_forgotten():
    """Its connection carries an answer to the end, whatever else is called meanwhile."""

    async def scene(world: World) -> Answer:
        upstream = RawUpstream(((Pause(5), json_reply(200, message())), OK))
        base_url = await upstream.start()
        slow = asyncio.create_task(world.ask(base_url=f"{base_url}/slow"))
        await asyncio.sleep(1)
        for number in range(ROUTES_KEPT + 1):
            await world.ask(base_url=f"{base_url}/{number}")
        return await slow

    assert play(scene).ok


# -- storms ------------------------------------------------------------------------------------------------------------


def storm(**weather: object) -> SimSettings:
    """One quiet minute, twelve minutes of it, and a quiet end; answers take five seconds."""
    begins, ends = dict(weather), dict.fromkeys(weather, 0.0)
    return SimSettings(
        latency=Latency(ttft_s=1.0, tokens_per_s=16.0), weather=Conditions(forecast={60.0: begins, 780.0: ends})
    )


@dataclass
class Storm:
    """What became of the calls of a quarter of an hour and more, and of the attempts at them."""

    answers: list[tuple[float, Answer | Refused]]
    """When it came, and what became of it."""
    sent_s: list[float]
    failed_s: list[float]

    @property
    def amplification(self) -> float:
        return len(self.sent_s) / len(self.answers)

    def answered(self, from_s: float, to_s: float) -> float:
        """The share of the calls that came between, and got their answer."""
        came = [each for at_s, each in self.answers if from_s <= at_s < to_s]
        return sum(isinstance(each, Answer) and each.ok for each in came) / len(came)


CALLS_PER_S = 2


def weathered(
    sim: SimSettings, *, lane: str = "interactive", until_s: float = 960.0, scenario: Scenario | None = None
) -> Storm:
    """Two calls a second."""

    async def scene(world: World) -> Storm:
        async def one(at_s: float) -> tuple[float, Answer | Refused]:
            try:
                return at_s, await world.ask(lane=lane)
            except Refused as refusal:
                return at_s, refusal

        calls = []
        while world.now_s < until_s:
            calls.append(asyncio.create_task(one(world.now_s)))
            await asyncio.sleep(1 / CALLS_PER_S)
        answers = await asyncio.gather(*calls)
        rows = [(row.started_ms + row.queue_ms, row.error) for row in world.ledger.attempts]
        first_ms = min(at_ms for at_ms, _ in rows)
        sent = sorted(((at_ms - first_ms) / 1000, error) for at_ms, error in rows)
        return Storm(answers, [at_s for at_s, _ in sent], [at_s for at_s, error in sent if error is not None])

    return play(scene, sim=sim, scenario=scenario)


@pytest.mark.parametrize("lane", ["interactive", "bulk"])
@pytest.mark.parametrize("sim", ["error=429", "error=429; retry-after=3"])
def test_b03_b04_twelve_minutes_of_429s_cost_a_few_attempts_and_end_when_they_end(lane, sim, tmp_path):
    """A 429 is no failure, but a streak of them ends in single calls at growing intervals all the same."""
    file = tmp_path / "refused.toml"
    file.write_text(f'about = "429s"\n[[phase]]\nfrom = 60\nto = 780\n[[phase.requests]]\ndo = "{sim}"\n')
    settings, scenario = load_scenario(file, storm())

    seen = weathered(settings, lane=lane, scenario=scenario)

    assert seen.amplification <= 1.05
    assert seen.answered(0, 55) == 1
    assert seen.answered(780 + 120, 960) == 1


@pytest.mark.parametrize("lane", ["interactive", "bulk"])
@pytest.mark.parametrize("asked_s", [None, 7.0])
def test_b01_twelve_minutes_of_529s_cost_a_few_attempts_and_end_when_they_end(lane, asked_s):
    """B01: open after five failures or little more, one probe an interval, all answered again within two intervals
    of the end, and no thundering release."""
    seen = weathered(storm(overload_share=1.0, overload_retry_after_s=asked_s), lane=lane)

    assert seen.amplification <= 1.05
    assert len([at_s for at_s in seen.failed_s if at_s > 75]) <= 25
    assert seen.answered(0, 55) == 1
    assert seen.answered(780 + 120, 960) == 1
    back_s = min(at_s for at_s in seen.sent_s if at_s > 780)
    assert len([at_s for at_s in seen.sent_s if back_s <= at_s < back_s + 5]) <= 20


def test_b01_who_cannot_wait_for_the_end_of_a_storm_is_told_so_and_when_to_come_back():
    """An interactive call waits thirty seconds, not twelve minutes: 503, a reason, an honest `retry-after`."""
    seen = weathered(storm(overload_share=1.0))

    refused = [each for _, each in seen.answers if isinstance(each, Refused) and each.reason is Reason.BREAKER_OPEN]
    assert len(refused) > 0.9 * 720 * CALLS_PER_S
    assert {each.status for each in refused} == {503}
    assert all(1 <= (each.retry_after_s or 0) <= 120 for each in refused)


@pytest.mark.parametrize("seed", range(5))
def test_b02_where_one_in_three_fails_retries_stay_within_their_budget(seed):
    """B02: at most a fifth more attempts than calls and one a second, and more are answered than without."""
    share = 0.3
    sim = SimSettings(latency=Latency(ttft_s=0.2, tokens_per_s=100.0), weather=Conditions(overload_share=share))

    async def scene(world: World) -> tuple[float, float]:
        async def one() -> bool:
            try:
                return (await world.ask(lane="interactive")).ok
            except Refused:
                return False

        calls = []
        for _ in range(1000):
            calls.append(asyncio.create_task(one()))
            await asyncio.sleep(0.1)
        ok = sum(await asyncio.gather(*calls))
        return ok / 1000, len(world.ledger.attempts) / 1000

    answered_share, amplification = play(scene, sim=sim, seed=seed)

    assert amplification <= 1.25
    assert answered_share >= 1 - share + 0.1


@pytest.mark.parametrize("growth", [None, 1.4])
def test_b15_a_backlog_grows_into_the_ramp_limit_and_not_against_it(growth):
    """B15: an API that lets traffic grow by half a minute: one complaint is enough, or none where it is configured."""
    sim = SimSettings(limits=Limits(ramp_growth=1.5))

    async def scene(world: World) -> tuple[int, int]:
        calls = (world.ask(lane="bulk", text="word " * 6000) for _ in range(600))
        answers = await asyncio.gather(*calls)
        complaints = [error for error, _ in world.attempts() if error is ErrorClass.RAMP_LIMIT]
        return sum(answer.ok for answer in answers), len(complaints)

    answered_calls, complaints = play(scene, sim=sim, config=Config(limits=LimitsConfig(ramp_growth=growth)))

    assert (answered_calls, complaints <= (0 if growth else 2)) == (600, True)


# -- the retry budget --------------------------------------------------------------------------------------------------


def in_a_crowd(world: World, upstream_url: str, count: int, **options: object) -> list[asyncio.Task[Answer]]:
    """Calls that all go at once."""
    return [asyncio.create_task(world.ask(base_url=upstream_url, **options)) for _ in range(count)]


def test_inv_06_of_a_crowd_that_fails_at_once_a_few_are_tried_again():
    """INV-06, RA1: sixteen calls meet a hiccup in the same moment: three of them are retried, and the others are told
    why not."""
    hiccup = (json_reply(500, {"type": "error", "error": {"type": "api_error", "message": "no"}}),)

    async def scene(world: World) -> tuple[list[Answer], int]:
        # Spread over four models, each a pool with a breaker of its own: what bounds them together is the budget.
        upstream = RawUpstream([*[hiccup] * 16, OK])
        url = await upstream.start()
        models = ["claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5", "claude-fable-5-1"]
        crowd = [call for model in models for call in in_a_crowd(world, url, 4, model=model)]
        return await asyncio.gather(*crowd), len(upstream.seen)

    answers, requests = play(scene)

    refused = [answer for answer in answers if not answer.ok]
    assert (len(answers) - len(refused), requests) == (3, 19)
    assert {answer.record.reason for answer in refused} == {Reason.RETRY_BUDGET}
    assert {answer.reply.status for answer in refused} == {500}


def test_b02_calls_that_were_sent_back_wait_for_the_budget_in_their_lane():
    """529 says: later.  Waiting is no load, so they wait until others have been tried again; first come, first
    served, and all are answered."""
    busy = (error_reply(529, "overloaded_error"),)

    async def scene(world: World) -> tuple[list[Answer], int]:
        upstream = RawUpstream([*[busy] * 4, OK])
        url = await upstream.start()
        return await asyncio.gather(*in_a_crowd(world, url, 4)), len(upstream.seen)

    answers, requests = play(scene)

    assert ([answer.ok for answer in answers], requests) == ([True] * 4, 8)


def test_b02_who_has_no_patience_for_the_budget_gets_the_apis_answer():
    """A lane without any wait refuses at once, with the reason."""
    busy = (error_reply(529, "overloaded_error"),)

    async def scene(world: World) -> list[Answer]:
        upstream = RawUpstream([*[busy] * 4, (Pause(5), *OK)])
        url = await upstream.start()
        return await asyncio.gather(*in_a_crowd(world, url, 4))

    answers = play(scene, config=Config(lanes=lanes(max_wait_s=0.0)))

    assert sorted(answer.ok for answer in answers) == [False, True, True, True]
    assert {answer.record.reason for answer in answers if not answer.ok} == {Reason.RETRY_BUDGET}


@pytest.mark.parametrize("stream", [True, False])
def test_inv_06_a_retry_counts_until_its_answer_is_complete(stream):
    """Three long retries leave no room for a fourth until one of them has ended."""
    hiccup = (json_reply(500, {"type": "error", "error": {"type": "api_error", "message": "no"}}),)
    events = message_events("one", "two")
    slow = (sse_head(), b"".join(events[:4]), Pause(60), b"".join(events[4:]), CLOSE)

    async def scene(world: World) -> tuple[bool, bool]:
        url = await RawUpstream([hiccup, hiccup, hiccup, slow, slow, slow, hiccup, OK]).start()
        long = [asyncio.create_task(world.ask(base_url=url, stream=True)) for _ in range(3)]
        await asyncio.sleep(10)
        during = await world.ask(base_url=url, stream=stream)
        await asyncio.gather(*long)
        after_url = await RawUpstream([hiccup, OK]).start()
        after = await world.ask(base_url=after_url)
        return during.ok, after.ok

    assert play(scene) == (False, True)


def test_inv_06_a_caller_that_leaves_gives_its_retry_back():
    """In back-off, in the queue for the budget, or in the middle of its retry."""
    busy = (error_reply(529, "overloaded_error"),)

    async def scene(world: World) -> bool:
        upstream = RawUpstream([*[busy] * 4, (HANG,), (HANG,), (HANG,), (HANG,), OK])
        url = await upstream.start()
        crowd = in_a_crowd(world, url, 4)
        await asyncio.sleep(10)
        for call in crowd:
            call.cancel()
        await asyncio.wait(crowd)
        upstream.scripts = [busy, OK]
        upstream.seen.clear()
        return (await world.ask(base_url=url)).ok

    assert play(scene)


def test_waiting_for_a_turn_does_not_use_up_the_time_for_trying():
    """A hold of three minutes, twice: longer than `max_elapsed_s`, and within the patience of the lane."""
    later = error_reply(429, "rate_limit_error", b"retry-after: 180")

    answer, upstream, _ = answered((later,), (later,), OK, lane="bulk")

    assert (answer.ok, len(upstream.seen), answer.record.queue_ms) == (True, 3, 360_000)


def test_b08_another_key_needs_no_room_in_the_budget():
    """A key that is refused is no load on the one that takes over: all calls move on, not only a fifth."""
    sim = SimSettings(access=Access(revoked_keys=frozenset({KEYS[0]})))

    async def scene(world: World) -> list[bool]:
        return [answer.ok for answer in await asyncio.gather(*(world.ask() for _ in range(20)))]

    assert play(scene, sim=sim, credentials=KEYS) == [True] * 20


@pytest.mark.parametrize(
    ("status", "page", "source"),
    [
        (502, b"content-type: text/html", UsageSource.UNKNOWN),
        (520, b"content-type: text/html", UsageSource.UNKNOWN),
        (503, b"content-type: text/plain", UsageSource.UNKNOWN),
        (403, b"content-type: text/html", UsageSource.NONE),
    ],
)
def test_b17_a_server_error_that_is_not_in_the_apis_words_may_have_cost(status, page, source):
    """Whoever stands between can have lost the answer of an API that worked.  A 4xx lets nothing through."""
    answer, _, _ = answered((whole(status, b"<html>Bad gateway", page),), OK, caller_attempts=3)

    assert (answer.record.usage_source, answer.record.unconfirmed_pico > 0) == (source, source == UsageSource.UNKNOWN)


# -- several keys ------------------------------------------------------------------------------------------------------

KEYS = ("sk-ant-test-0001", "sk-ant-test-0002")


def test_b08_a_key_that_is_refused_midway_is_replaced_at_once():
    """The call that met the refusal is answered with the other key, and those that follow do not ask the first."""

    async def scene(world: World) -> list[tuple[bool, int, str]]:
        answers = [await world.ask() for _ in range(3)]
        return [(a.ok, a.record.attempts, a.call.attempt.record.credential) for a in answers]

    sim = SimSettings(access=Access(revoked_keys=frozenset({KEYS[0]})))

    assert play(scene, sim=sim, credentials=KEYS) == [(True, 2, "key2"), (True, 1, "key2"), (True, 1, "key2")]


@pytest.mark.parametrize("caller_attempts", [0, 3, 99])
def test_b08_a_good_key_is_not_left_untried_behind_a_refused_one(caller_attempts):
    """However often the caller has tried: it has not met the other key."""
    sim = SimSettings(access=Access(revoked_keys=frozenset({KEYS[0]})))

    async def scene(world: World) -> bool:
        return (await world.ask(caller_attempts=caller_attempts)).ok

    assert play(scene, sim=sim, credentials=KEYS)


def test_inv_06_a_change_of_key_is_an_attempt_among_those_of_the_caller():
    """Two of ours, two of the caller's: the key that is refused in the second is the end (seed 1013 of the proving
    ground)."""
    weather = Conditions(forecast={1.0: {"revoked_keys": frozenset(KEYS[:1])}})
    sim = SimSettings(access=Access(organisation_per_key=True), weather=weather)

    async def scene(world: World) -> list[tuple[str | None, str | None]]:
        await world.ask("error=500; slow=1500", caller_attempts=2)
        return world.attempts()

    attempts = play(scene, sim=sim, credentials=KEYS, retry=RetryConfig(max_attempts=4))

    assert [error for error, _ in attempts] == [ErrorClass.API_ERROR, ErrorClass.AUTHENTICATION]


def test_b08_a_single_key_that_is_refused_is_asked_once_a_call():
    """There is no other: the API's own words tell the caller, without a loop."""

    async def scene(world: World) -> tuple[list[int], int]:
        answers = [await world.ask() for _ in range(3)]
        return [answer.reply.status for answer in answers], world.sim.world.stats.by_status[401]

    sim = SimSettings(access=Access(revoked_keys=frozenset({KEYS[0]})))

    assert play(scene, sim=sim, credentials=KEYS[:1]) == ([401, 401, 401], 3)


def test_b08_with_all_keys_refused_nothing_loops():
    """Each key once, then the refusal."""

    async def scene(world: World) -> tuple[int, int]:
        return (await world.ask()).reply.status, world.sim.world.stats.by_status[401]

    sim = SimSettings(access=Access(revoked_keys=frozenset(KEYS)))

    assert play(scene, sim=sim, credentials=KEYS) == (401, 2)


def test_b08_a_refused_key_is_tried_again_after_a_minute():
    """Rotation may have ended meanwhile."""

    async def scene(world: World) -> list[str]:
        await world.ask("flaky=1:401")
        names = []
        for _ in range(2):
            names.append((await world.ask()).call.attempt.record.credential)
            await asyncio.sleep(61)
        return names

    assert play(scene, credentials=KEYS) == ["key2", "default"]


@pytest.mark.parametrize("failure", ["402", "429:enforced_spend_limit_reached", "400:spend"])
def test_b05_b06_b07_a_key_without_money_rests_until_the_month_ends(failure):
    """Until 00:00 UTC on the 1st; a run begins on November 21st at 8 o'clock."""

    async def scene(world: World) -> list[str]:
        await world.ask(f"flaky=1:{failure}")
        names = []
        for until_s in (9.6 * 86_400, 9.7 * 86_400):
            await asyncio.sleep(until_s - world.now_s)
            names.append((await world.ask()).call.attempt.record.credential)
        return names

    assert play(scene, credentials=KEYS) == ["key2", "default"]


def test_b05_a_spend_limit_that_says_when_it_ends_rests_the_key_until_then():
    """A workspace may have a limit of its own, with a `retry-after` of its own."""

    async def scene(world: World) -> list[str]:
        spent = error_reply(429, "rate_limit_error", b"retry-after: 600", code="contract_spend_limit_reached")
        base_url = await RawUpstream(((spent,), OK)).start()
        names = []
        for pause_s in (599, 2, 0):
            names.append((await world.ask(base_url=base_url)).call.attempt.record.credential)
            await asyncio.sleep(pause_s)
        return names

    assert play(scene, credentials=KEYS) == ["key2", "key2", "default"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (402, "linked_organization_billing_unavailable"),
        (402, "linked_organization_spend_limit_reached"),
        (403, "user_profile_billing_not_authorized"),
        (403, "user_profile_not_billable"),
    ],
)
def test_b07_what_another_organisation_does_not_pay_leaves_our_keys_in_service(status, code):
    """`billing_policy` bills an organisation that the caller names, and fails if that one does not pay: it is the
    answer, and the next call goes with the same key."""

    async def scene(world: World) -> list[tuple[int, str]]:
        base_url = await RawUpstream(((error_reply(status, "billing_error", code=code),), OK)).start()
        answers = [await world.ask(base_url=base_url) for _ in range(2)]
        return [(answer.reply.status, answer.call.attempt.record.credential) for answer in answers]

    assert play(scene, credentials=KEYS) == [(status, "default"), (200, "default")]
