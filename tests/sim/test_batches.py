"""Message Batches: claude-api.md §10."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import Counter
from decimal import Decimal
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import decode, encode

from headgate.sim import SimSettings
from headgate.sim.endpoints.batch_pace import BatchPace, pace_of
from headgate.sim.settings import Batches, Limits

BATCHES = "/v1/messages/batches"
DAY_S = 24 * 3600


def item(number, content="hi", **fields):
    params = {
        "model": "claude-haiku-5-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": content}],
        **fields,
    }
    return {"custom_id": f"item-{number}", "params": params}


def create(sim, requests, **headers):
    return sim.call("POST", BATCHES, {"requests": requests}, **headers)


def results(sim, batch_id):
    """Results by custom id, and the ids in the order they came."""
    lines = [decode(line) for line in sim.call("GET", f"{BATCHES}/{batch_id}/results").body.splitlines()]
    return {line["custom_id"]: line["result"] for line in lines}, [line["custom_id"] for line in lines]


@pytest.fixture
def make_slow(make_sim):
    """A simulated account whose batches take 100 seconds, with more settings of its own."""
    return lambda **more: make_sim(SimSettings(batches=Batches(processing_s=100, cancelling_s=5, **more)))


@pytest.fixture
def slow(make_slow):
    """A simulated account whose batches take 100 seconds, and whose items always find what is cached."""
    return make_slow(cache_hit_share=1)


def run_all(sim, requests, **headers):
    """Create a batch and wait for its end: its results by custom id."""
    created = create(sim, requests, **headers)
    assert created.status == 200, created.body
    sim.clock.advance(100)
    return results(sim, created.json["id"])[0]


def test_a_batch_is_in_progress_until_its_time_has_come(slow):
    """Counts stay at zero until the whole batch has ended."""
    batch = create(slow, [item(n) for n in range(4)]).json
    slow.clock.advance(99)
    under_way = slow.call("GET", f"{BATCHES}/{batch['id']}").json
    slow.clock.advance(1)
    ended = slow.call("GET", f"{BATCHES}/{batch['id']}").json

    assert under_way["processing_status"] == "in_progress"
    assert under_way["request_counts"] == {"processing": 4, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    assert (under_way["results_url"], under_way["ended_at"]) == (None, None)
    assert ended["processing_status"] == "ended"
    assert ended["request_counts"] == {"processing": 0, "succeeded": 4, "errored": 0, "canceled": 0, "expired": 0}
    assert ended["ended_at"] == "2026-11-21T12:01:40.000Z"
    assert ended["expires_at"] == "2026-11-22T12:00:00.000Z"


def test_results_have_an_absolute_url_on_the_host_that_was_asked(slow):
    """§18: SDKs follow it with the credential."""
    batch = create(slow, [item(1)]).json
    slow.clock.advance(100)
    told = slow.call("GET", f"{BATCHES}/{batch['id']}", host="10.0.0.1:99").json

    assert told["results_url"] == f"http://10.0.0.1:99{BATCHES}/{batch['id']}/results"


def test_results_come_in_any_order_each_under_its_id(slow):
    """§10: matched by custom_id, never by place."""
    batch = create(slow, [item(n, f"[[sim: tokens={n + 1}]]") for n in range(50)]).json
    slow.clock.advance(100)
    by_id, order = results(slow, batch["id"])

    assert order != sorted(order, key=lambda name: int(name[5:]))
    assert all(by_id[f"item-{n}"]["message"]["usage"]["output_tokens"] == n + 1 for n in range(50))


def test_items_are_validated_only_when_they_are_processed(slow):
    """§10: a bad one is an errored item, with an ordinary error body; a refusal is a success."""
    wrong = [
        item(0, model="claude-none"),
        item(1, stream=True),
        item(2, speed="fast", model="claude-opus-5-5"),
        item(3, max_tokens=0),
        item(4, "[[sim: error=529]]"),
        item(5, "[[sim: refusal]]"),
        item(6, temperature=2),
        item(7, fallbacks="default"),
        {"custom_id": "item-8", "params": {}},
    ]
    created = create(slow, wrong)
    slow.clock.advance(100)
    by_id, _ = results(slow, created.json["id"])

    assert created.status == 200
    assert {name for name, result in by_id.items() if result["type"] == "succeeded"} == {"item-5"}
    assert by_id["item-0"]["error"]["error"]["type"] == "not_found_error"
    assert by_id["item-4"]["error"]["error"]["type"] == "overloaded_error"
    assert by_id["item-5"]["message"]["stop_reason"] == "refusal"


def test_a_batch_costs_half_and_only_what_succeeded(slow):
    """§10: and says `service_tier: batch`; the same request outside costs double."""
    slow.ask("how much?", max_tokens=100)
    online = slow.last_entry()["cost_pico"]
    batch = create(slow, [item(0, "how much?"), item(1, model="claude-none")]).json
    slow.clock.advance(100)
    entries = [entry for entry in slow.books()["entries"] if entry["batch"]]
    by_id, _ = results(slow, batch["id"])

    assert [entry["cost_pico"] * 2 for entry in entries] == [online, 0]
    assert by_id["item-0"]["message"]["usage"]["service_tier"] == "batch"


def test_the_books_know_an_ended_batch_before_anyone_asks_for_it(slow):
    """Looking at the books processes what has ended."""
    create(slow, [item(n) for n in range(3)])
    before = slow.books()["requests"]
    slow.clock.advance(100)

    assert (before, slow.books()["requests"]) == (0, 3)


CACHED = [{"type": "text", "text": "water" * 1_000, "cache_control": {"type": "ephemeral"}}]


def test_items_of_a_batch_share_the_prompt_cache(slow):
    """§10: caching works in batches."""
    create(slow, [item(n, system=CACHED) for n in range(5)])
    slow.clock.advance(100)
    tokens = slow.books()["tokens"]

    assert tokens["cache_read"] == 4 * tokens["cache_write_5m"] > 0


def test_half_the_price_stacks_with_the_factors_of_the_cache(make_slow):
    """§10: a write and a read in a batch cost half of what they cost outside."""
    outside, inside = make_slow(), make_slow(cache_hit_share=1)
    for _ in range(2):
        outside.ask("hi", system=CACHED, max_tokens=100)
    run_all(inside, [item(n, system=CACHED) for n in range(2)])
    online, batch = (
        [(entry["tokens"], entry["cost_pico"]) for entry in sim.books()["entries"]] for sim in (outside, inside)
    )

    assert [(tokens, cost * 2) for tokens, cost in batch] == online
    assert batch[1][0]["cache_read"] > 0


@pytest.mark.parametrize(("share", "least", "most"), [(0, 0, 0), (0.65, 100, 160), (1, 199, 199)])
def test_cache_hits_in_a_batch_are_best_effort(make_slow, share, least, most):
    """§10: 30 to 98 % are quoted; who misses pays for the write."""
    sim = make_slow(cache_hit_share=share)
    usages = [
        result["message"]["usage"] for result in run_all(sim, [item(n, system=CACHED) for n in range(200)]).values()
    ]
    hits = [usage for usage in usages if usage["cache_read_input_tokens"]]
    misses = [usage for usage in usages if usage["cache_creation_input_tokens"]]

    assert least <= len(hits) <= most
    assert len(hits) + len(misses) == 200


def test_cancelling_keeps_what_is_done_by_then(slow):
    """§10: `canceling` first; items are taken up at an even pace, the rest is canceled and free."""
    batch = create(slow, [item(n) for n in range(20)]).json
    slow.clock.advance(45)
    cancelled = slow.call("POST", f"{BATCHES}/{batch['id']}/cancel").json
    slow.clock.advance(5)
    ended = slow.call("GET", f"{BATCHES}/{batch['id']}").json

    assert cancelled["processing_status"] == "canceling"
    assert cancelled["cancel_initiated_at"] == "2026-11-21T12:00:45.000Z"
    assert ended["request_counts"] == {"processing": 0, "succeeded": 10, "errored": 0, "canceled": 10, "expired": 0}
    assert Counter(result["type"] for result in results(slow, batch["id"])[0].values())["canceled"] == 10


def test_cancelling_while_a_batch_ends_changes_nothing(slow):
    """Both outcomes are legal (faults.md H09); here the end wins."""
    batch = create(slow, [item(1)]).json
    slow.clock.advance(100)

    assert slow.call("POST", f"{BATCHES}/{batch['id']}/cancel").json["processing_status"] == "ended"


def test_what_is_not_done_after_a_day_expires(make_sim):
    """§10: 24 hours."""
    sim = make_sim(SimSettings(batches=Batches(processing_s=4 * DAY_S)))
    batch = create(sim, [item(n) for n in range(8)]).json
    sim.clock.advance(DAY_S)
    ended = sim.call("GET", f"{BATCHES}/{batch['id']}").json

    assert ended["request_counts"] == {"processing": 0, "succeeded": 2, "errored": 0, "canceled": 0, "expired": 6}


def test_results_are_kept_29_days(slow):
    """§10: from creation; then the batch is archived."""
    batch = create(slow, [item(1)]).json
    path = f"{BATCHES}/{batch['id']}/results"
    slow.clock.advance(29 * DAY_S - 1)
    before = slow.call("GET", path).status
    slow.clock.advance(1)
    told = slow.call("GET", f"{BATCHES}/{batch['id']}").json

    assert told["archived_at"] == "2026-12-20T12:00:00.000Z"
    assert told["results_url"] is None
    assert (before, slow.call("GET", path).status) == (200, 404)


def test_a_batch_can_be_deleted_only_after_it_has_ended(slow):
    """§10: cancel first."""
    path = f"{BATCHES}/{create(slow, [item(1)]).json['id']}"
    early = slow.call("DELETE", path)
    slow.clock.advance(100)

    assert early.status == 400
    assert slow.call("DELETE", path).json["type"] == "message_batch_deleted"
    assert slow.call("GET", path).status == 404


def test_only_one_of_two_deletes_at_once_finds_the_batch(slow):
    """Both wait for the same results; a batch is deleted once."""
    path = f"{BATCHES}/{create(slow, [item(1)]).json['id']}"
    slow.clock.advance(100)

    async def both():
        return await asyncio.gather(slow.calling("DELETE", path), slow.calling("DELETE", path))

    assert sorted(reply.status for reply in slow.run(both())) == [200, 404]


def test_results_are_not_there_before_the_end(slow):
    """404."""
    batch = create(slow, [item(1)]).json

    assert slow.call("GET", f"{BATCHES}/{batch['id']}/results").status == 404


@pytest.mark.parametrize(
    "fields",
    [{"stream": True}, {"speed": "fast", "model": "claude-opus-5-5"}, {"max_tokens": 0}, {"fallbacks": "default"},
     {"thread": {"type": "create"}}, {"cache_hint": {}}, {"context_hint": {}}],
    ids=str,
)  # fmt: skip
def test_some_fields_are_refused_in_an_item(slow, fields):
    """§10: each makes its own item an error, with the ordinary body, and leaves the others alone."""
    betas = "message-threads-2026-08-12,server-side-fallback-2026-07-01"
    by_id = run_all(slow, [item(0, **fields), item(1)], anthropic_beta=betas)

    assert by_id["item-0"]["type"] == "errored"
    assert by_id["item-0"]["error"]["error"]["type"] == "invalid_request_error"
    assert by_id["item-0"]["error"]["request_id"].startswith("req_")
    assert by_id["item-1"]["type"] == "succeeded"


TOOL = {"name": "level", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    "fields",
    [{"tools": [TOOL], "tool_choice": {"type": "any"}},
     {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
     {"inference_geo": "us"}, {"thinking": {"type": "adaptive"}}],
    ids=str,
)  # fmt: skip
def test_the_rest_is_taken_in_an_item(slow, fields):
    """§10: tools, server tools, caching, geography."""
    assert run_all(slow, [item(0, **fields)])["item-0"]["type"] == "succeeded"


def test_each_item_has_its_own_geography(slow):
    """§10: told in its usage, and on its bill."""
    by_id = run_all(slow, [item(0), item(1, inference_geo="us")])
    world, us = (entry["cost_pico"] for entry in slow.books()["entries"])

    assert [by_id[f"item-{n}"]["message"]["usage"]["inference_geo"] for n in range(2)] == ["global", "us"]
    assert us * 10 == world * 11


@pytest.mark.parametrize(("version", "kind"), [("2023-06-01", "succeeded"), ("2026-10-21", "errored")])
def test_the_version_that_created_a_batch_rules_its_items(slow, version, kind):
    """§2: sampling parameters at their defaults are refused only under the new one."""
    by_id = run_all(slow, [item(0, temperature=1, model="claude-haiku-4-5")], anthropic_version=version)

    assert by_id["item-0"]["type"] == kind


def test_some_items_fail_by_the_servers_fault_where_that_is_set(make_slow):
    """As `api_error`, unbilled; the share is a setting."""
    sim = make_slow(failed_share=0.3)
    kinds = Counter(result["type"] for result in run_all(sim, [item(n) for n in range(100)]).values())

    assert 15 <= kinds["errored"] <= 45
    assert sim.stats()["requests_by_status"].keys() == {"200"}
    assert {entry["cost_pico"] for entry in sim.books()["entries"] if entry["status"] == 500} == {0}


@pytest.mark.parametrize(
    "requests",
    [[], [{}], [1], [{"custom_id": 7, "params": {}}], [{"custom_id": "a", "params": "x"}],
     [{"custom_id": "a"}], [{"custom_id": "", "params": {}}], [{"custom_id": "a b", "params": {}}],
     [{"custom_id": "x" * 65, "params": {}}], [{"custom_id": "a", "params": {}}] * 2, "all", None],
    ids=str,
)  # fmt: skip
def test_the_frame_of_a_batch_is_checked_at_once(sim, requests):
    """§10: ids of 1 to 64 characters, unique."""
    assert create(sim, requests).status == 400


@pytest.mark.parametrize("body", [b"", b"[", b'{"requests":' + b"[" * 100_000, b"\xff"], ids=len)
def test_a_body_that_is_no_json_is_refused_at_once(sim, body):
    """In the envelope."""
    reply = sim.call("POST", BATCHES, body)

    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")


def test_params_that_are_no_text_are_the_errors_of_their_item(slow):
    """Only the frame is read at once."""
    body = b'{"requests":[{"custom_id":"a","params":{"model":"\xff\xfe"}}]}'
    batch = slow.call("POST", BATCHES, body).json
    slow.clock.advance(100)

    assert results(slow, batch["id"])[0]["a"]["type"] == "errored"


def empty_requests(count):
    """A batch of the smallest requests that a frame takes."""
    return b'{"requests":[%s]}' % b",".join(b'{"custom_id":"i%d","params":{}}' % number for number in range(count))


@pytest.mark.parametrize(("tier", "queued"), [("start", 200_000), ("build", 300_000), ("scale", 500_000)])
def test_the_queue_of_all_batches_together_is_bounded(make_sim, tier, queued):
    """§10: by tier, over all workspaces; a 429 that says when there is room."""
    sim = make_sim(SimSettings(limits=Limits(tier=tier), batches=Batches(processing_s=100)))
    full = empty_requests(100_000)
    accepted = [sim.call("POST", BATCHES, full, anthropic_workspace_id="wrkspc_a") for _ in range(queued // 100_000)]
    sim.clock.advance(40)
    refused = create(sim, [item(1)])

    assert {reply.status for reply in accepted} == {200}
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")
    assert f"{queued:,} queued batch requests" in refused.error["message"]


def test_a_batch_has_at_most_100_000_requests(sim):
    """§10: one more is a 400."""
    reply = sim.call("POST", BATCHES, empty_requests(100_001))

    assert (reply.status, "100000" in reply.error["message"]) == (400, True)


def test_a_body_may_have_256_mb(sim):
    """§1; it is the server that counts."""
    assert sim.app.begin(sim.request("POST", BATCHES)).max_bytes == 256 * 1024 * 1024


def test_a_waiting_batch_takes_little_more_memory_than_its_body(slow):
    """Its requests are read when they are processed: objects would take many times as much."""
    body = encode({"requests": [item(n, [{"type": "text", "text": "a"}] * 200) for n in range(100)]})
    request = slow.request("POST", BATCHES, body)
    tracemalloc.start()
    try:
        slow.run(slow.app.handle(request))
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert held < len(body) / 2  # beside the body itself, which was there before


def test_what_batches_hold_is_bounded(make_slow):
    """The oldest that has ended goes; while none has, the simulator is overloaded."""
    sim = make_slow(kept_bytes=25_000)
    first, _ = [create(sim, [item(0, "x" * 10_000)]).json["id"] for _ in range(2)]
    third = create(sim, [item(0, "x" * 10_000)])
    sim.clock.advance(100)
    fourth = create(sim, [item(0, "x" * 24_000)])

    assert (third.status, fourth.status) == (529, 200)
    assert sim.call("GET", f"{BATCHES}/{first}").status == 404


def test_results_are_streamed_in_pieces(slow):
    """§10: whoever reads slowly holds the rest back."""
    batch = create(slow, [item(n, "[[sim: tokens=90]]") for n in range(500)]).json
    slow.clock.advance(100)
    reply = slow.call("GET", f"{BATCHES}/{batch['id']}/results")
    sizes = [len(chunk) for _, chunk in reply.chunks]

    assert reply.headers["content-type"] == "application/x-jsonl"
    assert len(sizes) > 3
    assert max(sizes) < 70_000
    assert len(reply.body.splitlines()) == 500


def test_what_is_done_is_billed_while_the_rest_is_under_way(slow):
    """The books follow the processing; the counts do not."""
    batch = create(slow, [item(n) for n in range(10)]).json
    slow.clock.advance(50)

    assert slow.books()["requests"] == 5
    assert slow.call("GET", f"{BATCHES}/{batch['id']}").json["request_counts"]["succeeded"] == 0


def test_looking_often_or_once_makes_no_difference(make_slow):
    """Nothing depends on when somebody looks: neither the bill nor a single result."""
    patient, curious = make_slow(), make_slow()
    for sim in (patient, curious):
        create(sim, [item(n, system=CACHED) for n in range(30)])
    for _ in range(10):
        curious.clock.advance(10)
        curious.books()
    patient.clock.advance(100)
    told = [
        {entry["request_id"]: entry["cost_pico"] for entry in sim.books()["entries"]}.values()
        for sim in (patient, curious)
    ]

    assert list(told[0]) == list(told[1])


@pytest.mark.parametrize("overshoot", [0, 25])
def test_a_batch_overshoots_a_spend_limit_a_little(make_sim, overshoot):
    """§8.3: what is under way when it is reached is still done; then items fail, and no batch is taken."""
    limits = Limits(self_set_spend_limit_usd=Decimal("0.0005"))
    batches = Batches(processing_s=100, overshoot_requests=overshoot)
    sim = make_sim(SimSettings(limits=limits, batches=batches))
    by_id = run_all(sim, [item(n, "[[sim: tokens=80]]") for n in range(100)])
    costs = [entry["cost_pico"] for entry in sim.books()["entries"]]
    within = next(n for n in range(100) if sum(costs[:n]) >= 500_000_000)
    failed = [result["error"]["error"] for result in by_id.values() if result["type"] == "errored"]

    assert len(failed) == 100 - within - overshoot > 0
    assert {error["type"] for error in failed} == {"invalid_request_error"}
    assert create(sim, [item(0)]).error["message"].startswith("You have reached your specified API usage limits")


def test_a_bigger_batch_takes_longer_where_that_is_set(make_sim):
    """`per_request_s`."""
    sim = make_sim(SimSettings(batches=Batches(processing_s=10, per_request_s=2)))
    paths = [f"{BATCHES}/{create(sim, [item(n) for n in range(count)]).json['id']}" for count in (5, 50)]
    sim.clock.advance(20)

    assert [sim.call("GET", path).json["processing_status"] for path in paths] == ["ended", "in_progress"]


def test_times_spread_by_the_seed():
    """The same seed gives the same time, another another, about the middle that is set."""
    settings = Batches(processing_s=1_000, spread=0.5)
    times = [pace_of(1, settings, Random(seed)).whole_ms for seed in (*range(100), 0)]

    assert times[0] == times[100]
    assert len(set(times)) == 100
    assert 800_000 < sorted(times)[50] < 1_250_000


@pytest.mark.parametrize(
    "setting", [{"processing_s": -1}, {"ramp": 1.5}, {"cache_hit_share": 2}, {"failed_share": -0.1}, {"spread": inf}]
)
def test_settings_that_cannot_be_are_refused(setting):
    """With the setting's name."""
    with pytest.raises(ValueError, match=f"batches.{next(iter(setting))}"):
        SimSettings(batches=Batches(**setting))


