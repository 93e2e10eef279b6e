"""Rate limits, their headers and their 429s: claude-api.md §8."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal

import pytest

from headgate.sim import PoolLimits, SimSettings
from headgate.sim.settings import Access, Latency, Limits

FAST = {"model": "claude-opus-5-5", "speed": "fast"}


def limited(**limits):
    return SimSettings(limits=Limits(**limits))


def remaining(reply, what):
    return int(reply.headers[f"anthropic-ratelimit-{what}-remaining"])


def statuses(sim, count, **fields):
    return [sim.ask("[[sim: tokens=1]]", **fields).status for _ in range(count)]


# -- buckets (§8.1) ------------------------------------------------------------------------------------------------


def test_a_full_bucket_lets_a_minutes_worth_go_at_once(make_sim):
    """Depth 60 s: the burst is the limit."""
    sim = make_sim(limited(rpm=5))

    assert statuses(sim, 6) == [200] * 5 + [429]


def test_a_shallow_bucket_enforces_60_rpm_as_one_a_second(make_sim):
    """§8.1: short bursts can be rejected although the minute's figure is not reached."""
    sim = make_sim(limited(rpm=60, depth_s=1))

    assert statuses(sim, 2) == [200, 429]
    sim.clock.advance(1)
    assert statuses(sim, 2) == [200, 429]


def test_buckets_refill_continuously(make_sim):
    """Half a minute gives half the limit back."""
    sim = make_sim(limited(rpm=10))
    statuses(sim, 10)
    sim.clock.advance(30)

    assert statuses(sim, 6) == [200] * 5 + [429]


def test_waiting_exactly_as_told_is_enough(make_sim):
    """`retry-after` is whole seconds, rounded up (§8.4)."""
    sim = make_sim(limited(rpm=7))
    statuses(sim, 7)
    refused = sim.ask()
    sim.clock.advance(float(refused.headers["retry-after"]))

    assert refused.status == 429
    assert refused.headers["retry-after"] == "9"  # 60 / 7 = 8.57
    assert sim.ask().status == 200


def test_a_429_names_the_limiter_the_organisation_and_the_model(make_sim):
    """§6: roughly the words of the API, in the envelope."""
    sim = make_sim(limited(rpm=1_000))
    statuses(sim, 1_000)
    reply = sim.ask()

    assert reply.error["type"] == "rate_limit_error"
    assert "rate limit of 1,000 requests per minute" in reply.error["message"]
    assert reply.headers["anthropic-organization-id"] in reply.error["message"]
    assert "claude-haiku-5-5" in reply.error["message"]


def test_input_is_limited_by_its_size(make_sim):
    """ITPM: 1,000 tokens a minute do not let in 600 twice."""
    sim = make_sim(limited(itpm=1_000))
    text = "water" * 360  # about 600 tokens

    first, second = sim.ask(text), sim.ask(text)

    assert (first.status, second.status) == (200, 429)
    assert "input tokens" in second.error["message"]


def test_a_request_that_exceeds_a_minutes_input_never_fits(make_sim):
    """Not even in a full bucket, and not after any wait."""
    sim = make_sim(limited(itpm=500))
    for _ in range(3):
        assert sim.ask("water" * 500).status == 429
        sim.clock.advance(600)


def test_a_request_larger_than_a_shallow_bucket_leaves_a_debt(make_sim):
    """It goes when the bucket is full, and the next one waits until the debt is paid."""
    sim = make_sim(limited(itpm=6_000, depth_s=1))  # 100 a second, and no more at once
    text = "water" * 360
    tokens = sim.ask(text).json["usage"]["input_tokens"]
    waits = sim.ask(text)
    sim.clock.advance(tokens / 100 + 0.01)

    assert waits.status == 429
    assert sim.ask(text).status == 200


def test_max_tokens_does_not_count_against_output(make_sim):
    """§8.1: only generated tokens do."""
    sim = make_sim(limited(otpm=1_000))

    assert [sim.ask("[[sim: tokens=5]]", max_tokens=100_000).status for _ in range(20)] == [200] * 20


