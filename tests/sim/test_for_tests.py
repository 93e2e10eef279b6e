"""What users take into their own tests, from a thread that blocks: a simulator with a scenario, and a bad line."""

from __future__ import annotations

import anthropic
import pytest

from headgate.sim.settings import Batches, Limits
from headgate.testing import Faults, ScenarioError, SimSettings, shim, simulated_claude

ASK = {"model": "claude-haiku-5-5", "max_tokens": 500, "messages": [{"role": "user", "content": "hi"}]}


def client(base_url, **options):
    return anthropic.Anthropic(base_url=base_url, api_key="sk-old-1", max_retries=0, **options)


def test_a_scenario_of_ones_own_is_played(tmp_path):
    """By its file."""
    file = tmp_path / "mine.toml"
    file.write_text('about = "the second call fails"\n[[phase]]\n[[phase.requests]]\nevery = 2\ndo = "error=529"\n')

    with simulated_claude(scenario=file) as claude, client(claude.base_url) as sdk:
        assert sdk.messages.create(**ASK).stop_reason == "end_turn"
        with pytest.raises(anthropic.APIStatusError) as problem:
            sdk.messages.create(**ASK)

    assert problem.value.status_code == 529


def test_a_scenario_that_ships_is_played_by_its_name():
    """With its date: month-end begins on the last day of November 2026."""
    with simulated_claude(scenario="month-end") as claude, client(claude.base_url) as sdk:
        told = sdk.messages.with_raw_response.create(**ASK)

    assert told.headers["date"].startswith("Mon, 30 Nov 2026 20:00:")


def test_settings_stay_where_the_scenario_says_nothing(tmp_path):
    """And give way where it does."""
    file = tmp_path / "mine.toml"
    file.write_text('about = "small"\n[settings.limits]\nrpm = 2\n')
    settings = SimSettings(limits=Limits(rpm=9, itpm=5_000))

    with simulated_claude(settings, scenario=file) as claude, client(claude.base_url) as sdk:
        headers = sdk.messages.with_raw_response.create(**ASK).headers

    assert headers["anthropic-ratelimit-requests-limit"] == "2"
    assert headers["anthropic-ratelimit-input-tokens-limit"] == "5000"


def test_time_passes_when_it_is_told_to():
    """A batch that takes an hour has ended an hour later, and nobody waited."""
    batch = [{"custom_id": "one", "params": ASK}]
    settings = SimSettings(batches=Batches(processing_s=3600))
    with simulated_claude(settings) as claude, client(claude.base_url) as sdk:
        made = sdk.messages.batches.create(requests=batch)
        claude.advance(3601)
        ended = sdk.messages.batches.retrieve(made.id)

    assert (made.processing_status, ended.processing_status) == ("in_progress", "ended")


@pytest.mark.parametrize("seconds", [-1, float("nan"), 1e12])
def test_time_does_not_go_back(seconds):
    """Nor on for ever: a ValueError that says how far."""
    with simulated_claude() as claude, pytest.raises(ValueError, match="must be from 0 to 316224000"):
        claude.advance(seconds)


@pytest.mark.parametrize("scenario", ["nonsense", "", "/"])
def test_a_scenario_with_an_error_starts_nothing(scenario):
    """It is told where it is asked for."""
    with pytest.raises(ScenarioError, match="no scenario"), simulated_claude(scenario=scenario):
        pass


def test_a_line_goes_bad_and_good_again():
    """Between the SDK and the simulator."""
    with simulated_claude() as claude, shim(claude.base_url, reset_after=0) as line, client(line.base_url) as sdk:
        with pytest.raises(anthropic.APIConnectionError):
            sdk.messages.create(**ASK)
        line.change(reset_after=None, slice_bytes=7)
        assert sdk.messages.create(**ASK).stop_reason == "end_turn"
        line.refuse()
        line.drop()
        with pytest.raises(anthropic.APIConnectionError):
            sdk.messages.create(**ASK)
        line.refuse(False)
        assert sdk.messages.create(**ASK).stop_reason == "end_turn"

        assert line.connections == 3


def test_a_line_can_be_bad_on_the_way_up():
    """The request never arrives."""
    with (
        simulated_claude() as claude,
        shim(claude.base_url, up=Faults(cut_after=40)) as line,
        client(line.base_url) as sdk,
    ):
        with pytest.raises(anthropic.APIConnectionError):
            sdk.messages.create(**ASK)

        assert claude.books()["requests"] == 0


def test_a_fault_that_there_is_not_starts_nothing():
    """As a wrong argument."""
    with pytest.raises(TypeError, match="latency"), shim("127.0.0.1:1", latency=3):
        pass