def test_processing_gets_up_to_speed():
    """`ramp`: slower at first, done at the same time."""
    even, ramped = BatchPace(1_000, 100_000), BatchPace(1_000, 100_000, ramp=0.5)

    assert ramped.done(20_000) < even.done(20_000) / 2
    assert ramped.done(99_999) <= 999
    assert ramped.done(100_000) == 1_000


@given(st.integers(2, 1_000), st.integers(10**6, 10**8), st.floats(0, 0.999), st.integers(0, 998))
def test_an_item_is_done_at_its_instant(size, whole_ms, ramp, number):
    """The two directions of a pace agree, to the millisecond."""
    pace = BatchPace(size, whole_ms, ramp)
    number %= size - 1
    instant = pace.instant_ms(number)

    assert pace.done(instant - 1) <= number + 1 <= pace.done(instant + 1) <= size - 1


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_a_batch_that_is_not_there_is_a_404(sim, method):
    """On each of its paths."""
    path = f"{BATCHES}/msgbatch_none" + ("/cancel" if method == "POST" else "")

    assert sim.call(method, path).error["type"] == "not_found_error"


def test_cancelling_twice_is_cancelling_once(slow):
    """The first instant stays."""
    path = f"{BATCHES}/{create(slow, [item(1)]).json['id']}/cancel"
    first = slow.call("POST", path).json
    slow.clock.advance(1)

    assert slow.call("POST", path).json == first