def test_output_that_was_emitted_refuses_the_next_request(make_sim):
    """§8.1: an output 429 arises from past output, which may leave a debt."""
    sim = make_sim(limited(otpm=100))
    first = sim.ask("[[sim: tokens=300]]")
    second = sim.ask()

    assert first.status == 200
    assert second.status == 429
    assert "output tokens" in second.error["message"]
    assert second.headers["retry-after"] == "121"  # 201 tokens at 100 a minute


@pytest.mark.parametrize("stream", [True, False])
def test_output_is_charged_while_it_is_emitted(make_sim, stream):
    """§8.1: in real time, so a long answer under way already refuses others."""
    latency = Latency(tokens_per_s=100, spread=0)
    sim = make_sim(SimSettings(latency=latency, limits=Limits(otpm=600)))

    async def another_in_the_middle():
        answer = asyncio.ensure_future(sim.asking("[[sim: tokens=90000]]", stream=stream, max_tokens=90_000))
        for _ in range(200):  # turns of the loop; each lets the answer go on a little
            await asyncio.sleep(0)
        other = await sim.asking()
        under_way = not answer.done()
        answer.cancel()
        return other.status, under_way

    sim.clock.advance(60)
    assert sim.ask("[[sim: tokens=590]]").status == 200
    assert sim.run(another_in_the_middle()) == (429, True)


def test_cache_reads_are_free(make_sim):
    """§8.1: ITPM counts fresh and written tokens, not read ones."""
    sim = make_sim(limited(itpm=3_000))
    system = [{"type": "text", "text": "water" * 1_200, "cache_control": {"type": "ephemeral"}}]  # 1,950 tokens

    assert [sim.ask(system=system).status for _ in range(5)] == [200] * 5


def test_an_estimate_that_counts_reads_is_corrected_when_the_answer_begins(make_sim):
    """§8.1: charged at start, corrected during the request."""
    sim = make_sim(limited(itpm=4_100, estimate_counts_cache_reads=True))
    system = [{"type": "text", "text": "water" * 1_200, "cache_control": {"type": "ephemeral"}}]
    sim.ask(system=system)
    reply = sim.ask(system=system)

    assert reply.status == 200
    assert reply.json["usage"]["cache_read_input_tokens"] > 1_900
    assert remaining(reply, "input-tokens") == 2_000


def test_an_estimate_that_is_too_high_refuses_what_would_have_fitted(make_sim):
    """The factor is a setting, because how the API estimates is not known."""
    text = "water" * 360  # about 600 tokens
    assert make_sim(limited(itpm=700)).ask(text).status == 200
    assert make_sim(limited(itpm=700, input_estimate_factor=1.5)).ask(text).status == 429


@pytest.mark.parametrize(("counts", "left"), [(False, 59), (True, 48)])
def test_a_refused_request_takes_nothing_unless_the_settings_say_so(make_sim, counts, left):
    """§17.2: not stated."""
    sim = make_sim(limited(rpm=60, otpm=60, rejected_requests_count=counts))
    sim.ask("[[sim: tokens=120]]")
    refused = [sim.ask() for _ in range(11)][-1]

    assert "output tokens" in refused.error["message"]
    assert remaining(refused, "requests") == left


def test_refusals_count_against_the_limits(make_sim):
    """§8.1, §5.2: though they are free."""
    sim = make_sim(limited(rpm=3))

    assert [sim.ask("[[sim: refusal]]").status for _ in range(4)] == [200, 200, 200, 429]


def test_faults_at_the_edge_do_not_count_against_the_limits(make_sim):
    """A 529 is the platform's load, not the caller's."""
    sim = make_sim(limited(rpm=1))
    for _ in range(5):
        assert sim.ask("[[sim: error=529]]").status == 529

    assert sim.ask().status == 200


# -- pools (§8.2) --------------------------------------------------------------------------------------------------


def test_models_of_one_pool_share_its_limits(make_sim):
    """Opus 4.8, 4.7, 4.6 and 4.5 are one pool; Opus 5 is another."""
    sim = make_sim(limited(rpm=2))

    models = ("claude-opus-4-8", "claude-opus-4-6", "claude-opus-4-5", "claude-opus-5")
    assert [sim.ask(model=model).status for model in models] == [200, 200, 429, 200]


