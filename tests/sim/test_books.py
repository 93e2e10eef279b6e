"""The books and statistics: what is billed whatever happens to a request."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from headgate.sim import SimSettings
from headgate.sim.account import access
from headgate.sim.settings import Access, Answers, BooksKept, Latency, Limits


def leave(sim, turns, **fields):
    """A client that leaves after so many turns of the loop."""

    async def client():
        task = asyncio.ensure_future(sim.asking(**fields))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    sim.run(client())


def test_books_and_statistics_need_no_credential(sim):
    """They are the simulator's own, not the API's."""
    for target in ("/sim/books", "/sim/stats"):
        assert sim.call("GET", target, x_api_key=None, anthropic_version=None).status == 200


def test_the_sums_are_those_of_the_entries(sim):
    """By kind, by model, and in all; money is exact."""
    for model in ("claude-haiku-5-5", "claude-opus-5-5", "claude-opus-5-5"):
        sim.ask(model=model)
        sim.ask("[[sim: cut=2]]", model=model, stream=True)
    books = sim.books()

    assert books["requests"] == len(books["entries"]) == 6
    assert books["cost_pico"] == sum(entry["cost_pico"] for entry in books["entries"])
    assert books["cost_pico"] == sum(totals["cost_pico"] for totals in books["by_model"].values())
    for kind, tokens in books["tokens"].items():
        assert tokens == sum(entry["tokens"][kind] for entry in books["entries"])


def test_entries_carry_the_ids_that_the_client_saw(sim):
    """Request id and message id, to match a ledger row by row."""
    reply = sim.ask()
    entry = sim.last_entry()

    assert entry["request_id"] == reply.headers["request-id"]
    assert entry["message_id"] == reply.json["id"]
    assert entry["model"] == reply.json["model"]


def test_entries_are_bounded_and_sums_are_not(make_sim):
    """The oldest entries go."""
    sim = make_sim(SimSettings(books=BooksKept(entries=3)))
    for _ in range(5):
        sim.ask()
    books = sim.books()

    assert len(books["entries"]) == 3
    assert books["requests"] == 5
    assert "entries" not in sim.call("GET", "/sim/books").json


@pytest.mark.parametrize(
    ("said", "stream", "outcome", "status"),
    [
        ("hello", False, "complete", 200),
        ("hello", True, "complete", 200),
        ("[[sim: refusal]]", True, "refused", 200),
        ("[[sim: error=529]]", True, "error", 529),
        ("[[sim: nonsense]]", False, "error", 400),
        ("[[sim: html]]", False, "error", 502),
        ("[[sim: midstream-error]]", True, "broken", 200),
        ("[[sim: midstream-error]]", False, "error", 529),
        ("[[sim: cut]]", True, "cut", 200),
        ("[[sim: cut]]", False, "cut", 200),
        ("[[sim: reset]]", True, "cut", 0),
        ("[[sim: no-stop]]", True, "complete", 200),
    ],
)
def test_every_request_leaves_exactly_one_entry(sim, said, stream, outcome, status):
    """Whatever way it takes out."""
    sim.ask(said, stream=stream)
    entries = sim.books()["entries"]

    assert [(entry["outcome"], entry["status"]) for entry in entries] == [(outcome, status)]


@pytest.mark.parametrize(("fault", "output"), [("cut=5", 5), ("midstream-error=5", 5), ("cut=0", 0)])
def test_a_broken_stream_is_billed_its_input_and_what_was_sent(sim, fault, output):
    """Input as in message_start, and one token per delta that went out."""
    reply = sim.ask(f"[[sim: {fault}]]", stream=True)
    entry = sim.last_entry()

    assert entry["tokens"]["input"] == reply.of("message_start")[0]["message"]["usage"]["input_tokens"]
    assert entry["tokens"]["output"] == output == len(reply.of("content_block_delta"))
    assert entry["cost_pico"] > 0


@pytest.mark.parametrize(("category", "free"), [("cyber", True), ("bio", False)])
def test_a_refusal_before_output_costs_the_same_when_its_stream_breaks(sim, category, free):
    """§5.2: free, but for three categories; nothing was said, and a line that breaks does not change that."""
    sim.ask(f"[[sim: refusal={category}; cut=0]]", stream=True)
    entry = sim.last_entry()

    assert entry["outcome"] == "cut"
    assert (entry["cost_pico"] == 0) == free


@pytest.mark.parametrize("fault", ["midstream-error=0", "error=529", "reset", "error-200"])
def test_what_never_began_is_not_billed(sim, fault):
    """No message_start, no bill."""
    sim.ask(f"[[sim: {fault}]]", stream=True)

    assert sim.last_entry()["cost_pico"] == 0


def test_a_stream_whose_client_leaves_is_billed_what_was_sent(sim):
    """And counts as aborted."""
    leave(sim, 12, content="[[sim: drip=100:1000]]", stream=True)
    entry = sim.last_entry()
    stats = sim.stats()

    assert entry["outcome"] == "client_left"
    assert 0 < entry["tokens"]["output"] < 20
    assert (stats["streams_started"], stats["streams_aborted"], stats["streams_open"]) == (1, 1, 0)


def test_a_client_that_leaves_right_after_the_last_event_had_a_whole_answer(sim):
    """Many close the connection at message_stop, without waiting for the end of the body."""

    async def client():
        body = {"model": "claude-haiku-5-5", "max_tokens": 9, "stream": True}
        messages = [{"role": "user", "content": "[[sim: refusal]]"}]
        response = await sim.app.handle(sim.request("POST", "/v1/messages", {**body, "messages": messages}))
        chunk = await response.stream.read()
        response.stream.close()
        return chunk

    assert b"message_stop" in sim.run(client())
    assert (sim.last_entry()["outcome"], sim.last_entry()["cost_pico"]) == ("refused", 0)
    assert sim.stats()["streams_finished"] == 1


@pytest.mark.parametrize("billed", [False, True])
@pytest.mark.parametrize("way", ["cut", "leave"])
def test_a_json_answer_that_never_left_whole_is_billed_only_if_set(make_sim, billed, way):
    """The default leaves it out: nobody has seen its usage."""
    settings = SimSettings(latency=Latency(tokens_per_s=1, spread=0), answers=Answers(bill_unsent_answers=billed))
    sim = make_sim(settings)
    if way == "cut":
        sim.ask("[[sim: cut]]")
    else:
        leave(sim, 5, content="[[sim: tokens=500]]")

    assert (sim.last_entry()["cost_pico"] > 0) == billed


def test_a_client_that_leaves_before_the_answer_is_counted_as_499(sim):
    """With an entry that costs nothing."""
    leave(sim, 3, content="[[sim: hang]]")

    assert sim.stats()["requests_by_status"] == {"499": 1}
    assert [entry["outcome"] for entry in sim.books()["entries"]] == ["client_left"]


def test_statistics_tell_streams_and_statuses(sim):
    """Started = finished + aborted + cut + open."""
    sim.ask(stream=True)
    sim.ask("[[sim: cut]]", stream=True)
    sim.ask("[[sim: midstream-error]]", stream=True)
    sim.ask("[[sim: error=503]]")
    stats = sim.stats()

    assert (stats["streams_started"], stats["streams_finished"], stats["streams_cut"]) == (3, 2, 1)
    assert stats["requests_by_status"] == {"200": 3, "503": 1}


# -- whose it was, and what the cache did --------------------------------------------------------------------------


def test_sums_are_kept_by_workspace_and_key(sim):
    """Failed requests too; the default workspace is the empty name."""
    for key, workspace in (("a", "wrkspc_a"), ("a", "wrkspc_b"), ("b", "wrkspc_b"), ("b", None)):
        sim.ask(headers={"x_api_key": key, "anthropic_workspace_id": workspace})
    sim.ask("[[sim: error=500]]", headers={"x_api_key": "b"})
    books = sim.books()

    assert {name: totals["requests"] for name, totals in books["by_workspace"].items()} == {
        "": 2,
        "wrkspc_a": 1,
        "wrkspc_b": 2,
    }
    assert sorted(totals["requests"] for totals in books["by_key"].values()) == [2, 3]
    for sums in (books["by_workspace"], books["by_key"]):
        assert sum(totals["cost_pico"] for totals in sums.values()) == books["cost_pico"]


@pytest.mark.parametrize("apart", [False, True])
def test_whoever_makes_keys_up_fills_no_memory(make_sim, monkeypatch, apart):
    """Beyond a bound all other keys are one, with one organisation where each key has its own."""
    monkeypatch.setattr(access, "MOST_TOLD_APART", 3)
    sim = make_sim(SimSettings(access=Access(organisation_per_key=apart)))
    replies = [sim.ask(headers={"x_api_key": f"key-{number}"}) for number in (*range(9), 0)]
    organisations = {reply.headers["anthropic-organization-id"] for reply in replies}

    assert sorted(totals["requests"] for totals in sim.books()["by_key"].values()) == [1, 1, 2, 6]
    assert len(organisations) == (4 if apart else 1)


def test_whoever_makes_error_codes_up_fills_no_memory(sim):
    """A 429 that was asked for is one of its kind, unless its code is one of the API's own."""
    for code in ("one", "two", "enforced_spend_limit_reached"):
        sim.ask(f"[[sim: error=429:{code}]]")

    assert sim.stats()["limited_by_kind"] == {"asked": 2, "enforced_spend_limit_reached": 1}


