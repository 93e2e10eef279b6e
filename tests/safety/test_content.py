"""The text of calls: kept in the form that was asked for, for as long as it may be, and gone when it is deleted (S12,
S18, J14)."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from headgate.clock import SystemClock
from headgate.config.schema import Config, LogConfig, WorkflowConfig
from headgate.records import CallRecord
from headgate.safety.content import desk as desk_module
from headgate.safety.content.desk import ContentDesk, Kept, Sample
from headgate.safety.content.policy import ContentPolicy
from headgate.safety.content.texts import scrubbed_document, scrubbed_text
from headgate.safety.scrub import Placeholders
from headgate.stores.sqlite.content import SqliteContent
from headgate.telemetry.call_log import MemoryCallLog
from headgate.telemetry.log_line import LogEntry
from support.edge import Edge, body_of, play
from support.kept import store_of
from support.patience import HANG_S
from support.records import call

PERSONAL = "I am at ada@example.org, card 4111 1111 1111 1111"
KEY = "sk-ant-" + "api03-" + "a1B2c3D4" * 4


def ask(config: Config, *, stream: bool = False, text: str = PERSONAL) -> tuple[dict[str, Any], Kept | None]:
    """The log line of one call of the workflow `chat`, and what is kept of its text."""

    async def scene(edge: Edge) -> tuple[dict[str, Any], Kept | None]:
        reply = await edge.ask(body=body_of(text, stream=stream), headers={"x-headgate-workflow": "chat"})
        assert reply.status == 200
        line = msgspec.json.decode(edge.log.lines[-1])
        kept = store_of(edge.engine).text_of(line["call_id"]) if edge.engine.content else None
        return line, kept

    return play(scene, sim=None, virtual=True, config=config)


def keeping(form: str, **chat: Any) -> Config:
    return Config(log=LogConfig(content=form), workflows={"chat": WorkflowConfig(**chat)})  # type: ignore[arg-type]


# -- in which form ---------------------------------------------------------------------------------------------------


def test_without_being_asked_nothing_is_kept():
    line, kept = ask(Config())

    assert "content" not in line
    assert kept is None


@pytest.mark.parametrize("stream", [False, True])
def test_scrubbed_text_holds_placeholders(stream: bool):
    """Of streams too."""
    _, kept = ask(keeping("scrubbed"), stream=stream)

    assert kept is not None
    assert "I am at [email], card [card]" in kept.request
    assert "ada@example.org" not in f"{kept}"
    assert kept.response


def test_full_text_is_as_it_was():
    _, kept = ask(keeping("full"))

    assert kept is not None
    assert PERSONAL in kept.request


def test_a_workflow_decides_for_itself():
    _, kept = ask(keeping("full", log_content="scrubbed"))

    assert kept is not None
    assert (kept.form, PERSONAL in kept.request) == ("scrubbed", False)


def test_kept_text_is_bounded_and_scrubbed_before_it_is_cut():
    """No half of a number stays at the end."""
    for chars in range(1, 200):
        cut = scrubbed_text(body_of(PERSONAL), chars, Placeholders())
        assert len(cut) <= chars
        assert "ada@" not in cut
        assert "4111" not in cut


def test_a_document_stays_one_and_names_of_its_members_are_context():
    document = msgspec.json.encode(
        {"phone": "555 0199", "order": "555 0199", "nested": [{"to": "ada@example.org"}], "zahl": 4111111111111111}
    )

    assert scrubbed_document(document, Placeholders()) == {
        "phone": "[phone]", "order": "555 0199", "nested": [{"to": "[email]"}], "zahl": "[card]",
    }  # fmt: skip


def test_names_of_members_and_words_of_the_api_hide_nothing():
    document = msgspec.json.encode({"ada@example.org": 1, "type": "ada@example.org", "role": "4111 1111 1111 1111"})

    assert scrubbed_document(document, Placeholders()) == {"[email]": 1, "type": "[email]", "role": "[card]"}


def test_pictures_are_left_out():
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo" * 1000}

    assert scrubbed_document(msgspec.json.encode({"source": source}), Placeholders()) == {
        "source": source | {"data": "[11000 characters]"}
    }


@pytest.mark.parametrize(
    "body", [b"", b"not json", b'{"a": "ada@example.org', b"\xff\xfe", b"[" * 5000, b'"' + b"a" * 3_000_000]
)
def test_what_is_no_document_is_scrubbed_as_text(body: bytes):
    assert "example.org" not in scrubbed_text(body, 100, Placeholders())


# -- the desk --------------------------------------------------------------------------------------------------------


class Slow(SqliteContent):
    """A store that is never done before it is let go on."""

    def __init__(self, gate: Any) -> None:
        super().__init__(None)
        self._gate = gate

    def keep(self, kept: Kept) -> None:
        self._gate.wait(HANG_S)
        super().keep(kept)


class Broken(SqliteContent):
    """A store on a full disk."""

    def keep(self, kept: Kept) -> None:
        raise OSError(28, "No space left on device")


def a_desk(
    store: SqliteContent | None, *, threaded: bool = True, form: str = "scrubbed", samples: int = 0
) -> ContentDesk:
    policy = ContentPolicy(form, {}, {"chat": samples})
    return ContentDesk(
        policy, store, MemoryCallLog(), SystemClock(), Random(1), chars=1000, keep_days=30, threaded=threaded
    )


def test_a_slow_store_costs_a_call_nothing_and_drops_are_counted(monkeypatch: pytest.MonkeyPatch):
    """Calls hand over and go on; what finds no room is dropped, and each has its log line all the same."""
    monkeypatch.setattr(desk_module, "QUEUE_CALLS", 3)
    gate = threading.Event()
    desk = a_desk(Slow(gate))

    for number in range(20):
        desk.take(LogEntry(record=call(call_id=f"call_{number}", workflow="chat")), b"{}", b"{}", streamed=False)
    gate.set()
    desk.close()

    assert 15 <= desk.dropped <= 17
    assert len(desk._lines.lines) == 20  # type: ignore[union-attr]


def test_a_full_disk_costs_the_text_and_nothing_else():
    desk = a_desk(Broken(None), threaded=False)

    desk.take(LogEntry(record=call(workflow="chat")), b"{}", b"{}", streamed=False)

    assert desk.dropped == 1
    assert len(desk._lines.lines) == 1  # type: ignore[union-attr]


def test_findings_are_told_by_type_and_by_what_was_done():
    told: list[tuple[str, dict[str, int], str]] = []
    for form in ("scrubbed", "full"):
        desk = a_desk(SqliteContent(None), threaded=False, form=form)
        desk.on_findings = lambda workflow, counts, action: told.append((workflow, dict(counts), action))
        desk.take(
            LogEntry(record=call(workflow="chat")), PERSONAL.encode(), f"my key is {KEY}".encode(), streamed=False
        )

    counts = {"email": 1, "card": 1, "api_key": 1}
    assert told == [("chat", counts, "scrubbed"), ("chat", counts, "kept")]


def test_the_metric_counts_findings():
    async def scene(edge: Edge) -> str:
        await edge.ask(body=body_of(PERSONAL), headers={"x-headgate-workflow": "chat"})
        return edge.engine.metrics.exposition().decode()

    text = play(scene, virtual=True, config=keeping("scrubbed"))

    assert 'headgate_pii_findings_total{workflow="chat",type="email",action="scrubbed"} 1' in text


def test_text_that_was_dropped_is_counted():
    async def scene(edge: Edge) -> str:
        assert edge.engine.content is not None
        edge.engine.content.store = Broken(None)
        await edge.ask(body=body_of(PERSONAL))
        return edge.engine.metrics.exposition().decode()

    text = play(scene, virtual=True, config=keeping("scrubbed"))

    assert 'headgate_telemetry_dropped_total{signal="content"} 1' in text


# -- how long --------------------------------------------------------------------------------------------------------


def kept(number: int, *, user: str = "u-1", at_ms: int = 0) -> Kept:
    return Kept(f"call_{number}", at_ms, "chat", user, "s", "full", f"question {number} of {user}", f"reply {number}")


def sample(number: int, *, user: str = "u-1", at_ms: int = 0) -> Sample:
    return Sample(
        f"call_{number}", at_ms, "chat", user, "s", "claude", "end_turn", f'"question {number} of {user}"', "reply"
    )


def bytes_on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()))


def test_s18_what_is_too_old_is_gone_from_the_disk(tmp_path: Path):
    """From free pages and the write-ahead log too, while the file is open."""
    store = SqliteContent(tmp_path / "content.db")
    for number in range(200):
        store.keep(kept(number, user="OLDCORE" if number < 100 else "NEWCORE", at_ms=number))
    store.sample(sample(1, user="OLDCORE", at_ms=1), 5, Random(1))

    store.purge(100)

    left = bytes_on_disk(tmp_path)
    store.close()
    assert b"OLDCORE" not in left
    assert b"NEWCORE" in left


def test_s18_the_desk_deletes_on_time_by_itself(monkeypatch: pytest.MonkeyPatch):
    """Whether or not calls come."""
    purged = threading.Event()

    class Watched(SqliteContent):
        def purge(self, before_ms: int) -> None:
            super().purge(before_ms)
            if self.text_of("call_1") is None:
                purged.set()

    monkeypatch.setattr(desk_module, "PURGE_S", 0.01)
    store = Watched(None)
    now_ms = SystemClock().unix_ms()
    store.keep(kept(1, at_ms=now_ms - 31 * 86_400_000))
    store.keep(kept(2, at_ms=now_ms - 29 * 86_400_000))

    desk = a_desk(store)
    assert purged.wait(HANG_S)

    assert store.text_of("call_2") is not None
    desk.close()


def test_s18_what_was_a_user_s_is_gone_from_the_disk(tmp_path: Path):
    store = SqliteContent(tmp_path / "content.db")
    for number in range(200):
        store.keep(kept(number, user=("u-ADACORE", "u-BOBCORE")[number % 2]))
    store.sample(sample(1, user="u-ADACORE"), 5, Random(1))

    assert store.forget("u-ADACORE") == (100, 1)

    left = bytes_on_disk(tmp_path)
    store.close()
    assert b"ADACORE" not in left
    assert b"BOBCORE" in left


def test_only_its_owner_reads_the_file(tmp_path: Path):
    SqliteContent(tmp_path / "deep" / "content.db").close()

    assert (tmp_path / "deep" / "content.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o700


# -- samples ---------------------------------------------------------------------------------------------------------


def test_each_call_has_the_same_chance_to_be_a_sample():
    """Of 1,000 calls ten are kept; over many seeds early and late ones equally often."""
    halves: Counter[bool] = Counter()
    for seed in range(60):
        store, rng = SqliteContent(None), Random(seed)
        for number in range(200):
            store.sample(sample(number), 10, rng)
        found = store.samples("chat")
        assert len(found) == 10
        halves.update(int(each.call_id[5:]) < 100 for each in found)

    assert 0.42 < halves[True] / halves.total() < 0.58


def test_an_emptied_place_is_taken_by_the_next_call():
    store = SqliteContent(None)
    for number in range(50):
        store.sample(sample(number, user="ada"), 5, Random(1))
    store.forget("ada")
    store.sample(sample(51, user="bob"), 5, Random(1))

    assert [each.user for each in store.samples()] == ["bob"]


@pytest.mark.parametrize("stream", [False, True])
def test_samples_are_whole_scrubbed_requests_with_their_answers(stream: bool):
    """They can be asked again."""

    async def scene(edge: Edge) -> list[Sample]:
        for _ in range(4):
            await edge.ask(body=body_of(PERSONAL, stream=stream), headers={"x-headgate-workflow": "chat"})
            await edge.ask(body=body_of(PERSONAL), headers={"x-headgate-workflow": "other"})
        return store_of(edge.engine).samples()

    samples = play(scene, virtual=True, config=Config(workflows={"chat": WorkflowConfig(keep_samples=3)}))

    assert [each.workflow for each in samples] == ["chat"] * 3
    request = msgspec.json.decode(samples[0].request)
    assert request["messages"] == [{"role": "user", "content": "I am at [email], card [card]"}]
    assert samples[0].response == "Three litres." if not stream else samples[0].response
    assert samples[0].stop_reason == "end_turn"


def test_calls_that_failed_are_no_samples():
    desk = a_desk(SqliteContent(None), threaded=False, form="off", samples=5)
    for outcome in ("upstream_error", "refused", "truncated", "ok"):
        record: CallRecord = call(call_id=f"call_{outcome}", workflow="chat", outcome=outcome, attempts=1)
        desk.take(LogEntry(record=record), b"{}", b"{}", streamed=False)

    assert desk.store is not None
    assert [each.call_id for each in desk.store.samples()] == ["call_ok"]  # type: ignore[attr-defined]


def test_two_processes_may_use_the_file(tmp_path: Path):
    one, other = SqliteContent(tmp_path / "content.db"), SqliteContent(tmp_path / "content.db")
    one.keep(kept(1))
    other.keep(kept(2))

    assert one.text_of("call_2") == kept(2)
    one.close()
    other.close()


def test_the_desk_tells_findings_on_the_loop(tmp_path: Path):
    """Metrics are counted by one thread."""

    async def scene() -> list[str]:
        desk = a_desk(SqliteContent(tmp_path / "content.db"))
        done = asyncio.Event()
        threads: list[str] = []

        def on_findings(*_: object) -> None:
            threads.append(threading.current_thread().name)
            done.set()

        desk.on_findings = on_findings
        desk.take(LogEntry(record=call(workflow="chat")), PERSONAL.encode(), b"", streamed=False)
        await asyncio.wait_for(done.wait(), HANG_S)
        await asyncio.to_thread(desk.close)
        return threads

    assert asyncio.run(scene()) == ["MainThread"]