def test_a_single_pool_can_be_overridden(make_sim):
    """By name, stronger than the figures for all."""
    sim = make_sim(limited(rpm=9, pools={"opus-5": PoolLimits(rpm=1, itpm=1_000, otpm=1_000)}))

    assert statuses(sim, 2, model="claude-opus-5") == [200, 429]
    assert sim.ask().headers["anthropic-ratelimit-requests-limit"] == "9"


@pytest.mark.parametrize(
    ("tier", "rpm", "itpm"), [("start", 1_000, 500_000), ("build", 2_000, 1_500_000), ("scale", 4_000, 4_000_000)]
)
def test_limits_come_from_the_tier(make_sim, tier, rpm, itpm):
    """The table of §8.2, here for the Fable pool."""
    reply = make_sim(limited(tier=tier)).ask(model="claude-fable-5-1")

    assert reply.headers["anthropic-ratelimit-requests-limit"] == str(rpm)
    assert reply.headers["anthropic-ratelimit-input-tokens-limit"] == str(itpm)


def test_a_tier_without_published_figures_needs_them_set():
    """Evaluation and Custom."""
    with pytest.raises(ValueError, match="set rpm, itpm and otpm"):
        limited(tier="custom")
    assert limited(tier="custom", rpm=1, itpm=2, otpm=3).limits.pool("opus-5") == PoolLimits(1, 2, 3)


@pytest.mark.parametrize("depth_s", [0, 0.5, 61])
def test_bucket_depth_is_from_1_to_60_seconds(depth_s):
    """Beyond that it would be another algorithm."""
    with pytest.raises(ValueError, match="depth_s"):
        limited(depth_s=depth_s)


@pytest.mark.parametrize("apart", [False, True])
def test_keys_share_one_organisation_unless_set_apart(make_sim, apart):
    """§8.1: limits are per organisation."""
    sim = make_sim(SimSettings(limits=Limits(rpm=1), access=Access(organisation_per_key=apart)))
    replies = [sim.ask(headers={"x_api_key": key}) for key in ("a", "b")]

    assert [reply.status for reply in replies] == [200, 200 if apart else 429]
    assert (replies[0].headers["anthropic-organization-id"] != replies[1].headers["anthropic-organization-id"]) == apart


# -- headers (§8.4) ------------------------------------------------------------------------------------------------


def test_remaining_is_the_limit_less_what_is_missing_from_a_full_bucket(make_sim):
    """Whatever the depth: a client cannot see how deep the bucket is."""
    for depth_s in (60, 10):
        reply = make_sim(limited(rpm=600, depth_s=depth_s)).ask()
        assert reply.headers["anthropic-ratelimit-requests-limit"] == "600"
        assert remaining(reply, "requests") == 599


def test_tokens_are_rounded_to_the_nearest_thousand(make_sim):
    """Requests are not."""
    sim = make_sim(limited(itpm=100_000, otpm=10_000))
    reply = sim.ask("water" * 1_000 + "[[sim: tokens=600]]")

    assert reply.json["usage"]["input_tokens"] in range(1_600, 1_700)
    assert remaining(reply, "input-tokens") == 98_000
    assert remaining(reply, "output-tokens") == 9_000


def test_reset_is_the_time_of_full_refill(make_sim):
    """RFC 3339; an almost full bucket resets seconds ahead."""
    sim = make_sim(limited(rpm=60))
    statuses(sim, 9)
    reset = datetime.fromisoformat(sim.ask().headers["anthropic-ratelimit-requests-reset"])

    assert (reset.timestamp() * 1000 - sim.clock.unix_ms()) / 1000 == pytest.approx(10)


def test_the_combined_triple_is_the_sum_of_input_and_output(make_sim):
    """`anthropic-ratelimit-tokens-*`, where no workspace limit is in force."""
    reply = make_sim(limited(itpm=100_000, otpm=20_000)).ask("[[sim: tokens=2000]]", max_tokens=5_000)

    assert reply.headers["anthropic-ratelimit-tokens-limit"] == "120000"
    assert remaining(reply, "tokens") == 118_000
    assert reply.headers["anthropic-ratelimit-tokens-reset"] == reply.headers["anthropic-ratelimit-output-tokens-reset"]


