"""What an answer says and how it ends: text that looks like text, stop reasons, empty answers (claude-api.md §5.1)."""

from __future__ import annotations

import re
from statistics import median

import pytest

from headgate.sim import SimSettings
from headgate.sim.reply.content import prose
from headgate.sim.reply.phrases import LANGUAGES, language_of
from headgate.sim.settings import Answers, Latency

QUESTIONS = {
    "en": "How much water is there in the canal?",
    "de": "Wie viel Wasser ist in dem Kanal?",
    "nl": "Hoeveel water staat er in het kanaal?",
    "fr": "Combien d'eau y a-t-il dans le canal ?",
    "es": "¿Cuánta agua lleva el canal por la noche?",
}


def text_of(reply):
    assert reply.status == 200, reply.body
    return "".join(block["text"] for block in reply.json["content"] if block["type"] == "text")


# -- text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "question"), QUESTIONS.items())
def test_an_answer_is_in_the_language_of_the_question(sim, language, question):
    """English, German, Dutch, French and Spanish; the last user turn decides."""
    text = text_of(sim.ask(f"[[sim: tokens=200]] {question}"))

    assert any(subject in text for subject in LANGUAGES[language].subjects)
    assert language_of(text) == language


@pytest.mark.parametrize(
    "question", ["", "?", "Ωδε 水はどこ", "[[sim: tokens=3]]", "SELECT * FROM water", "x" * 100_000]
)
def test_an_answer_is_in_english_if_in_doubt(question):
    """Few words, other scripts, code."""
    assert language_of(question) == "en"


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_has_paragraphs_and_now_and_then_a_list_or_code(language):
    """Cut anywhere, the text still ends like a text, and no code is left open."""
    texts = ["".join(prose(count, where / 40, language=language)) for where in range(40) for count in range(2, 400, 7)]

    assert any("\n\n" in text for text in texts)
    assert any(re.search(r"\n\n.+:\n\n- .+\n- .+\n- ", text) for text in texts)
    assert any(re.search(r"(?s)```\n.+```", text) for text in texts)
    assert all(text.count("```") % 2 == 0 for text in texts)
    assert all(re.search(r"([.]|```\n?)$", text) for text in texts)


def test_the_length_of_answers_varies_around_its_median(make_sim):
    """Log-normal, by prompt and seed."""
    sim = make_sim(SimSettings(answers=Answers(median_tokens=100, spread=0.5)))
    lengths = [sim.ask(f"question {n}", max_tokens=9_000).json["usage"]["output_tokens"] for n in range(120)]

    assert 80 < median(lengths) < 125
    assert max(lengths) > 2 * median(lengths) > 4 * min(lengths)


def test_longer_prompts_may_have_longer_answers(make_sim):
    """`prompt_exponent`: none by default; 0.5 makes an answer twice as long for a prompt four times as long."""
    settings = [Answers(spread=0.0, prompt_exponent=exponent) for exponent in (0.0, 0.5)]
    asks = ["word " * 100, "word " * 400]
    plain, growing = (
        [make_sim(SimSettings(answers=one)).ask(text).json["usage"]["output_tokens"] for text in asks]
        for one in settings
    )

    assert plain == [60, 60]
    assert growing[1] == pytest.approx(2 * growing[0], rel=0.1)


# -- endings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_sequence_is_found_across_tokens_and_left_out(sim, stream):
    """§3, §5.1: the text ends before it, and `stop_sequence` names it."""
    plain = text_of(sim.ask("x"))
    sequence = plain[10:17]  # longer than a token, and across the border of two
    reply = sim.ask("x", stop_sequences=["§", sequence], stream=stream)
    if stream:
        said = "".join(event["delta"]["text"] for event in reply.of("content_block_delta"))
        end = reply.of("message_delta")[0]["delta"]
    else:
        said, end = text_of(reply), reply.json

    assert said == plain[: plain.index(sequence)]
    assert (end["stop_reason"], end["stop_sequence"]) == ("stop_sequence", sequence)


def test_the_stop_sequence_that_is_said_first_ends_the_answer(sim):
    """Of two that overlap it is the one that is complete first, not the one that begins first."""
    plain = text_of(sim.ask("x"))
    longer, shorter = plain[4:20], plain[8:12]
    reply = sim.ask("x", stop_sequences=[longer, shorter])

    assert reply.json["stop_sequence"] == shorter


