"""What each scenario that ships does to the production engine, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
import pytest

from headgate.call import Kind
from headgate.config.schema import RetryConfig
from headgate.net.app import Request
from headgate.sim.scenario import load_scenario, shipped
from support.world import MODEL, play

ONCE = RetryConfig(max_attempts=1)
"""So that what the simulator does shows, and not how well it is hidden."""
HOUR_S = 3600


def perform(name, scene, *, retry=ONCE, **options):
    settings, scenario = load_scenario(name)
    return play(scene, sim=settings, scenario=scenario, retry=retry, **options)


async def ask_at(world, times, **options):
    """What calls come to that begin at these seconds; they do not wait for each other."""

    async def one(at_s):
        await asyncio.sleep(at_s - world.now_s)
        began_s = world.now_s
        answer = await world.ask(**options)
        return at_s, answer, world.now_s - began_s

    return await asyncio.gather(*(one(at_s) for at_s in times))


async def ask_directly(world):
    """What the simulator says to a short message that does not come through the engine."""
    body = {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "How much water?"}]}
    headers = [(b"x-api-key", b"k"), (b"anthropic-version", b"2023-06-01")]
    request = Request("POST", "/v1/messages", "", headers, dict(headers), "127.0.0.1", body=msgspec.json.encode(body))
    return await world.sim.handle(request)


def outcomes(told):
    return {at_s: answer.ok for at_s, answer, _ in told}


def test_storm_is_twelve_minutes_of_529_and_a_slow_way_back():
    """faults.md B01: fine before, everything fails from the first minute to the thirteenth, fine again after the
    sixteenth.  Asked without the engine, whose breaker would ask less often."""

    async def scene(world):
        async def status(at_s):
            await asyncio.sleep(at_s)
            return at_s, (await ask_directly(world)).status

        return await asyncio.gather(*(status(at_s) for at_s in range(0, 1080, 15)))

    told = perform("storm", scene)

    assert {status for at_s, status in told if at_s < 60 or at_s >= 960} == {200}
    assert {status for at_s, status in told if 60 <= at_s < 780} == {529}


def test_the_engine_brings_most_calls_through_the_way_back_of_a_storm():
    """With retries: half of the attempts fail at first, and nearly every call is answered."""

    async def scene(world):
        return await ask_at(world, range(785, 960, 5))

    assert sum(outcomes(perform("storm", scene, retry=None)).values()) >= 34


def test_quiet_day_is_slower_in_the_afternoon_and_shows_others_in_the_headers():
    """The account is not ours alone; nobody is refused."""

    async def scene(world):
        return await ask_at(world, [0.0, 6 * HOUR_S, 6 * HOUR_S + 60, 14 * HOUR_S])

    told = perform("quiet-day", scene)

    assert all(outcomes(told).values())
    assert told[1][2] > told[0][2] * 1.2


def test_retry_storm_keeps_those_outside_who_hammer_and_the_engine_brings_all_through():
    """A refused request takes a permit too: clients that ask again at once are still refused when the trouble is long
    over.  The same clients behind the engine are answered."""

    async def clients(world, ask):
        """How many of twenty clients, who want an answer every four seconds, have one in the minute after."""
        answered = 0

        async def client(number):
            nonlocal answered
            await asyncio.sleep(60 + number / 10)
            while world.now_s < 180:
                ok = await ask(world)
                answered += ok and world.now_s >= 120
                await asyncio.sleep(4 if ok else 0.05)

        await asyncio.gather(*(client(number) for number in range(20)))
        return answered

    async def directly(world):
        return (await ask_directly(world)).status == 200

    async def through_the_engine(world):
        return (await world.ask(max_tokens=5)).ok

    hammered = perform("retry-storm", lambda world: clients(world, directly))
    paced = perform("retry-storm", lambda world: clients(world, through_the_engine), retry=None)

    assert hammered < 30
    assert paced > 200


def test_brown_out_answers_ten_times_as_late():
    """And no error but a few 504s long after."""

    async def scene(world):
        return await ask_at(world, [0, 400, 1300])

    (_, first, before_s), (_, worst, during_s), (_, last, after_s) = perform("brown-out", scene)

    assert first.ok
    assert worst.ok
    assert last.ok
    assert 5 < during_s / before_s < 20
    assert after_s < before_s * 2


def test_brown_out_holds_some_calls_past_a_timeout():
    """Each twentieth at the bottom: a 504 after two minutes."""

    async def scene(world):
        return await ask_at(world, [400 + number for number in range(20)])

    told = perform("brown-out", scene)
    failed = [(answer.reply.status, took_s) for _, answer, took_s in told if not answer.ok]

    assert failed == [(504, pytest.approx(120, abs=1))]


def test_poisoned_headers_answer_well_under_headers_that_are_wrong():
    """faults.md B11, B12, B13, B14, B21: the engine's own account survives all of them, and the 429s are overcome."""

    async def scene(world):
        told = await ask_at(world, range(0, 560, 10))
        return outcomes(told), Counter(world.sim.world.stats.by_status)

    ok, counts = perform("poisoned-headers", scene, retry=None)

    assert all(ok.values())
    assert counts[429] >= 4


