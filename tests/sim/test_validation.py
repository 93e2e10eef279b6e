"""What the API refuses before it answers: claude-api.md §1, §2, §3, §6, §9.7, §13."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Access, Validation

NEW = {"anthropic_version": "2026-10-21"}
TOOL = {"name": "level", "input_schema": {"type": "object"}}
HI = [{"role": "user", "content": "hi"}]


def refused(reply, status=400):
    """The message of a refusal in the envelope of §6, whose id is that of the header."""
    assert reply.status == status, reply.body
    assert reply.json["type"] == "error"
    assert reply.json["request_id"] == reply.headers["request-id"]
    return reply.error["message"]


# -- credentials and headers (§1) ----------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{"x_api_key": "k"}, {"x_api_key": None, "authorization": "Bearer k"}])
def test_a_key_is_taken_from_either_header(sim, headers):
    """Current SDKs send API keys as bearer tokens, older clients as x-api-key."""
    assert sim.ask(headers=headers).status == 200


@pytest.mark.parametrize("headers", [{"x_api_key": None}, {"x_api_key": None, "authorization": "Basic a2V5"}])
def test_no_credential_is_a_401(sim, headers):
    """In the envelope, as every error."""
    reply = sim.ask(headers=headers)

    refused(reply, 401)
    assert reply.error["type"] == "authentication_error"


def test_settings_say_which_keys_are_taken(make_sim):
    """An empty list takes any; a revoked key is refused whatever else is accepted."""
    sim = make_sim(SimSettings(access=Access(accepted_keys=frozenset({"a", "b"}), revoked_keys=frozenset({"b"}))))

    assert [sim.ask(headers={"x_api_key": key}).status for key in ("a", "b", "c")] == [200, 401, 401]


@pytest.mark.parametrize("version", [None, "2020-01-01", ""])
def test_a_version_that_is_not_known_is_a_400(sim, version):
    """`anthropic-version` is required."""
    assert "anthropic-version" in refused(sim.ask(headers={"anthropic_version": version}))


def test_every_answer_has_a_request_id_a_date_and_an_organisation(sim):
    """Errors too; the organisation is known once the credential is."""
    for reply in (sim.ask(), sim.ask(model="claude-2.1"), sim.call("GET", "/v1/nothing")):
        assert reply.headers["request-id"].startswith("req_01")
        assert reply.headers["date"] == "Sat, 21 Nov 2026 12:00:00 GMT"
        assert reply.headers["anthropic-organization-id"]
        assert reply.status == 200 or reply.json["request_id"] == reply.headers["request-id"]


@pytest.mark.parametrize("target", ["/v1/nothing", "/", "/v1/messages/", "/v1/models/a/b", "/metrics"])
def test_what_is_not_there_is_a_404_in_the_envelope(sim, target):
    """Whatever the path."""
    reply = sim.call("GET", target)

    refused(reply, 404)
    assert reply.error["type"] == "not_found_error"


def test_the_warm_up_probe_needs_no_credential(sim):
    """`HEAD /api/hello`, which Claude Code sends at start (§1)."""
    assert sim.call("HEAD", "/api/hello", x_api_key=None, anthropic_version=None).status == 200


def test_a_beta_query_changes_nothing(sim):
    """Clients of beta types send `/v1/messages?beta=true`."""
    body = {"model": "claude-haiku-5-5", "max_tokens": 10, "messages": HI}
    assert sim.call("POST", "/v1/messages?beta=true", body).status == 200


# -- bodies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":"\xff"}', b"[" * 100_000, b"NaN", b"[]", b'"text"', b"7"])
def test_a_body_that_is_no_json_object_is_a_400(sim, body):
    """Never a traceback, and never a word of the body in the answer."""
    refused(sim.call("POST", "/v1/messages", body))


def test_a_compressed_body_is_refused_with_its_code(sim):
    """Which encodings the API takes is not known (§1); the code for one it does not take is."""
    reply = sim.ask(headers={"content_encoding": "gzip"})

    assert reply.error["details"]["error_code"] == "request_body_encoding_unsupported"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_bodies_are_limited_to_32_mb(sim, path):
    """§1: Messages and token counting."""
    assert sim.app.begin(sim.request("POST", path)).max_bytes == 32 * 1024 * 1024


def test_an_oversize_body_is_a_413_in_the_envelope(sim):
    """The edge refuses it before the API sees it (§1)."""
    response = sim.app.refuse(413, "the request body passes the limit")

    assert response.status == 413
    assert b'"request_too_large"' in response.body


@pytest.mark.parametrize("missing", ["model", "messages", "max_tokens"])
def test_required_fields_are_required(sim, missing):
    """§3."""
    body = {"model": "claude-haiku-5-5", "max_tokens": 10, "messages": HI}
    del body[missing]

    assert refused(sim.call("POST", "/v1/messages", body)).startswith(f"{missing}: Field required")


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": -1},
        {"max_tokens": "10"},
        {"max_tokens": True},
        {"max_tokens": 128_001},
        {"messages": []},
        {"messages": "hi"},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": [{"text": "no type"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
        {"messages": [{"role": "system", "content": "first"}]},
        {"system": 7},
        {"system": [{"type": "image"}]},
        {"stream": "yes"},
        {"stop_sequences": [" "]},
        {"stop_sequences": [1]},
        {"service_tier": "gold"},
        {"speed": "slow"},
        {"inference_geo": "moon"},
        {"output_config": {"effort": "heroic"}},
        {"output_config": {"format": "json"}},
        {"output_config": {"format": {"type": "json_schema"}}},
        {"thinking": {"type": "sometimes"}},
        {"thinking": {"type": "enabled", "budget_tokens": 2_000}},
        {"tools": [{"name": "has spaces", "input_schema": {}}]},
        {"tools": [{"name": "no_schema"}]},
        {"tool_choice": {"type": "all"}},
        {"tool_choice": {"type": "any"}},
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "other"}},
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": ["level"]}},
        {"top_k": -1},
        {"cache_control": {"type": "ephemeral", "ttl": "2h"}},
        {"cache_control": "yes"},
        {"thread": {"type": "create"}},
    ],
    ids=str,
)
def test_malformed_fields_are_a_400(sim, fields):
    """§3; the same would be refused by the API."""
    refused(sim.ask(**fields))


def test_tool_names_must_be_unique(sim):
    """With the typed code of §6."""
    assert sim.ask(tools=[TOOL, TOOL]).error["details"]["error_code"] == "tool_name_conflict"


def test_unknown_fields_are_tolerated_unless_the_settings_say_otherwise(make_sim):
    """The API refuses them; a simulator older than its client would refuse what the API takes."""
    assert make_sim().ask(brand_new_field=1).status == 200
    strict = make_sim(SimSettings(validation=Validation(refuse_unknown_fields=True)))
    assert "Extra inputs" in refused(strict.ask(brand_new_field=1))


@pytest.mark.parametrize("said", ["a-secret-word", "[[sim: a-secret-word]]", "[[sim: tokens=a-secret-word]]"])
def test_no_error_repeats_what_the_request_said(sim, said):
    """Clients log error messages."""
    for reply in (
        sim.ask(said, model="a-secret-word"),
        sim.ask(said, inference_geo="a-secret-word"),
        sim.ask(said, tools=[{"name": "a-secret-word", "input_schema": 1}]),
        sim.call("GET", "/v1/models/a-secret-word"),
        sim.call("GET", "/v1/files/a-secret-word"),
        sim.call("GET", "/v1/models?after_id=a-secret-word"),
        sim.ask(headers={"x_sim": "a-secret-word=1"}),
    ):
        assert reply.status >= 400
        assert b"a-secret-word" not in reply.body


# -- models (§11, §13) ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["claude-none", "claude-opus-4-1-20250805", "claude-mythos-preview", "", None, 7])
def test_unknown_and_retired_models_are_refused(sim, model):
    """404, or 400 where there is no name at all."""
    reply = sim.ask(model=model)

    refused(reply, 404 if model and isinstance(model, str) else 400)


def test_an_alias_answers_under_the_dated_id(sim):
    """§13: pre-4.6 aliases."""
    assert sim.ask(model="claude-haiku-4-5").json["model"] == "claude-haiku-4-5-20251001"


def test_a_model_retires_on_its_day(make_sim):
    """Sonnet 4.5 on 2026-11-30 (§0), by the simulated date."""
    before = make_sim(epoch=datetime(2026, 11, 29, 23, 59, 59, tzinfo=UTC))
    after = make_sim(epoch=datetime(2026, 11, 30, tzinfo=UTC))

    assert before.ask(model="claude-sonnet-4-5").status == 200
    refused(after.ask(model="claude-sonnet-4-5"), 404)


def test_a_model_is_not_there_before_its_release(make_sim):
    """Fable 5.2 came on 2026-11-09."""
    refused(make_sim(epoch=datetime(2026, 11, 8, tzinfo=UTC)).ask(model="claude-fable-5-2"), 404)


# -- versions and sampling (§2) ------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", [{"temperature": 1.0}, {"top_p": 0.9}, {"top_k": 5}])
def test_the_new_version_takes_no_sampling_parameters(sim, field):
    """Under 2026-10-21 not even at the default, and for no model."""
    refused(sim.ask(headers=NEW, model="claude-haiku-4-5", **field))


@pytest.mark.parametrize("field", [{"temperature": 0.2}, {"top_p": 0.9}, {"top_k": 5}])
def test_models_from_4_7_on_take_only_default_sampling(sim, field):
    """Under 2023-06-01; older models sample."""
    refused(sim.ask(model="claude-opus-4-7", **field))
    assert sim.ask(model="claude-opus-4-6", **field).status == 200
    assert sim.ask(model="claude-opus-4-7", temperature=1.0).status == 200


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": [{"type": "document", "source": {"type": "text", "data": "x"}}]},
        {"role": "user", "content": [{"type": "text", "text": "x", "citations": [{"type": "char_location"}]}]},
    ],
)
def test_the_new_version_refuses_two_kinds_of_block(sim, message):
    """Documents in assistant turns, citations in user turns; 2023-06-01 takes both."""
    messages = [*HI, message, *HI]

    refused(sim.ask(headers=NEW, messages=messages))
    assert sim.ask(messages=messages).status == 200


# -- what single models do not take (§3, §9.7) ---------------------------------------------------------------------


@pytest.mark.parametrize("model", ["claude-fable-5-1", "claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5-2"])
@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "level"}])
def test_forced_tool_choice_is_refused_where_thinking_is_always_on(sim, model, choice):
    """`auto` and `none` stay allowed."""
    refused(sim.ask(model=model, tools=[TOOL], tool_choice=choice))
    assert sim.ask(model=model, tools=[TOOL], tool_choice={"type": "auto"}).status == 200


def test_a_forced_tool_is_called_with_input_that_fits_its_schema(sim):
    """Where it is supported."""
    schema = {"type": "object", "properties": {"gate": {"enum": ["north", "south"]}}, "required": ["gate"]}
    tools = [{"name": "level", "input_schema": schema}]
    message = sim.ask(tools=tools, tool_choice={"type": "tool", "name": "level"}).json

    assert message["stop_reason"] == "tool_use"
    assert [block["input"] for block in message["content"]] == [{"gate": "north"}]


def test_prefill_is_refused_from_4_6_on(sim):
    """§3; Haiku 4.5 still takes it."""
    messages = [*HI, {"role": "assistant", "content": "The answer is"}]

    assert "prefill" in refused(sim.ask(model="claude-opus-4-6", messages=messages))
    assert sim.ask(model="claude-haiku-4-5", messages=messages).status == 200


@pytest.mark.parametrize(
    ("model", "kind", "status"),
    [
        ("claude-opus-5-5", "disabled", 400),
        ("claude-opus-5-5", "adaptive", 200),
        ("claude-haiku-4-5", "adaptive", 400),
        ("claude-sonnet-5-5", "between_tools", 200),
        ("claude-sonnet-5", "between_tools", 400),
        ("claude-sonnet-5", "disabled", 200),
        ("claude-opus-4-6", "enabled", 200),
        ("claude-opus-4-7", "enabled", 400),
        ("claude-haiku-5-5", "enabled", 400),
    ],
)
def test_thinking_types_depend_on_the_model(sim, model, kind, status):
    """§3 and the model rows of the facts."""
    budget = {"budget_tokens": 1_024} if kind == "enabled" else {}

    assert sim.ask(model=model, max_tokens=2_000, thinking={"type": kind, **budget}).status == status


@pytest.mark.parametrize(("budget", "status"), [(1_023, 400), (1_024, 200), (5_000, 400)])
def test_a_thinking_budget_is_at_least_1024_and_below_max_tokens(sim, budget, status):
    """§3: only on models up to 4.6."""
    thinking = {"type": "enabled", "budget_tokens": budget}

    assert sim.ask(model="claude-haiku-4-5", max_tokens=5_000, thinking=thinking).status == status


@pytest.mark.parametrize(("model", "ceiling"), [("claude-haiku-5-5", 128_000), ("claude-haiku-4-5", 64_000)])
def test_max_tokens_has_a_ceiling_for_each_model(sim, model, ceiling):
    """§13."""
    assert sim.ask("[[sim: tokens=1]]", model=model, max_tokens=ceiling).status == 200
    refused(sim.ask(model=model, max_tokens=ceiling + 1))


def test_a_cache_prewarm_says_nothing_and_bills_no_output(sim):
    """§9.7: content empty, stop_reason max_tokens, full usage."""
    message = sim.ask(max_tokens=0).json

    assert message["content"] == []
    assert message["stop_reason"] == "max_tokens"
    assert message["usage"]["output_tokens"] == 0
    assert message["usage"]["input_tokens"] > 0


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True},
        {"model": "claude-haiku-4-5", "thinking": {"type": "enabled", "budget_tokens": 1_024}},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "integer"}}}},
        {"tools": [TOOL], "tool_choice": {"type": "any"}},
    ],
    ids=str,
)
def test_a_cache_prewarm_stands_beside_nothing_that_needs_an_answer(sim, fields):
    """§9.7: all of them stand beside any other number."""
    assert refused(sim.ask(max_tokens=0, **fields)).startswith("max_tokens: 0 ")
    assert sim.ask(max_tokens=2_000, **fields).status == 200


def test_a_prompt_longer_than_the_window_is_refused(sim):
    """§6: the text begins with `prompt is too long`."""
    assert refused(sim.ask("water " * 200_000, model="claude-haiku-4-5")).startswith("prompt is too long")


def test_an_answer_that_fills_the_window_stops_there(sim):
    """§5.1: model_context_window_exceeded, without an error."""
    filler = "x" * (4 * (200_000 - 60))
    message = sim.ask(filler + "[[sim: tokens=200]]", model="claude-haiku-4-5").json

    assert message["stop_reason"] == "model_context_window_exceeded"
    assert 0 < message["usage"]["output_tokens"] < 200


@pytest.mark.parametrize(("model", "status"), [("claude-opus-4-6", 200), ("claude-opus-4-5", 400)])
def test_geography_can_be_chosen_from_4_6_on(sim, model, status):
    """§3."""
    assert sim.ask(model=model, inference_geo="us").status == status


@pytest.mark.parametrize(
    ("model", "beta", "status", "speed"),
    [
        ("claude-opus-5-5", None, 200, "fast"),
        ("claude-opus-5", None, 400, None),
        ("claude-opus-5", "fast-mode-2026-02-01", 200, "fast"),
        ("claude-opus-4-7", None, 400, None),
        ("claude-opus-4-6", None, 200, "standard"),
        ("claude-haiku-5-5", None, 400, None),
    ],
)
def test_fast_mode_depends_on_model_and_beta(sim, model, beta, status, speed):
    """§13: general on Opus 5.5, beta on Opus 5, an error on 4.7, ignored on 4.6; `standard` is no mode."""
    reply = sim.ask(headers={"anthropic_beta": beta}, model=model, speed="fast")
    slow = sim.ask(headers={"anthropic_beta": "fast-mode-2026-02-01"}, model=model, speed="standard")

    assert reply.status == status
    assert slow.json["usage"]["speed"] == "standard"
    if speed:
        assert reply.json["usage"]["speed"] == speed


def test_fast_mode_of_opus_4_8_ends_on_its_day(make_sim):
    """§13: removed 2026-11-30."""
    beta = {"anthropic_beta": "fast-mode-2026-02-01"}
    after = make_sim(epoch=datetime(2026, 11, 30, tzinfo=UTC))

    assert make_sim().ask(headers=beta, model="claude-opus-4-8", speed="fast").status == 200
    refused(after.ask(headers=beta, model="claude-opus-4-8", speed="fast"))


# -- turns ---------------------------------------------------------------------------------------------------------

CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "level", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "7 m"}]}


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([*HI, CALL, RESULT], 200),
        ([*HI, CALL, *HI], 400),
        ([*HI, RESULT], 400),
        ([*HI, CALL, RESULT, {"role": "system", "content": "be brief"}], 200),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], 200),
        ([*HI, {"role": "system", "content": "a"}, *HI], 400),
    ],
    ids=["answered", "unanswered", "unasked", "system-last", "merged", "system-between"],
)
def test_turns_must_fit_together(sim, messages, status):
    """§3 and §5.1: tool results answer the turn before; system messages have their places; same roles merge."""
    assert sim.ask(messages=messages, tools=[TOOL]).status == status


def test_stop_sequences_end_the_text_before_they_appear(sim):
    """§5.1: `stop_sequence` names the one that matched."""
    whole = sim.ask("[[sim: tokens=60]]").json["content"][0]["text"]
    word = whole.split()[5]
    message = sim.ask("[[sim: tokens=60]]", stop_sequences=["never this", f" {word}"]).json

    assert message["stop_reason"] == "stop_sequence"
    assert message["stop_sequence"] == f" {word}"
    assert f" {word}" not in "".join(block["text"] for block in message["content"])


def test_counting_ignores_caching(sim):
    """§11: what is marked counts like the rest, and nothing is written."""
    long = {"type": "text", "text": "water" * 1_200}
    plain, marked = (
        {"model": "claude-haiku-5-5", "messages": HI, "system": [{**long, **more}]}
        for more in ({}, {"cache_control": {"type": "ephemeral"}})
    )
    counts = [sim.call("POST", "/v1/messages/count_tokens", body).json for body in (plain, marked, marked)]
    usage = sim.call("POST", "/v1/messages", {**marked, "max_tokens": 9}).json["usage"]

    assert counts[0] == counts[1] == counts[2]
    assert usage["cache_read_input_tokens"] == 0


def test_count_tokens_counts_what_a_message_is_billed(sim):
    """§11: free, and under the same validation."""
    body = {"model": "claude-haiku-5-5", "messages": HI, "system": "Be brief.", "tools": [TOOL]}
    counted = sim.call("POST", "/v1/messages/count_tokens", body)
    billed = sim.ask("hi", system="Be brief.", tools=[TOOL])

    assert counted.json == {"input_tokens": billed.json["usage"]["input_tokens"]}
    refused(sim.call("POST", "/v1/messages/count_tokens", {**body, "model": "claude-none"}), 404)
    assert sim.books()["requests"] == 1


def test_newer_models_count_about_a_third_more_tokens(sim):
    """§11: the tokenizer from 4.7 on."""
    text = "The canal carries what the fields below can use. " * 100
    old, new = (sim.ask(text, model=m).json["usage"]["input_tokens"] for m in ("claude-opus-4-6", "claude-opus-4-7"))

    assert new / old == pytest.approx(1.3, abs=0.01)