def test_a_stop_sequence_ends_structured_output_too(sim):
    """It is text like any other."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    reply = sim.ask("x", stop_sequences=[":"], output_config={"format": {"type": "json_schema", "schema": schema}})

    assert (text_of(reply), reply.json["stop_reason"]) == ('{"a"', "stop_sequence")


def test_max_tokens_ends_an_answer_at_exactly_so_many(sim):
    """§5.1: `max_tokens`."""
    reply = sim.ask("[[sim: tokens=50]]", max_tokens=7)

    assert (reply.json["stop_reason"], reply.json["usage"]["output_tokens"]) == ("max_tokens", 7)


def test_max_tokens_of_zero_says_nothing(sim):
    """§3, §9.7: only the cache is filled; no output is charged."""
    reply = sim.ask("x", max_tokens=0)

    assert (reply.json["content"], reply.json["stop_reason"]) == ([], "max_tokens")
    assert reply.json["usage"]["output_tokens"] == 0


def test_generation_may_fill_the_window(sim):
    """§5.1: `model_context_window_exceeded`, without a beta header, where the window is nearer than max_tokens."""
    words = "word " * 159_990
    reply = sim.ask(f"{words}[[sim: tokens=5000]]", model="claude-haiku-4-5", max_tokens=60_000)

    assert reply.json["stop_reason"] == "model_context_window_exceeded"
    assert reply.json["usage"]["input_tokens"] + reply.json["usage"]["output_tokens"] == 200_000


RESULT = [
    {"role": "user", "content": "How high?"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "level", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "7 m"}]},
]
BLANK = {"x_sim": "blank-after-tools"}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_to_tool_results_may_be_almost_empty(sim, stream):
    """§5.1: `end_turn`, two or three tokens and nothing to be seen; resending does not help."""
    replies = [sim.ask(headers=BLANK, messages=RESULT, stream=stream) for _ in range(2)]

    for reply in replies:
        if stream:
            assert reply.of("content_block_start") == []
            usage, reason = reply.of("message_delta")[0]["usage"], reply.of("message_delta")[0]["delta"]["stop_reason"]
        else:
            assert reply.json["content"] == []
            usage, reason = reply.json["usage"], reply.json["stop_reason"]
        assert reason == "end_turn"
        assert usage["output_tokens"] in (2, 3)
        assert sim.last_entry()["tokens"]["output"] == usage["output_tokens"]


def test_only_an_answer_to_tool_results_is_almost_empty(sim):
    """The header may stand on every call of an agent."""
    assert text_of(sim.ask("x", headers=BLANK))


# -- thinking that nobody sees -------------------------------------------------------------------------------------


def test_thinking_that_is_omitted_is_billed_all_the_same(sim):
    """§4: `thinking_tokens` are the raw ones, inside `output_tokens`, however little of them is shown."""
    shown, hidden = (
        sim.ask("x", thinking={"type": "adaptive", "display": display}).json for display in ("summarized", "omitted")
    )

    assert hidden["content"][0]["thinking"] == ""
    assert hidden["usage"]["output_tokens_details"] == shown["usage"]["output_tokens_details"]
    assert hidden["usage"]["output_tokens"] == shown["usage"]["output_tokens"]


def test_thinking_that_is_omitted_takes_its_time(make_sim):
    """§7.3: only the signature is sent, when the thinking is over; a stream bills it with that."""
    sim = make_sim(SimSettings(latency=Latency(tokens_per_s=10, spread=0)))
    reply = sim.ask("x", thinking={"type": "adaptive", "display": "omitted"}, stream=True)
    thought = reply.of("message_delta")[0]["usage"]["output_tokens_details"]["thinking_tokens"]
    signed_s = next(at_s for at_s, chunk in reply.chunks if b"signature_delta" in chunk)

    assert signed_s == pytest.approx((thought - 1) / 10)


@pytest.mark.parametrize(
    "wrong",
    [{"tool_call_share": 1.5}, {"most_calls": 0}, {"server_tool_passes": 0}, {"spread": -1.0},
     {"grammar_compile_s": -1.0}, {"prompt_exponent": 9.0}, {"median_tokens": 0}],
)  # fmt: skip
def test_settings_of_answers_that_cannot_be_are_refused(wrong):
    """When they are made, by name, and not when an answer meets them."""
    with pytest.raises(ValueError, match=f"answers.{next(iter(wrong))} is"):
        SimSettings(answers=Answers(**wrong))