def test_fast_mode_has_a_header_set_and_limits_of_its_own(sim):
    """§8.4: fast token headers beside the request headers, and no standard token headers."""
    reply = sim.ask(**FAST)
    names = {name for name in reply.headers if "-limit" in name and name.startswith("anthropic")}

    assert names == {
        "anthropic-ratelimit-requests-limit", "anthropic-fast-input-tokens-limit", "anthropic-fast-output-tokens-limit",
    }  # fmt: skip
    assert reply.headers["anthropic-fast-input-tokens-limit"] == "2000000"


def test_fast_tokens_do_not_draw_on_the_standard_ones(make_sim):
    """Requests count together, tokens apart."""
    sim = make_sim(limited(otpm=50_000, rpm=100))
    sim.ask("[[sim: tokens=40000]]", max_tokens=60_000, **FAST)
    reply = sim.ask("[[sim: tokens=1]]", model="claude-opus-5-5")

    assert remaining(reply, "output-tokens") == 50_000
    assert remaining(reply, "requests") == 98


@pytest.mark.parametrize("stream", [True, False])
def test_limit_headers_come_with_every_kind_of_answer(make_sim, stream):
    """Streams carry them at their start, a 429 too."""
    sim = make_sim(limited(rpm=1))
    replies = [sim.ask(stream=stream) for _ in range(2)]
    told = [[name for name in reply.headers if name.startswith("anthropic-ratelimit-")] for reply in replies]

    assert [reply.status for reply in replies] == [200, 429]
    assert [len(names) for names in told] == [12, 12]


# -- other endpoints -----------------------------------------------------------------------------------------------


def test_token_counting_has_a_limit_of_its_own(sim):
    """§8.2: 2,000 a minute on Start; messages are not touched by it."""
    body = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "hi"}]}
    replies = [sim.call("POST", "/v1/messages/count_tokens", body) for _ in range(2_001)]

    assert [reply.status for reply in replies[-2:]] == [200, 429]
    assert remaining(sim.ask(), "requests") == 999


def test_batches_have_a_limit_of_their_own(sim):
    """§10: 1,000 a minute on Start, for all their endpoints together."""
    replies = [sim.call("GET", "/v1/messages/batches") for _ in range(1_001)]

    assert [reply.status for reply in replies[-2:]] == [200, 429]
    assert remaining(sim.ask(), "requests") == 999


# -- spend (§8.3) --------------------------------------------------------------------------------------------------


def test_the_cap_of_a_tier_is_a_429_without_retry_after(make_sim):
    """Until the first of the next month."""
    sim = make_sim(limited(enforced_spend_cap_usd=Decimal("0.0001")))
    replies = [sim.ask("[[sim: tokens=500]]") for _ in range(2)]

    assert [reply.status for reply in replies] == [200, 429]
    assert replies[1].error["details"]["error_code"] == "enforced_spend_limit_reached"
    assert "retry-after" not in replies[1].headers
    sim.clock.advance(9.5 * 24 * 3600 - 1)  # one second to midnight
    assert sim.ask().status == 429
    sim.clock.advance(1)
    assert sim.ask().status == 200


def test_a_limit_that_the_customer_set_is_a_400(make_sim):
    """That only its text tells from a bad request."""
    sim = make_sim(limited(self_set_spend_limit_usd=Decimal(0)))
    reply = sim.ask()

    assert reply.status == 400
    assert reply.error["message"].startswith("You have reached your specified API usage limits")
    assert "2026-12-01 at 00:00 UTC" in reply.error["message"]


# -- the books see it ----------------------------------------------------------------------------------------------


