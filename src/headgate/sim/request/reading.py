"""From the bytes of a request to something the model could answer: directives, validation, size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from headgate.sim.account.access import Caller
from headgate.sim.directives import OPEN, directives_in
from headgate.sim.errors import invalid
from headgate.sim.misbehave import Misbehaviour
from headgate.sim.request.context import Management
from headgate.sim.request.prompt import Prompt
from headgate.sim.request.rules import Kind, Rules
from headgate.sim.request.shown import shown
from headgate.sim.request.thoughts import look_through
from headgate.sim.request.tokenizer import Tokenizer
from headgate.sim.request.validate import Ask, validate
from headgate.sim.vocabulary import parse
from headgate.sim.world import Visit, World

__all__ = ["Reading", "asked_of", "directives_of", "read", "rules_of"]

NOTHING_ASKED = Misbehaviour()


@dataclass(slots=True)
class Reading:
    """A request that passed validation.

    Attributes:
        shown: its body as the model sees it, without what it is not shown.
    """

    ask: Ask
    shown: dict[str, Any]
    prompt: Prompt
    cache_scope: str
    """Workspace and speed: entries of one are never hit from another (claude-api.md §9.8, §13)."""
    measure: Callable[[dict[str, Any]], Prompt]
    """Counts another conversation by the same rules."""
    management: Management | None = None
    """What was done to the conversation before the model gets it."""


def rules_of(world: World, visit: Visit, kind: Kind) -> Rules:
    """The rules that a request is read under: its API version and betas, and the day."""
    return Rules(
        visit.headers[b"anthropic-version"].decode("latin-1"),
        visit.betas if b"anthropic-beta" in visit.headers else frozenset(),
        world.today(),
        kind,
        world.settings.validation,
    )


def read(world: World, body: Any, rules: Rules, caller: Caller, now_ms: int) -> Reading:
    """Validate and measure.

    Raises:
        ApiError: what is wrong with it; also a prompt longer than the model's window (§6).
    """
    if isinstance(body, dict) and body.get("compaction") is not None:
        rules = replace(rules, summarises=True)
    ask = validate(body, rules)
    settings = world.settings
    management = Management.of(ask.body, rules, settings.compactions.most_tools)
    if management is not None:
        ask.body = management.compact(ask.body, world.seed)
    thoughts = look_through(ask, world.seed, caller.organisation, rules, settings.thinking)
    ask.signer = thoughts.signer
    seen = shown(ask.body, thoughts.hidden)

    def file_size(file_id: str) -> int:
        return len(world.files.get(file_id, caller.organisation, now_ms).upload.data)

    tokenizer = Tokenizer(ask.model, file_size)

    def measure(body: dict[str, Any]) -> Prompt:
        return Prompt(body, ask.model, tokenizer, settings.caching, fast=ask.fast)

    if management is not None:
        seen = management.edit(seen, lambda body: measure(body).tokens)
        if management.applied_edits is not None:
            ask.told["context_management"] = {"applied_edits": management.applied_edits}
    prompt = measure(seen)
    window = ask.model.context_window_tokens
    if prompt.tokens > window:
        raise invalid(f"prompt is too long: {prompt.tokens} tokens > {window} maximum")
    apart = ask.fast and not settings.caching.fast_shares_tools
    scope = f"{caller.cache_scope}\0{'fast' if apart else 'standard'}"
    return Reading(ask, seen, prompt, scope, measure, management)


def asked_of(visit: Visit, body: Any = None) -> Misbehaviour:
    """What the scenario, the header and the last user turn ask for, in this order.

    Raises:
        ApiError: 400 for a directive that is unknown or cannot be read.
    """
    header = visit.headers.get(b"x-sim")
    sources = [] if visit.director is None else visit.director.cues(visit, body)
    if header:
        sources.append(header.decode("latin-1"))
    if OPEN.encode() in visit.request.body:
        sources += directives_of(body)
    if not sources:
        return NOTHING_ASKED
    visit.asked = parse(sources)
    return visit.asked


def directives_of(body: Any) -> list[str]:
    """The `[[sim: …]]` of the last user turn, before anything is validated.  Turns after it, of the system or of an
    assistant (a prefill, or a pause that is continued), are passed over; tool results are not the user's words."""
    messages: Any = body.get("messages") if isinstance(body, dict) else None
    turns: list[Any] = messages if isinstance(messages, list) else []
    texts: list[str] = []
    found = False
    for message in reversed(turns):
        role = message.get("role") if isinstance(message, dict) else None
        if role == "user":
            found = True
            texts = _texts(message.get("content")) + texts
        elif found:
            break
    return [directive for text in texts for directive in directives_in(text)]


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    blocks = content if isinstance(content, list) else ()
    said = [block.get("text") for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
    return [text for text in said if isinstance(text, str)]
