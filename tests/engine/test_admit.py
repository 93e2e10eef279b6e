"""Waiting for the account's limits: who waits, how long, in which order, and what a 429 changes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from headgate.config.schema import (
    Config,
    LimitsConfig,
    PoolCeiling,
    PricesConfig,
    UpstreamConfig,
    WorkflowConfig,
)
from headgate.core.backend import Backend
from headgate.errors import Refused, Unavailable
from headgate.events import Outcome, Reason
from headgate.sim import PoolLimits, SimSettings
from headgate.sim.settings import TYPICAL_LATENCY, Access, Limits
from support.raw_upstream import HANG, Pause, RawUpstream, Script, json_reply, message, whole
from support.world import MODEL, Answer, World, lanes, play

POOL = "sonnet-5.5"
OTHER = "claude-haiku-5-5"
KEYS = ("sk-ant-test-0001", "sk-ant-test-0002")


def ceiling(burst_s: float = 5.0, lanes: dict[str, Any] | None = None, **limits: int) -> Config:
    config = {"limits": LimitsConfig(pools={POOL: PoolCeiling(**limits)}, first_burst_s=burst_s, burst_s=burst_s)}
    return Config(**config, lanes=lanes) if lanes is not None else Config(**config)


ONE_A_SECOND = ceiling(rpm=60, burst_s=1.0)


def backend_of(world: World) -> Backend:
    """The only one there is."""
    [state] = world.engine.gates()
    [backend] = state.gate.backends
    return backend


def pushback(status: int, type_: str, *headers: bytes) -> bytes:
    return json_reply(status, {"type": "error", "error": {"type": type_}}, *headers)


async def refusal_of(world: World, **options: Any) -> Refused:
    """What a call is refused with, if it is."""
    with pytest.raises(Refused) as caught:
        await world.ask(**options)
    return caught.value


# -- order and pace ----------------------------------------------------------------------------------------------------


def test_inv_10_calls_go_as_the_limit_allows_and_not_faster():
    """B16: with a burst of a second, sixty a minute are one a second."""

    async def scene(world: World) -> list[float]:
        upstream = RawUpstream(((json_reply(200, message()),),))
        base_url = await upstream.start()
        await asyncio.gather(*(world.ask(base_url=base_url) for _ in range(8)))
        return [round(seen.at_s, 3) for seen in upstream.seen]

    assert play(scene, config=ONE_A_SECOND) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_within_a_lane_the_first_to_come_is_the_first_to_go():
    """Whatever it needs: nobody overtakes."""

    async def scene(world: World) -> list[int]:
        done: list[int] = []

        async def one(number: int) -> None:
            await asyncio.sleep(number / 100)
            await world.ask(text="long " * (500 if number % 3 == 0 else 1))
            done.append(number)

        await asyncio.gather(*(one(number) for number in range(12)))
        return done

    assert play(scene, config=ONE_A_SECOND) == list(range(12))


def test_inv_11_a_flooded_lane_does_not_hold_up_the_other():
    """A hundred bulk calls wait; a chat that comes later goes next or next but one."""

    async def scene(world: World) -> float:
        bulk = [asyncio.create_task(world.ask(lane="bulk")) for _ in range(100)]
        await asyncio.sleep(10.5)
        asked_s = world.now_s
        await world.ask(lane="interactive")
        waited_s = world.now_s - asked_s
        for task in bulk:
            task.cancel()
        await asyncio.gather(*bulk, return_exceptions=True)
        return waited_s

    assert play(scene, config=ONE_A_SECOND) <= 2


def test_inv_12_no_capacity_is_left_unused_while_somebody_waits():
    """Sixty calls at one a second are over after 59 seconds."""

    async def scene(world: World) -> float:
        await asyncio.gather(*(world.ask() for _ in range(60)))
        return world.now_s

    assert play(scene, config=ONE_A_SECOND) == pytest.approx(59, abs=0.01)


def test_what_was_estimated_is_settled_by_what_was_used():
    """E12: the gate's own count after a call is what the API counted, also where the estimate was far off."""

    async def scene(world: World) -> tuple[list[float], int, int]:
        record = (await world.ask(text="水" * 3000, max_tokens=200)).record
        free = [free for _, _, free, _ in backend_of(world).levels(world.now_s)]
        return free, record.input_tokens, record.output_tokens

    free, input_tokens, output_tokens = play(scene, config=ceiling(rpm=120, itpm=600_000, otpm=12_000))

    assert free == [10 - 1, 50_000 - input_tokens, 1_000 - output_tokens]


