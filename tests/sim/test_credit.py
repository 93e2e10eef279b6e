"""Fallback credit (claude-api.md §5.2): a refusal's token makes the retry on another model as cheap as if the
conversation had been there all along."""

from __future__ import annotations

import pytest
from anthropic.types.beta import BetaRefusalStopDetails, BetaUsage

from headgate.sim import SimSettings
from headgate.sim.settings import Access, Fallbacks

FIRST, SECOND = "claude-fable-5-1", "claude-opus-5"
BETA = "fallback-credit-2026-07-01"
HANDBOOK = "The gate at the head of a canal decides how much of the river enters. " * 200
SYSTEM = [{"type": "text", "text": HANDBOOK, "cache_control": {"type": "ephemeral"}}]


def ask(sim, model, said="[[sim: refusal]]", *, beta=BETA, headers=None, **fields):
    body = {"system": SYSTEM, **fields}
    return sim.ask(said, {"anthropic_beta": beta, **(headers or {})}, model=model, **body)


def refused(sim, said="[[sim: refusal]]", **fields):
    """A refusal of a prompt whose system part the first model had in its cache."""
    ask(sim, FIRST, "warm up", **{name: value for name, value in fields.items() if name != "stream"})
    reply = ask(sim, FIRST, said, **fields)
    return (reply.of("message_delta")[-1]["delta"] if fields.get("stream") else reply.json)["stop_details"]


def status(reply):
    usage = reply.of("message_delta")[-1]["usage"] if reply.body.startswith(b"event") else reply.json["usage"]
    return BetaUsage.model_validate(usage, strict=False).fallback_credit.status


# The directive stands in the prompt, which must be the same on the retry: the header decides who declines.
SAID = "Is there water?"
REFUSE = {"x_sim": "refusal=cyber"}


@pytest.fixture
def token(sim):
    ask(sim, FIRST, "warm up")
    return ask(sim, FIRST, SAID, headers=REFUSE).json["stop_details"]["fallback_credit_token"]


def again(sim, token, *, mode="best_effort", model=SECOND, said=SAID, **fields):
    return ask(sim, model, said, fallback_credit_token={"token": token, "mode": mode}, **fields)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("beta", [BETA, "fallback-credit-2026-06-01", "server-side-fallback-2026-07-01"])
def test_a_refusal_carries_a_token_under_its_betas(sim, beta, stream):
    """§5.2, and says whether its partial answer may be continued."""
    details = BetaRefusalStopDetails.model_validate(refused(sim, beta=beta, stream=stream), strict=False)

    assert details.fallback_credit_token is not None
    assert details.fallback_has_prefill_claim is False


def test_without_the_beta_there_is_no_token(sim):
    """§5.2: the fields of the beta stay away."""
    assert "fallback_credit_token" not in refused(sim, beta="other-2026-01-01")


def test_a_model_without_fallbacks_gives_no_credit(sim):
    """The SDK: null when the refused model is not eligible."""
    details = ask(sim, "claude-sonnet-5").json["stop_details"]

    assert (details["fallback_credit_token"], details["fallback_has_prefill_claim"]) == (None, None)


def test_a_redeemed_retry_reads_what_the_refused_model_had_warm(sim, token):
    """Compared with a retry without: less is written, the same more is read, and all is a tenth of the price."""
    usage = again(sim, token).json["usage"]

    assert usage["fallback_credit"] == {"status": {"type": "redeemed"}}
    assert usage["cache_creation_input_tokens"] == 0
    assert usage["cache_read_input_tokens"] > 1_000
    assert sim.last_entry()["tokens"]["cache_read"] == usage["cache_read_input_tokens"]


def test_the_bill_of_a_redeemed_retry_is_its_usage(sim, make_sim, token):
    """What it saves is the difference between writing and reading."""
    again(sim, token)
    cheap = sim.last_entry()["cost_pico"]
    plain = make_sim()
    ask(plain, SECOND, SAID)

    warm = sim.last_entry()["tokens"]["cache_read"]
    assert plain.last_entry()["cost_pico"] - cheap == warm * (6_250_000 - 500_000)


def test_what_a_redeemed_retry_wrote_is_in_the_cache_all_the_same(sim, token):
    """Only the bill is another."""
    again(sim, token)

    assert ask(sim, SECOND, "next").json["usage"]["cache_creation_input_tokens"] == 0


