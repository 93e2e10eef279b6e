"""`headgate cache` in words."""

from __future__ import annotations

from typing import Any

import pytest

from support.records import FIRST_DAY_MS, spent

FINDING: dict[str, Any] = {
    "workflow": "triage", "part": "system[0]", "kind": "timestamp", "at": 5, "shape": "####-##-##", "calls": 20,
    "changed": 19, "lost_bytes": 12_345, "advice": "Say the time in the last message.",
}  # fmt: skip


@pytest.fixture
def linted(cli, monkeypatch: pytest.MonkeyPatch):
    """What `cache lint` says when the gateway has found this."""

    def ask(*findings: dict[str, Any]) -> Any:
        monkeypatch.setattr("headgate.http_get.get_json", lambda *_, **__: {"findings": list(findings), "misses": []})
        return cli("cache", "lint")

    return ask


def test_nothing_found_is_said_and_is_no_failure(linted):
    run = linted()

    assert (run.code, run.out.splitlines()[0]) == (
        0, "nothing volatile in the tools and system prompts of the last calls",
    )  # fmt: skip


def test_a_finding_says_where_what_how_often_and_what_to_do(linted):
    """And the exit code is that of a failed check, for scripts."""
    run = linted(FINDING)

    assert run.code == 1
    assert run.out.splitlines()[1].split() == [
        "triage", "system[0]", "5", "timestamp", "####-##-##", "19", "of", "20", "12,345",
    ]  # fmt: skip
    assert "triage, system[0]: Say the time in the last message." in run.err


def test_advice_says_what_was_saved_and_could_be(cli, tmp_path):
    """One workflow that caches, one that could: ten calls a minute apart."""
    fields = {"model": "claude-sonnet-5", "model_answered": "claude-sonnet-5", "usage_source": "vendor"}
    calls = [
        {"workflow": "cached", "cache_read_tokens": 100_000, "cost_pico": 20_000_000_000} | fields,
        *(
            {"workflow": "plain", "input_tokens": 100_000, "cost_pico": 200_000_000_000, "system_hash": "s",
             "started_ms": FIRST_DAY_MS + 60_000 * n} | fields
            for n in range(10)
        ),
    ]  # fmt: skip
    spent(tmp_path / "ledger.db", *calls)

    told = cli("cache", "advise", "--ledger", "ledger.db", "--json").json["workflows"]

    assert [(one["workflow"], one["saved_usd"], one["could_usd"]) for one in told] == [
        ("plain", "0.000000000000", "1.570000000000"), ("cached", "0.180000000000", "0.000000000000"),
    ]  # fmt: skip


def test_a_request_that_only_fills_the_cache_is_paid_for_by_what_the_cache_saves(cli, tmp_path):
    """Written for an hour at 0.4 dollars, renewed at 0.02, read once for 0.18 less."""
    fields = {"model": "claude-sonnet-5", "model_answered": "claude-sonnet-5", "usage_source": "vendor"}
    calls = [
        {"cache_write_1h_tokens": 100_000, "cost_pico": 400_000_000_000, "max_tokens": 0} | fields,
        {"cache_read_tokens": 100_000, "cost_pico": 20_000_000_000, "max_tokens": 0} | fields,
        {"cache_read_tokens": 100_000, "cost_pico": 20_000_000_000, "max_tokens": 50} | fields,
    ]  # fmt: skip
    spent(tmp_path / "ledger.db", *calls)

    (told,) = cli("cache", "advise", "--ledger", "ledger.db", "--json").json["workflows"]

    assert (told["calls"], told["cost_usd"], told["saved_usd"]) == (1, "0.440000000000", "-0.240000000000")


def test_advice_on_more_workflows_than_one_reads_says_how_many_more(cli, tmp_path):
    """Where most could be saved first, else the dearest."""
    fields = {"model": "claude-sonnet-5", "model_answered": "claude-sonnet-5", "usage_source": "vendor"}
    spent(tmp_path / "ledger.db", *({"workflow": f"w{n}", "cost_pico": 10**9 + n} | fields for n in range(60)))

    run = cli("cache", "advise", "--ledger", "ledger.db", "--limit", "3")

    assert [line.split()[0] for line in run.out.splitlines()[1:]] == ["w59", "w58", "w57"]
    assert "and 57 more workflows; --limit 0 shows all" in run.err


def test_advice_on_an_empty_ledger_says_what_to_do_next(cli, tmp_path):
    spent(tmp_path / "ledger.db")
    run = cli("cache", "advise", "--ledger", "ledger.db")

    assert (run.code, run.out.strip()) == (0, "no answered calls in the ledger")
    assert "headgate serve" in run.last


def test_calls_with_a_system_prompt_each_are_sent_to_the_linter(cli, tmp_path):
    fields = {"model": "claude-sonnet-5", "model_answered": "claude-sonnet-5", "usage_source": "vendor"}
    calls = [{"input_tokens": 9_000, "cost_pico": 18_000_000_000, "system_hash": f"s{n}"} | fields for n in range(10)]
    spent(tmp_path / "ledger.db", *calls)

    assert (
        "triage: most calls have a system prompt of their own: see headgate cache lint"
        in cli("cache", "advise", "--ledger", "ledger.db").err
    )
