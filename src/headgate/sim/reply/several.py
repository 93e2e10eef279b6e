"""One request that holds several inputs and wants an answer to each: what a model makes of it.

It is told by its form, as a model would: the schema wants `answers`, each with an `id` and an `answer`, and the last
message has inputs between marks that carry ids.  Each input is answered as it would be alone, as far as that hangs on
its own words: its length, and `[[sim: tokens=N]]` and `[[sim: say="TEXT"]]` in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from msgspec.json import encode

from headgate.sim.directives import directives_in
from headgate.sim.misbehave import BadAnswers
from headgate.sim.reply.content import fragments
from headgate.sim.reply.fitting import mapped
from headgate.sim.reply.schema import instance
from headgate.sim.vocabulary import parse

__all__ = ["Inputs", "inputs_of", "pieces_of"]

_INPUT = re.compile(r'<(input-[0-9a-z]+) id="([^"<>]{1,64})">\n(.*?)\n</\1>', re.DOTALL)
UNKNOWN_ID = "nobody"


class _Input(NamedTuple):
    id: str
    text: str
    tokens: int | None
    """As many as it asks for."""
    say: str | None


class Inputs(NamedTuple):
    """What is asked, and the schema of one answer with the parts that it refers to."""

    inputs: list[_Input]
    schema: dict[str, Any]


def inputs_of(body: dict[str, Any], words: str) -> Inputs | None:
    """The inputs of a request whose last message is `words`; None if it is an ordinary one."""
    schema = mapped(mapped((body.get("output_config") or {}).get("format")).get("schema"))
    entry = mapped(mapped(mapped(schema.get("properties")).get("answers")).get("items")).get("properties")
    if mapped(entry).keys() != {"id", "answer"}:
        return None
    inputs = [_read(id_, text) for _, id_, text in _INPUT.findall(words)]
    parts: dict[str, Any] = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    return Inputs(inputs, {**mapped(mapped(entry)["answer"]), **parts}) if inputs else None


def _read(id_: str, text: str) -> _Input:
    asked = parse(directives_in(text))
    return _Input(id_, text, asked.tokens, asked.say)


def pieces_of(
    asked: Inputs,
    draw: Callable[[str], Random],
    prose: Callable[[Random, int | None], list[str]],
    bad: BadAnswers | None,
) -> list[str]:
    """The JSON of all answers, cut into its tokens.

    Args:
        draw: chance for one input, by its text.
        prose: so many tokens of text, or as many as chance gives.
        bad: what becomes of the first answer, or of all.
    """
    if bad == "prose":
        return prose(draw(bad), None)
    answers = [(one.id, _answer(one, asked.schema, draw(one.text), prose)) for one in asked.inputs]
    if bad is not None:
        answers = _spoilt(answers, bad)
    pieces = fragments('{"answers":[')
    for number, (id_, answer) in enumerate(answers):
        pieces += fragments(f'{"," if number else ""}{{"id":{encode(id_).decode()},"answer":')
        pieces += [*answer, "}"]
    return [*pieces, "]}"]


def _answer(
    one: _Input, schema: dict[str, Any], rng: Random, prose: Callable[[Random, int | None], list[str]]
) -> list[str]:
    is_text = schema.get("type") == "string"
    if one.say is not None:
        return fragments(encode(one.say).decode() if is_text else one.say)
    if not is_text:
        return fragments(encode(instance(schema, rng)).decode())
    return ['"', *(encode(piece).decode()[1:-1] for piece in prose(rng, one.tokens)), '"']


def _spoilt(answers: list[tuple[str, list[str]]], bad: BadAnswers) -> list[tuple[str, list[str]]]:
    (first, answer), *rest = answers
    match bad:
        case "missing":
            return rest
        case "duplicate":
            return [(first, answer), *rest, (first, answer)]
        case "unknown":
            return [(UNKNOWN_ID, answer), *rest]
        case _:
            return [(first, ["null"]), *rest]