def test_nothing_to_shift_is_redeemed_too(sim):
    """A shift of zero: the retry model's own cache was warm."""
    token = ask(sim, FIRST, SAID, headers=REFUSE).json["stop_details"]["fallback_credit_token"]

    assert status(again(sim, token)).type == "redeemed"


@pytest.mark.parametrize(("covers", "read"), [(False, False), (True, True)])
def test_what_the_refused_request_wrote_itself_is_covered_only_if_set(make_sim, covers, read):
    """A setting: it would have been a write on the other model too."""
    sim = make_sim(SimSettings(fallbacks=Fallbacks(credit_covers_writes=covers)))
    token = ask(sim, FIRST, SAID, headers=REFUSE).json["stop_details"]["fallback_credit_token"]

    assert (again(sim, token).json["usage"]["cache_read_input_tokens"] > 0) == read


def test_server_side_fallback_has_the_credit_built_in(sim):
    """The second hop reads what the first model had warm."""
    beta = "server-side-fallback-2026-07-01"
    ask(sim, FIRST, "warm up", beta=beta)
    usage = ask(sim, FIRST, beta=beta, fallbacks=[{"model": SECOND}]).json["usage"]

    assert (usage["cache_creation_input_tokens"], usage["cache_read_input_tokens"] > 1_000) == (0, True)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(299, ("redeemed", None)), (300, ("not_applied", "expired")), (4_000, ("not_applied", "expired"))],
)
def test_a_token_lives_for_five_minutes(sim, token, seconds, told):
    """§5.2."""
    sim.clock.advance(seconds)
    outcome = status(again(sim, token))

    assert (outcome.type, getattr(outcome, "reason", None)) == told


MOVED = [{"type": "text", "text": HANDBOOK, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"said": "Is there wine?"}, "body_mismatch"),
        ({"system": MOVED}, "body_mismatch"),
        ({"system": HANDBOOK}, "body_mismatch"),
        ({"cache_control": {"type": "ephemeral"}}, "body_mismatch"),
        ({"thinking": {"type": "adaptive"}}, "body_mismatch"),
        ({"output_config": {"effort": "low"}}, "body_mismatch"),
        ({"tools": [{"name": "look", "input_schema": {"type": "object"}}]}, "body_mismatch"),
        ({"tool_choice": {"type": "auto"}}, "body_mismatch"),
        ({"beta": f"{BETA},context-management-2025-06-27", "context_management": {"edits": []}}, "body_mismatch"),
        ({"beta": f"{BETA},effort-2025-11-24"}, "body_mismatch"),
        ({"model": "claude-haiku-5-5"}, "invalid_target_model"),
        ({"model": FIRST}, "invalid_target_model"),
        ({"headers": {"anthropic_workspace_id": "wrkspc_other"}}, "wrong_workspace"),
        ({"headers": {"x_sim": "credit-unavailable"}}, "temporarily_unavailable"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else value,
)
def test_a_retry_that_is_not_the_same_is_served_at_full_price_and_says_why(sim, token, changes, reason):
    """§5.2: what has to match exactly; `best_effort` serves it all the same."""
    reply = again(sim, token, **changes)

    assert reply.status == 200, reply.body
    assert (status(reply).type, status(reply).reason) == ("not_applied", reason)


@pytest.mark.parametrize("as_object", [False, True])
@pytest.mark.parametrize("changes", [{"said": "Is there wine?"}, {"headers": {"x_sim": "credit-unavailable"}}], ids=str)
def test_in_strict_mode_it_is_a_400_that_names_the_field(sim, token, changes, as_object):
    """The default, and what the bare string means."""
    given = {"token": token} if as_object else token
    reply = ask(sim, SECOND, changes.get("said", SAID), headers=changes.get("headers"), fallback_credit_token=given)

    assert reply.status == 400
    assert "fallback_credit_token" in reply.error["message"]


@pytest.mark.parametrize("changes", [{"max_tokens": 7}, {"stream": True}, {"metadata": {"user_id": "u"}}], ids=str)
def test_what_does_not_shape_the_prompt_may_change(sim, token, changes):
    """The documentation's own list."""
    assert status(again(sim, token, **changes)).type == "redeemed"