def test_mid_stream_deaths_kill_one_stream_in_five():
    """Seen without retries; JSON answers go on."""

    async def scene(world):
        streams = await ask_at(world, range(0, 2000, 10), stream=True)
        return streams, await ask_at(world, range(3000, 3050, 10))

    streams, whole = perform("mid-stream-deaths", scene)
    died = [ok for ok in outcomes(streams).values() if not ok]

    assert len(died) == pytest.approx(40, abs=15)
    assert all(outcomes(whole).values())


def test_spend_cap_refuses_from_two_in_the_afternoon_to_midnight():
    """§8.3: 429 without `retry-after`; the run begins at eight."""

    async def scene(world):
        return await ask_at(world, [0, 6 * HOUR_S - 60, 6 * HOUR_S, 15 * HOUR_S, 16 * HOUR_S + 60])

    told = perform("spend-cap", scene)

    assert list(outcomes(told).values()) == [True, True, False, False, True]
    assert told[2][1].record.error == "spend_limit"


def test_key_rotated_moves_the_traffic_to_the_other_key():
    """faults.md B08, I04: the old key is refused after ten minutes, and nobody notices."""

    async def scene(world):
        told = await ask_at(world, range(0, 1200, 30))
        return outcomes(told), Counter(world.sim.world.stats.by_status)

    ok, counts = perform("key-rotated", scene, retry=None, credentials=("sk-ant-old-1", "sk-ant-new-2"))

    assert all(ok.values())
    assert counts[401] > 0


def test_batch_chaos_loses_batches_and_spoils_results():
    """faults.md H03, H04, H06, H07: each third batch is made without an answer, and of six downloads one is whole."""
    item = {"model": "claude-haiku-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    ids = [f"item-{number}" for number in range(6)]
    body = msgspec.json.encode({"requests": [{"custom_id": name, "params": item} for name in ids]})

    async def scene(world):
        made = []
        for _ in range(3):
            call = world.make_other(Kind.BATCHES, "POST", "/v1/messages/batches", body=body)
            made.append(await world.send(call))
        await asyncio.sleep(601)
        listed = await world.send(world.make_other(Kind.BATCHES, "GET", "/v1/messages/batches"))
        results = []
        for _ in range(11):
            target = f"/v1/messages/batches/{made[0].document['id']}/results"
            results.append(await world.send(world.make_other(Kind.BATCHES, "GET", target)))
        return made, listed.document["data"], results

    made, listed, results = perform("batch-chaos", scene)
    lines = [len(answer.body.splitlines()) for answer in results]

    assert [answer.ok for answer in made] == [True, True, False]
    assert len(listed) == 3
    assert (lines[4:9], lines[10]) == ([6, 7, 5, 7, 7], 6)
    assert [answer.ok for answer in results[4:]] == [True, True, True, True, True, False, True]


def test_month_end_reaches_its_cap_at_ten_and_opens_at_midnight():
    """The run begins at 20:00 on the last day of November 2026, UTC."""

    async def scene(world):
        today = world.sim.world.today()
        return today, await ask_at(
            world, [0, 2 * HOUR_S - 60, 2 * HOUR_S, 4 * HOUR_S - 60, 4 * HOUR_S + 1], max_tokens=5
        )

    today, told = perform("month-end", scene, retry=None)

    assert (today.month, today.day) == (11, 30)
    assert list(outcomes(told).values()) == [True, True, False, False, True]


def test_every_scenario_that_ships_is_played_here():
    """None without a test of its own."""
    with open(__file__, encoding="utf-8") as file:
        text = file.read()

    assert [name for name in shipped() if f'perform("{name}"' not in text] == []


@pytest.mark.parametrize("name", shipped())
def test_the_same_seed_gives_the_same_run(name):
    """To the byte, whatever the scenario does."""

    async def scene(world):
        told = await ask_at(world, [0, 30, 70, 71, 72, 400], stream=True)
        return [(answer.reply.status, answer.body, took_s) for _, answer, took_s in told]

    assert perform(name, scene, seed=3) == perform(name, scene, seed=3)