def test_entries_tell_when_and_whose(sim):
    """By the simulated clock; a key goes by its id."""
    sim.clock.advance(61)
    sim.ask(headers={"anthropic_workspace_id": "wrkspc_a"})
    entry = sim.last_entry()

    assert (entry["at"], entry["workspace_id"]) == ("2026-11-21T12:01:01.000Z", "wrkspc_a")
    assert entry["api_key_id"].startswith("apikey_01")


def cached(text, **fields):
    return {"system": [{"type": "text", "text": text * 1_200, "cache_control": {"type": "ephemeral"}}], **fields}


def test_the_books_tell_what_was_written_and_read_entry_by_entry(sim):
    """The truth behind the sums of usage: one line for each prefix that was ever written."""
    for system in (cached("water"), cached("water"), cached("steam"), cached("water")):
        sim.ask(**system)
    told = sim.call("GET", "/sim/books?cache=1").json
    water, steam = told["cache"]

    assert [(entry["writes"], entry["reads"]) for entry in (water, steam)] == [(1, 2), (1, 0)]
    assert water["tokens_read"] == told["tokens"]["cache_read"]
    assert water["tokens"] + steam["tokens"] == told["tokens"]["cache_write_5m"]
    assert "cache" not in sim.books()


def test_an_entry_that_is_gone_is_still_told(sim):
    """Written again, it is the same prefix."""
    sim.ask(**cached("water"))
    sim.clock.advance(301)
    sim.ask(**cached("water"))
    (entry,) = sim.call("GET", "/sim/books?cache=1").json["cache"]

    assert (entry["writes"], entry["reads"], entry["ttl_s"]) == (2, 0, 300)


def test_a_refused_request_refreshes_nothing(make_sim):
    """§9.2: each use does, and a 429 is none."""
    sim = make_sim(SimSettings(limits=Limits(rpm=1, depth_s=60)))
    sim.ask(**cached("water"))
    sim.clock.advance(30)
    refused = sim.ask(**cached("water"))
    sim.clock.advance(280)
    reply = sim.ask(**cached("water"))

    assert refused.status == 429
    assert reply.json["usage"]["cache_read_input_tokens"] == 0
