"""Message Batches: claude-api.md §10."""

from __future__ import annotations

from collections import Counter

import pytest
from msgspec.json import decode

from headgate.sim import SimSettings
from headgate.sim.settings import Batches

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
def slow(make_sim):
    """A simulated account whose batches take 100 seconds."""
    return make_sim(SimSettings(batches=Batches(processing_s=100, cancelling_s=5)))


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


def test_items_of_a_batch_share_the_prompt_cache(slow):
    """§10: caching works in batches; its price stacks with the half."""
    system = [{"type": "text", "text": "water" * 1_000, "cache_control": {"type": "ephemeral"}}]
    create(slow, [item(n, system=system) for n in range(5)])
    slow.clock.advance(100)
    tokens = slow.books()["tokens"]

    assert tokens["cache_read"] == 4 * tokens["cache_write_5m"] > 0


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
    slow.clock.advance(29 * DAY_S)
    told = slow.call("GET", f"{BATCHES}/{batch['id']}").json

    assert told["archived_at"] == "2026-12-20T12:00:00.000Z"
    assert told["results_url"] is None
    assert slow.call("GET", f"{BATCHES}/{batch['id']}/results").status == 404


def test_a_batch_can_be_deleted_only_after_it_has_ended(slow):
    """§10: cancel first."""
    path = f"{BATCHES}/{create(slow, [item(1)]).json['id']}"
    early = slow.call("DELETE", path)
    slow.clock.advance(100)

    assert early.status == 400
    assert slow.call("DELETE", path).json["type"] == "message_batch_deleted"
    assert slow.call("GET", path).status == 404


def test_results_are_not_there_before_the_end(slow):
    """404."""
    batch = create(slow, [item(1)]).json

    assert slow.call("GET", f"{BATCHES}/{batch['id']}/results").status == 404


@pytest.mark.parametrize(
    "requests",
    [[], [{}], [{"custom_id": "a"}], [{"custom_id": "", "params": {}}], [{"custom_id": "a b", "params": {}}],
     [{"custom_id": "x" * 65, "params": {}}], [{"custom_id": "a", "params": {}}] * 2, "all", None],
    ids=str,
)  # fmt: skip
def test_the_frame_of_a_batch_is_checked_at_once(sim, requests):
    """§10: ids of 1 to 64 characters, unique."""
    assert create(sim, requests).status == 400


def test_the_queue_of_all_batches_together_is_bounded(slow):
    """§10: 200,000 requests on Start; a 429 that says when there is room."""
    world = slow.app.world
    create(slow, [item(1)])
    next(iter(slow.app._batches._batches.values())).size = world.limits.batch.max_queued_requests
    slow.clock.advance(40)
    reply = create(slow, [item(1)])

    assert reply.status == 429
    assert reply.headers["retry-after"] == "60"
    assert "200,000 queued batch requests" in reply.error["message"]


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
        sim.books()

    assert len(sim.call("GET", BATCHES).json["data"]) <= 4


def test_300k_tokens_need_their_beta(slow):
    """§10: output-300k raises the ceiling in batches."""
    long = [item(0, "[[sim: tokens=1]]", max_tokens=300_000)]
    ids = [create(slow, long, anthropic_beta=beta).json["id"] for beta in (None, "output-300k-2026-03-24")]
    slow.clock.advance(100)

    assert [results(slow, batch_id)[0]["item-0"]["type"] for batch_id in ids] == ["errored", "succeeded"]