# -- waits that cannot be met ------------------------------------------------------------------------------------------


def test_inv_10_what_was_sent_and_left_stays_counted():
    """The API counts a prompt that it has got, whether or not somebody waits for its answer."""

    async def scene(world: World) -> float:
        base_url = await RawUpstream(((HANG,),)).start()
        task = asyncio.create_task(world.ask(text="word " * 20_000, base_url=base_url))
        await asyncio.sleep(0.1)
        _, before, _ = backend_of(world).free(world.now_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        _, after, _ = backend_of(world).free(world.now_s)
        return after - before

    assert play(scene) == 0


def test_a_wait_that_is_too_long_is_refused_at_once_with_an_honest_retry_after():
    """The lane's patience is five seconds, the queue is six long: who comes now hears when there is room."""

    async def scene(world: World) -> tuple[Refused, float, bool]:
        waiting = [asyncio.create_task(world.ask()) for _ in range(6)]
        await asyncio.sleep(0.1)
        refusal = await refusal_of(world)
        refused_s = world.now_s
        await asyncio.gather(*waiting)
        await asyncio.sleep(refused_s + (refusal.retry_after_s or 0) - world.now_s)
        return refusal, refused_s, (await world.ask()).ok

    refusal, refused_s, came_back = play(scene, config=ceiling(rpm=60, burst_s=1.0, lanes=lanes(max_wait_s=5.5)))

    assert (refusal.reason, refusal.status, refused_s) == (Reason.WAIT_TOO_LONG, 429, 0.1)
    assert refusal.retry_after_s == pytest.approx(6, abs=0.2)
    assert came_back


def test_who_waits_for_its_own_workflow_is_told_so():
    """The account's limits are not what is in its way."""

    async def scene(world: World) -> Refused:
        upstream = RawUpstream(((Pause(60.0), json_reply(200, message())),))
        base_url = await upstream.start()
        under_way = asyncio.create_task(world.ask(base_url=base_url, workflow="capped"))
        await asyncio.sleep(1)
        refused = await refusal_of(world, base_url=base_url, workflow="capped", requested_deadline_s=5)
        await under_way
        return refused

    refused = play(scene, config=Config(workflows={"capped": WorkflowConfig(max_concurrency=1)}))

    assert refused.reason == Reason.WAIT_TOO_LONG
    assert "workflows.capped.max_concurrency" in str(refused)
    assert "limits" not in str(refused)


@pytest.mark.parametrize("holidays", [14, 500])
def test_nobody_is_told_to_come_back_later_than_in_a_week(holidays):
    """However many holidays there are: some SDKs take no longer time."""
    first = date(2026, 11, 20)
    days = tuple((first + timedelta(days=number)).isoformat() for number in range(holidays))
    bulk = replace(Config().lanes["bulk"], open=("Mon-Fri 09:00-17:00",), holidays=days)

    refused = play(lambda world: refusal_of(world, lane="bulk"), config=Config(lanes={**Config().lanes, "bulk": bulk}))

    assert (refused.reason, refused.retry_after_s) == (Reason.LANE_CLOSED, 7 * 86_400)


def test_calls_that_wait_when_their_lane_closes_wait_until_it_opens():
    """One a second from seven seconds to six: seven go, and the others at eight in the evening."""
    bulk = replace(Config().lanes["bulk"], open=("20:00-06:00",), max_wait_s=86_400.0, total_timeout_s=2 * 86_400.0)

    async def scene(world: World) -> list[float]:
        upstream = RawUpstream(((json_reply(200, message()),),))
        base_url = await upstream.start()
        await asyncio.gather(*(world.ask(base_url=base_url, lane="bulk") for _ in range(12)))
        return [seen.at_s for seen in upstream.seen]

    config = replace(ONE_A_SECOND, lanes={**Config().lanes, "bulk": bulk})

    at_s = play(scene, config=config, start=datetime(2026, 11, 23, 5, 59, 53, tzinfo=UTC))

    assert at_s == pytest.approx([*range(7), *range(50_407, 50_412)], abs=0.01)


def test_a_full_lane_refuses_at_once():
    """`max_queue` calls may wait in a lane; the next hears when to come back."""

    async def scene(world: World) -> tuple[Refused, float]:
        waiting = [asyncio.create_task(world.ask()) for _ in range(4)]
        await asyncio.sleep(0.1)
        refusal, refused_s = await refusal_of(world), world.now_s
        await asyncio.gather(*waiting)
        return refusal, refused_s

    refusal, refused_s = play(scene, config=ceiling(rpm=60, burst_s=1.0, lanes=lanes(max_queue=3)))

    assert (refusal.reason, refusal.status, refused_s) == (Reason.LANE_FULL, 429, 0.1)
    assert 3 <= (refusal.retry_after_s or 0) <= 5


def test_a_workflow_that_floods_its_lane_keeps_nobody_else_out():
    """Six places: it has them all, and asks for more all the time; whoever has less than a share still gets in."""

    async def scene(world: World) -> list[bool]:
        async def flood() -> None:
            while True:
                with suppress(Refused):
                    await world.ask(workflow="flood")
                await asyncio.sleep(0.1)

        flooding = [asyncio.create_task(flood()) for _ in range(20)]
        await asyncio.sleep(5)
        answers = [(await world.ask(workflow="quiet")).ok for _ in range(5)]
        for task in flooding:
            task.cancel()
        await asyncio.gather(*flooding, return_exceptions=True)
        return answers

    assert all(play(scene, config=ceiling(rpm=60, burst_s=1.0, lanes=lanes(max_queue=6))))


def test_inv_19_however_many_workflows_a_lane_never_holds_more_than_its_bound():
    """Callers choose the names: each of these has no more than its share when it comes, and takes another's place."""

    async def scene(world: World) -> int:
        names = "AAAAAAABBBCCDEF"  # the first goes at once
        calls = [asyncio.create_task(world.ask(workflow=name)) for name in names]
        await asyncio.sleep(0.5)
        [state] = world.engine.gates()
        waiting = state.gate.queue.waiting
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        return waiting

    assert play(scene, config=ceiling(rpm=60, burst_s=1.0, lanes=lanes(max_queue=6))) == 6


def test_in_a_full_lane_the_last_to_come_of_who_has_most_places_makes_room():
    """It is told as whoever finds the lane full; those of its workflow that came before it keep their places."""

    async def scene(world: World) -> list[str]:
        flood = [asyncio.create_task(world.ask(workflow="flood")) for _ in range(5)]  # the first goes at once
        await asyncio.sleep(0.1)
        quiet = asyncio.create_task(world.ask(workflow="quiet"))
        results = await asyncio.gather(*flood, quiet, return_exceptions=True)
        return [each.reason if isinstance(each, Unavailable) else "answered" for each in results]

    outcomes = play(scene, config=ceiling(rpm=60, burst_s=1.0, lanes=lanes(max_queue=4)))

    assert outcomes == ["answered"] * 4 + [Reason.LANE_FULL] + ["answered"]


def test_a_full_lane_leaves_the_others_open():
    """Bounds are per lane."""

    async def scene(world: World) -> bool:
        waiting = [asyncio.create_task(world.ask(lane="bulk")) for _ in range(4)]
        await asyncio.sleep(0.1)
        ok = (await world.ask(lane="interactive")).ok
        await asyncio.gather(*waiting)
        return ok

    assert play(scene, config=ceiling(rpm=60, burst_s=1.0, lanes=lanes(max_queue=3)))


def test_a_patience_of_nothing_refuses_whoever_would_wait():
    """`max_wait_s = 0`."""

    async def scene(world: World) -> Refused:
        await world.ask()
        return await refusal_of(world)

    refusal = play(scene, config=ceiling(rpm=60, burst_s=1.0, lanes=lanes(max_wait_s=0.0)))

    assert refusal.reason == Reason.WAIT_TOO_LONG


def test_the_deadline_of_a_call_bounds_its_wait():
    """INV-05: what cannot begin in time is refused at once."""

    async def scene(world: World) -> tuple[Refused, float]:
        waiting = [asyncio.create_task(world.ask()) for _ in range(5)]
        await asyncio.sleep(0.1)
        refusal, refused_s = await refusal_of(world, requested_deadline_s=2.0), world.now_s
        await asyncio.gather(*waiting)
        return refusal, refused_s

    refusal, refused_s = play(scene, config=ONE_A_SECOND)

    assert (refusal.reason, refused_s) == (Reason.WAIT_TOO_LONG, 0.1)


def test_a_call_that_never_fits_is_refused_at_once():
    """More tokens than a whole minute allows: no wait can help, and the API would say 429 for ever."""

    async def scene(world: World) -> tuple[Refused, float, int]:
        refusal = await refusal_of(world, text="word " * 20_000)
        return refusal, world.now_s, world.sim.world.books.totals.requests

    refusal, refused_s, requests = play(scene, config=ceiling(itpm=10_000))

    assert (refusal.reason, refusal.status, refusal.retry_after_s) == (Reason.NEVER_FITS, 413, None)
    assert (refused_s, requests) == (0, 0)


def test_a_call_that_may_fit_thanks_to_the_prompt_cache_is_sent():
    """Cache reads do not count, and only the API knows what is cached."""
    system = [{"type": "text", "text": "word " * 20_000, "cache_control": {"type": "ephemeral"}}]

    answer = play(lambda world: world.ask(body={"system": system}), config=ceiling(itpm=10_000))

    assert answer.ok


@pytest.mark.parametrize("kind", ["image", "document"])
def test_e12_the_weight_of_an_inline_file_is_not_its_tokens(kind):
    """Ten megabytes of image or PDF neither look like millions of tokens nor hold that many permits."""
    block = {"type": kind, "source": {"type": "base64", "media_type": "application/pdf", "data": "A" * 10_000_000}}

    async def scene(world: World) -> int:
        base_url = await RawUpstream(((json_reply(200, message()),),)).start()
        content = {"messages": [{"role": "user", "content": [block]}]}
        return (await world.ask(base_url=base_url, body=content)).call.attempt.record.estimated_input_tokens

    assert play(scene) < 400_000


def test_a_caller_that_leaves_the_queue_frees_its_place():
    """Those behind it move up."""

    async def scene(world: World) -> float:
        waiting = [asyncio.create_task(world.ask()) for _ in range(5)]
        await asyncio.sleep(0.1)
        last = asyncio.create_task(world.ask())
        await asyncio.sleep(0.1)
        for task in waiting[1:]:
            task.cancel()
        await last
        return world.now_s

    assert play(scene, config=ONE_A_SECOND) == pytest.approx(1, abs=0.01)


def test_inv_12_who_waits_behind_a_call_that_gives_up_goes_when_there_is_room_for_it():
    """Not when there would have been room for the one that left.  A thousand tokens a second: an answer that used far
    more than was thought leaves a debt of 16,000 at the first second, which is paid at the eighteenth."""

    async def scene(world: World) -> tuple[str, float]:
        def using(input_tokens: int, pause_s: float) -> Script:
            usage = {"input_tokens": input_tokens, "output_tokens": 7}
            return (Pause(pause_s), json_reply(200, {**message(), "usage": usage}))

        upstream = RawUpstream((using(58_000, 0), using(20_000, 1), using(21, 0)))
        base_url = await upstream.start()
        await world.ask(base_url=base_url, workflow="large")
        slow = asyncio.create_task(world.ask(base_url=base_url, workflow="slow"))
        await asyncio.sleep(0.1)
        leaves = asyncio.create_task(refusal_of(world, text="word " * 4_000, requested_deadline_s=10))
        await asyncio.sleep(0.1)
        await asyncio.gather(slow, world.ask(base_url=base_url))
        return (await leaves).reason, upstream.seen[-1].at_s

    reason, at_s = play(scene, config=ceiling(itpm=60_000, burst_s=60.0, lanes=lanes(max_wait_s=600)))

    assert reason == Reason.WAIT_TOO_LONG
    assert 12 < at_s < 19


def test_who_leaves_in_the_moment_of_its_turn_gives_its_place_back_once():
    """Two of a workflow may be under way; one ends just when the first of those who wait goes away."""

    async def scene(world: World) -> int:
        upstream = RawUpstream(((Pause(10.0), json_reply(200, message())),))
        base_url = await upstream.start()

        def ask() -> asyncio.Task[Answer]:
            return asyncio.create_task(world.ask(base_url=base_url, workflow="capped"))

        calls = [ask()]
        await asyncio.sleep(4)
        calls += [ask() for _ in range(6)]
        await asyncio.sleep(1)
        [state] = world.engine.gates()
        settle = state.gate.settle

        def settle_and_leave(*args: Any) -> None:
            calls[2].cancel()
            settle(*args)

        state.gate.settle = settle_and_leave  # type: ignore[method-assign]
        most = 0
        for _ in range(40):
            await asyncio.sleep(1)
            most = max(most, backend_of(world).under_way)
        await asyncio.gather(*calls, return_exceptions=True)
        return most

    assert play(scene, config=Config(workflows={"capped": WorkflowConfig(max_concurrency=2)})) == 2


def test_a_refused_call_leaves_one_record_and_no_attempt():
    """INV-03, INV-22: nothing was sent, and the reason is written down."""

    async def scene(world: World) -> World:
        await world.ask()
        await refusal_of(world)
        return world

    world = play(scene, config=ceiling(rpm=60, burst_s=1.0, lanes=lanes(max_wait_s=0.0)))

    assert (len(world.ledger.attempts), len(world.ledger.calls)) == (1, 2)
    assert (world.ledger.calls[1].outcome, world.ledger.calls[1].reason) == (Outcome.SHED, Reason.WAIT_TOO_LONG)


def test_inv_22_a_call_that_waited_says_so():
    """The time in the queue has its own column, and the reason is `queued`."""

    async def scene(world: World) -> Answer:
        await world.ask()
        return await world.ask()

    record = play(scene, config=ONE_A_SECOND).record

    assert (record.reason, record.queue_ms) == (Reason.QUEUED, pytest.approx(1000, abs=1))


# -- 429 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "type_"), [(429, "rate_limit_error"), (529, "overloaded_error")])
def test_b03_inv_09_after_a_pushback_nothing_goes_to_that_pool_before_its_time(status, type_):
    """`retry-after: 7`: the call itself, those that wait and those that come; then the one that was sent back first."""

    async def scene(world: World) -> list[tuple[float, bytes]]:
        limited = pushback(status, type_, b"retry-after: 7")
        upstream = RawUpstream(((limited,), (json_reply(200, message()),)))
        base_url = await upstream.start()
        first = asyncio.create_task(world.ask(base_url=base_url, text="first"))
        await asyncio.sleep(1)
        await asyncio.gather(first, *(world.ask(base_url=base_url, text="later") for _ in range(3)))
        return [(seen.at_s, b"first" if b"first" in seen.body else b"later") for seen in upstream.seen]

    assert play(scene) == [(0, b"first"), (7, b"first"), *[(7, b"later")] * 3]


@pytest.mark.parametrize(("model", "credential"), [(OTHER, None), (MODEL, "key2")], ids=["pool", "credential"])
def test_inv_09_a_429_holds_up_no_other_pool_and_no_other_key(model, credential):
    """Limits belong to one pool of models on one account."""

    async def scene(world: World) -> tuple[bool, float]:
        frozen = asyncio.create_task(world.ask("flaky=1:429; retry-after=7"))
        await asyncio.sleep(1)
        other = await world.ask(model=model, credential=credential)
        over_s = world.now_s
        await frozen
        return other.ok, over_s

    sim = SimSettings(access=Access(organisation_per_key=True))

    assert play(scene, sim=sim, credentials=KEYS) == (True, 1)


def test_b04_a_429_that_does_not_say_how_long_costs_a_second_at_least():
    """With chance on top, so that all who met it do not come back together."""

    async def scene(world: World) -> float:
        await world.ask("flaky=1:429")
        return world.now_s

    assert 1 <= play(scene) <= 1.5


@pytest.mark.parametrize("wish", [b"retry-after: 0", b"retry-after: Wed, 21 Oct 2015 07:28:00 GMT"])
def test_b11_a_429_that_asks_for_no_time_costs_a_second_at_least(wish):
    """Nothing, or a date that has passed, is no permission to hammer: neither for the call nor for the others."""

    async def scene(world: World) -> tuple[int, float]:
        upstream = RawUpstream(((pushback(429, "rate_limit_error", wish),), (json_reply(200, message()),)))
        base_url = await upstream.start()
        await world.ask(base_url=base_url)
        return len(upstream.seen), upstream.seen[1].at_s

    requests, second_s = play(scene)

    assert requests == 2
    assert 1.0 <= second_s <= 1.5


def test_b11_a_429_for_ages_freezes_its_pool_for_an_hour_at_most():
    """`retry.retry_after_cap_s`: the caller is told at once, and after the hour the API is asked again."""

    async def scene(world: World) -> list[int]:
        wish = b"retry-after: 99999999999"
        upstream = RawUpstream(((pushback(429, "rate_limit_error", wish),), (json_reply(200, message()),)))
        base_url = await upstream.start()
        statuses = [(await world.ask(base_url=base_url)).reply.status]
        await asyncio.sleep(3_599)
        statuses.append((await refusal_of(world, base_url=base_url, requested_deadline_s=0.5)).status)
        await asyncio.sleep(1)
        statuses.append((await world.ask(base_url=base_url)).reply.status)
        return statuses

    assert play(scene) == [429, 429, 200]


@pytest.mark.parametrize(
    "refusal",
    [
        whole(503, b"<html>Maintenance", b"content-type: text/html", b"retry-after: 40"),
        pushback(409, "conflict_error", b"retry-after: 40"),
        pushback(500, "api_error", b"retry-after: 40"),
        pushback(400, "invalid_request_error", b"retry-after: 40"),
        pushback(
            429, "rate_limit_error", b"retry-after: 40", b"x-should-retry: true", b"x-headgate-reason: user_limit"
        ),
    ],
    ids=["html", "409", "500", "400", "another-headgate"],
)
def test_inv_12_a_wish_for_time_that_is_no_limit_holds_up_nobody_else(refusal):
    """Only a limit or an overload is everybody's: after anything else the call itself waits, if it is tried again."""

    async def scene(world: World) -> tuple[list[tuple[float, bool]], bool]:
        upstream = RawUpstream(((refusal,), (json_reply(200, message()),)))
        base_url = await upstream.start()
        first = asyncio.create_task(world.ask(base_url=base_url, text="first"))
        await asyncio.sleep(1)
        await world.ask(base_url=base_url, text="other")
        await first
        return [(seen.at_s, b"first" in seen.body) for seen in upstream.seen], b" 400 " in refusal[:13]

    seen, once = play(scene)

    assert seen == [(0, True), (1, False)] + ([] if once else [(40, True)])


def test_b13_the_429_wins_over_headers_that_promise_room():
    """Whatever they say, less goes than before: the pace is lower, and comes back slowly."""

    async def scene(world: World) -> tuple[float, float]:
        await world.ask()
        [before, _, _] = backend_of(world).refill_per_s
        await world.ask("flaky=1:429; retry-after=2; headers=lie")
        [after, _, _] = backend_of(world).refill_per_s
        return before, after

    before, after = play(scene)

    assert after < before


@pytest.mark.parametrize("headers", ["lie", "missing", "garbled"])
def test_b12_no_header_raises_a_limit_above_the_configured_ceiling(headers):
    """Whatever they say, the operator's figure stands."""

    async def scene(world: World) -> float:
        for _ in range(5):
            await world.ask(f"headers={headers}")
        return backend_of(world).limits[0].per_minute

    assert play(scene, config=ceiling(rpm=100)) <= 100


def test_b12_an_output_ceiling_holds_however_much_the_api_would_let_through():
    """Headers tell that the API's bucket is full; ours is not."""

    async def scene(world: World) -> int:
        asked = [asyncio.ensure_future(world.ask("tokens=200", max_tokens=4_096)) for _ in range(300)]
        await asyncio.sleep(300)
        written = sum(record.output_tokens or 0 for record in world.ledger.calls)
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        return written

    patient = Config(limits=LimitsConfig(pools={POOL: PoolCeiling(otpm=6_000)}), lanes=lanes(max_wait_s=1e6))
    written = play(scene, sim=SimSettings(limits=Limits(otpm=90_000), latency=TYPICAL_LATENCY), config=patient)

    assert 0.9 * 5 * 6_000 <= written <= 6 * 6_000


def test_people_find_room_under_a_low_ceiling_beside_large_prompts():
    """A quarter of what may go at once is theirs: it is not refilled first, at the ceiling's rate."""

    async def scene(world: World) -> list[float]:
        prompt = "word " * 8_000
        bulk = [asyncio.ensure_future(world.ask(text=f"{n} {prompt}", lane="bulk")) for n in range(60)]
        waits = []
        for _ in range(20):
            await asyncio.sleep(20)
            answer = await world.ask(text="word " * 500, lane="interactive")
            waits.append((answer.record.queue_ms or 0) / 1000)
        for one in bulk:
            one.cancel()
        await asyncio.gather(*bulk, return_exceptions=True)
        return waits

    low = Config(limits=LimitsConfig(pools={POOL: PoolCeiling(itpm=30_000)}), lanes=lanes(max_wait_s=1e6))
    waits = play(scene, sim=SimSettings(limits=Limits(itpm=450_000)), config=low)

    assert max(waits) <= 1.0


@pytest.mark.parametrize("reset", [b"1999-01-01T00:00:00Z", b"2999-01-01T00:00:00Z", b"soon", b""])
def test_b14_a_reset_in_the_past_or_the_far_future_holds_up_nobody(reset):
    """Waits come from `retry-after` and our own count, never from the clock of the API."""

    async def scene(world: World) -> float:
        head = [b"anthropic-ratelimit-%s-reset: %s" % (kind, reset) for kind in (b"requests", b"input-tokens")]
        base_url = await RawUpstream(((json_reply(200, message(), *head),),)).start()
        for _ in range(5):
            await world.ask(base_url=base_url)
        return world.now_s

    assert play(scene) == 0


def test_b15_a_429_of_the_acceleration_limit_slows_down_what_follows():
    """The same class of pushback: the pool rests, and from then on input grows by no more than a factor a minute."""

    async def scene(world: World) -> tuple[bool, bool]:
        answer = await world.ask("flaky=1:429:ramp_limit_exceeded")
        return answer.ok, backend_of(world).ramp.active

    assert play(scene) == (True, True)


def test_b16_an_api_that_enforces_its_minute_by_the_second_is_met_with_few_429s():
    """The burst narrows until it fits: of two hundred calls nobody sees one, and the API sends a handful."""

    async def scene(world: World) -> tuple[bool, int]:
        answers = await asyncio.gather(*(world.ask(lane="bulk") for _ in range(200)))
        return all(answer.ok for answer in answers), world.sim.world.stats.by_status[429]

    sim = SimSettings(limits=Limits(pools={POOL: PoolLimits(60, 2_000_000, 400_000)}, depth_s=1))

    answered, limited = play(scene, sim=sim, config=ceiling(rpm=60))

    assert answered
    assert limited <= 12


def test_limits_are_learned_from_the_answers():
    """The configured tier is a first guess: what the headers say three times is believed."""

    async def scene(world: World) -> list[tuple[float, str]]:
        for _ in range(4):
            await world.ask()
            await asyncio.sleep(1)
        return [(limit.per_minute, limit.source) for limit in backend_of(world).limits]

    sim = SimSettings(limits=Limits(pools={POOL: PoolLimits(3000, 70_000, 5000)}))

    assert play(scene, sim=sim) == [(3000, "headers"), (70_000, "headers"), (5000, "headers")]


def test_each_key_has_its_own_limits():
    """What one key used leaves the other's permits alone."""

    async def scene(world: World) -> list[tuple[str, float]]:
        for credential in ("default", "default", "key2"):
            await world.ask(credential=credential)
        [state] = world.engine.gates()
        return [(backend.name, backend.free(world.now_s)[0]) for backend in state.gate.backends]

    config = ceiling(rpm=600)

    sim = SimSettings(access=Access(organisation_per_key=True))

    assert play(scene, sim=sim, config=config, credentials=KEYS) == [("default", 48), ("key2", 49)]


# -- connections -------------------------------------------------------------------------------------------------------


def connections(most: int) -> Config:
    return Config(upstream=UpstreamConfig(max_connections=most))


def test_a14_a_thousand_calls_share_ten_connections():
    """Whoever finds none free waits, visibly and in order, and never opens an eleventh."""

    async def scene(world: World) -> tuple[int, int, float]:
        upstream = RawUpstream(((Pause(1), json_reply(200, message())),))
        base_url = await upstream.start()
        answers = await asyncio.gather(*(world.ask(base_url=base_url) for _ in range(1000)))
        longest_ms = max(answer.record.connect_ms + answer.record.queue_ms for answer in answers)
        return sum(answer.ok for answer in answers), upstream.connections, longest_ms

    config = replace(connections(10), limits=LimitsConfig(first_burst_s=60))

    assert play(scene, config=config) == (1000, 10, pytest.approx(99_000, abs=1))


def test_a14_the_wait_for_a_connection_is_bounded_by_the_deadline_and_visible():
    """All connections hang: who waits for one is told when its time is over."""

    async def scene(world: World) -> tuple[Answer, float]:
        hanging = asyncio.create_task(world.ask("hang"))
        await asyncio.sleep(1)
        answer = await world.ask(requested_deadline_s=9)
        over_s = world.now_s
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
        return answer, over_s

    answer, over_s = play(scene, config=connections(1))

    assert (answer.record.error, over_s) == ("pool_timeout", 10)
    assert answer.record.usage_source == "none"


# -- INV-19: strings that callers choose -------------------------------------------------------------------------------


ANY_MODEL = Config(prices=PricesConfig(unknown_model="record"))


def test_inv_19_strings_that_callers_choose_do_not_fill_the_memory():
    """Five thousand models, workflows, users and sessions that nobody has heard of: what the engine keeps of them has
    a bound, and the pool that is in use is not the one forgotten."""

    async def scene(world: World) -> tuple[int, bool]:
        base_url = await RawUpstream(((json_reply(200, message()),),)).start()
        for number in range(5000):
            await world.ask(base_url=base_url, model=f"model-{number}", workflow=f"workflow-{number}")
            if number % 500 == 0:
                await world.ask(base_url=base_url)
        gates = world.engine.gates()
        return len(gates), any(state.pool == POOL for state in gates)

    assert play(scene, config=ANY_MODEL) == (1024, True)


def test_inv_19_a_gate_that_is_in_use_or_frozen_is_never_forgotten():
    """Permits that are held, and times that the API asked for, are not lost to a flood of other names."""

    async def scene(world: World) -> float:
        frozen = asyncio.create_task(world.ask("flaky=1:429; retry-after=600", lane="bulk"))
        await asyncio.sleep(1)
        base_url = await RawUpstream(((json_reply(200, message()),),)).start()
        frozen.cancel()
        for number in range(1500):
            await world.ask(base_url=base_url, model=f"model-{number}")
        await world.ask(lane="bulk")
        return world.now_s

    assert play(scene, config=ANY_MODEL) == 600


def test_inv_19_keys_that_callers_bring_do_not_fill_the_memory():
    """In the library every caller may have a key of its own: two thousand of them leave a bounded trace."""

    async def scene(world: World) -> tuple[int, int]:
        base_url = await RawUpstream(((json_reply(200, message()),),)).start()
        for number in range(2000):
            await world.ask(base_url=base_url, own_key=f"sk-ant-own-{number}")
        return len(world.engine.gates()), len(world.engine.keyring._callers)

    assert play(scene) == (1024, 1024)
