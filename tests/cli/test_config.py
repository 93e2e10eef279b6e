"""`headgate config explain` and `headgate keys new`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from headgate.config import load_config


def test_every_setting_is_there_with_its_value_and_source(cli, tmp_path: Path):
    (tmp_path / "headgate.toml").write_text("[gateway]\nport = 9000\n\n[lanes.bulk]\nmax_wait_s = 60\n")

    told = cli("config", "explain", "--json", HEADGATE_RETRY__MAX_ATTEMPTS="2").json

    assert told["gateway.port"] == {"value": 9000, "source": f"{tmp_path}/headgate.toml:2"}
    assert told["lanes.bulk.max_wait_s"]["source"].endswith("/headgate.toml:5")
    assert told["retry.max_attempts"] == {"value": 2, "source": "environment HEADGATE_RETRY__MAX_ATTEMPTS"}
    assert told["upstream.base_url"] == {"value": "https://api.anthropic.com", "source": "default"}


def test_the_table_says_the_same_and_what_to_run_next(cli, tmp_path: Path):
    (tmp_path / "mine.toml").write_text("[gateway]\nport = 9000\n")

    run = cli("config", "explain", "--config", "mine.toml", "--changed")

    assert [line.split() for line in run.out.splitlines()] == [["gateway.port", "9000", "mine.toml:2"]]
    assert run.last == "Next: headgate serve"


def test_without_any_setting_that_is_said(cli):
    assert "every setting has its default" in cli("config", "explain", "--changed").out


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_secrets_are_not_shown(cli, more: tuple[str, ...]):
    run = cli(
        "config", "explain", *more,
        HEADGATE_UPSTREAM__API_KEY="sk-ant-canary-1", HEADGATE_ADMIN__TOKEN="admin-token-canary-2",
    )  # fmt: skip

    assert "canary" not in run.out + run.err
    assert "***" in run.out


def test_a_list_that_is_no_json_is_not_repeated(cli):
    """It may hold a key (INV-16)."""
    run = cli("config", "explain", HEADGATE_UPSTREAM__CREDENTIALS='[{"name": "b", "api_key": "sk-ant-canary-3"')

    assert run.code == 1
    assert "HEADGATE_UPSTREAM__CREDENTIALS" in run.err
    assert "canary" not in run.err


def test_a_new_key_and_what_to_configure_belong_together(cli, tmp_path: Path):
    told = cli("keys", "new", "--name", "team search", "--json").json

    assert told["sha256"] == hashlib.sha256(told["key"].encode()).hexdigest()
    assert told["name"] == "team_search"
    assert len(told["key"]) > 40


def test_two_keys_are_different(cli):
    assert (
        cli("keys", "new", "--name", "a", "--json").json["key"]
        != cli("keys", "new", "--name", "a", "--json").json["key"]
    )


def test_what_keys_new_prints_can_be_pasted_into_the_settings(cli, tmp_path: Path):
    run = cli("keys", "new", "--name", "search")
    key = run.out.splitlines()[1].strip()
    file = tmp_path / "headgate.toml"
    file.write_text(run.out.partition("settings (headgate.toml):\n")[2])

    (known,) = load_config({}, file=file).config.gateway.keys

    assert (known.name, known.sha256) == ("search", hashlib.sha256(key.encode()).hexdigest())
    assert run.last.startswith("Next: headgate serve")