def test_another_organisation_cannot_redeem(make_sim):
    """§5.2."""
    sim = make_sim(SimSettings(access=Access(organisation_per_key=True)))
    token = ask(sim, FIRST, SAID, headers=REFUSE).json["stop_details"]["fallback_credit_token"]

    assert status(again(sim, token, headers={"x_api_key": "other"})).reason == "wrong_organization"


def partial(sim, **fields):
    """A refusal in the middle of an answer: its details and what had been said."""
    reply = ask(sim, FIRST, SAID, headers={"x_sim": "refusal-mid; tokens=40"}, **fields)
    return reply.json["stop_details"], reply.json["content"]


def continued(content):
    return [{"role": "user", "content": SAID}, {"role": "assistant", "content": content}]


def test_a_partial_answer_may_be_continued_even_where_prefill_is_refused(sim):
    """The token authorizes that one; without it the model takes no prefill (§3)."""
    details, content = partial(sim)
    content[-1]["text"] = content[-1]["text"].rstrip()
    reply = again(sim, details["fallback_credit_token"], messages=continued(content))

    assert details["fallback_has_prefill_claim"] is True
    assert status(reply).type == "redeemed"
    assert ask(sim, SECOND, messages=continued(content)).status == 400


def test_a_partial_answer_that_was_changed_is_no_continuation(sim):
    """And so it is an ordinary prefill, which the model refuses."""
    details, _ = partial(sim)
    other = [{"type": "text", "text": "Something else"}]

    assert again(sim, details["fallback_credit_token"], messages=continued(other)).status == 400


def test_a_format_rules_a_continuation_out(sim):
    """The SDK: not with a structured output or a forced tool."""
    wanted = {"format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}}
    details, _ = partial(sim, output_config=wanted)

    assert details["fallback_has_prefill_claim"] is False


def test_a_token_from_the_middle_of_server_tools_is_redeemed_by_continuing_only(sim):
    """Or the tools would run, and be billed, again."""
    details = ask(sim, FIRST, SAID, headers={"x_sim": "refusal-mid; web-search=1"}).json["stop_details"]

    assert status(again(sim, details["fallback_credit_token"])).reason == "continuation_only"


@pytest.mark.parametrize(
    "given",
    [
        "", "nonsense", "fbct_", "fbct_AAAA", "fbct_" + "A" * 5_000, "fbct_\u00e9", 7, True, [], {}, {"token": 7},
        {"token": "x", "mode": "lax"}, {"token": "x", "mode": []}, {"token": "x", "more": 1}, {"token": None},
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("mode", ["strict", "best_effort"])
def test_a_token_that_is_none_is_a_400_in_either_mode(sim, given, mode):
    """The SDK: a malformed token stays hard."""
    if isinstance(given, str):
        given = {"token": given, "mode": mode}

    assert ask(sim, SECOND, SAID, fallback_credit_token=given).status == 400


def test_a_token_beside_fallbacks_is_a_400(sim, token):
    """The SDK: the other failure that stays hard."""
    beta = f"{BETA},server-side-fallback-2026-07-01"

    assert again(sim, token, beta=beta, fallbacks=[{"model": "claude-opus-4-8"}]).status == 400


@pytest.mark.parametrize(("beta", "status"), [(BETA, 200), ("fallback-credit-2026-06-01", 400), ("other", 400)])
def test_the_object_form_needs_the_newer_beta(sim, beta, status):
    """The SDK: without it the field accepts the bare string only."""
    token = ask(sim, FIRST, SAID, headers=REFUSE, beta=BETA).json["stop_details"]["fallback_credit_token"]

    assert again(sim, token, beta=beta).status == status


def test_a_retry_that_is_nested_too_deeply_is_refused(sim, token):
    """Whatever can be read can be compared, or is told that it cannot; the depth is that of this very stack."""
    for depth in range(880, 1_000):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        body = (
            b'{"model":"claude-opus-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}],'
            b'"tools":[{"name":"look","input_schema":%s}],"fallback_credit_token":"%s"}' % (deep, token.encode())
        )

        assert sim.call("POST", "/v1/messages", body, anthropic_beta=BETA).status == 400, depth
