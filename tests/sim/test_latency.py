"""How long answers take: log-normal round the medians of a line of models, longer for long prompts and under load."""

from __future__ import annotations

import asyncio
from math import exp, log
from random import Random
from statistics import fmean, median, pstdev

import pytest

from headgate.sim import SimSettings
from headgate.sim.latency import pace
from headgate.sim.reply.dice import Dice
from headgate.sim.reply.stream import Pace
from headgate.sim.settings import TYPICAL_LATENCY, Latency, Speed
from headgate.testing import VirtualWorld, virtual
from support.sdk import asking

SEED = Random(5).randbytes(32)


def drawn(settings: Latency, number: int = 0, *, line: str = "haiku", tokens: int = 0, **more: float | bool) -> Pace:
    """The pace of one request; `number` is the request."""
    dice = Dice(SEED, {"model": "m", "messages": number})
    how = {"under_way": 1, "factor": 1.0, "fast": False} | more
    return pace(settings, line, tokens, dice, **how)  # type: ignore[arg-type]


def test_nothing_takes_time_unless_it_is_asked_to():
    """Tests are fast."""
    assert drawn(Latency(), tokens=1_000_000) == Pace(0.0, 0.0)


def test_both_times_are_log_normal_round_their_medians():
    """Half of the answers are faster than the median, and the logarithm spreads by sigma; each time for itself."""
    settings = Latency(ttft_s=2.0, tokens_per_s=50.0, spread=0.4)
    paces = [drawn(settings, number) for number in range(4_000)]
    first, between = [one.ttft_s for one in paces], [one.interval_s for one in paces]

    assert 1.95 < median(first) < 2.05
    assert 0.0195 < median(between) < 0.0205
    for times in (first, between):
        assert 0.38 < pstdev([log(time) for time in times]) < 0.42
    ratios = [a / b for a, b in zip(first, between, strict=True)]
    assert pstdev([log(ratio) for ratio in ratios]) > 0.5


def test_the_same_request_takes_as_long_again():
    """Decided by the prompt and the seed."""
    settings = Latency(ttft_s=2.0, tokens_per_s=50.0)

    assert drawn(settings, 3) == drawn(settings, 3) != drawn(settings, 4)


def test_a_line_of_models_has_its_own_medians():
    """Those of its line go before the general ones."""
    settings = Latency(ttft_s=1.0, tokens_per_s=10, spread=0, lines={"opus": Speed(ttft_s=3.0, tokens_per_s=5)})

    assert drawn(settings, line="opus") == Pace(3.0, 0.2)
    assert drawn(settings, line="sonnet") == Pace(1.0, 0.1)


def test_a_long_prompt_takes_longer_to_read():
    """By the tokens that the cache does not give."""
    settings = Latency(ttft_s=0.5, ttft_s_per_1k_tokens=0.1, spread=0)

    assert drawn(settings, tokens=20_000).ttft_s == 2.5


def test_what_the_cache_gives_is_not_read_again():
    """The second of two equal long prompts begins sooner."""

    async def scene(world: VirtualWorld) -> list[float]:
        marked = [{"type": "text", "text": "w" * 40_000, "cache_control": {"type": "ephemeral"}}]
        took_s = []
        for number in range(2):
            began_s = world.now_s
            await world.client().messages.create(**asking(f"{number} [[sim: tokens=1]]", system=marked))
            took_s.append(world.now_s - began_s)
        return took_s

    first_s, second_s = virtual(scene, settings=SimSettings(latency=Latency(ttft_s_per_1k_tokens=1, spread=0)))

    assert first_s > 10 > 0.2 > second_s


def test_the_more_answers_are_under_way_the_slower_one_begins():
    """One that begins among three times as many as run at full speed takes three times as long."""
    settings = Latency(ttft_s=1.0, tokens_per_s=10, spread=0, full_speed_answers=10)

    assert drawn(settings, under_way=10) == Pace(1.0, 0.1)
    assert drawn(settings, under_way=30) == Pace(3.0, pytest.approx(0.3))


def test_answers_under_way_are_those_of_the_account():
    """Ten at once where five run at full speed: the first five are as fast as ever, the tenth takes twice as long; when
    all have ended, the next one is fast again."""
    settings = SimSettings(latency=Latency(ttft_s=1.0, spread=0, full_speed_answers=5))

    async def scene(world: VirtualWorld) -> tuple[list[float], float]:
        client = world.client(max_retries=0)
        took_s = []

        async def one(number: int) -> None:
            async with client.messages.stream(**asking(str(number))) as stream:
                await stream.until_done()
            took_s.append(round(world.now_s, 3))

        await asyncio.gather(*(one(number) for number in range(10)))
        began_s = world.now_s
        await one(10)
        return took_s[:10], took_s[10] - began_s

    assert virtual(scene, settings=settings) == ([1.0] * 5 + [1.2, 1.4, 1.6, 1.8, 2.0], 1.0)


def test_the_weather_slows_everything_down():
    """Its factor, on both times."""
    settings = Latency(ttft_s=1.0, tokens_per_s=10, spread=0)

    assert drawn(settings, factor=4.0) == Pace(4.0, 0.4)


def test_fast_mode_makes_tokens_faster():
    """It does not begin sooner."""
    settings = Latency(ttft_s=1.0, tokens_per_s=10, spread=0, fast_mode_factor=2.0)

    assert drawn(settings, fast=True) == Pace(1.0, 0.05)


def test_typical_latency_knows_every_line():
    """Bigger models are slower."""
    told = [median(drawn(TYPICAL_LATENCY, number, line=line).interval_s for number in range(300))
            for line in ("haiku", "sonnet", "opus", "fable")]  # fmt: skip

    assert told == sorted(told)
    assert exp(fmean(map(log, told))) > 1 / 200


@pytest.mark.parametrize(
    ("latency", "message"),
    [
        (Latency(ttft_s=-1), r"latency\.ttft_s is -1, and must be 0 or more"),
        (Latency(tokens_per_s=float("nan")), r"latency\.tokens_per_s is nan"),
        (Latency(spread=4), r"latency\.spread is 4, and must be from 0 to 3"),
        (Latency(full_speed_answers=0), r"latency\.full_speed_answers is 0, and must be above 0"),
        (Latency(fast_mode_factor=0), r"latency\.fast_mode_factor is 0, and must be above 0"),
        (Latency(lines={"opsu": Speed()}), r"latency\.lines: no line of models 'opsu'; there are fable, haiku"),
        (Latency(lines={"opus": Speed(ttft_s=-1)}), r"latency\.lines\['opus'\]\.ttft_s is -1"),
    ],
)  # fmt: skip
def test_a_latency_that_cannot_be_is_refused_by_name(latency, message):
    """Before anything runs."""
    with pytest.raises(ValueError, match=message):
        SimSettings(latency=latency)
