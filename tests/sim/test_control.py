"""What the simulator adds to the API: its clock (the books and statistics have tests of their own)."""

from __future__ import annotations

from datetime import datetime
from random import Random

import pytest

from headgate.clock import SystemClock
from headgate.sim import SimSettings, SimulatedClaude
from headgate.sim.endpoints.control import BOOKS
from headgate.sim.settings import Batches


def test_the_clock_can_be_asked_and_put_forward(sim):
    """By anybody: it is the simulator's own."""
    before = sim.call("GET", "/sim/clock", x_api_key=None).json
    after = sim.call("POST", "/sim/clock", {"advance_s": 90_000}, x_api_key=None).json

    passed = datetime.fromisoformat(after["now"]) - datetime.fromisoformat(before["now"])
    assert passed.total_seconds() == after["now_s"] - before["now_s"] == 90_000


def test_a_batch_expires_in_no_time(make_sim):
    """§10: what is not done after 24 hours."""
    sim = make_sim(SimSettings(batches=Batches(processing_s=30 * 3_600)))
    params = {"model": "claude-haiku-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    requests = [{"custom_id": str(number), "params": params} for number in range(10)]
    batch = sim.call("POST", "/v1/messages/batches", {"requests": requests}).json
    sim.call("POST", "/sim/clock", {"advance_s": 24 * 3_600})
    counts = sim.call("GET", f"/v1/messages/batches/{batch['id']}").json["request_counts"]

    assert counts["expired"] + counts["succeeded"] == 10
    assert counts["expired"] > 0


def test_what_is_planned_meanwhile_has_happened(sim):
    """The weather follows the clock."""
    sim.app.world.weather.plan(3_600, overload_share=1)
    before = sim.ask().status
    sim.call("POST", "/sim/clock", {"advance_s": 3_600})

    assert (before, sim.ask().status) == (200, 529)


@pytest.mark.parametrize(
    "body",
    [b"", b"x", None, [], {}, {"advance_s": None}, {"advance_s": -1}, {"advance_s": True}, {"advance_s": "1"},
     {"advance_s": 1e300}, {"advance_s": []}],
)  # fmt: skip
def test_a_clock_that_cannot_be_moved_so_stays_where_it_is(sim, body):
    """A 400 in the envelope."""
    reply = sim.call("POST", "/sim/clock", body)

    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")
    assert sim.clock.elapsed_s == 0


def test_somebody_elses_clock_is_not_moved(sim):
    """Real time, and the time of a virtual loop, belong to others too."""
    sim.app = SimulatedClaude(SimSettings(), SystemClock(), Random(1))

    assert sim.call("POST", "/sim/clock", {"advance_s": 1}).status == 409
    assert sim.call("GET", "/sim/clock").status == 200


def test_every_field_of_the_books_is_documented(sim):
    """docs/reference/simulator.md has the table."""
    sim.ask(system=[{"type": "text", "text": "water" * 1_200, "cache_control": {"type": "ephemeral"}}])
    books = sim.call("GET", "/sim/books?requests=1&cache=1").json
    lists = {name: books.pop(name)[0] for name in ("entries", "cache")}
    told = [*books, *(f"{name}[].{field}" for name, item in lists.items() for field in item)]

    assert sorted(told) == sorted(BOOKS)