def test_batches_are_listed_newest_first_in_pages(sim):
    """§10: limit, after_id, before_id, has_more."""
    made = [create(sim, [item(1)]).json["id"] for _ in range(5)]
    newest = made[::-1]
    first = sim.call("GET", f"{BATCHES}?limit=2").json
    second = sim.call("GET", f"{BATCHES}?limit=2&after_id={first['last_id']}").json
    back = sim.call("GET", f"{BATCHES}?limit=2&before_id={second['first_id']}").json

    assert [batch["id"] for batch in first["data"]] == newest[:2]
    assert [batch["id"] for batch in second["data"]] == newest[2:4]
    assert back["data"] == first["data"]
    assert (first["has_more"], back["has_more"]) == (True, False)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after_id=none", "before_id=none"])
def test_a_bad_page_is_a_400(sim, query):
    """§10: limit is from 1 to 1,000."""
    assert sim.call("GET", f"{BATCHES}?{query}").status == 400


def test_batches_belong_to_a_workspace(sim):
    """§10: nobody else sees them."""
    batch = create(sim, [item(1)], anthropic_workspace_id="wrkspc_a").json

    assert sim.call("GET", f"{BATCHES}/{batch['id']}").status == 404
    assert sim.call("GET", f"{BATCHES}/{batch['id']}", anthropic_workspace_id="wrkspc_a").status == 200