def test_violations_are_counted_by_limiter(make_sim):
    """Only those the caller's own traffic caused, not those asked for."""
    sim = make_sim(limited(rpm=2, pools={"opus-5": PoolLimits(rpm=9, itpm=5, otpm=99)}))
    statuses(sim, 4)
    sim.ask("many more than five tokens of input", model="claude-opus-5")
    sim.ask("[[sim: error=429]]")

    assert sim.books()["limit_violations"] == {"total": 3, "requests": 2, "input_tokens": 1}
    assert sim.stats()["limited_by_kind"] == {"requests": 2, "input_tokens": 1, "asked": 1}


# -- the tables of §8.2, row by row --------------------------------------------------------------------------------

SAME_AS_OPUS_5 = ((1_000, 2_000_000, 400_000), (5_000, 5_000_000, 1_000_000), (10_000, 10_000_000, 2_000_000))
FABLE = ((1_000, 500_000, 100_000), (2_000, 1_500_000, 300_000), (4_000, 4_000_000, 800_000))
POOLS = {
    ("claude-fable-5-2", "claude-fable-5-1", "claude-fable-5"): FABLE,
    ("claude-mythos-5-2", "claude-mythos-5-1", "claude-mythos-5"): FABLE,
    ("claude-opus-5-5",): SAME_AS_OPUS_5,
    ("claude-opus-5",): SAME_AS_OPUS_5,
    ("claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6", "claude-opus-4-5"): SAME_AS_OPUS_5,
    ("claude-sonnet-5-5",): SAME_AS_OPUS_5,
    ("claude-sonnet-5",): SAME_AS_OPUS_5,
    ("claude-sonnet-4-6", "claude-sonnet-4-5"): SAME_AS_OPUS_5,
    ("claude-haiku-5-5",): SAME_AS_OPUS_5,
    ("claude-haiku-4-5",): SAME_AS_OPUS_5,
}
"""The models of each pool, and its RPM, ITPM and OTPM on Start, Build and Scale."""


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("models", POOLS)
def test_every_pool_has_the_limits_of_its_tier(make_sim, models, number):
    """§8.2: as the headers of each of its models tell them."""
    sim = make_sim(limited(tier=("start", "build", "scale")[number]))

    for model in models:
        headers = sim.ask(model=model).headers
        told = tuple(int(headers[f"anthropic-ratelimit-{what}-limit"]) for what in ("requests", "input-tokens",
                                                                                    "output-tokens"))  # fmt: skip
        assert told == POOLS[models][number], model


def test_pools_are_independent(make_sim):
    """§8.1: each has a first request, and no two models of different pools share one."""
    sim = make_sim(limited(rpm=1))

    assert {sim.ask(model=models[0]).status for models in POOLS} == {200}
    assert {sim.ask(model=models[-1]).status for models in POOLS} == {429}


def test_an_estimate_that_was_too_low_is_made_good(make_sim):
    """§8.1: corrected during the request, in either direction; the next one pays for it."""
    sim = make_sim(limited(itpm=1_000, input_estimate_factor=0.1))
    first, second = (sim.ask("water" * 600) for _ in range(2))  # 975 tokens each

    assert (first.status, second.status) == (200, 429)


def test_what_a_429_says_holds_for_every_limiter(make_sim):
    """§8.4: earlier retries fail, and one in time passes."""
    for limits, text in (({"rpm": 3}, "x"), ({"itpm": 3_000}, "water" * 600), ({"otpm": 60}, "[[sim: tokens=50]]")):
        sim = make_sim(limited(**limits))
        while (reply := sim.ask(text)).status == 200:
            pass
        sim.clock.advance(float(reply.headers["retry-after"]) - 1.01)
        early = sim.ask(text).status
        sim.clock.advance(1.01)

        assert (early, sim.ask(text).status) == (429, 200), limits


def test_a_429_names_the_limiter_that_needs_the_longest_wait(make_sim):
    """§8.4: where several are short, its `retry-after` is enough for all of them."""
    sim = make_sim(limited(rpm=1, otpm=60))
    sim.ask("[[sim: tokens=240]]")  # requests are back after 60 s, output after 180 s and one token
    refused = sim.ask()
    sim.clock.advance(float(refused.headers["retry-after"]))

    assert "output tokens" in refused.error["message"]
    assert refused.headers["retry-after"] == "181"
    assert sim.ask().status == 200