def test_old_batches_are_forgotten_beyond_a_bound(make_sim):
    """Only those that have ended."""
    sim = make_sim(SimSettings(batches=Batches(processing_s=0, kept=3)))
    for _ in range(6):
        create(sim, [item(1)])

    assert len(sim.call("GET", BATCHES).json["data"]) == 3


LONG_ONES = (
    "claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8", "claude-opus-5", "claude-opus-5-5", "claude-sonnet-4-6",
    "claude-sonnet-5", "claude-sonnet-5-5", "claude-haiku-5-5",
)  # fmt: skip
"""As the sheet of models has it; the text of §10 leaves Opus 5.5 out."""


def test_300k_tokens_are_for_some_models(slow):
    """§10: from Opus and Sonnet 4.6 on and Haiku 5.5, not Fable; outside a batch for nobody."""
    names = [model["id"] for model in slow.call("GET", "/v1/models?limit=1000").json["data"]]
    items = [item(number, "[[sim: tokens=1]]", model=name, max_tokens=300_000) for number, name in enumerate(names)]
    by_id = run_all(slow, items, anthropic_beta="output-300k-2026-03-24")

    taken = {name for number, name in enumerate(names) if by_id[f"item-{number}"]["type"] == "succeeded"}
    assert taken == set(LONG_ONES)
    assert slow.ask(max_tokens=300_000, headers={"anthropic_beta": "output-300k-2026-03-24"}).status == 400


def test_300k_tokens_need_their_beta(slow):
    """§10: output-300k raises the ceiling in batches."""
    long = [item(0, "[[sim: tokens=1]]", max_tokens=300_000)]
    ids = [create(slow, long, anthropic_beta=beta).json["id"] for beta in (None, "output-300k-2026-03-24")]
    slow.clock.advance(100)

    assert [results(slow, batch_id)[0]["item-0"]["type"] for batch_id in ids] == ["errored", "succeeded"]
